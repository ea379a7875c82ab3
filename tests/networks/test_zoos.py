"""Models of other libraries by name, folder and object; nothing is fetched unasked, and nothing here is fetched."""

import json
import os
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import seglens as sl
from seglens.core.errors import GuessWarning, MissingExtraError, NameNotFoundError, NetworkError, ParameterError
from seglens.networks import ADAPTERS, LOADERS, ZOOS, Request
from seglens.networks.zoos import repair
from seglens.testing.untouched import untouched

ABSENT = [p for p in ("timm", "segmentation_models_pytorch", "torchvision", "monai") if find_spec(p) is None]
pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}: pip install 'seglens[zoo]'")

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
UNET = {"encoder_name": "resnet18", "encoder_depth": 3, "decoder_channels": [32, 16, 8], "classes": 3}
MONAI = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2, "channels": [4, 8, 16], "strides": [2, 2]}
VOLUMES = {**MONAI, "spatial_dims": 3}
TINY = {
    "smp:Unet": UNET,
    "smp:FPN": {"encoder_name": "tu-resnet18", "classes": 4, "activation": "sigmoid"},
    "timm:resnet10t": {"num_classes": 5},
    "timm:vit_tiny_patch16_224": {"num_classes": 5, "img_size": 64, "depth": 2},
    "torchvision:lraspp_mobilenet_v3_large": {"num_classes": 4},
    "torchvision:shufflenet_v2_x0_5": {"num_classes": 4},
    "monai:UNet": MONAI,
    "monai:SegResNet": {"spatial_dims": 2, "in_channels": 3, "out_channels": 2, "init_filters": 8},
}


