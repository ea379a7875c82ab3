"""seglens bench, as a person types it, on networks that need no training."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from seglens.cli.bench import bench
from seglens.cli.resumable import lasting

sys.path.append(str(Path(__file__).parents[1] / "run"))
from bench_fakes import Workshop, greys, workshop

__all__ = ["greys", "workshop"]

TINY = ("--quick", "--texture-folder", "greys", "--textures", "5", "--images", "10")
EVEN = ("--method", "uniform", "--method", "vg")


def result(*words: object, code: int = 0) -> Result:
    done = CliRunner().invoke(bench, ["context-bias", *map(str, words)])
    assert done.exit_code == code, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done


@pytest.fixture(autouse=True)
def at_work(workshop: Workshop, greys: Path) -> Workshop:
    return workshop


def flat(text: str) -> str:
    return " ".join(text.replace("│", " ").split())


def tables(text: str) -> list[str]:
    """The lines that are no sentences: those are wrapped on a terminal only."""
    return [line for line in text.splitlines() if not line.rstrip().endswith(".") and ":" not in line]


def test_quick_prints_every_table_in_eighty_columns_and_writes_every_file() -> None:
    text = result(*TINY, *EVEN, "--out", "out").stdout
    assert max(map(len, tables(text))) <= 80
    for words in (
        *("scikit-learn digits 8x8", "textures: 6 of greys", "resnet18", "1 seed, 1 bias texture"),
        *("Fill chosen on other seeds", "its numbers mean little"),
        *("IoU of the biased digit", "Strong bias: 1 of 1 networks took it up", "Twins: 1 of 1"),
        *("CBL [95 %]", "absent", "others", "uniform", "vg", "one half by chance", "paper's size"),
        *("stages in", "→ out/table.csv", "→ out/results.json", "→ out/figure4.png", "→ out/twins.png"),
    ):
        assert words in text, words
    for name in ("table.csv", "results.json", "figure4.png", "twins.png"):
        assert (Path("out") / name).stat().st_size


def test_ten_digits_fit_into_eighty_columns() -> None:
    ten = ("--digits", "0,1,2,3,4,5,6,7,8,9", "--strength", "weak", "--method", "uniform")
    text = result(*TINY, *ten, "--out", "out").stdout
    assert max(map(len, tables(text))) <= 80
    assert "CBL by digit" in text
    assert "CBD by digit" in text
    assert "Weak bias" in text
    assert "Strong bias" not in text


def test_json_is_pure_and_names_the_files(at_work: Workshop) -> None:
    told = json.loads(result(*TINY, *EVEN, "--json").stdout)
    assert list(told) == [
        *("plan", "sources", "gate", "fills", "uptake", "rows", "networks", "methods", "seconds", "stages"),
        *("full_seconds", "provenance", "notes", "files"),
    ]
    assert all(Path(p).exists() for p in told["files"])
    assert told["plan"]["methods"] == ["vg", "uniform"]
    assert len(at_work.calls) == 4


def test_an_interruption_says_how_to_go_on(at_work: Workshop) -> None:
    at_work.stop_at = 3
    said = flat(result(*TINY, *EVEN, "--out", "out", code=130).output)
    assert "of 14 stages are done and kept in out: the same command goes on from there" in said
    assert "Interrupted." in said
    at_work.stop_at = None
    text = result(*TINY, *EVEN, "--out", "out").stdout
    assert "were done before" in text
    assert len(at_work.calls) == 4


def test_a_method_that_fails_gives_exit_code_1_and_the_others_count() -> None:
    done = result(*TINY, "--method", "grad-cam", "--method", "uniform", code=1)
    assert "Error: grad-cam failed on 3 of 3 networks" in done.output
    assert "uniform" in done.stdout
    assert Path("context-bias/figure4.png").exists()


def test_a_study_is_printed_and_written() -> None:
    text = result(*TINY, "--study", "texture", "--method", "grid-reference", "--out", "out").stdout
    assert max(map(len, tables(text))) <= 80
    for words in ("grid-reference, strong bias", "grid-reference, twins", "texture", "→ out/study-texture.png"):
        assert words in text, words
    told = json.loads(
        result(*TINY, "--study", "texture", "--method", "grid-reference", "--out", "out", "--json").stdout
    )
    assert {x["value"] for x in told["lines"]} == {"5"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--quick", "--full"), 2, "two sizes"),
        (("--digits", "two"), 2, "no list of numbers"),
        (("--digits", "12"), 1, "from 0 to 9"),
        (("--method", "grids"), 1, "Nearest: 'grid'"),
        (("--textures", "30"), 1, "texture 30: there are 25"),
        (("--study", "rate"), 2, "rate"),
        (("--study", "fill", "--method", "vg"), 1, "a study varies context saliency"),
        (("--mnist", "nowhere"), 1, "is no folder"),
        (("--images", "3"), 2, "10"),
    ],
)
def test_what_is_refused(at_work: Workshop, words: tuple[str, ...], code: int, said: str) -> None:
    assert said in flat(result(*words, code=code).output)
    assert not at_work.calls


def test_help_names_every_method_and_fits() -> None:
    text = CliRunner().invoke(bench, ["context-bias", "--help"]).stdout
    assert max(map(len, text.splitlines())) <= 80
    for name in ("grid-reference", "layer-cam", "uniform", "mobilenet-v2", "sparsity"):
        assert name in flat(text)


@pytest.mark.parametrize(
    ("seconds", "said"), [(3, "3 s"), (80, "80 s"), (100, "2 min"), (5400, "1.5 h"), (86_400 * 12.34, "12.3 days")]
)
def test_times_for_readers(seconds: float, said: str) -> None:
    assert lasting(seconds) == said
