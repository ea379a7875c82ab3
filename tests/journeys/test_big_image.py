"""A picture larger than the network is given at once: labelled from its file, and explained where it was asked."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seglens as sl
from seglens.core.convention import Convention
from seglens.core.errors import EmptyRegionError, ParameterError
from seglens.core.explanation import Explanation
from seglens.core.network import Network
from seglens.core.rasters import write_geotiff

tifffile: Any = pytest.importorskip("tifffile")

SIZE = (203, 318)


class Fields(nn.Module):
    """Five bands to three kinds of field, by a small U-Net with a stride of 4."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(5, 6, 3, padding=1)
        self.down = nn.Conv2d(6, 8, 4, stride=4)
        self.up = nn.ConvTranspose2d(8, 6, 4, stride=4)
        self.head = nn.Conv2d(12, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.first(x).relu()
        return self.head(torch.cat([a, self.up(self.down(a).relu())], 1))


@pytest.fixture(scope="module")
def net() -> Network:
    generator = torch.Generator().manual_seed(2)
    module = Fields()
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * (0.1 if p.ndim < 2 else 2 / p[0].numel() ** 0.5))
    convention = Convention(channels=5, divisor=4, mean=(0.5,), std=(0.25,))
    return Network(module=module, classes=sl.ClassTable(("wood", "field", "water")), convention=convention)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five bands of 16 bits in planes and tiles, on the earth."""
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    rough = torch.rand(1, 5, 21, 32, generator=torch.Generator().manual_seed(4))
    smooth = nn.functional.interpolate(rough, SIZE, mode="bicubic").clamp(0, 1)[0]
    place = [(33550, 12, 3, (10.0, 10.0, 0.0), True), (33922, 12, 6, (0.0, 0.0, 0.0, 5e5, 5.2e6, 0.0), True)]
    tifffile.imwrite(
        path,
        (smooth.numpy() * 65535).astype(np.uint16),
        planarconfig="separate",
        photometric="minisblack",
        tile=(64, 64),
        extratags=place,
    )
    return path


def test_labels_are_those_of_the_whole_picture(net: Network, scene: Path) -> None:
    seen: list[int] = []
    handle = net.layer("first").register_forward_pre_hook(lambda m, args: seen.append(args[0].shape[2:].numel()))
    try:
        found = sl.segment_large(net, scene, tiles=64)
    finally:
        handle.remove()
    whole = sl.segment(net, scene)
    assert found.labels is not None
    assert whole.labels is not None
    assert found.labels.dtype == np.uint8
    assert np.array_equal(found.labels, whole.labels)
    assert np.allclose(found.confidence, whole.confidence, atol=1e-5)
    assert np.array_equal(found.image, whole.image)
    assert found.provenance["seam"].startswith("exact")
    # Never more than a tile, but for the passes that learn the network's law.
    assert max(seen) <= 68 * 68
    assert len(np.unique(found.labels)) == 3


@pytest.mark.parametrize("method", ["saliency", "input-x-gradient"])
@pytest.mark.parametrize("at", ["corner", "middle", "end", "object"])
def test_an_object_is_explained_as_in_the_whole_picture(net: Network, scene: Path, method: str, at: str) -> None:
    region = {
        "corner": sl.box(0, 0, 5, 7),
        "middle": sl.box(101, 90, 104, 131),
        "end": sl.box(199, 310, 203, 318),
        "object": sl.component(sl.predicted("water"), largest=1) & sl.box(20, 30, 150, 160),
    }[at]
    target = sl.Target(sl.channel("water") - sl.channel("wood"), region)
    found = sl.explain_large(net, scene, method, target, tiles=64)
    whole = sl.explain(net, scene, method, target)
    assert isinstance(whole, Explanation)
    assert found.map.shape == SIZE
    assert np.allclose(found.map, whole.map, rtol=1e-3, atol=1e-5 * np.abs(whole.map).max())
    assert found.score == pytest.approx(whole.score, rel=1e-4)
    assert found.region is not None
    assert np.array_equal(found.region, whole.region)
    assert np.array_equal(found.prediction, whole.prediction)  # pyright: ignore[reportArgumentType]
    assert found.target == whole.target
    assert any("Exact for derivatives" in note for note in found.notes)


def test_the_map_goes_back_to_where_the_picture_lies(net: Network, scene: Path, tmp_path: Path) -> None:
    found = sl.explain_large(net, scene, "saliency", sl.Target("water", sl.box(50, 60, 90, 99)), tiles=64)
    write_geotiff([found], tmp_path / "map.tif")
    with tifffile.TiffFile(tmp_path / "map.tif") as file:
        assert np.array_equal(file.asarray(), found.map)
        assert file.pages[0].tags[33922].value == (0.0, 0.0, 0.0, 5e5, 5.2e6, 0.0)


def test_every_door_takes_a_network_in_tiles(net: Network, scene: Path) -> None:
    t = sl.tiled(net, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sl.SeglensWarning)
        why = sl.explain(t, scene, sl.GradCAM("down"), "water")
        plain = sl.explain(net, scene, sl.GradCAM("down"), "water")
        classes = sl.find_classes(t, scene)
        tree = sl.layer_tree(t, scene)
        compared = sl.compare(t, scene, ["saliency", "grad-cam"], target="water", randomise=0)
    assert isinstance(why, Explanation)
    assert isinstance(plain, Explanation)
    assert np.allclose(why.map, plain.map, atol=1e-5 * np.abs(plain.map).max())
    assert why.provenance["seam"].startswith("exact")
    assert why.provenance["seam of down"].startswith("exact")
    assert why.provenance["tiles"] == "64 × 64, overlap 12 × 12"
    assert [c.pixels for c in classes] == [c.pixels for c in sl.find_classes(net, scene)]
    assert [a.path for a in tree] == ["", "first", "down", "up", "head"]
    assert len(compared.explanations) == 2


def test_what_cannot_be_is_said(net: Network, scene: Path) -> None:
    with pytest.raises(ParameterError, match="the region sees a window of"):
        sl.explain_large(net, scene, "saliency", sl.Target("water", sl.everything), tiles=64, most=10_000)
    nowhere = sl.predicted("water") & sl.predicted("wood")
    with pytest.raises(EmptyRegionError):
        sl.explain_large(net, scene, "saliency", sl.Target("water", nowhere), tiles=64)
    alone = net.with_(convention=Convention(channels=5, divisor=4, per_image=True))
    with pytest.raises(ParameterError, match="its own mean"):
        sl.segment_large(alone, scene, tiles=64)
    several = net.with_(link="sigmoid")
    with pytest.raises(ParameterError, match="labels that overlap"):
        sl.segment_large(several, scene, tiles=64)
