import sys

import numpy as np
import pytest
from PIL import Image
from viz_cases import CASES

from seglens.core.errors import MissingExtraError, ParameterError
from seglens.viz.writers import write_figure, write_page

WRITERS = {"png": write_figure, "svg": write_figure, "pdf": write_figure, "html": write_page}
HEADS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF", "html": b"<!DOCTYPE html>"}


# The kinds that differ in shape; test_figures draws and test_page writes all of them.
SHAPES = ("one", "several methods", "volume", "grey", "classifier", "1x1", "3x500", "hostile names")


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("suffix", list(WRITERS))
def test_every_writer_writes_every_kind(kind, suffix, tmp_path):
    case = CASES[kind]
    path = tmp_path / f"why.{suffix}"
    WRITERS[suffix](case, path)
    content = path.read_bytes()
    assert content.startswith(HEADS[suffix])
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    if suffix == "png":
        picture = np.asarray(Image.open(path).convert("RGB"))
        assert len(np.unique(picture)) > 2


@pytest.mark.parametrize("suffix", list(WRITERS))
def test_same_explanation_same_bytes(make, suffix, tmp_path):
    for name in ("a", "b"):
        WRITERS[suffix]([make(), make(method="rise")], tmp_path / f"{name}.{suffix}")
    a, b = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("a", "b"))
    assert a == b
    assert b"CreationDate" not in a
    assert b"dc:date" not in a


def test_a_vector_figure_holds_text_and_the_images_own_pixels(make, tmp_path):
    write_figure([make()], tmp_path / "why.pdf")
    content = (tmp_path / "why.pdf").read_bytes()
    assert b"/FontFile2" in content  # TrueType: text that can be searched and edited
    assert content.count(b"/Width 36") >= 3


def test_a_failure_leaves_what_was_there(make, tmp_path):
    path = tmp_path / "why.png"
    path.write_text("before")
    with pytest.raises(Exception, match="sizes differ"):
        write_figure([make(region=np.ones((2, 2), bool))], path)
    with pytest.raises(ParameterError, match="no explanations"):
        write_page([], tmp_path / "why.html")
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["why.png"]


def test_an_interrupted_write_leaves_no_part(make, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", stop)
    with pytest.raises(KeyboardInterrupt):
        write_figure([make()], tmp_path / "why.svg")
    assert list(tmp_path.iterdir()) == []


def test_another_suffix(make, tmp_path):
    with pytest.raises(ParameterError, match=r"cannot draw a figure as 'why.gif'"):
        write_figure([make()], tmp_path / "why.gif")
    with pytest.raises(ParameterError, match="no explanations to draw"):
        write_figure([], tmp_path / "why.png")


def test_without_matplotlib_the_install_line_is_given(make, tmp_path, monkeypatch):
    for name in [n for n in sys.modules if n.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("figures", "media.sheet", "media.legend"):
        monkeypatch.delitem(sys.modules, f"seglens.viz.{name}", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install 'seglens\[image\]'"):
        write_figure([make()], tmp_path / "why.png")
