"""Rasters: read as other readers read them, window by window, and maps that lie where the picture lies."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import seglens as sl
from seglens.core.errors import ImageError, ParameterError, ShapeError
from seglens.core.explanation import Explanation
from seglens.core.images import read_image
from seglens.core.rasters import is_raster, open_raster, write_geotiff

tifffile: Any = pytest.importorskip("tifffile")


def numbers(*shape: int, kind: str = "uint16") -> NDArray[Any]:
    # Of 16 bits so many that the pictures are not dark.
    drawn = np.random.default_rng(3).integers(0, 250, shape)
    return (drawn * 200 if kind == "uint16" else drawn).astype(kind)


FORMS: dict[str, tuple[NDArray[Any], dict[str, Any]]] = {
    "planes": (numbers(5, 90, 120), {"planarconfig": "separate", "tile": (32, 48), "compression": "zlib"}),
    "samples": (np.moveaxis(numbers(6, 90, 120), 0, -1), {"planarconfig": "contig", "tile": (32, 16)}),
    "strips": (numbers(90, 120), {"rowsperstrip": 17}),
    "colours": (np.moveaxis(numbers(3, 90, 120), 0, -1), {"photometric": "rgb"}),
    "floats": (
        numbers(4, 90, 120, kind="float32"),
        {"planarconfig": "separate", "rowsperstrip": 7, "predictor": False},
    ),
}


def written(folder: Path, form: str, **more: Any) -> tuple[Path, NDArray[Any]]:
    array, options = FORMS[form]
    path = folder / f"{form}.tif"
    tifffile.imwrite(path, array, **{"photometric": "minisblack", **options, **more})
    return path, array[None] if array.ndim == 2 else array if form in ("planes", "floats") else np.moveaxis(
        array, -1, 0
    )


@pytest.mark.parametrize("form", FORMS)
def test_windows_hold_what_the_file_holds(tmp_path: Path, form: str) -> None:
    path, expected = written(tmp_path, form)
    with open_raster(path) as raster:
        assert (raster.channels, *raster.size) == expected.shape
        assert np.array_equal(raster.read(), expected)
        for rows, columns in (
            (slice(0, 1), slice(0, 1)),
            (slice(31, 66), slice(47, 49)),
            (slice(80, 200), slice(100, None)),
        ):
            assert np.array_equal(raster.read(rows, columns), expected[:, rows, columns])


def test_only_what_lies_in_the_window_is_decoded(tmp_path: Path) -> None:
    path, expected = written(tmp_path, "planes")
    with open_raster(path) as raster:
        (page,) = raster._pages
        decoded: list[int] = []
        decode = page.decode
        page.decode = lambda data, i, **more: decoded.append(i) or decode(data, i, **more)
        found = raster.read(slice(33, 40), slice(50, 60))
    # One tile of three by three, in each of five planes.
    assert len(decoded) == 5
    assert np.array_equal(found, expected[:, 33:40, 50:60])


def test_pictures_of_many_and_deep_channels(tmp_path: Path) -> None:
    path, expected = written(tmp_path, "planes")
    picture = read_image(path)
    assert np.allclose(picture.pixels.numpy(), expected / 65535)
    # What Pillow would cut to 8 bits keeps its depth.
    path, expected = written(tmp_path, "colours")
    assert np.allclose(read_image(path).pixels.numpy(), expected / 65535)
    path, expected = written(tmp_path, "floats")
    with pytest.raises(ImageError, match=r"window=\(black, white\)"):
        read_image(path)
    assert np.allclose(read_image(path, window=(0, 250)).pixels.numpy(), expected / 250)


def test_pages_are_channels_where_as_many_are_expected(tmp_path: Path) -> None:
    path, pages = tmp_path / "pages.tif", numbers(5, 40, 50)
    tifffile.imwrite(path, pages)
    with open_raster(path, channels=5) as raster:
        assert np.array_equal(raster.read(), pages)
    with open_raster(path) as raster:
        assert np.array_equal(raster.read(), pages[:1])
        assert raster.notes == ("The first of 5 pages was taken.",)
    assert read_image(path, channels=5).pixels.shape == (5, 40, 50)


def test_no_data_is_black_and_noted(tmp_path: Path) -> None:
    path, _ = written(tmp_path, "planes", extratags=[(42113, 2, 0, "1400", True)])
    with open_raster(path) as raster:
        assert raster.nodata == 1400
        found = raster.read()
    expected = FORMS["planes"][0].copy()
    assert (expected == 1400).any()
    expected[expected == 1400] = 0
    assert np.array_equal(found, expected)
    assert any("no data (1400)" in note for note in read_image(path).notes)


def test_ordinary_files_stay_with_pillow(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "rgb.tif", numbers(20, 30, 3, kind="uint8"), photometric="rgb")
    assert not is_raster(tmp_path / "rgb.tif")
    assert not is_raster(written(tmp_path, "strips")[0])
    (tmp_path / "no.tif").write_bytes(b"not a picture")
    assert not is_raster(tmp_path / "no.tif")
    with pytest.raises(ImageError):
        read_image(tmp_path / "no.tif")


@pytest.mark.parametrize("kept", [20, 300, 4000])
def test_damaged_files_are_refused(tmp_path: Path, kept: int) -> None:
    path, _ = written(tmp_path, "planes")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ImageError), open_raster(path) as raster:
        raster.read()


def test_headers_that_would_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, expected = written(tmp_path, "planes")
    monkeypatch.setattr("seglens.core.rasters.MOST", 1000)
    with open_raster(path) as raster, pytest.raises(ImageError, match="Read it in windows"):
        raster.read()
    with open_raster(path) as raster:
        assert np.array_equal(raster.read(slice(0, 10), slice(0, 20)), expected[:, :10, :20])


def explanation(georeference: str = "", map: NDArray[Any] | None = None) -> Explanation:
    values = np.linspace(-1, 1, 300 * 260, dtype=np.float32).reshape(300, 260) if map is None else map
    return Explanation(
        map=values,
        image=np.zeros(values.shape, np.uint8),
        method="saliency",
        target="field",
        score=1.0,
        of="logits",
        unit="logit",
        network="n",
        provenance={"georeference": georeference} if georeference else {},
    )


@pytest.mark.filterwarnings("ignore:Use `@` matmul")
def test_a_map_lies_where_its_picture_lies(tmp_path: Path) -> None:
    """rasterio reads the same place off the map that it wrote for the picture."""
    rasterio: Any = pytest.importorskip("rasterio")
    from rasterio.transform import from_origin

    path, place = tmp_path / "scene.tif", from_origin(5e5, 5.2e6, 10, 10)
    with rasterio.open(
        path, "w", driver="GTiff", width=64, height=48, count=3, dtype="uint8", crs="EPSG:32632", transform=place
    ) as file:
        file.write(numbers(3, 48, 64, kind="uint8"))
    net = sl.load("streets-unet")
    why = sl.explain(net, path, "saliency", sl.Target("road", sl.everything))
    assert isinstance(why, Explanation)
    write_geotiff([why], tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.crs == "EPSG:32632"
        assert file.transform == place
        assert np.array_equal(file.read(1), why.map)
        assert np.isnan(file.nodata)
    # Through a file of raw values too.
    why.save(tmp_path / "why.npz")
    again = sl.open(tmp_path / "why.npz")
    assert isinstance(again, Explanation)
    assert json.loads(again.provenance["georeference"])["34735"]


def test_maps_without_a_place(tmp_path: Path) -> None:
    e = explanation()
    write_geotiff([e, e], tmp_path / "two.tif")
    assert np.array_equal(tifffile.imread(tmp_path / "two.tif"), np.stack([e.map, e.map]))
    with pytest.raises(ShapeError, match=r"a TIFF page is \[H W\]"):
        write_geotiff([explanation(map=np.zeros((3, 4, 5), np.float32))], tmp_path / "no.tif")
    with pytest.raises(ParameterError, match="several sizes"):
        write_geotiff([e, explanation(map=np.zeros((4, 5), np.float32))], tmp_path / "no.tif")
    with pytest.raises(ParameterError, match="no explanations"):
        write_geotiff([], tmp_path / "no.tif")
    assert not (tmp_path / "no.tif").exists()
