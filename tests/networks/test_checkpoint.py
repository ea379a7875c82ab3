"""Weights find their module; nothing in them gets to run; what does not fit is said."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from network_toys import Toy, make, state
from safetensors.torch import save_file
from torch import nn

from seglens.core.errors import GuessWarning, NetworkError, UnsafeFileError
from seglens.networks.checkpoint import construct, into, load_checkpoint, load_safetensors
from seglens.networks.loaded import Request

DATA = Path(__file__).parents[3] / "shared" / "data"


class Bomb:
    """Pickled, it makes a file when it is opened."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


def request(**fields: Any) -> Request:
    return Request(**{"constructor": Toy, **fields})


def fits(module: nn.Module) -> bool:
    return all(torch.equal(v, state()[k]) for k, v in module.state_dict().items())


@pytest.mark.parametrize("new_format", [True, False])
def test_state_dict(tmp_path: Path, new_format: bool):
    torch.save(state(), tmp_path / "a.pth", _use_new_zipfile_serialization=new_format)
    assert fits(load_checkpoint(tmp_path / "a.pth", request()).module)


def test_safetensors(tmp_path: Path):
    save_file(state(), tmp_path / "a.safetensors")
    assert fits(load_safetensors(tmp_path / "a.safetensors", request()).module)
    whole = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "b.safetensors").write_bytes(whole[:-20])
    with pytest.raises(NetworkError, match=r"b\.safetensors is damaged or cut short"):
        load_safetensors(tmp_path / "b.safetensors", request())


@pytest.mark.parametrize(
    ("wrap", "said"),
    [
        (lambda s: {"state_dict": s, "epoch": 3}, "from under 'state_dict'"),
        (lambda s: {"model_state_dict": OrderedDict(s), "optimizer": {}}, "'model_state_dict'"),
        (lambda s: {"model": {"net": s}}, "from under 'model.net'"),
        (lambda s: {"module." + k: v for k, v in s.items()}, "prefix 'module.' was removed"),
        (
            lambda s: {"state_dict": {"module._orig_mod." + k: v for k, v in s.items()}},
            "'state_dict'; the prefix 'module.' was removed .*; the prefix '_orig_mod.' was",
        ),
        (lambda s: {"model": s, "net": {"other": torch.ones(1)}}, "from under 'model'"),
    ],
)
def test_wrapped_weights_are_found_and_it_is_said(wrap: Any, said: str):
    with pytest.warns(GuessWarning, match=f"a.pth: .*{said}"):
        assert fits(into(Toy(), wrap(state()), "a.pth"))


def test_ambiguous_weights_are_refused():
    with pytest.raises(NetworkError, match="no single set of weights: 'model', 'net'"):
        into(Toy(), {"model": state(), "net": state()}, "a.pth")
    with pytest.raises(NetworkError, match="it has the entries epoch, loss"):
        into(Toy(), {"epoch": 1, "loss": 0.5}, "a.pth")
    with pytest.raises(NetworkError, match="it is a list"):
        into(Toy(), [torch.ones(1)], "a.pth")


def test_weights_that_do_not_fit():
    wrong = state(**{"extra.a": torch.ones(1), "head.bias": torch.ones(7)})
    del wrong["conv.weight"]
    with pytest.raises(NetworkError) as refused:
        into(Toy(), wrong, "a.pth")
    assert str(refused.value) == (
        "the weights in a.pth do not fit Toy.\n"
        "  Missing: conv.weight.\n"
        "  Unexpected: extra.a.\n"
        "  Of another shape: head.bias is [7], not [2].\n"
        "  Is it the right constructor, with the right arguments?"
    )
    with pytest.raises(NetworkError, match=r"Unexpected: x0, x1, x2, x3, … \(6 in all\)"):
        into(Toy(), state(**{f"x{i}": torch.ones(1) for i in range(6)}), "a.pth")


def test_batches_that_old_checkpoints_did_not_count():
    module = nn.Sequential(nn.BatchNorm2d(2))
    old = {k: v + 1 for k, v in module.state_dict().items() if not k.endswith("tracked")}
    assert into(module, old, "a.pth").state_dict()["0.weight"].tolist() == [2, 2]


