"""The error map drawn: colours that anyone can tell apart, numbers beside what they name."""

import numpy as np
import pytest
from reading import overlaps, said
from skimage.color import rgb2lab

from seglens.core.classes import ClassTable
from seglens.viz._spaces import SIGHT, seen
from seglens.viz.evaluation.error_map import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    IGNORED,
    TRUE_POSITIVE,
    Numbered,
    errors_figure,
    status_picture,
)

TABLE = ClassTable(("road", "car", "a rather long name of a class"))
RNG = np.random.default_rng(0)


def fields(size=(40, 60), regions=4, **more):
    truth, prediction = RNG.integers(0, 3, (2, *size))
    status = np.where(truth == prediction, 1, np.where(prediction == 1, 2, 3)).astype(np.uint8)
    truth[..., :2, :2] = -1
    status[..., :2, :2] = 4
    numbered = []
    for i in range(regions):
        mask = np.zeros(size, bool)
        mask[..., i * 4 : i * 4 + 3, i * 2 : i * 3 + 2] = True
        at = tuple(map(int, np.argwhere(mask)[0]))
        numbered.append(Numbered(i + 1, mask, at, "road → a rather long name of a class", int(mask.sum())))
    image = RNG.integers(0, 255, size if len(size) == 3 else (*size, 3), np.uint8)
    return {
        "image": image,
        "prediction": prediction,
        "truth": truth,
        "classes": TABLE,
        "status": status,
        "label": "car",
        "numbered": numbered,
        "facts": ["net", "street.png"],
        "notes": ["A note."],
        **more,
    }


@pytest.mark.parametrize("sight", list(SIGHT))
def test_right_wrong_and_missed_are_told_apart_by_any_eye(sight):
    colours = np.array([TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE, IGNORED]) / 255
    lab = rgb2lab(seen(colours, sight))
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)[np.triu_indices(4, 1)]
    assert apart.min() > 20


def test_pixels_have_the_colour_of_their_status_and_the_rest_shows_the_image():
    image = np.full((1, 5, 3), (200, 100, 0), np.uint8)
    picture = status_picture(image, np.array([[0, 1, 2, 3, 4]], np.uint8))
    assert [tuple(p) for p in picture[0, 1:].tolist()] == [TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE, IGNORED]
    red, green, blue = picture[0, 0]
    assert red == green == blue == round(200 * 0.2126 + 100 * 0.7152)


@pytest.mark.parametrize("size", [(40, 60), (300, 20), (8, 200), (64, 64), (3, 40, 60)])
@pytest.mark.parametrize("label", ["car", None])
def test_no_text_overlaps_for_any_shape(size, label):
    fig = errors_figure(**fields(size, 0, label=label))
    assert overlaps(fig) == []
    fig = errors_figure(**fields(size, 2, label=label, prediction=None))
    assert not any("|" in pair and "1" in pair.split(" | ") and "2" in pair.split(" | ") for pair in overlaps(fig))


def test_all_is_named():
    texts = " ".join(said(errors_figure(**fields())))
    for word in ("Errors of car", "Image", "Prediction", "Truth", "true positive", "false positive", "false negative"):
        assert word in texts
    for word in ("ignored 4", "road → a rather long name of a class: ", "A note.", "street.png"):
        assert word in texts
    every = " ".join(said(errors_figure(**fields(label=None))))
    assert "wrong " in every
    assert "true positive" not in every
    assert "Prediction" not in " ".join(said(errors_figure(**fields(prediction=None))))
    assert "No confused region." in said(errors_figure(**fields(numbered=[])))


def test_of_a_volume_the_slice_with_most_that_is_wrong():
    given = fields((3, 40, 60), 0)
    given["status"][:] = 1
    given["status"][1, 5:9] = 3
    assert any("slice 1, which has most that is wrong" in t for t in said(errors_figure(**given)))


def test_what_an_outline_would_cover_has_its_number_alone():
    comb = np.zeros((40, 60), bool)
    comb[::2, 5:55] = comb[:, 5] = True
    block = np.zeros((40, 60), bool)
    block[3:6, 1:4] = True
    pair = [Numbered(1, comb, (0, 5), "a", int(comb.sum())), Numbered(2, block, (4, 2), "b", 9)]
    assert "Too thin or ragged to be outlined: 1." in said(errors_figure(**fields(numbered=pair)))
    assert not any("ragged" in t for t in said(errors_figure(**fields(numbered=pair[1:]))))


def test_numbers_stand_beside_their_regions_and_not_on_each_other():
    masks = [np.zeros((100, 200), bool) for _ in range(6)]
    for i, mask in enumerate(masks):
        mask[40 + i : 44, 100 + 5 * i : 104 + 5 * i] = True
    several = [Numbered(i + 1, m, (43, 100 + 5 * i), "a", int(m.sum())) for i, m in enumerate(masks) if m.any()]
    fig = errors_figure(**fields((100, 200), numbered=several))
    assert overlaps(fig) == []
