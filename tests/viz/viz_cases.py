"""Explanations of every kind that a picture must be able to show, small and quick to draw."""

from typing import Any

import numpy as np

from seglens.core.classes import ClassTable
from seglens.core.explanation import Explanation


def made(shape: tuple[int, ...] = (24, 36), **changed: Any) -> Explanation:
    """An explanation of `shape` with a region in the middle, three classes and a rising map."""
    rng = np.random.default_rng(0)
    size = int(np.prod(shape))
    region = np.zeros(shape, bool)
    region[tuple(slice(n // 3, max(n // 3 + 1, 2 * n // 3)) for n in shape)] = True
    fields: dict[str, Any] = {
        "map": np.linspace(0.0, 3.0, size, dtype=np.float32).reshape(shape),
        "image": rng.integers(0, 256, (*shape, 3), dtype=np.uint8),
        "method": "grad-cam",
        "target": "rider in predicted(rider)",
        "score": 7.3124,
        "of": "logits",
        "unit": "logit",
        "network": "unet",
        "layer": "encoder.4",
        "region": region,
        "prediction": (np.arange(size).reshape(shape) % 3).astype(np.int64),
        "classes": ClassTable(("road", "rider", "sky")),
        "parameters": {"layer": "encoder.4", "steps": 50},
        "provenance": {"image": "/pictures/street.png", "torch": "2.9"},
    }
    return Explanation(**{**fields, **changed})


CASES: dict[str, list[Explanation]] = {
    "one": [made()],
    "several methods": [made(), made(method="saliency", layer=None), made(layer="encoder.2")],
    "table": [made(target=t, method=m, layer=None) for t in ("rider", "road") for m in ("saliency", "rise")],
    "several images": [made(), made(image=np.zeros((24, 36, 3), np.uint8))],
    "sizes differ": [made(), made((60, 20)), made((1, 1))],
    "twins": [made(), made()],
    "volume": [made((5, 12, 16))],
    "grey volume": [made((5, 12, 16), image=np.zeros((5, 12, 16), np.uint8))],
    "grey": [made(image=np.full((24, 36), 90, np.uint8))],
    "classifier": [made(region=None, prediction=None, target="cat")],
    "classifiers": [made(region=None, prediction=None, target=t) for t in ("cat", "dog")],
    "1x1": [made((1, 1))],
    "3x500": [made((3, 500))],
    "500x3": [made((500, 3))],
    "no classes named": [made(classes=None)],
    "undefined in part": [made(map=np.where(np.arange(864).reshape(24, 36) % 2, np.nan, 1.0))],
    "undefined": [made(map=np.full((24, 36), np.nan, np.float32))],
    "zero": [made(map=np.zeros((24, 36), np.float32))],
    "signed": [made(map=np.linspace(-1, 2, 864, dtype=np.float32).reshape(24, 36))],
    "nothing asked": [made(region=np.zeros((24, 36), bool))],
    "many classes": [
        made(
            prediction=np.arange(864).reshape(24, 36),
            classes=ClassTable.numbered(864),
        )
    ],
    "hostile names": [
        made(
            classes=ClassTable(("$x_{$", "<script>alert(1)</script>", "道路\n\t" + "long " * 60)),
            target='"><img src=http://evil.example/x onerror=alert(1)>',
            layer="--><b>$" + "x" * 300,
        )
    ],
}
