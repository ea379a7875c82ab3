"""One door: modules, files by what they hold, names; and an error for everything that is no network."""

import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from network_toys import Toy, state
from safetensors.torch import save_file
from torch import nn

from seglens.core.capture import capture
from seglens.core.convention import Convention
from seglens.core.errors import (
    CaptureError,
    GuessWarning,
    NameNotFoundError,
    NetworkError,
    ParameterError,
    UnsafeFileError,
)
from seglens.core.network import Network
from seglens.networks import BUILTIN, LOADERS, Loaded, Request, builtin, builtin_coders, from_module, load
from seglens.networks.scripted import load_scripted

PLAIN = Convention()


@pytest.fixture
def scripted(tmp_path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Toy()).save(tmp_path / "a.pt")
    return tmp_path / "a.pt"


class TestModules:
    def test_in_memory(self):
        network = from_module(Toy(channels=1), classes=["a", "b"], link="sigmoid")
        assert network.classes is not None
        assert network.classes.names == ("a", "b")
        assert (network.link, network.convention.channels) == ("sigmoid", 1)
        assert from_module(Toy(), convention={"divisor": 8}).convention.divisor == 8
        assert from_module(nn.Identity()).convention == PLAIN

    def test_guess_is_said_once_loaded(self):
        said = r"guessed how Toy takes images: 1 channel\(s\), RGB, values 0 to 1, mean 0, std 1"
        with pytest.warns(GuessWarning, match=said):
            assert load(Toy(channels=1)).name == "Toy"
        assert load(Toy(), convention=PLAIN).convention is PLAIN

    def test_network_again(self):
        network = from_module(Toy())
        assert load(network) is network
        assert load(network, classes=["a", "b"]).classes is not None
        assert load(network, link="sigmoid").module is network.module

    def test_some_fields_of_the_convention_leave_the_others_as_told(self, tmp_path: Path):
        assert load(Toy(channels=1), convention={"divisor": 4}).convention.channels == 1
        torch.save(state(), tmp_path / "a.pth")
        (tmp_path / "a.toml").write_text('constructor = "network_toys:Toy"\n[input]\nmean = 0.5\ndivisor = 8\n')
        network = load(tmp_path / "a.pth", convention={"divisor": 4})
        assert (network.convention.divisor, network.convention.mean) == (4, (0.5,))
        again = load(network, convention={"std": 0.25})
        assert (again.convention.divisor, again.convention.mean, again.convention.std) == (4, (0.5,), (0.25,))
        assert load(tmp_path / "a.pth", convention=Convention(divisor=4)).convention == Convention(divisor=4)

    def test_device_moves_it(self):
        assert load(from_module(Toy()), device="cpu").device.type == "cpu"

    def test_refused(self):
        with pytest.raises(NetworkError, match=r"a network is a torch\.nn\.Module, not a int"):
            from_module(3)  # type: ignore[arg-type]
        with pytest.raises(ParameterError, match=r"Network has no field 'lnk'\.\n  Nearest: 'link'"):
            from_module(Toy(), lnk="softmax")
        with pytest.raises(NetworkError, match="is a torch module, a path or a name, not a list"):
            load([])  # type: ignore[arg-type]