@pytest.mark.parametrize("new_format", [True, False])
def test_pickle_that_could_run_code(tmp_path: Path, new_format: bool):
    marker = tmp_path / "ran"
    path = tmp_path / "bomb.pth"
    torch.save({"state_dict": Bomb(marker)}, path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(UnsafeFileError, match=r"bomb\.pth is a pickle that could run code") as e:
        load_checkpoint(path, request())
    assert "getattr" in str(e.value)
    assert "torch.save(model.state_dict(), PATH)" in str(e.value)
    assert not marker.exists()
    with pytest.raises(NetworkError):
        load_checkpoint(path, request(trust=True))
    assert marker.exists()  # the bomb was live


def test_whole_module_is_refused_by_name_and_loaded_when_trusted(tmp_path: Path):
    torch.save(Toy(), tmp_path / "a.pth")
    with pytest.raises(UnsafeFileError, match=r"it asks for .*toys\.Toy.*\n  Save only the weights"):
        load_checkpoint(tmp_path / "a.pth", request())
    assert isinstance(load_checkpoint(tmp_path / "a.pth", request(trust=True)).module, Toy)
    torch.save(state(), tmp_path / "b.pth")
    assert fits(load_checkpoint(tmp_path / "b.pth", request(trust=True)).module)


@pytest.mark.parametrize("trust", [False, True])
def test_cut_short(tmp_path: Path, trust: bool):
    torch.save(state(), tmp_path / "a.pth")
    (tmp_path / "a.pth").write_bytes((tmp_path / "a.pth").read_bytes()[:700])
    with pytest.raises(NetworkError, match=r"a\.pth is damaged or cut short: .*\n  Copy or download"):
        load_checkpoint(tmp_path / "a.pth", request(trust=trust))


def test_no_constructor(tmp_path: Path):
    torch.save(state(), tmp_path / "a.pth")
    with pytest.raises(NetworkError, match=r"which module do they belong to\?\n.* in a\.toml beside"):
        load_checkpoint(tmp_path / "a.pth", Request())


class TestConstructor:
    @pytest.mark.parametrize(
        "maker", [Toy, make, "network_toys:Toy", "network_toys:make", f"{Path(__file__).parent}/network_toys.py:Toy"]
    )
    def test_ways_to_name_it(self, maker: Any):
        built = construct(request(constructor=maker, arguments={"classes": 5})).module
        assert built.head.out_channels == 5

    def test_described_class_is_built(self):
        assert construct(request(constructor="network_toys:Toy", named_in=Path("a.toml"))).module.head.out_channels == 2

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("os:system", "is no torch.nn.Module class"),
            ("network_toys:make", "is no torch.nn.Module class"),
            (f"{Path(__file__).parent}/network_toys.py:Toy", "is a file"),
        ],
    )
    def test_description_cannot_run_what_it_likes(self, text: str, why: str):
        named = request(constructor=text, named_in=Path("a.toml"), arguments={})
        with pytest.raises(UnsafeFileError, match=rf"that a\.toml names {why}, so it was not called"):
            construct(named)

    def test_described_function_is_called_when_trusted(self):
        trusted = request(constructor="network_toys:make", named_in=Path("a.toml"), trust=True)
        assert isinstance(construct(trusted).module, Toy)

    @pytest.mark.parametrize(
        ("maker", "said"),
        [
            ("network_toys", "is to be written 'package.module:Class' or 'file.py:Class'"),
            ("toyz:Toy", "cannot be imported: No module named 'toyz'"),
            ("network_toys:Toi", "'network_toys' has no 'Toi', named as constructor.\n  Nearest: 'Toy'"),
            ("none.py:Toy", "there is no file 'none.py'"),
            ("network_toys:__doc__", "cannot be called"),
            ("network_toys:not_a_module", "gave a int, not a torch.nn.Module"),
        ],
    )
    def test_errors(self, maker: str, said: str):
        with pytest.raises(NetworkError) as refused:
            construct(request(constructor=maker))
        assert said in str(refused.value)

    def test_wrong_arguments(self):
        with pytest.raises(NetworkError, match=r"failed with the arguments {'klasses': 3}: .*klasses"):
            construct(request(arguments={"klasses": 3}))

    def test_file_that_fails(self, tmp_path: Path):
        (tmp_path / "bad.py").write_text("1 / 0")
        with pytest.raises(NetworkError, match=r"named as the constructor's, failed: division by zero"):
            construct(request(constructor=f"{tmp_path}/bad.py:Toy"))


@pytest.mark.skipif(not DATA.is_dir(), reason="the optional real material is not here")
@pytest.mark.parametrize("file", sorted(DATA.glob("*/*.pt*")), ids=lambda p: p.name)
def test_real_weights_are_read(file: Path):
    """Each is read and unwrapped; only then is it found that they are not a Toy's."""
    with pytest.raises(NetworkError, match=r"do not fit Toy\.\n  Missing: conv\.weight"):
        load_checkpoint(file, request())
