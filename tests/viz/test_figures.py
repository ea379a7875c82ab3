import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from seglens.core.display import Display
from seglens.core.errors import ParameterError
from seglens.viz import figure, grid
from seglens.viz._sheet import width_of, wrapped


def drawn(fig):
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return canvas.get_renderer()


def said(fig):
    return [artist.get_text() for artist in fig.findobj(matplotlib.text.Text) if artist.get_text()]


def overlaps(fig):
    """Pairs of texts that touch, and texts that leave the page."""
    renderer = drawn(fig)
    page = fig.bbox
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in fig.findobj(matplotlib.text.Text) if t.get_text()]
    out = [t for t, b in boxes if b.x0 < 0 or b.y0 < 0 or b.x1 > page.x1 + 1 or b.y1 > page.y1 + 1]
    for i, (text, a) in enumerate(boxes):
        for other, b in boxes[i + 1 :]:
            x, y = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
            if x > 0 and y > 1:
                out.append(f"{text} | {other}")
    return out


def test_no_text_overlaps_or_is_cut(case):
    fig = figure(case[0]) if len(case) == 1 else grid(case)
    assert overlaps(fig) == []


def test_the_check_for_overlaps_can_fail(make):
    fig = figure(make())
    fig.text(0.02, 0.9, "across everything that is there " * 20)
    assert len(overlaps(fig)) > 1


def test_one_explanation_names_what_it_shows(make):
    texts = said(figure(make(notes=("a warning",))))
    assert "grad-cam at encoder.4" in texts
    assert "target: rider in predicted(rider) · score 7.312 (logits) · unet" in texts
    for word in ("Image", "Prediction", "Explanation", "logit", "a warning", "0", "road 33 %"):
        assert word in texts


def test_the_slice_of_a_volume_is_named(make):
    assert any("slice 4 of 5 (0 to 4), of greatest weight" in t for t in said(figure(make((5, 6, 8)))))


def test_a_zero_map_is_stated_and_has_no_bar(make):
    texts = said(figure(make(map=np.zeros((24, 36), np.float32))))
    assert "The map is zero everywhere" in texts
    assert "no colour scale (logit)" in texts


def test_a_grid_has_its_own_scales_or_one(make):
    both = [make(), make(method="rise", map=make().map * 2)]
    own = said(grid(both, Display(percentile=100)))
    assert "3" in own
    assert "6" in own
    one = said(grid(both, Display(shared=True, percentile=100)))
    assert one.count("6") == 2
    assert "All maps share one scale." in one


def test_a_note_of_all_is_said_once(make):
    texts = said(grid([make(notes=("same",)), make(method="rise", notes=("same", "its own"))]))
    assert texts.count("same") == 1
    assert "rise at encoder.4: its own" in texts


def test_nothing_to_draw():
    with pytest.raises(ParameterError, match="no explanations to draw"):
        grid([])


def test_settings_of_the_user_stay_and_do_not_matter(make):
    matplotlib.rcParams["text.usetex"] = True
    try:
        before = dict(matplotlib.rcParams)
        drawn(figure(make()))
        assert dict(matplotlib.rcParams) == before
    finally:
        matplotlib.rcParams["text.usetex"] = False


def test_pyplot_knows_nothing_of_it(make):
    from matplotlib import pyplot

    figure(make())
    grid([make(), make()])
    assert pyplot.get_fignums() == []


def test_wrapping_keeps_to_the_width_and_loses_nothing():
    text = "a few words, then " + "verylongword" * 20 + " and an end"
    lines = wrapped(text, 8, 1.5)
    assert max(width_of(line, 8) for line in lines) <= 1.5
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    short = wrapped(text, 8, 1.5, lines=2)
    assert len(short) == 2
    assert short[-1].endswith("…")
    assert wrapped("", 8, 1.5) == []
