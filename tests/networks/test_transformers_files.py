"""Folders that are damaged, foreign, or made to harm: a clear error, nothing run, nothing fetched, nothing drawn."""

import json
import os
import pickle
import shutil
import socket
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers_models import model_of, save

import seglens as sl
from seglens.core.capture import capture
from seglens.core.errors import GuessWarning, NetworkError, UnsafeFileError

pytest.importorskip("transformers")

RAN: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    asked: list[object] = []

    def refused(*args: object, **_: object) -> None:
        asked.append(args)
        raise OSError("there is no network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    RAN.clear()
    state = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), state), "numbers were drawn"
    assert not asked, "the network was asked for"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("segformer", tmp_path_factory.mktemp("saved") / "segformer")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return shutil.copytree(saved, tmp_path / "net")


def noise() -> torch.Tensor:
    return torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def change(path: Path, **changes: Any) -> None:
    table = json.loads(path.read_text())
    path.write_text(json.dumps({**table, **changes}))


def pickled(folder: Path, what: object | None = None) -> Path:
    """The weights as older versions saved them."""
    weights = folder / "model.safetensors"
    state = load_file(weights)
    weights.unlink()
    torch.save(state if what is None else what, folder / "pytorch_model.bin")
    return folder / "pytorch_model.bin"


class Bomb:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return note, ("bomb",)


def note(what: str) -> torch.Tensor:
    RAN.append(what)
    return torch.ones(1)


