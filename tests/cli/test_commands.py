"""The command line by itself: stable JSON, generated options, exit codes, names of files."""

import builtins
import importlib
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
import typer
from typed import NETWORK, flat, run
from typer.testing import CliRunner

import seglens as sl
from seglens.cli import app, show
from seglens.core.method import METHODS
from seglens.core.parameters import Bounds, Help
from seglens.run import several


def test_version() -> None:
    assert run("--version").startswith("seglens ")


def test_methods_as_json_are_a_stable_interface() -> None:
    cards = json.loads(run("methods", "--json"))
    assert [c["name"] for c in cards] == sorted(METHODS)
    for card in cards:
        assert list(card) == ["name", "summary", "doc", "reads_layer", "parameters", "problem"]
        for p in card["parameters"]:
            assert list(p) == ["name", "kind", "default", "optional", "choices", "bounds", "help"]
            assert p["bounds"] is None or list(p["bounds"]) == ["ge", "le", "above"]
    one = json.loads(run("methods", "integrated-gradients", "--json"))
    assert one in cards
    assert next(p for p in one["parameters"] if p["name"] == "nodes")["bounds"] == {"ge": 1, "le": None, "above": None}


def test_layers_as_json_are_a_stable_interface() -> None:
    told = json.loads(run("layers", NETWORK, "--json", "--size", 32, 64))
    assert list(told) == ["network", "default_layer", "layers"]
    assert told["default_layer"] == "bottleneck"
    keys = ["path", "depth", "type", "parameters", "order", "runs", "shape", "spatial", "map_shape", "layout", "heard"]
    for layer in told["layers"]:
        assert list(layer) == [*keys, "field", "stride", "tensor", "after_head", "hooked", "default"]
    (default,) = [a for a in told["layers"] if a["default"]]
    assert default["path"] == "bottleneck"
    assert default["stride"] == [16, 16]


def test_layers_fit_eighty_columns_and_mark_the_default() -> None:
    text = run("layers", NETWORK)
    assert max(map(len, text.splitlines())) <= 80
    assert "bottleneck ◀" in text
    assert "pool ×3" in text
    assert "encoder" in text
    assert "block4" not in run("layers", NETWORK, "--depth", 1)


def test_methods_in_words() -> None:
    text = run("methods")
    assert all(name in text for name in METHODS)
    assert max(map(len, text.splitlines())) <= 80
    one = run("methods", "smooth-grad")
    assert "--samples" in one
    assert "Smilkov" in one
    assert max(map(len, one.splitlines())) <= 80


def test_help_shows_the_options_of_the_methods() -> None:
    text = run("explain", "--help")
    for flag in ("--nodes", "--samples", "--truncate", "--no-relu", "--multiply-by-inputs", "--baseline"):
        assert flag in text
    assert "Options of integrated-gradients" in text


@pytest.mark.parametrize("command", ["explain", "compare"])
def test_help_names_every_method(command: str) -> None:
    assert f"All of them: {', '.join(METHODS)}." in flat(run(command, "--help"))
    assert f"All of them: {', '.join(METHODS)}." in flat(run(command, NETWORK, "street.png", "-m", "gradcam", code=1))


@pytest.mark.parametrize("command", sorted(typer.main.get_command(app).commands))  # pyright: ignore
def test_help_fits_a_terminal_and_nothing_of_it_is_cut(command: str) -> None:
    text = run(command, "--help")
    assert max(map(len, text.splitlines())) <= 80
    # What rich cuts, it ends in an ellipsis; our own stand between blanks or before a comma.
    assert re.findall(r"\w…", text) == []
    options = typer.main.get_command(app).commands[command].params  # pyright: ignore
    for option in options:
        if not option.hidden:
            assert all(name in text for name in (*option.opts, *option.secondary_opts) if name.startswith("-"))


