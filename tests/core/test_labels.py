"""Label maps and masks: whole numbers in, the same whole numbers out, or one clear error."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seglens.core.classes import ClassTable
from seglens.core.errors import DegenerateImageWarning, ImageError
from seglens.core.labels import read_labels, read_mask

DATA = Path(__file__).parents[3] / "shared" / "data"
RAMP = np.arange(75, dtype=np.uint8).reshape(5, 5, 3) * 3


def saved(folder: Path, image: Image.Image, name: str, **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


class TestLabels:
    def test_stored_indices(self, tmp_path: Path):
        ids = np.array([[0, 1], [2, 255]], np.uint8)
        image = Image.fromarray(ids)
        palette = image.convert("P")
        palette.putdata(ids.ravel())
        palette.putpalette([9, 9, 9] * 256)  # equal colours: only the indices tell classes apart
        for label_map in (
            saved(tmp_path, image, "a.png"),
            saved(tmp_path, palette, "b.png"),
            saved(tmp_path, Image.fromarray(ids.astype(np.uint16)), "c.png"),
            saved(tmp_path, Image.fromarray(ids.astype(np.int32)), "d.tif"),
            image,
            ids,
            ids.astype(np.float32),
            torch.tensor(ids),
        ):
            labels = read_labels(label_map, ClassTable.numbered(3))
            assert labels.dtype == torch.int64
            assert labels.tolist() == ids.tolist()
        np.save(tmp_path / "e.npy", ids)
        assert read_labels(tmp_path / "e.npy").tolist() == ids.tolist()

    def test_outside_the_table(self):
        ids = np.array([[0, 7], [7, 255]])
        with pytest.raises(ImageError, match=r"7 \(2 px\); the 3 classes are 0 to 2, and 255 is ig"):
            read_labels(ids, ClassTable.numbered(3))
        with pytest.raises(ImageError, match=r"7 \(2 px\), 255 \(1 px\).*nothing is ignored"):
            read_labels(ids, ClassTable.numbered(3), ignore=None)
        with pytest.raises(ImageError, match=r"-1 \(1 px\); labels start at 0"):
            read_labels(np.array([[-1]]))

    def test_colour_coded(self):
        table = ClassTable(("road", "car"), ((128, 64, 128), (0, 0, 142)))
        image = np.array([[[0, 0, 142], [128, 64, 128]]], np.uint8)
        assert read_labels(image, table).tolist() == [[1, 0]]
        image[0, 1] = (1, 2, 3)
        with pytest.raises(ImageError, match=r"holds 1 colour\(s\) that no class has: \(1, 2, 3\): 1"):
            read_labels(image, table)
        with pytest.raises(ImageError, match="no class table with colours was given"):
            read_labels(image, ClassTable(("road", "car")))

    def test_refused(self, tmp_path: Path):
        with pytest.raises(ImageError, match="fractions or NaN in 1 pixels, so it is no label map"):
            read_labels(np.array([[0.5, 1.0]]))
        with pytest.raises(ImageError, match=r"a label map is \[H W\]"):
            read_labels(np.zeros((2, 2, 2, 2), np.uint8))
        with pytest.raises(ImageError, match="is a JPEG, whose compression changes values"):
            read_labels(saved(tmp_path, Image.fromarray(RAMP), "a.jpg"))
        clear = Image.new("RGBA", (2, 2), (0, 0, 0, 9))
        with pytest.raises(ImageError, match="are the colours or the transparency a label map"):
            read_labels(saved(tmp_path, clear, "a.png"))
        with pytest.raises(ImageError, match="has the colour mode HSV; a label map is grey"):
            read_labels(Image.new("HSV", (2, 2)))
        with pytest.raises(ImageError, match="not a list"):
            read_labels([[0, 1]])  # type: ignore[arg-type]
        (tmp_path / "b.png").write_text("x")
        with pytest.raises(ImageError, match="no image that Pillow can read"):
            read_labels(tmp_path / "b.png")

    def test_opaque_alpha_is_no_obstacle(self):
        table = ClassTable(("road",), ((1, 2, 3),))
        assert read_labels(Image.new("RGBA", (1, 1), (1, 2, 3, 255)), table).tolist() == [[0]]


class TestMasks:
    def test_not_zero(self, tmp_path: Path):
        values = np.array([[0, 7], [0, 7]], np.uint8)
        for mask in (
            values,
            values > 0,
            values.astype(np.int32),
            values.astype(np.float32),
            values.astype(np.uint16) * np.uint16(9),
            Image.fromarray(values),
            saved(tmp_path, Image.fromarray(np.stack([values] * 3, 2)), "a.png"),
            torch.tensor(values),
        ):
            assert read_mask(mask).tolist() == [[False, True]] * 2

    def test_soft(self):
        with pytest.warns(DegenerateImageWarning, match=r"soft mask \(2 pixels lie in between\): cut"):
            assert read_mask(np.array([[0, 100, 200, 255]], np.uint8)).tolist() == [[0, 0, 1, 1]]
        with pytest.warns(DegenerateImageWarning, match="cut at half"):
            assert read_mask(np.array([[0.0, 0.4, 0.6, 1]])).tolist() == [[0, 0, 1, 1]]
        with pytest.warns(DegenerateImageWarning, match="3 values up to 5: taken for labels"):
            assert read_mask(np.array([[0, 3, 5]], np.uint8)).tolist() == [[0, 1, 1]]

    def test_refused(self):
        with pytest.raises(ImageError, match="is in colour; a mask is black and white"):
            read_mask(RAMP)
        with pytest.raises(ImageError, match="a mask is true or false in every pixel"):
            read_mask(np.array([[np.nan]]))
        with pytest.raises(ImageError, match=r"floats from 0.5 to 3; a soft mask lies in 0\.\.1"):
            read_mask(np.array([[0.5, 3.0]]))
        with pytest.raises(ImageError, match=r"a mask is \[H W\]"):
            read_mask(np.zeros((0, 2), bool))


@pytest.mark.skipif(not DATA.is_dir(), reason="the optional real material is not here")
def test_real_instances():
    for path in sorted((DATA / "dsb2018").glob("*_instances.png")):
        labels = read_labels(path, ignore=None)
        assert labels.max() > 1
        assert (read_mask(path) == (labels > 0)).all()