class TestFiles:
    @pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "a.pth", "a.ckpt", "a.PTH", "a.bin"])
    def test_weights_with_description(self, tmp_path: Path, name: str):
        path = tmp_path / name
        (save_file if name.endswith("tensors") else torch.save)(state(), path)
        path.with_suffix(".toml").write_text(
            'name = "toy"\nclasses = ["a", "b"]\nconstructor = "network_toys:Toy"\nlink = "sigmoid"\n'
            "[constructor_arguments]\ndivisor = 4\n[input]\nmean = 0.5\ndivisor = 4\n"
        )
        network = load(path)
        assert (network.name, network.link, network.source) == ("toy", "sigmoid", str(path))
        assert (network.convention.mean, network.convention.channels) == ((0.5,), 3)
        assert isinstance(network.module, Toy)
        assert network.module.divisor == 4
        assert load(path, link="softmax", name="b", classes=["c", "d"]).link == "softmax"

    def test_guess_is_said(self, tmp_path: Path):
        torch.save(state(), tmp_path / "a.pth")
        with pytest.warns(GuessWarning, match=r"State it in a\.toml beside it; `seglens describe`"):
            assert load(tmp_path / "a.pth", constructor=Toy).name == "a"

    def test_description_gives_no_trust(self, tmp_path: Path):
        torch.save(state(), tmp_path / "a.pth")
        (tmp_path / "a.toml").write_text('constructor = "network_toys:make"\n[input]\nmean = 0.0')
        with pytest.raises(UnsafeFileError, match=r"a\.toml names is no torch\.nn\.Module class"):
            load(tmp_path / "a.pth")
        assert load(tmp_path / "a.pth", constructor="network_toys:make").name == "a"
        assert load(tmp_path / "a.pth", trust=True).name == "a"

    def test_exported(self, tmp_path: Path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.export.save(torch.export.export(Toy().eval(), (torch.rand(1, 3, 8, 8),)), tmp_path / "a.pt2")
            (tmp_path / "a.pt").write_bytes((tmp_path / "a.pt2").read_bytes())
        for name in ("a.pt2", "a.pt"):  # content, not suffix, decides
            with pytest.warns(GuessWarning, match="3 channel"):
                assert load(tmp_path / name).convention.size == (8, 8)

    def test_plugin(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        def toy(path: Path, request: Request) -> Loaded:
            return Loaded(Toy(), {"divisor": 2})

        monkeypatch.setitem(LOADERS._known, "toyfile", toy)
        (tmp_path / "a.toyfile").write_text("x")
        assert load(tmp_path / "a.toyfile", convention=PLAIN).name == "a"

    @pytest.mark.parametrize("name", BUILTIN)
    def test_built_in(self, name: str):
        network = load(name)
        assert (network.name, network.source) == (name, name)
        assert (network.classes is None) == (network.link == "none")

    def test_built_in_names_agree(self):
        assert (*builtin.BUILTIN, *builtin_coders.CODERS) == BUILTIN


class TestScripted:
    def test_gradients_but_no_layers(self, scripted: Path):
        network = load(scripted, convention=PLAIN)
        x = torch.rand(2, 3, 8, 8, requires_grad=True)
        with capture(network, ()):
            assert torch.autograd.grad(network(x).sum(), x)[0].abs().sum() > 0
        with pytest.raises(CaptureError, match=r"torch\.export"), capture(network, ["conv"]):
            pass

    def test_damaged(self, scripted: Path):
        whole = scripted.read_bytes()
        scripted.write_bytes(whole[:-300])
        with pytest.raises(NetworkError, match=r"a\.pt is damaged or cut short"):
            load(scripted)
        with pytest.raises(NetworkError, match=r"a\.pt is no TorchScript that can be read, or is dam"):
            load_scripted(scripted, Request())


class TestRefused:
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "a.pth is empty (0 bytes)"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a git-LFS pointer, not the weights"),
            (b"\n<!DOCTYPE html><html>", "a.pth is a web page, not weights"),
            (b"\x1f\x8b123", "is a gzip archive: unpack it first"),
            (b"hello world", "is a text file, not weights; it begins: 'hello world'"),
            (b"\x00\x01\x02\x03" * 9, "is no file that torch, safetensors, Keras or ONNX wrote"),
            (b"PK\x03\x04" + b"0" * 90, "a.pth is damaged or cut short"),
            (b"\x80\x02garbage", "a.pth is "),
        ],
    )
    def test_content(self, tmp_path: Path, content: bytes, said: str):
        (tmp_path / "a.pth").write_bytes(content)
        with pytest.raises(NetworkError) as refused:
            load(tmp_path / "a.pth", constructor=Toy)
        assert said in str(refused.value)

    def test_foreign_archive(self, tmp_path: Path):
        with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
            archive.writestr("notes.txt", "x")
        with pytest.raises(NetworkError, match=r"but none that torch or Keras writes; it holds: notes\.txt"):
            load(tmp_path / "a.pt")

    def test_places(self, tmp_path: Path):
        with pytest.raises(NetworkError, match=r"is a folder; name.*\n  No network's file lies in it"):
            load(tmp_path)
        (tmp_path / "unet.pt2").write_text("x")
        with pytest.raises(NetworkError, match=r"is a folder; name.*\n  In it: unet\.pt2\."):
            load(tmp_path)
        with pytest.raises(NetworkError, match=r"no file .*unte\.pt2'\.\n  Nearest: 'unet\.pt2'"):
            load(tmp_path / "unte.pt2")
        with pytest.raises(NetworkError, match=r"the folder .*nowhere' does not exist"):
            load(tmp_path / "nowhere" / "a.pt2")
        with pytest.raises(NameNotFoundError, match=r"neither a file nor.*\n  Nearest: 'streets-unet'"):
            load("street-unet")

    def test_suffixes(self, tmp_path: Path):
        for name, said in (
            ("a.xyz", r"the suffix '\.xyz', which no loader takes"),
            ("b.toml", r"is a description, not a network"),
        ):
            (tmp_path / name).write_bytes(b"\x00\x01")
            with pytest.raises(NetworkError, match=said):
                load(tmp_path / name)

    def test_unknown_field(self):
        with pytest.raises(ParameterError, match="Network has no field"):
            load(Toy(), convention=PLAIN, lnk=3)


def test_nothing_but_the_network_comes_out():
    network: Any = load(Toy(), convention=PLAIN)
    assert isinstance(network, Network)
