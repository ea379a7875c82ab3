"""Context statistics drawn: bars as long as the shares are, in the classes' colours, and nothing that overlaps."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from reading import drawn, overlaps, said
from viz_cases import made

from seglens.core.classes import ClassTable
from seglens.viz.context.figure import LISTED, Column, Row, context_figure

COLUMNS = [
    Column("salient context", "outside the region"),
    Column("ring", "3 px around it: 1,234 px"),
    Column("all context", "outside the region: 123,456 px"),
    Column("log2", "salient / ring"),
    Column("log2", "salient / all"),
]
TABLE = ClassTable(("road", "rider", "sky"), ((255, 255, 255), (200, 0, 0), (0, 0, 200)))


def row(i, shares, name="road"):
    told = tuple("–" if s != s else f"{100 * s:.1f} %" for s in shares)
    return Row(i, name, tuple(shares), (*told, "+1.00", "−∞"))


def figure(rows, explanation=None, notes=(), **changed):
    e = explanation or made(classes=TABLE, label=1, **changed)
    labels = np.zeros(e.map.shape, np.int64) if e.prediction is None else e.prediction
    ring = np.zeros(e.map.shape, bool)
    ring[..., :2, :] = True
    return context_figure(e, labels, ring, rows, COLUMNS, ["context-saliency", "net", "street.png"], list(notes))


def bars(fig):
    """Width in inches of each filled rectangle of a colour."""
    found = {}
    for patch in fig.findobj(Rectangle):
        rgb = tuple(round(255 * v) for v in patch.get_facecolor()[:3])
        if patch.get_height() == pytest.approx(0.1) and patch.get_linewidth() == 0:
            found.setdefault(rgb, []).append(patch.get_width())
    return found


def test_bars_are_as_long_as_the_shares_are_on_one_scale():
    shares = {0: (0.5, 0.25, 0.125), 1: (0.5, 0.75, 0.0), 2: (0.0, 0.0, 0.875)}
    fig = figure([row(i, s) for i, s in shares.items()])
    drawn(fig)
    found = bars(fig)
    unit = found[(255, 255, 255)][0] / 0.5
    np.testing.assert_allclose(found[(255, 255, 255)], [0.5 * unit, 0.25 * unit, 0.125 * unit])
    np.testing.assert_allclose(found[(200, 0, 0)], [0.5 * unit, 0.75 * unit])
    np.testing.assert_allclose(found[(0, 0, 200)], [0.875 * unit])
    assert unit == pytest.approx(1.15 / 0.875)


def test_undefined_shares_have_no_bar():
    fig = figure([row(1, (np.nan, 0.5, 0.25))], map=np.zeros((24, 36), np.float32))
    drawn(fig)
    assert len(bars(fig)[(200, 0, 0)]) == 2
    assert "Salient context: none" in said(fig)
    nowhere = figure([], map=np.full((24, 36), np.nan, np.float32))
    assert "Salient context: undefined" in said(nowhere)


def test_what_lies_in_the_region_is_not_painted():
    """The picture shows what is counted: a map that is large in the region alone has no salient context."""
    e = made(classes=TABLE)
    fig = figure(
        [row(0, (np.nan, 1, 1))], explanation=made(classes=TABLE, label=1, map=np.where(e.region, 9, 0).astype("f4"))
    )
    assert "Salient context: none" in said(fig)


@pytest.mark.parametrize("shape", [(24, 36), (3, 500), (500, 3), (1, 1), (5, 12, 16)])
@pytest.mark.parametrize("k", [0, 3, 40])
def test_nothing_overlaps(shape, k):
    names = ("a name that goes on and on and does not end at all, ever", "$x$", "Straße", *map(str, range(60)))[:k]
    table = ClassTable(names) if k else TABLE
    rng = np.random.default_rng(0)
    rows = [row(i, rng.random(3), name) for i, name in enumerate(names)]
    e = made(shape, classes=table, target="rider - person in " + "a long region & " * 20, label=0)
    fig = figure(rows, explanation=e, notes=["A note. " * 60])
    assert overlaps(fig) == []
    text = " ".join(said(fig))
    assert ("and 20 more classes" in text) is (k == LISTED + 20)
    assert ("slice" in text) is (len(shape) == 3)