def test_yes_or_no(street: Path) -> None:
    words = ["explain", NETWORK, street, "-c", "road", "--json", "--format", "npz"]
    for flag, relu in (("--relu", True), ("--no-relu", False)):
        (one,) = json.loads(run(*words, flag))["explanations"]
        assert one["parameters"]["relu"] is relu
    assert "--relu and --no-relu were both given" in flat(run(*words, "--relu", "--no-relu", code=2))


def test_classes_as_json_hold_null_where_a_class_is_nowhere(street: Path) -> None:
    found = json.loads(run("classes", NETWORK, street, "--json"))
    assert list(found[0]) == ["index", "name", "pixels", "share", "confidence", "instances", "logit"]
    assert sum(f["pixels"] for f in found) == 48 * 96
    assert all(f["confidence"] is None for f in found if f["pixels"] == 0)


def test_dump_writes_nan_and_infinity_as_null(capsys: pytest.CaptureFixture[str]) -> None:
    show.dump({"a": float("nan"), "b": [float("inf"), 1.5], "c": Path("x")})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5], "c": "x"}


def test_what_is_said_while_a_bar_moves_is_said_above_it():
    with show.busy("so far"), show.Steps(2, silent=False) as steps:
        steps.begin("first")
        with show.Steps(1, silent=True) as inner:
            inner.begin("within")
        # Its own console knows of the bar, and lets the line through.
        assert show.err() is steps._bar.console
    assert show.err() is not steps._bar.console


def test_explain_as_json_is_pure(street: Path) -> None:
    told = json.loads(run("explain", NETWORK, street, "-c", "road", "--json", "--cost", "--format", "npz"))
    assert list(told) == ["network", "source", "explanations", "failures"]
    (one,) = told["explanations"]
    assert one["files"] == ["explanations/street.road.grad-cam.npz"]
    assert one["cost"]["passes"] > 1
    assert one["layer"] == "bottleneck"
    assert one["size"] == [48, 96]


def test_an_option_reaches_the_methods_that_take_it(street: Path) -> None:
    words = ["explain", NETWORK, street, "-c", "road", "-m", "saliency", "-m", "smooth-grad", "-m", "grad-cam"]
    words += ["--samples", 2, "--channels", "max", "--layer", "encoder.block4", "--json", "--format", "npz"]
    told = {e["method"]: e for e in json.loads(run(*words))["explanations"]}
    assert told["smooth-grad"]["parameters"]["samples"] == 2
    assert told["smooth-grad"]["parameters"]["channels"] == told["saliency"]["parameters"]["channels"] == "max"
    assert told["grad-cam"]["layer"] == "encoder.block4"
    assert told["saliency"]["layer"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nodes", "3"], "it belongs to: integrated-gradients"),
        (["-m", "integrated-gradients", "--nodes", "0"], ">= 1"),
        (["-m", "saliency", "--channels", "summ"], "'sum'"),
        (["--nods", "3"], "--nodes"),
        (["--format", "pmg"], "'png'"),
        (["--out", "maps.pmg"], "'png'"),
        (["--out", "street.png"], "one of the inputs"),
        (["--out", "maps", "--out", "maps.png"], "one folder, or one file or several"),
        (["--out", "maps", "--out", "more"], "one folder, or one file or several"),
        (["--of", "logit"], "logits"),
    ],
)
def test_usage_errors_exit_with_2(street: Path, words: list[str], said: str) -> None:
    assert said in flat(run("explain", NETWORK, street, *words, code=2))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-m", "gradcam"], "Nearest: 'grad-cam'"),
        (["-c", "ridder"], "Nearest: 'rider'"),
        (["--against", "ridder"], "Nearest: 'rider'"),
        (["-l", "encoder.blok4"], "Nearest: 'encoder.block4'"),
        (["-m", "saliency", "-l", "bottleneck"], "reads no layer"),
        (["--region", "instanse(rider)"], "Nearest: 'instance'"),
        (["--region", "box(0, 0, 0, 0)"], "box"),
        (["--region", "truth(car)"], "truth"),
        (["-c", "road", "--against", "road"], "two different classes"),
        (["--truth", "nowhere.png"], "nowhere.png"),
        (["--device", "cuda:77"], "device"),
    ],
)
def test_errors_exit_with_1_and_name_what_is_near(street: Path, words: list[str], said: str) -> None:
    text = run("explain", NETWORK, street, *words, code=1)
    assert said in text
    assert "Traceback" not in text


