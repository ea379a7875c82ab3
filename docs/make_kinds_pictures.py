"""Make the pictures of docs/reference/kinds-of-networks.md again: python docs/make_kinds_pictures.py FOLDER

FOLDER holds what `recipes/kinds.py FOLDER` trained. Each picture is the map of one network, loaded as the page says.
"""

import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from make_pictures import HERE, one
from PIL import Image

import seglens as sl
from seglens.datasets import CLASSES, Streets
from seglens.viz.display import painted, show

WIDTH = 240
STATED = {"mean": 0.5, "std": 0.25}


def networks(trained: Path, made: Path) -> dict[str, sl.Network]:
    """Each kind of the page by its name; what torch itself saves is made in `made` from the built-in networks."""
    unet, classes = sl.load("streets-unet"), list(CLASSES)
    example = (torch.rand(1, 3, 96, 192),)
    torch.export.save(torch.export.export(unet.module, example), made / "net.pt2")
    torch.jit.trace(sl.load("streets-deeplab").module, example).save(made / "net.ts")  # type: ignore[no-untyped-call]
    return {
        "module": sl.load(unet.module, classes=classes, convention=STATED),
        "exported": sl.load(made / "net.pt2", classes=classes, convention=STATED),
        "torchscript": sl.load(made / "net.ts", classes=classes, convention=STATED),
        "keras": sl.load(trained / "keras.keras", classes=classes),
        "onnx": sl.load(trained / "onnx.onnx"),
        **{name: sl.load(trained / name) for name in ("segformer", "maskformer", "vit")},
        **{name: sl.load(trained / f"{name}.pth") for name in ("smp", "torchvision", "monai", "timm")},
    }


FINER = {"smp": "encoder.layer2", "timm": "layer2"}
"""Layers read where the default one is of few places, as the pictures are small."""


def main() -> None:
    street = Streets(16, (96, 192), seed=3)[3].image
    rider = Streets(12, (288, 576), seed=3)[10].image[106:269, 345:508]
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, network in networks(Path(sys.argv[1]), Path(folder)).items():
            crop = name in ("vit", "timm")
            target: Any = "rider" if crop else sl.Target("car", sl.predicted("car"))
            method: Any = sl.Saliency() if name == "torchscript" else sl.HiResCAM(FINER.get(name))
            found = one(sl.explain(network, rider if crop else street, method, target))
            drawn = Image.fromarray(painted(show(found), region=not crop))
            drawn = drawn.resize((WIDTH // 2, WIDTH // 2) if crop else (WIDTH, WIDTH // 2), Image.Resampling.LANCZOS)
            path = HERE / f"kind-{name}.png"
            drawn.quantize(64).save(path, optimize=True)
            print(f"{path.name}: {found.layer}, score {found.score:.2f}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
