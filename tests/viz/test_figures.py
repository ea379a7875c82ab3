import matplotlib
import numpy as np
import pytest
from reading import drawn, overlaps, said

from seglens.core.display import Display
from seglens.core.errors import ParameterError
from seglens.viz import figure, grid
from seglens.viz.page import page


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


def test_a_shared_scale_leaves_each_map_its_own_greatest_value(make):
    peaks = [np.ones((24, 36), np.float32) for _ in range(3)]
    peaks[1][0, 0] = -50.0
    peaks[2][0, 0] = 70.0
    maps = [make(method=n, layer=None, map=m) for n, m in zip(("rise", "saliency", "xrai"), peaks, strict=True)]
    texts = said(grid(maps, Display(shared=True, percentile=99)))
    assert [t for t in texts if t.startswith("score")] == [
        "score 7.31",
        "score 7.31, greatest 50",
        "score 7.31, greatest 70",
    ]
    shown = said(grid(maps, Display(shared=True, percentile=99, part="positive")))
    assert [t for t in shown if t.startswith("score")] == ["score 7.31", "score 7.31", "score 7.31, greatest 70"]
    assert "greatest absolute value is 50" in page(maps, Display(shared=True, percentile=99))


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