def test_a_plugins_method_brings_its_options(street: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seglens.cli.options import method_options

    @dataclass(frozen=True, slots=True)
    class Plugin:
        """A method of another package."""

        nodes: Annotated[float, Bounds(above=0), Help("how dense")] = 0.5
        out: Annotated[int, Help("a name that the command has already")] = 1

    monkeypatch.setitem(METHODS._known, "plugin", Plugin)  # pyright: ignore
    options = {o.field: o for o in method_options(["out"])}
    assert options["out"].flag == "method-out"
    # The two methods disagree about the kind, so it is read as text, and each reads it for itself.
    assert options["nodes"].kind == "str"
    assert "plugin: how dense" in options["nodes"].help


def test_a_heading_too_long_for_a_terminal_counts_the_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    from seglens.cli.options import MethodOption, method_options

    @dataclass(frozen=True, slots=True)
    class Plugin:
        """A method of another package."""

        samples: Annotated[int, Bounds(ge=1), Help("n, noisy copies")] = 25

    names = [f"a-method-with-a-long-name-{i}" for i in range(4)]
    for name in names:
        monkeypatch.setitem(METHODS._known, name, Plugin)  # pyright: ignore
    (samples,) = [o for o in method_options([]) if o.field == "samples"]
    assert samples.panel == "Options of 5 methods"
    # Then the help says whose it is, which the heading no longer does.
    assert samples.help == f"{', '.join([*names, 'smooth-grad'])}: n, noisy copies (>= 1; default 25)"
    short = MethodOption("samples", "samples", {"smooth-grad": samples.takers["smooth-grad"]})
    assert (short.panel, short.help) == ("Options of smooth-grad", "n, noisy copies (>= 1; default 25)")


def test_a_broken_plugin_is_listed_and_the_rest_works(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        value = "nowhere:Method"

        def load(self) -> None:
            raise RuntimeError("no driver")

    METHODS.names()
    monkeypatch.setitem(METHODS._announced, "broken", Broken())  # pyright: ignore
    text = run("methods")
    assert "no driver" in text
    assert "grad-cam" in text


def test_images_of_one_stem_do_not_replace_each_other(street: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.png").write_bytes(street.read_bytes())
    words = ["explain", NETWORK, "-c", "road", "--format", "npz"]
    run(*words, "a/x.png", "b/x.png")
    assert {p.name for p in Path("explanations").glob("*.npz")} == {"a-x.road.grad-cam.npz", "b-x.road.grad-cam.npz"}
    # In runs of their own as well; the same image replaces its own result, which is said.
    run(*words, "a/x.png")
    assert "x-2.road.grad-cam.npz" in run(*words, "b/x.png")
    assert "x.road.grad-cam.npz (replaced)" in run(*words, "a/x.png")
    assert len(list(Path("explanations").glob("*.npz"))) == 4


def test_several_files_hold_the_same(street: Path) -> None:
    text = run("explain", NETWORK, street, "-c", "road", "-o", "all.png", "-o", "all.npz", "-o", "all.npz")
    assert text.count("→") == 2
    assert Path("all.png").is_file()
    assert sl.open("all.npz").channel == "road"


def test_an_interruption_keeps_what_is_done_and_says_so(street: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("second.png").write_bytes(street.read_bytes())
    done = several.explain_each
    calls: list[int] = []

    def once(*args: object, **more: object) -> object:
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return done(*args, **more)  # pyright: ignore

    monkeypatch.setattr(several, "explain_each", once)
    text = run("explain", NETWORK, street, "second.png", "-c", "road", "--out", "all.npz", code=130)
    assert "1 of 2 images explained" in text
    assert "Interrupted" in text
    assert Path("all.npz").is_file()


def test_an_interruption_keeps_the_methods_that_were_done(street: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(METHODS["saliency"], "__call__", interrupted)
    words = ["explain", NETWORK, street, "-c", "road", "-m", "grad-cam", "-m", "saliency", "--format", "npz"]
    text = flat(run(*words, code=130))
    assert "→ explanations/street.road.grad-cam.npz" in text
    assert "Interrupted: 0 of 1 image explained, 1 in part." in text
    assert Path("explanations/street.road.grad-cam.npz").is_file()
    assert "Interrupted." in run(*words, "--quiet", code=130)


def test_a_fault_of_ours_keeps_its_traceback_and_asks_for_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    from seglens.cli import inspect

    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(inspect, "method_cards", broken)
    result = CliRunner().invoke(app, ["methods"])
    assert isinstance(result.exception, ZeroDivisionError)
    assert "please report" in result.exception.__notes__[0]


def test_traceback_for_developers() -> None:
    result = CliRunner().invoke(app, ["--traceback", "methods", "gradcam"])
    assert type(result.exception).__name__ == "NameNotFoundError"


def test_describe_is_valid_toml_and_writes_only_where_nothing_is(tmp_path: Path) -> None:
    import tomllib

    plain = tomllib.loads(run("describe", NETWORK))
    assert plain["classes"][7] == "rider"
    assert plain["input"]["divisor"] == 16
    assert "built in" in run("describe", NETWORK, "--write", code=1)


def test_a_warning_is_one_line_and_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    import warnings

    from seglens.core.errors import GuessWarning

    with show.reported():
        for _ in range(2):
            warnings.warn("guessed:\n  this", GuessWarning, stacklevel=1)
    assert capsys.readouterr().err.splitlines() == ["Warning: guessed: this"]


@pytest.mark.parametrize(
    ("argument", "option"),
    [
        ("load it with trust=True.", "load it with --trust."),
        ("load('W.pth', constructor='smp:Unet').", "W.pth --constructor smp:Unet."),
        ("say so with constructor='package.module:Class'", "say so with --constructor package.module:Class"),
        ("give constructor=…, which builds it", "give --constructor …, which builds it"),
        ("Grad-CAM with relu=False shows", "Grad-CAM with --no-relu shows"),
        ("distrust=True is no argument of ours", "distrust=True is no argument of ours"),
    ],
)
def test_arguments_are_named_as_they_are_typed(argument, option, capsys):
    show.error(f"it failed.\n  {argument}")
    show.warning(argument)
    assert capsys.readouterr().err.splitlines() == ["Error: it failed.", f"  {option}", f"Warning: {option}"]


@pytest.mark.parametrize(
    ("command", "more"),
    [("explain", ()), ("evaluate", ("--truth", "faces")), ("sensitivity", ("--vary", "samples=2,4"))],
)
def test_a_data_set_is_no_image(command, more):
    text = flat(run(command, NETWORK, "faces", *more, code=2))
    assert "'faces' is a data set, and this command takes image files." in text
    assert "open_dataset('faces')[0].image" in text


def test_without_typer_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import seglens.cli as cli

    real = builtins.__import__

    def absent(name: str, *args: object, **more: object) -> object:
        if name == "typer":
            raise ImportError("no typer", name="typer")
        return real(name, *args, **more)  # pyright: ignore

    monkeypatch.setattr(builtins, "__import__", absent)
    for name in [n for n in sys.modules if n.startswith("seglens.cli")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "seglens.cli", cli)
    with pytest.raises(SystemExit) as left:
        importlib.reload(cli)
    assert left.value.code == "The command line needs typer, which is not installed: pip install 'seglens[cli]'"


def test_panel_over_all_layers(street: Path) -> None:
    told = json.loads(
        run("explain", NETWORK, street, "-c", "car", "-c", "road", "--layer", "all", "--json", "-o", "p.npz")
    )
    layers = [e["layer"] for e in told["explanations"]]
    assert len(layers) == 2 * len(set(layers)) > 10
    assert np.load("p.npz")["0/map"].shape == (48, 96)
