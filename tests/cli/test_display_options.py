"""Options of `seglens explain` that say what of a map is shown: they change the picture as they should, and only it."""

import json
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
    assert "--within prediction cannot be shown for fusion-map: it asks about no class. Leave --within out." in text


WITHOUT_REGION = ("-m", "fusion-map", "--within", "region")


def test_what_cannot_be_shown_is_kept_as_raw_values_and_the_other_images_go_on() -> None:
    Path("second.png").write_bytes(Path("street.png").read_bytes())
    text = run("second.png", *WITHOUT_REGION, "--format", "png,html", code=1)
    assert text.count("--within region cannot be shown for fusion-map: it has no region") == 1
    assert "street.png: the same." in text
    assert "2 of 2 images explained, 2 with errors." in text
    names = [f"{stem}.fusion-map.npz" for stem in ("second", "street")]
    assert sorted(p.name for p in Path("explanations").glob("[!.]*")) == names
    for name in names:
        assert f"→ explanations/{name}" in text
        kept = sl.open(f"explanations/{name}")
        assert isinstance(kept, sl.Explanation)
        assert kept.map.shape == (48, 96)
    assert "(replaced)" not in text
    # What was there is said to be replaced, also where raw values were asked for and are written first.
    assert "street.fusion-map.npz (replaced)" in run(*WITHOUT_REGION, "--format", "npz,png", code=1)


def test_raw_values_beside_a_failed_picture_are_no_replacement_of_themselves() -> None:
    text = run(*WITHOUT_REGION, "--format", "npz,png", code=1)
    assert "street.fusion-map.npz" in text
    assert "(replaced)" not in text


def test_one_file_that_cannot_be_drawn_leaves_raw_values_that_replace_nothing() -> None:
    Path("all.npz").write_bytes(b"mine")
    words = ("-m", "grad-cam", "-m", "saliency", "--shared", "--out", "all.png")
    text = run(*words, code=1)
    assert "cannot share a scale. Give each its own (no --shared)" in text
    assert "→ all-2.npz" in text
    assert "1 of 1 image explained, 1 with errors." in text
    assert not Path("all.png").exists()
    assert Path("all.npz").read_bytes() == b"mine"
    kept = sl.open("all-2.npz")
    assert isinstance(kept, sl.Explanations)
    assert [e.method for e in kept] == ["grad-cam", "saliency"]


def test_the_kept_file_is_in_the_json() -> None:
    told = json.loads(result("explain", NETWORK, "street.png", *WITHOUT_REGION, "--json", code=1).stdout)
    assert told["explanations"][0]["files"] == ["explanations/street.fusion-map.npz"]
    assert told["failures"][0]["error"].startswith("--within region cannot be shown")


def test_a_method_that_asks_nothing_says_nothing_of_a_score() -> None:
    text = run("-m", "fusion-map", "--out", "fusion.png")
    assert "fusion-map, in units of probability" in text
    assert "no class" not in text
