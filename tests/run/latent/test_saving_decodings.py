"""Decoded pictures in files: every form opens as what it claims to be, and twice the same bytes."""

import json
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seglens.core.errors import NameNotFoundError
from seglens.run.latent.decodings import FORMATS, words_of
from seglens.run.latent.explore import grid, traverse
from seglens.run.latent.generate import edit, interpolate, sample

sys.path.insert(0, str(Path(__file__).parent))
from coders import Conditional, Masks, network, picture

IMAGE = picture(0.7, 0.4, 0.5, 0.6)


@pytest.fixture(scope="module")
def moved():
    return traverse(network(), IMAGE, [0, 3], [-2.0, 0.0, 2.0])


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_form_is_written_whole_and_twice_the_same(moved, suffix: str, tmp_path: Path) -> None:
    one, two = (moved.save(tmp_path / f"{name}.{suffix}") for name in ("one", "two"))
    assert one.stat().st_size > 500
    if suffix != "npz":  # a zip with the time of day
        assert one.read_bytes() == two.read_bytes()


def test_another_suffix_is_refused(moved, tmp_path: Path) -> None:
    with pytest.raises(NameNotFoundError, match=r"\.gif"):
        moved.save(tmp_path / "moved.gift")


@pytest.mark.parametrize(("suffix", "form"), [("gif", "GIF"), ("webp", "WEBP"), ("apng", "PNG")])
def test_an_animation_goes_forth_and_back(moved, suffix: str, form: str, tmp_path: Path) -> None:
    with Image.open(moved.save(tmp_path / f"moved.{suffix}")) as film:
        assert film.format == form
        assert film.n_frames == 4  # three steps, and the middle one on the way back
        frames = []
        for i in range(4):
            film.seek(i)
            frames.append(np.array(film.convert("RGB"), int))
    assert np.abs(frames[1] - frames[3]).max() <= 1
    assert np.abs(frames[0] - frames[2]).max() > 50


def test_a_frame_shows_its_step(moved, tmp_path: Path) -> None:
    """The grey of quadrant 0 in each frame is that which was decoded there."""
    with Image.open(moved.save(tmp_path / "moved.gif")) as film:
        for step in range(3):
            film.seek(step)
            shown = np.array(film.convert("RGB"), int)
            level = round(255 * float(moved.pictures[0, step, 0, 2, 2]))
            exact = (np.abs(shown - level).max(2) <= 3).mean()
            assert exact > 0.02, (step, level)


def test_samples_and_grids_are_animated_cell_by_cell(tmp_path: Path) -> None:
    with Image.open(sample(network(), 5, columns=3).save(tmp_path / "s.gif")) as film:
        assert film.n_frames == 5
    with Image.open(grid(network(), IMAGE, (0, 1), [-1.0, 1.0]).save(tmp_path / "g.gif")) as film:
        assert film.n_frames == 4


def test_arrays_come_back(moved, tmp_path: Path) -> None:
    with np.load(moved.save(tmp_path / "moved.npz")) as kept:
        assert set(kept) == {"z", "pictures", "image", "reconstruction", "mu", "logvar", "change"} | {
            "attention",
            "attention_scores",
        }
        for name, values in moved.arrays().items():
            np.testing.assert_array_equal(kept[name], values)


def test_json_is_stable(moved, tmp_path: Path) -> None:
    told = json.loads(moved.save(tmp_path / "moved.json").read_text())
    assert list(told) == [
        *("kind", "title", "network", "image", "produces", "rows", "columns", "row_notes", "across", "down"),
        *("z", "mu", "logvar", "condition_names", "conditions", "attention", "change", "notes", "provenance"),
    ]
    assert told["rows"] == ["unit 0", "unit 3"]
    assert told["columns"] == ["−2", "0", "2"]
    np.testing.assert_allclose(told["z"], moved.z, atol=1e-5)
    assert list(told["attention"]) == ["on", "method", "layer", "scores"]


class _Counter(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.pictures, self.open = 0, []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "img" and (given.get("src") or "").startswith("data:image/png"):
            assert given.get("alt") is not None
            self.pictures += 1
        if tag not in ("img", "meta", "link", "br", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An SVG element without content."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_page_has_every_picture_with_its_words(moved, tmp_path: Path) -> None:
    reader = _Counter()
    reader.feed(moved.save(tmp_path / "moved.html").read_text(encoding="utf-8"))
    assert reader.open == []
    assert reader.pictures == 2 + 2 * 3 * 2 + 2  # image and reconstruction; pictures and attention; change


@pytest.mark.parametrize(
    "make",
    [
        lambda: traverse(network(Masks, classes=["sky", "ground"]), IMAGE, 0, [-1.0, 1.0]),
        lambda: traverse(network(), IMAGE, 0, [1.0], attention=None, change=False),
        lambda: traverse(network(), picture(0.5, 0.5, 0.5, 0.5), 4, [0.0, 1.0]),
        lambda: interpolate(network(Masks), IMAGE, IMAGE, 2),
        lambda: edit(network(Conditional), IMAGE, {"smile": 0, "hat": [1, 2]}, condition=[1, 0]),
        lambda: grid(network(), IMAGE, (0, 1), [1.0]),
        lambda: sample(network(Masks), 1),
    ],
    ids=["masks", "one step", "dead", "standing still", "ragged", "one cell", "one sample"],
)
def test_odd_cases_are_drawn_too(make, tmp_path: Path) -> None:
    found = make()
    for suffix in ("png", "gif", "html", "json"):
        assert found.save(tmp_path / f"odd.{suffix}").stat().st_size > 200
    assert str(found)


def test_headings_say_numbers_in_as_few_digits_as_serve() -> None:
    assert words_of([-3, -2, 0, 3]) == ("−3", "−2", "0", "3")
    assert words_of([0, 0.125, 0.25, 1]) == ("0", "0.12", "0.25", "1")
    assert words_of([0.001, 0.002]) == ("0.001", "0.002")
    assert words_of([1, 1]) == ("1", "1")
    assert words_of([0]) == ("0",)