@pytest.fixture
def image() -> np.ndarray:
    return torch.rand((64, 64, 3), generator=torch.Generator().manual_seed(0)).numpy()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every way out is shut; what was tried is listed."""
    tried: list[str] = []

    def shut(self: object, address: object, *rest: object) -> None:
        tried.append(str(address))
        raise OSError("Name or service not known")

    import socket

    monkeypatch.setattr(socket.socket, "connect", shut)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: shut(None, a[0]))
    return tried


def weights(name: str, arguments: dict[str, Any], folder: Path) -> Path:
    """A file of weights as its owner has it."""
    zoo, _, model = name.partition(":")
    torch.save(ZOOS[zoo](model, arguments, False).module.state_dict(), folder / "a.pth")
    return folder / "a.pth"


@pytest.mark.parametrize("name", TINY)
def test_own_weights_are_explained(name: str, image: np.ndarray, tmp_path: Path, offline: list[str]):
    path = weights(name, TINY[name], tmp_path)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        network = sl.load(path, constructor=name, arguments=TINY[name])
    assert any("State" in str(w.message) or "state them" in str(w.message) for w in said)
    network = network.with_(convention=sl.Convention(**{**network.convention.to_dict(), "size": (64, 64)}))
    with untouched(network), warnings.catch_warnings():
        # A random network of a random picture: its maps may be anything, and are sometimes zero.
        warnings.simplefilter("ignore", sl.SeglensWarning)
        found = sl.explain(network, image, sl.Saliency(), sl.Target(1))
        assert found.map.any()
        assert found.map.shape == (64, 64)
        assert sl.explain(network, image, sl.GradCAM(), sl.Target(1)).layer
    assert offline == []


def test_what_each_library_tells():
    told = {name: ZOOS[name.partition(":")[0]](name.partition(":")[2], TINY[name], False) for name in TINY}
    assert told["smp:Unet"].convention == {"channels": 3, "divisor": 8, "mean": IMAGENET[0], "std": IMAGENET[1]}
    assert told["smp:FPN"].fields == {"emits": "probabilities", "link": "sigmoid"}
    assert told["timm:vit_tiny_patch16_224"].convention["size"] == (64, 64)
    assert told["timm:vit_tiny_patch16_224"].convention["mean"] == (0.5,)
    assert told["torchvision:lraspp_mobilenet_v3_large"].fields == {"output": "out"}
    assert told["torchvision:shufflenet_v2_x0_5"].convention["size"] == (224, 224)
    assert told["monai:UNet"].convention == {"channels": 1, "divisor": 4}
    assert told["monai:SegResNet"].convention == {"channels": 3, "divisor": 8}
    assert "classes" not in told["timm:resnet10t"].fields
    many = ZOOS["timm"]("resnet10t", {}, False)
    assert many.fields["classes"][:2] == ("tench", "goldfish")
    assert len(set(many.fields["classes"])) == 1000
    assert ZOOS["timm"]("resnet10t", {"num_classes": 0}, False).fields == {"link": "none"}


def test_aux_outputs_and_grey_inputs():
    masks = ZOOS["smp"]("Unet", {**UNET, "in_channels": 1, "aux_params": {"classes": 2}}, False)
    assert masks.fields["output"] == 0
    # Three means do not fit one channel, and nothing is made up.
    assert masks.convention == {"channels": 1, "divisor": 8}
    assert ZOOS["timm"]("resnet10t", {"in_chans": 1}, False).convention["channels"] == 1


@pytest.mark.parametrize(("sides", "stride"), [(40, 4), (36, 4)])
def test_divisors_are_enough(sides: int, stride: int):
    for arguments in (MONAI, VOLUMES):
        loaded = ZOOS["monai"]("UNet", arguments, False)
        assert loaded.convention["divisor"] == stride
        x = torch.rand(1, 1, *(sides,) * (arguments["spatial_dims"]))  # type: ignore[call-overload]
        with torch.no_grad():
            assert loaded.module.eval()(x).shape[2:] == x.shape[2:]


def test_a_volume_is_explained():
    network = sl.load(ZOOS["monai"]("UNet", VOLUMES, False).module, convention={"channels": 1, "divisor": 4})
    volume = torch.rand(1, 8, 12, 16, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sl.SeglensWarning)
        found = sl.explain(network, volume, sl.Saliency(), sl.Target(1))
    assert found.map.shape == (8, 12, 16)
    assert found.map.any()


def test_the_description_may_name_a_zoo(image: np.ndarray, tmp_path: Path, offline: list[str]):
    path = weights("smp:Unet", UNET, tmp_path)
    path.with_suffix(".toml").write_text(
        'name = "mine"\nclasses = ["a", "b", "c"]\nconstructor = "smp:Unet"\n[constructor_arguments]\n'
        'encoder_name = "resnet18"\nencoder_weights = "imagenet"\nencoder_depth = 3\ndecoder_channels = [32, 16, 8]\n'
        "classes = 3\n[input]\nmean = 0.5\nstd = 0.25\n"
    )
    network = sl.load(path)  # without a warning: what is stated is not guessed
    assert (network.name, network.convention.std, network.convention.divisor) == ("mine", (0.25,), 8)
    assert network.classes is not None
    assert offline == []


@pytest.mark.parametrize("kind", ["smp", "timm"])
def test_folders_of_save_pretrained(kind: str, tmp_path: Path, offline: list[str]):
    if kind == "smp":
        module: Any = ZOOS["smp"]("Unet", UNET, False).module
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module.save_pretrained(tmp_path)
    else:
        timm: Any = repair.library("timm", "zoo", "")
        module = timm.create_model("resnet10t", num_classes=3)
        timm.models.save_for_hf(module, tmp_path, safe_serialization=True, model_config={"label_names": list("abc")})
    if kind == "smp":
        with pytest.warns(GuessWarning, match="usual weights of encoder resnet18"):
            network = sl.load(tmp_path)
        assert network.convention.divisor == 8
    else:
        network = sl.load(tmp_path)  # everything is in the folder
        assert network.classes is not None
        assert network.classes.names == ("a", "b", "c")
        assert network.convention.mean == IMAGENET[0]
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network.module.eval()(x), module.eval()(x))
    assert offline == []


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("timm", {"architecture": "hf-hub:someone/model"}, "names a place on a hub"),
        ("timm", {"architecture": "resnet188"}, r"no model of timm 'resnet188'\.\n  Nearest: 'resnet18'"),
        ("timm", {"architecture": 3}, "'architecture' is 3, not a str"),
        ("timm", {"model_args": {"checkpoint_path": "/etc/passwd"}}, "no argument 'checkpoint_path'"),
        ("timm", {"num_classes": 7}, "do not fit ResNet"),
        ("smp", {"encoder_name": "tu-hf-hub:someone/model"}, "names a place on a hub"),
        ("smp", {"_model_class": "os.system"}, "no architecture of segmentation-models-pytorch"),
        ("smp", {"classes": 7}, "do not fit Unet"),
        ("smp", {"classes": "many"}, "cannot be built with the arguments"),
    ],
)
def test_hostile_and_damaged_folders(kind: str, change: dict[str, Any], said: str, tmp_path: Path, offline: list[str]):
    if kind == "smp":
        module = ZOOS["smp"]("Unet", UNET, False).module
        config: dict[str, Any] = {"_model_class": "Unet", **UNET}
    else:
        module = ZOOS["timm"]("resnet10t", {"num_classes": 3}, False).module
        config = {"architecture": "resnet10t", "num_classes": 3, "pretrained_cfg": {"mean": [0.5], "std": [0.5]}}
    save_file(module.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(sl.SeglensError, match=said):
        sl.load(tmp_path)
    assert offline == []
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(NetworkError, match="no weights lie in"):
        LOADERS[kind](tmp_path, Request())


def test_objects_in_memory(image: np.ndarray):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network = sl.load(ZOOS["timm"]("resnet10t", {}, False).module)
    assert network.convention.mean == IMAGENET[0]
    assert network.classes is not None
    assert network.classes.names[1] == "goldfish"
    model = ZOOS["smp"]("Unet", UNET, False).module
    with pytest.warns(GuessWarning, match="took the normalisation of the usual weights"):
        assert sl.load(model).convention.mean == IMAGENET[0]
    assert sl.load(model, convention={"mean": 0.0, "std": 1.0}).convention.mean == (0.0,)
    # Made with trained weights in its encoder, it was made for their values: nothing is guessed.
    model.config["encoder_weights"] = "imagenet"  # type: ignore[index]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sl.load(model).convention.std == IMAGENET[1]
    assert ADAPTERS["timm"](nn.Identity()) is None
    assert ADAPTERS["segmentation_models_pytorch"](nn.Identity()) is None


@pytest.mark.parametrize(
    ("name", "arguments", "error", "said"),
    [
        ("smp:Unett", {}, NameNotFoundError, "Nearest: 'Unet'"),
        (
            "smp:Unet",
            {"encoder_name": "resnet19"},
            NameNotFoundError,
            r"no encoder 'resnet19'\.\n  Nearest: 'resnet18'",
        ),
        ("smp:Unet", {"encoder_name": "tu-resnet19"}, NameNotFoundError, "Nearest: 'tu-resnet"),
        ("timm:resnet188", {}, NameNotFoundError, "Nearest: 'resnet18'"),
        ("timm:resnet18.nobody", {}, NetworkError, "Invalid pretrained tag"),
        ("timm:resnet18", {"bar": 1}, NetworkError, r"cannot be built with the arguments .*'bar'"),
        ("timm:resnet18", {"pretrained": True}, ParameterError, "no argument 'pretrained'"),
        ("timm:hf-hub:a/b", {}, NetworkError, "names a place on a hub"),
        ("torchvision:deeplabv3", {}, NameNotFoundError, "Nearest: 'deeplabv3_resnet50'"),
        ("torchvision:fasterrcnn_resnet50_fpn", {}, NetworkError, "not scores of pixels"),
        ("monai:Unet3", {}, NameNotFoundError, "Nearest: 'UNet'"),
        ("monai:UNet", {}, NetworkError, "missing 5 required positional arguments"),
        ("monai:UNet", {**MONAI, "pretrained_path": "a"}, ParameterError, "no argument 'pretrained_path'"),
    ],
)
def test_mistakes(name: str, arguments: dict[str, Any], error: type[Exception], said: str, offline: list[str]):
    zoo, _, model = name.partition(":")
    state = torch.get_rng_state()
    with pytest.raises(error, match=said):
        ZOOS[zoo](model, arguments, False)
    assert torch.equal(torch.get_rng_state(), state)
    assert offline == []


@pytest.mark.parametrize("name", ["smp:Unet", "torchvision:lraspp_mobilenet_v3_large", "timm:resnet10t"])
def test_exported_they_keep_their_layers(name: str, image: np.ndarray, tmp_path: Path):
    """Every layer with weights that runs runs under its own path, as often, in the program out of its file."""
    zoo, _, model = name.partition(":")
    module = ZOOS[zoo](model, TINY[name], False).module.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(module, (torch.rand(1, 3, 64, 64),)), tmp_path / "a.pt2")
    convention = {"mean": 0.5, "std": 0.25, "size": (64, 64)}
    eager, program = sl.load(module, convention=convention), sl.load(tmp_path / "a.pt2", convention=convention)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sl.SeglensWarning)
        ours, theirs = ({x.path: x for x in sl.layer_tree(n, image)} for n in (eager, program))
        own = {p for p, m in module.named_modules() if next(m.parameters(recurse=False), None) is not None}
        weighed = [p for p, layer in ours.items() if layer.runs and p in own]
        assert {p: (ours[p].runs, ours[p].shape) for p in weighed} == {
            p: (theirs[p].runs, theirs[p].shape) for p in weighed
        }
        spatial = [p for p in weighed if ours[p].spatial and not ours[p].after_head]
        for path in (spatial[1], spatial[-1]):
            maps = [sl.explain(n, image, sl.HiResCAM(path, relu=False), sl.Target(1)).map for n in (eager, program)]
            assert np.abs(maps[0]).max() > 0
            np.testing.assert_allclose(maps[1], maps[0], rtol=1e-3, atol=1e-6 * np.abs(maps[0]).max())


class TestDownload:
    def test_nothing_is_fetched_unasked(self, offline: list[str]):
        with pytest.raises(NetworkError, match=r"nothing is downloaded unasked.*\n.*download=True"):
            sl.load("timm:resnet18")
        ZOOS["torchvision"]("fcn_resnet50", {}, False)  # whose own default is to fetch its backbone
        ZOOS["smp"]("Unet", {"encoder_name": "resnet18", "encoder_weights": "imagenet"}, False)
        assert offline == []

    @pytest.mark.parametrize("name", ["torchvision:shufflenet_v2_x0_5", "timm:resnet10t", "smp:Unet"])
    def test_no_connection_is_one_error(self, name: str, monkeypatch: pytest.MonkeyPatch, offline: list[str]):
        def fail(*_: object, **__: object) -> None:
            raise OSError("Name or service not known")

        smp: Any = repair.library("segmentation_models_pytorch", "zoo", "")
        timm: Any = repair.library("timm", "zoo", "")
        monkeypatch.setattr(smp.encoders, "hf_hub_download", fail)
        monkeypatch.setattr(timm.models._builder, "load_pretrained", fail)
        monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
        monkeypatch.setattr("torchvision._internally_replaced_utils.load_state_dict_from_url", fail, raising=False)
        monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail, raising=False)
        with pytest.raises(NetworkError, match=r"the weights of .* could not be fetched: .*not known\n.*constructor="):
            sl.load(name, arguments=UNET if name == "smp:Unet" else {}, download=True)

    def test_fetched_weights_bring_their_names(self, monkeypatch: pytest.MonkeyPatch, offline: list[str]):
        torchvision = repair.import_torchvision()
        kept = torchvision.models.get_model("shufflenet_v2_x0_5", weights=None).state_dict()
        place = "torchvision.models._api.load_state_dict_from_url"
        monkeypatch.setattr(place, lambda *a, **k: {n: v + 0 for n, v in kept.items()})
        network = sl.load("torchvision:shufflenet_v2_x0_5", download=True)
        assert network.classes is not None
        assert network.classes.names[:2] == ("tench", "goldfish")
        assert (network.convention.mean, network.convention.size) == (IMAGENET[0], (224, 224))
        assert torch.equal(network.module.state_dict()["fc.weight"], kept["fc.weight"])

    def test_what_is_not_offered(self):
        with pytest.raises(NetworkError, match="there are no weights of monai:UNet to fetch"):
            sl.load("monai:UNet", arguments=MONAI, download=True)
        with pytest.raises(NameNotFoundError, match="no weights of torchvision:fcn_resnet50 'BEST'"):
            ZOOS["torchvision"]("fcn_resnet50", {"weights": "BEST"}, True)


class TestTorchvision:
    def test_it_imports_in_a_new_process_also_after_it_failed(self):
        code = (
            "import sys, warnings; warnings.simplefilter('ignore')\n"
            "try:\n    import torchvision; fine = True\nexcept RuntimeError: fine = False\n"
            "from seglens.networks.zoos.repair import import_torchvision\n"
            "tv = import_torchvision(); assert import_torchvision() is tv is sys.modules['torchvision']\n"
            "import torch; assert tv.models.resnet18().eval()(torch.rand(1, 3, 32, 32)).shape == (1, 1000)\n"
            "try:\n    tv.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)\n"
            "except (RuntimeError, NotImplementedError) as said: assert not fine, said\n"
            "import timm\n"
        )
        env = {**os.environ, "HF_HUB_OFFLINE": "1"}
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
        assert told.returncode == 0, told.stderr

    def test_what_cannot_be_mended_is_said_in_one_line(self, monkeypatch: pytest.MonkeyPatch):
        def fail(name: str) -> None:
            raise RuntimeError("undefined symbol: _ZN3c10\nand more")

        monkeypatch.setattr(repair.importlib, "import_module", fail)
        with pytest.raises(
            NetworkError, match=r"torchvision is installed but does not import .*: undefined symbol: \w+\n"
        ):
            repair.import_torchvision()

    def test_absent(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(repair, "find_spec", lambda name: None)
        with pytest.raises(MissingExtraError, match=r"timm:resnet18 needs timm.*\n.*pip install 'seglens\[zoo\]'"):
            ZOOS["timm"]("resnet18", {}, False)
        with pytest.raises(MissingExtraError, match=r"seglens\[vision\]"):
            repair.import_torchvision()
        repair.mend_torchvision()
