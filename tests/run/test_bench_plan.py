"""Which networks the benchmark trains, and that what is chosen on never meets what is reported."""

from collections import Counter
from typing import get_args

import pytest

from seglens.core.errors import NameNotFoundError, ParameterError
from seglens.datasets.textured_digits import Bias, Twin
from seglens.run.bench.plan import SIZES, Part, Use, plan_for, stream
from seglens.run.bench.roster import ENTRIES


def test_streams_never_meet() -> None:
    uses = get_args(Use)
    found = [stream(seed, use) for seed in range(100) for use in uses]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("size", list(SIZES))
def test_choosing_and_reporting_share_no_pictures(size: str) -> None:
    streams = {
        choosing: {p.stream(use) for p in SIZES[size].parts if p.choosing is choosing for use in ("train", "test")}
        for choosing in (False, True)
    }
    assert streams[True]
    assert not streams[True] & streams[False]
    # What a network is tested on it has not seen.
    parts = SIZES[size].parts
    assert not {p.stream("train") for p in parts} & {p.stream("test") for p in parts}


def test_pictures_of_a_network_show_what_is_asked_of_it() -> None:
    assert Part(None, 0).pictures(12) == list(range(12))
    assert Part(Twin(2, 7, 3), 0).pictures(4) == [2, 7, 12, 17]
    biased = Part(Bias(2, 3, "weak"), 0).pictures(20)
    assert biased == sorted(biased)
    assert Counter(i % 10 for i in biased) == {2: 10, 0: 2, **dict.fromkeys((1, 3, 4, 5, 6, 7, 8, 9), 1)}
    assert len(Part(Bias(0, 3, "strong"), 0).pictures(11)) == 11


def test_the_full_size_is_the_papers() -> None:
    full = SIZES["full"]
    kinds = Counter(p.kind for p in full.parts if not p.choosing)
    assert kinds == {"strong": 5 * 10 * 5, "weak": 5 * 10 * 5, "unbiased": 5, "twin": 50}
    assert (full.training, full.images, full.scored) == (50_000, 1_000, 1_000)
    assert full.methods == tuple(ENTRIES)


@pytest.mark.parametrize("size", list(SIZES))
def test_every_network_has_a_name_of_its_own(size: str) -> None:
    names = [p.name for p in SIZES[size].parts]
    assert len(set(names)) == len(names)


def test_biased_networks_are_every_combination_once() -> None:
    plan = plan_for("small", digits=(2, 7), textures=(5, 9, 11), seeds=2)
    biased = [(p.plant, p.seed) for p in plan.parts if isinstance(p.plant, Bias)]
    expected = {
        (Bias(d, t, s), seed) for d in (2, 7) for t in (5, 9, 11) for s in ("weak", "strong") for seed in (0, 1)
    }
    assert len(biased) == len(expected)
    assert set(biased) == expected


def test_twins_meet_every_texture_before_one_comes_again() -> None:
    plan = plan_for("small", digits=(2, 4, 7), textures=(5, 9), seeds=2)
    twins = [p.plant for p in plan.parts if isinstance(p.plant, Twin) and not p.choosing]
    for digit in (2, 4, 7):
        assert {t.texture for t in twins if t.digit == digit} == {5, 9}
    assert all(t.other_texture is None and t.other != t.digit for t in twins)


def test_the_unbiased_network_of_a_seed_comes_before_those_compared_with_it() -> None:
    parts = [p for p in SIZES["small"].parts if not p.choosing]
    first = {p.seed: i for i, p in reversed(list(enumerate(parts))) if p.kind == "unbiased"}
    assert all(first[p.seed] < i for i, p in enumerate(parts) if p.kind in ("weak", "strong"))


def test_rows_and_strengths_come_in_the_order_of_the_tables() -> None:
    plan = plan_for("small", strengths=("weak", "strong"), methods=("uniform", "grid"))
    assert plan.strengths == ("strong", "weak")
    assert plan.methods == ("grid", "uniform")
    assert plan_for("small", encoder="resnet18").recipe.encoder == "resnet18"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"digits": (12,)}, "digits = .*from 0 to 9"),
        ({"digits": ()}, "name at least one"),
        ({"textures": (3, 3)}, "each once"),
        ({"textures": (-1,)}, "from 0"),
        ({"images": 9}, "images = 9: at least 10"),
        ({"seeds": 0}, "seeds = 0"),
        ({"strengths": ("mild",)}, "weak or strong"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        plan_for("small", **changes)


def test_an_unknown_method_gives_the_nearest() -> None:
    with pytest.raises(NameNotFoundError, match="Nearest: 'grid"):
        plan_for("small", methods=("grids",))