def test_forms_of_weights(folder: Path):
    x = noise()

    def scores() -> torch.Tensor:
        network = sl.load(folder)
        # Where in a file weights lie may tell on the last bit; in memory of their own they lie alike.
        for weight in network.module.parameters():
            weight.data = weight.data.clone()
        with capture(network), torch.no_grad():
            return network(x)

    expected = scores()
    state = load_file(folder / "model.safetensors")
    names = sorted(state)
    (folder / "model.safetensors").unlink()
    parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, part in parts.items():
        save_file({n: state[n] for n in part}, folder / file)
    index = {"weight_map": {n: file for file, part in parts.items() for n in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert torch.equal(scores(), expected)
    (folder / "model.safetensors.index.json").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    assert torch.equal(scores(), expected)
    torch.save({n: v.half() for n, v in state.items()}, folder / "pytorch_model.bin")
    assert sl.load(folder).dtype == torch.float32


def test_a_bomb_among_the_weights(folder: Path):
    pickled(folder, {"a": torch.ones(1), "b": Bomb()})
    with pytest.raises(UnsafeFileError, match=r"pytorch_model.bin is a pickle that could run code"):
        sl.load(folder)
    assert RAN == []


def test_a_bare_bomb(folder: Path):
    path = pickled(folder)
    path.write_bytes(pickle.dumps(Bomb(), protocol=2))
    with pytest.raises(NetworkError):
        sl.load(folder)
    assert RAN == []


def test_trust_opens_it(folder: Path):
    state = load_file(folder / "model.safetensors")
    pickled(folder, {**state, "b": Bomb()})
    with pytest.warns(GuessWarning, match="They are: b"):
        sl.load(folder, trust=True)
    assert RAN == ["bomb"]


CODE = """
import transformers

open({ran!r}, "w").close()

class Own(transformers.SegformerForSemanticSegmentation):
    pass
"""


def test_code_of_its_own(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ran = tmp_path / "ran"
    (folder / "own.py").write_text(CODE.format(ran=str(ran)))
    # Under the names of the class: the library renames what it saves for its own classes only.
    save_file(dict(model_of("segformer").state_dict()), folder / "model.safetensors", {"format": "pt"})
    change(folder / "config.json", architectures=["Own"], auto_map={"AutoModelForSemanticSegmentation": "own.Own"})
    with pytest.raises(UnsafeFileError, match=r"code of its own \(auto_map"):
        sl.load(folder)
    assert not ran.exists()
    from transformers import dynamic_module_utils

    # Where the library copies the code to before it imports it.
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    network = sl.load(folder, trust=True)
    assert ran.exists()
    assert type(network.module.model).__name__ == "Own"


def test_code_that_only_the_processor_names(folder: Path, tmp_path: Path):
    ran = tmp_path / "ran"
    (folder / "own.py").write_text(CODE.format(ran=str(ran)))
    own = {"AutoImageProcessor": "own.Own"}
    change(folder / "preprocessor_config.json", auto_map=own, image_processor_type="Own", image_mean=[0.1, 0.2, 0.3])
    network = sl.load(folder)
    assert not ran.exists()
    assert network.convention.mean == (0.1, 0.2, 0.3)


def test_kernels_from_elsewhere_are_not_asked_for(folder: Path):
    change(folder / "config.json", attn_implementation="someone/kernel", _attn_implementation="someone/kernel")
    network = sl.load(folder)
    assert network.module.model.config._attn_implementation == "sdpa"


def test_a_backbone_from_elsewhere(folder: Path):
    changes = {"architectures": ["UperNetForSemanticSegmentation"], "model_type": "upernet"}
    change(folder / "config.json", **changes, backbone="microsoft/resnet-50", use_pretrained_backbone=True)
    with pytest.raises(NetworkError, match="net "):
        sl.load(folder)


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd", "a/b.safetensors", "..", "", "a\\b"])
def test_an_index_that_points_outside(folder: Path, name: str):
    (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(UnsafeFileError, match="lies outside the folder"):
        sl.load(folder)


@pytest.mark.parametrize("index", ["[]", "{", '{"weight_map": 3}', '{"weight_map": {"a": 3}}'])
def test_an_index_that_is_none(folder: Path, index: str):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(NetworkError, match="is damaged or cut short"):
        sl.load(folder)


def test_a_part_that_is_missing(folder: Path):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-1.safetensors"}}')
    with pytest.raises(NetworkError, match="a part of net's weights, is not there"):
        sl.load(folder)


def test_a_pipe_in_place_of_weights(folder: Path):
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")
    with pytest.raises(NetworkError, match="holds no weights"):
        sl.load(folder)


def test_links_are_followed_as_caches_use_them(folder: Path):
    real = (folder / "model.safetensors").rename(folder.parent / "blob")
    (folder / "model.safetensors").symlink_to(real)
    assert sl.load(folder).classes is not None


@pytest.mark.parametrize("cut", [100, 3000, -1])
def test_cut_short(folder: Path, cut: int):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(NetworkError, match="is damaged"):
        sl.load(folder)


def test_a_header_larger_than_the_file(folder: Path):
    path = folder / "model.safetensors"
    path.write_bytes((2**31).to_bytes(8, "little") + path.read_bytes()[8:])
    with pytest.raises(NetworkError, match="is damaged"):
        sl.load(folder)


@pytest.mark.parametrize("content", [b"<html>", b"version https://git-lfs.github.com/spec/v1\n", b"", b"\x80\x02N."])
def test_other_things_in_place_of_weights(folder: Path, content: bytes):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(NetworkError):
        sl.load(folder)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
@pytest.mark.parametrize("text", ["{", "[1]", "\x00", "[" * 100_000])
def test_settings_that_are_no_json(folder: Path, name: str, text: str):
    (folder / name).write_text(text)
    with pytest.raises(NetworkError, match=rf"net/{name} is damaged"):
        sl.load(folder)


@pytest.mark.parametrize("mean", ["abc", [], ["a", "b", "c"], None])
def test_settings_of_another_kind(folder: Path, mean: Any):
    change(folder / "preprocessor_config.json", image_mean=mean, image_processor_type="Unknown")
    with pytest.raises(sl.SeglensError):
        sl.load(folder)


@pytest.mark.parametrize(
    "changes", [{"hidden_sizes": "wide"}, {"hidden_sizes": [8, 8, 16]}, {"num_attention_heads": [0, 0, 0, 0]}]
)
def test_a_configuration_that_builds_nothing(folder: Path, changes: dict[str, Any]):
    change(folder / "config.json", **changes)
    with pytest.raises(NetworkError, match="net"):
        sl.load(folder)


@pytest.mark.parametrize(
    "name", ["SegformerModel", "DPTForDepthEstimation", "CLIPModel", "DetrForObjectDetection", "os"]
)
def test_other_kinds_of_models(folder: Path, name: str):
    change(folder / "config.json", architectures=[name])
    with pytest.raises(NetworkError, match=rf"net is a {name}, which gives scores of classes neither.*\n.*SegFormer"):
        sl.load(folder)


@pytest.mark.parametrize("named", [None, [], ["SegformerForSemanticSegmentation", "SegformerModel"], "x"])
def test_a_model_that_is_not_named(folder: Path, named: Any):
    change(folder / "config.json", architectures=named)
    with pytest.raises(NetworkError, match="a 'segformer' whose class is not named"):
        sl.load(folder)


def test_a_model_that_the_library_lacks(folder: Path):
    change(folder / "config.json", architectures=["NewestForSemanticSegmentation"])
    with pytest.raises(NetworkError, match=r"which transformers [\d.]+ does not have"):
        sl.load(folder)


def test_quantised(folder: Path):
    change(folder / "config.json", quantization_config={"quant_method": "bitsandbytes"})
    with pytest.raises(NetworkError, match="quantised weights"):
        sl.load(folder)


def test_weights_that_are_missing(folder: Path):
    """The library would draw the head at random, and merely log it."""
    state = load_file(folder / "model.safetensors")
    kept = {n: v for n, v in state.items() if not n.startswith("decode_head.classifier")}
    save_file(kept, folder / "model.safetensors")
    said = r"do not fill a SegformerFor.*\n  Missing: decode_head.classifier.bias, decode_head.classifier.weight\."
    with pytest.raises(NetworkError, match=said):
        sl.load(folder)


def test_weights_of_another_shape(folder: Path):
    state = load_file(folder / "model.safetensors")
    state["decode_head.classifier.bias"] = torch.zeros(7)
    save_file(state, folder / "model.safetensors")
    with pytest.raises(NetworkError, match=r"decode_head\.classifier\.bias|other shape"):
        sl.load(folder)


def test_weights_without_a_place(folder: Path):
    state = load_file(folder / "model.safetensors")
    save_file({**state, "teacher.head.weight": torch.zeros(7)}, folder / "model.safetensors")
    with pytest.warns(GuessWarning, match=r"without a place .* left out\n  They are: teacher\.head\.weight"):
        sl.load(folder)


def test_no_weights(folder: Path):
    (folder / "model.safetensors").unlink()
    with pytest.raises(NetworkError, match=r"holds no weights\.\n  Expected model\.safetensors, "):
        sl.load(folder)
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(NetworkError, match="an adapter only: merge it"):
        sl.load(folder)


def test_nothing_is_printed(folder: Path, capfd: pytest.CaptureFixture[str]):
    sl.load(folder)
    assert capfd.readouterr() == ("", "")


def test_the_library_is_left_as_it_was(folder: Path):
    import huggingface_hub.constants as hub
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled(), hub.HF_HUB_OFFLINE
    sl.load(folder)
    (folder / "config.json").write_text('{"architectures": ["SegformerForSemanticSegmentation"], "num_heads": "x"}')
    with pytest.raises(NetworkError):
        sl.load(folder)
    assert before == (logging.get_verbosity(), logging.is_progress_bar_enabled(), hub.HF_HUB_OFFLINE)


class TestClasses:
    def test_placeholders_name_nothing(self, folder: Path):
        change(folder / "config.json", id2label={str(i): f"LABEL_{i}" for i in range(4)})
        assert sl.load(folder).classes is None

    def test_names_that_occur_twice(self, folder: Path):
        change(folder / "config.json", id2label={"0": "crane", "1": "car", "2": "crane", "3": "sky"})
        assert sl.load(folder).classes.names == ("crane (0)", "car", "crane (2)", "sky")  # type: ignore[union-attr]

    def test_one_channel(self, folder: Path):
        change(folder / "config.json", id2label={"0": "crack"})
        state = load_file(folder / "model.safetensors")
        for name in ("weight", "bias"):
            state[f"decode_head.classifier.{name}"] = state[f"decode_head.classifier.{name}"][:1].contiguous()
        save_file(state, folder / "model.safetensors")
        network = sl.load(folder)
        with capture(network), torch.no_grad():
            y = network(noise())
        assert network.is_binary(y)
        assert network.class_table(y).names == ("background", "crack")

    def test_independent_labels(self, tmp_path: Path):
        folder = save("vit", tmp_path / "vit")
        change(folder / "config.json", problem_type="multi_label_classification")
        assert sl.load(folder).link == "sigmoid"
        change(folder / "config.json", problem_type="regression")
        network = sl.load(folder)
        assert (network.link, network.classes) == ("none", None)


def test_without_its_preprocessing(folder: Path):
    (folder / "preprocessor_config.json").unlink()
    with pytest.warns(GuessWarning, match="how it takes images is written nowhere"):
        network = sl.load(folder)
    assert network.convention.std == (0.229, 0.224, 0.225)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sl.load(folder, convention={"mean": 0.5}).convention.mean == (0.5,)


def test_the_users_model_is_not_the_loaded_one(folder: Path):
    assert sl.load(folder).module.model is not model_of("segformer")
