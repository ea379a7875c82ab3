"""The naive growth that is timed beside ours: the same map, on real segments, with and without a least gain."""

import numpy as np
import pytest


@pytest.mark.parametrize("method", ["ssm", "xrai"])
def test_both_give_the_same_map_and_are_timed(method):
    from benchmarks.growth import growth

    found = growth((48, 96), method, 1)
    assert found.segments > 50
    assert found.difference < 1e-12
    assert found.seconds > 0
    assert found.naive > 0
    assert found.to_dict()["method"] == method


def test_the_naive_form_is_left_out_where_it_would_take_hours(monkeypatch):
    from benchmarks import growth

    monkeypatch.setattr(growth, "NAIVE_PIXELS", 48 * 96 - 1)
    found = growth.growth((48, 96), "ssm", 1)
    assert found.naive is found.difference is None


def test_another_growth_shows_as_a_difference(monkeypatch):
    from benchmarks import growth

    given = growth.naive_growth
    monkeypatch.setattr(growth, "naive_growth", lambda a, masks, least: given(a, masks[1:], least))
    assert growth.growth((48, 96), "ssm", 1).difference > 1e-3


def test_the_naive_form_by_hand():
    """A (mean 19/3) is taken; B would add one pixel and is dropped; C is taken; the rest gets its own mean."""
    from benchmarks.growth import naive_growth

    attribution = np.array([[5.0, 5.0, 9.0, 0.0, 1.0, 1.0, 3.0, 4.0]])
    a, b, c = np.zeros((3, 1, 8), dtype=bool)
    a[0, :3] = b[0, 1:4] = c[0, 3:6] = True
    found = naive_growth(attribution, np.stack([a, b, c]), 2)
    np.testing.assert_allclose(found, [[19 / 3] * 3 + [2 / 3] * 3 + [3.5] * 2])


def test_a_whole_run_reports_growth_and_requests(monkeypatch, capsys):
    import json

    from benchmarks import __main__, growth, requests

    monkeypatch.setattr(__main__, "_plan", lambda network: [])
    monkeypatch.setattr(requests, "searches", lambda: [requests.Searches("robust", 64, 1, 99.5, 20.0, 21.0, 60, 3)])
    monkeypatch.setattr(growth, "SIZES", ((32, 64), (48, 96)))
    monkeypatch.setattr(growth, "NAIVE_PIXELS", 32 * 64)
    assert __main__.main(["--repetitions", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(row["passes"], row["settled"], row["mask"]) for row in told["requests"]] == [(99.5, 60, None)]
    assert any(line.startswith("context:") for line in told["conventions"])
    rows = told["growth"]
    assert [(row["size"], row["method"]) for row in rows] == [
        ([32, 64], "ssm"),
        ([32, 64], "xrai"),
        ([48, 96], "ssm"),
        ([48, 96], "xrai"),
    ]
    assert [row["naive"] is None for row in rows] == [False, False, True, True]
    assert __main__.main(["--repetitions", "1", "--network", "smp", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["growth"] == told["requests"] == []


def test_the_tables_fit_80_columns(capsys):
    from benchmarks.__main__ import _show
    from benchmarks.agreement import Agreement
    from benchmarks.cases import streets_unet
    from benchmarks.growth import Growth
    from benchmarks.measure import Row
    from benchmarks.requests import Searches

    case = streets_unet()
    price = {"seglens": 23.04, "captum": 236.4, "pytorch-grad-cam": 446.6}
    agree = {"captum": Agreement(3.2e-7, 0.99996), "pytorch-grad-cam": Agreement(0.61, 0.6266)}
    rows = [
        Row(case.name, "integrated-gradients", price, dict.fromkeys(price, 12.34), agree),
        Row(case.name, "score-map", {"seglens": 1.0}, {"seglens": 0.031}),
    ]
    searched = [
        Searches("robust", 64, 1, 99.43, 24.78, 141.7, 62, 1),
        Searches("robust", 64, 64, 99.96, 42.48, 177.8, 62, 1, 108.0, 128.0, 0.048, 13, 1.9e-4),
        Searches("cityscapes", 1, 1, 162.0, 1.278, 1.94, 0, 0, 162.0, 162.0),
    ]
    _show({"threads": 1}, [(case, rows)], [Growth((1024, 2048), "xrai", 337, 0.036)], searched)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    shown = next(line for line in lines if line.startswith("integrated-gradients"))
    assert shown.split()[1:] == ["23.0", "12.3", "236", "12.3", "447", "12.3", "3e-7", "1.0000", "6e-1", "0.6266"]
    assert next(line for line in lines if line.startswith("score-map")).split()[1:] == ["1.00", "0.03", *"------"]
    assert next(line for line in lines if "1024x2048" in line).split() == [
        "1024x2048", "xrai", "337", "0.036", "-", "-",
    ]  # fmt: skip
    batch, alone = (line.split() for line in lines if line.startswith("robust "))
    assert batch == ["robust", "64", "1", "99.4", "-", "-", "24.8", "142", "62", "1", "-", "-", "-"]
    assert alone == ["robust", "64", "64", "100", "108", "128", "42.5", "178", "62", "1", "5e-2", "13", "2e-4"]
    assert next(line for line in lines if line.startswith("cityscapes ")).split()[1:4] == ["1", "1", "162"]
