"""Options of `seglens explain` that say what of a map is shown: they change the picture as they should, and only it."""

from pathlib import Path

import numpy as np
import pytest
from typed import NETWORK, flat, result

import seglens as sl
from seglens.viz.writers import write_figure

pytestmark = pytest.mark.usefixtures("street")


def run(*words: object, code: int = 0) -> str:
    """All that `seglens explain` printed of the street, on one line."""
    return flat(result("explain", NETWORK, "street.png", "-c", "road", *words, code=code).output)


@pytest.mark.parametrize(
    ("words", "display"),
    [
        (["--part", "negative"], sl.Display(part="negative")),
        (["--part", "absolute", "--percentile", "80"], sl.Display(part="absolute", percentile=80)),
        (["--within", "both", "--truth", "truth.png"], sl.Display(within="both")),
        (["--within", "prediction", "--shared"], sl.Display(within="prediction", shared=True)),
    ],
)
def test_the_picture_is_that_of_the_display(words: list[str], display: sl.Display) -> None:
    method = ["-m", "input-x-gradient"]
    run(*method, *words, "--format", "png,npz", "--out", "shown")
    run(*method, *(words[-2:] if "--truth" in words else []), "--format", "png,npz", "--out", "usual")
    (shown,), (usual,) = (sorted(Path(folder).glob("*.png")) for folder in ("shown", "usual"))
    raw = sl.open(shown.with_suffix(".npz"))
    assert isinstance(raw, sl.Explanation)
    write_figure([raw], Path("expected.png"), display)
    assert shown.read_bytes() == Path("expected.png").read_bytes()
    assert shown.read_bytes() != usual.read_bytes()
    plain = sl.open(usual.with_suffix(".npz"))
    assert isinstance(plain, sl.Explanation)
    np.testing.assert_array_equal(raw.map, plain.map)


def test_one_file_of_several(tmp_path: Path) -> None:
    run("-c", "building", "--out", "all.html", "--within", "prediction", "--part", "positive")
    text = Path("all.html").read_text(encoding="utf-8")
    assert "Shown: positive part, only where road is predicted" in text
    assert "Shown: positive part, only where building is predicted" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--part", "minus"], "'minus' is not one of"),
        (["--within", "nowhere"], "'nowhere' is not one of"),
        (["--percentile", "0"], "Display.percentile is to be > 0 and <= 100, not 0"),
        (["--within", "either"], "needs the true labels: give them with --truth"),
        (["--part", "positive", "--format", "npz"], "npz keeps every raw value"),
        (["--shared", "--out", "all.npz"], "npz keeps every raw value"),
    ],
)
def test_what_cannot_be_shown_is_refused_before_anything_is_computed(words: list[str], said: str) -> None:
    assert said in run(*words, code=2)
    assert sorted(p.name for p in Path().iterdir()) == ["street.png", "truth.png"]


def test_a_place_that_a_method_lacks_is_an_error() -> None:
    text = run("-m", "fusion-map", "--within", "prediction", code=1)
    assert "within='prediction' cannot be shown for fusion-map: it asks about no class." in text


def test_a_method_that_asks_nothing_says_nothing_of_a_score() -> None:
    text = run("-m", "fusion-map", "--out", "fusion.png")
    assert "fusion-map, in units of probability" in text
    assert "no class" not in text
