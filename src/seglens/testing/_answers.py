"""Checks of what a method answers: its maps, by shape, by number, and against known answers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from seglens.core.classes import ClassTable
from seglens.core.errors import (
    BatchMixingWarning,
    EmptyRegionError,
    EmptyRegionWarning,
    ParameterError,
    RectifierError,
    RegionError,
    SeglensWarning,
    ZeroMapWarning,
)
from seglens.core.maps import Maps
from seglens.core.regions import box, everything, mask
from seglens.core.targets import Target, Targets, channel
from seglens.testing import toys
from seglens.testing.subject import Subject, demand, identical, refused, same, same_scores, warned
from seglens.testing.toys import Toy, made
from seglens.testing.untouched import untouched

LOGITS = toys.TARGETS[:3]


def explains(subject: Subject, name: str) -> None:
    """Maps of the promised shape, type and sign, that say something, of the scores that they state."""
    explains_toy(subject, made(name))


def explains_toy(subject: Subject, toy: Toy) -> None:
    """The same, of a toy at hand."""
    if subject.traits.rectifiers and not toy.rectified:
        with untouched(toy.user, toy.x), refused(f"{subject.name} on {toy.network.name}", RectifierError):
            subject.call(toy.network, toy.x, Targets.of(toy.targets), toy.layer)
        return
    if not subject.takes(toy):
        with untouched(toy.user, toy.x), refused(f"{subject.name} on {toy.network.name}", RegionError):
            subject.call(toy.network, toy.x, Targets.of(toy.targets), toy.layer)
        return
    if toy.network.link == "none" and not subject.traits.units:
        with untouched(toy.user, toy.x), refused(f"{subject.name} on {toy.network.name}", ParameterError):
            subject.call(toy.network, toy.x, Targets.of(toy.targets), toy.layer)
        return
    with untouched(toy.user, toy.x, *toy.network.extra):
        maps, warnings = subject.seen(toy)
    _well_formed(subject, toy, maps, warnings)
    lawful = subject.traits.curved and toy.network.link == "none"
    demand(lawful or bool((maps.values != 0).any()), f"{subject.name} on {toy.network.name}: only zeros.")


def twin(subject: Subject, name: str) -> None:
    """The trap changes nothing: the same maps, scores and output as the twin's, and no trace left."""
    twin_toy(subject, made(name))


def twin_toy(subject: Subject, toy: Toy, tolerance: float | None = None) -> None:
    """The same, of a toy at hand; None takes the tolerance that its twin calls for."""
    other = toy.twin
    if other is None:
        raise LookupError(f"{toy.network.name} has no twin")
    with untouched(toy.user, toy.x, *toy.network.extra):
        maps, warnings = subject.seen(toy)
    _well_formed(subject, toy, maps, warnings)
    expected = subject.maps(other)
    where = f"{subject.name} on {toy.network.name} against its twin"
    # Through softmax or sigmoid and back, digits of float32 are lost.
    tolerance = tolerance or (1e-4 if toy.exact_twin else 1e-2)
    same_scores(maps.score, expected.score, f"{where}, scores", tolerance)
    same(maps.values, expected.values, f"{where}, maps", tolerance)


def finite(subject: Subject) -> None:
    """Black, constant and very bright images: numbers all the same."""
    toy = made("plain").asking(*LOGITS)
    for what, x in {
        "black": torch.zeros_like(toy.x),
        "constant": torch.full_like(toy.x, 0.5),
        "bright": toy.x * 1e3,
    }.items():
        maps = subject.maps(replace(toy, x=x))
        good = bool(maps.values.isfinite().all() and maps.score.isfinite().all())
        demand(good, f"{subject.name}: not finite for {what} images.")


def units(subject: Subject) -> None:
    """In units of score: s times the scores give s times the map, be s large or tiny; a sum is size × mean."""
    if not subject.traits.homogeneous:
        return
    toy = made("plain").asking(*LOGITS)
    expected = subject.maps(toy).values
    # Powers of two, so that scaling rounds nothing.
    for s in (8.0, 2.0**-20):
        scaled = made("plain").asking(*LOGITS)
        with torch.no_grad():
            for p in scaled.user.get_submodule("head").parameters():
                p *= s
        actual = subject.maps(scaled).values
        same(actual / s, expected, f"{subject.name}: the map for scores {s:g} times as large")
    region = box(2, 3, 9, 12)
    pair = subject.maps(
        toy, targets=(Target(1, region, of="logits"), Target(1, region, of="logits", reduce="sum"))
    ).values
    same(pair[:, 1:], pair[:, :1] * (7 * 9), f"{subject.name}: the map of a sum over 63 pixels")


def batch(subject: Subject) -> None:
    """Images of a batch do not mix: alone, or beside a far brighter one, each gives its own map."""
    for name in ("plain", "volume", "classifier", "two inputs", "training mode", "dropout"):
        toy = made(name)
        if not subject.takes(toy):
            continue
        toy.x[1] *= 50
        apart_toy(subject, toy)
    toy = made("batch norm without running statistics").asking(*LOGITS)
    together, found = subject.seen(toy)
    alone = torch.cat([subject.maps(toy.rows(b)).values for b in range(len(toy.x))])
    mixes = float((alone - together.values).abs().max()) > 1e-4 * float(alone.abs().max())
    demand(
        not mixes or bool(warned(found, BatchMixingWarning)),
        f"{subject.name}: a network that mixes the images of a batch, and no BatchMixingWarning.",
    )


def apart_toy(subject: Subject, toy: Toy) -> None:
    """Each image of the toy's batch gives alone what it gives in the batch."""
    toy = toy.asking(*(t for t in toy.targets if t.reduce == "mean"))
    together = subject.maps(toy)
    alone = [subject.maps(toy.rows(b)) for b in range(len(toy.x))]
    what = f"{subject.name} on {toy.network.name}: images alone against the batch"
    same(torch.cat([m.values for m in alone]), together.values, what)
    same_scores(torch.cat([m.score for m in alone]), together.score, what)


def order(subject: Subject) -> None:
    """The order of images, and that of targets, does not matter."""
    toy = made("plain")
    maps = subject.maps(toy).values
    images, targets = [2, 0, 1], [3, 1, 4, 0, 2]
    moved = subject.maps(toy.rows(*images)).values
    same(moved, maps[images], f"{subject.name}: images in another order")
    asked = subject.maps(toy, targets=[toy.targets[t] for t in targets]).values
    same(asked, maps[:, targets], f"{subject.name}: targets in another order")


def targets_together(subject: Subject) -> None:
    """All targets at once give what each gives by itself, also where they outnumber the head's inputs."""
    # One class over everything, one question over part, and a contrast, where such are asked.
    for name, chosen in {
        "plain": (0, 1, 2, 3, 4),
        "many classes": (4, 7, 8),
        "U-Net": (4, 8),
        "head with a way round": (4, 8),
        "classifier of many classes": (4, 8),
        "encoder": (1, 2),
    }.items():
        toy = made(name)
        if not subject.takes(toy) or (toy.network.link == "none" and not subject.traits.units):
            continue
        together = subject.maps(toy)
        each = [subject.maps(toy, targets=[toy.targets[t]]) for t in chosen]
        what = f"{subject.name} on {toy.network.name}: targets one by one against all at once"
        same(torch.cat([m.values for m in each], 1), together.values[:, chosen], what)
        same_scores(torch.cat([m.score for m in each], 1), together.score[:, chosen], what)


def determinism(subject: Subject) -> None:
    """The same call gives the same bits, whatever ran before and whatever the global seed; no state is kept."""
    toy = made("plain")
    method = subject.at(toy.layer)
    first = subject.maps(toy, method=method).values
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4321)
        again = subject.maps(toy, method=method).values
        subject.maps(made("classifier" if subject.takes(made("classifier")) else "volume"), method=method)
        torch.manual_seed(1234)
        third = subject.maps(made("plain"), method=method).values
    identical(again, first, f"{subject.name}: the same call under another global seed")
    identical(third, first, f"{subject.name}: the same call after one on another network")
    other: Any = subject.at(toy.layer)
    if isinstance(seed := getattr(other, "seed", None), int):
        drawn = subject.maps(toy, method=replace(other, seed=seed + 1)).values
        demand(not torch.equal(drawn, first), f"{subject.name}: another seed, the same map.")


def class_names(subject: Subject) -> None:
    """A class is what its name says: channels and names in another order, the same maps by name."""
    toy = made("plain")
    named = [t for t in toy.targets if not isinstance(t.channel, int)]
    expected = subject.maps(toy, targets=named).values
    order = [2, 0, 3, 1]
    with torch.no_grad():
        for p in toy.user.get_submodule("head").parameters():
            p.copy_(p[order].clone())
    table = ClassTable(tuple(toys.NAMES[k] for k in order))
    actual = subject.maps(replace(toy, network=toy.network.with_(classes=table)), targets=named)
    same(actual.values, expected, f"{subject.name}: classes in another order")


def contrast(subject: Subject) -> None:
    """The score of a contrast is the difference of scores; of a linear method, so is its map."""
    toy = made("plain")
    a, b = channel("car"), channel("sky")
    asked = [Target(c, box(2, 3, 9, 12), of="logits") for c in (a, b, a - b)]
    maps = subject.maps(toy, targets=asked)
    s, v = maps.score, maps.values
    expected = torch.stack([s[:, 0], s[:, 1], s[:, 0] - s[:, 1]], 1)
    same_scores(s, expected, f"{subject.name}: the score of a contrast")
    if subject.traits.linear:
        same(v[:, 2:], v[:, :1] - v[:, 1:2], f"{subject.name}: the map of a contrast")


def binary(subject: Subject) -> None:
    """One channel is two classes: over one region, class 0's score is minus class 1's; a linear map too."""
    toy = made("one channel")
    asked = [Target(k, box(2, 3, 9, 12), of="logits") for k in (0, 1)]
    maps = subject.maps(toy, targets=asked)
    s, v = maps.score, maps.values
    # Logits of opposite sign; probabilities that sum to one.
    whole = 1.0 if subject.traits.curved else 0.0
    same_scores(s[:, :1], whole - s[:, 1:], f"{subject.name}: scores of the two classes of one channel")
    if subject.traits.linear:
        same(v[:, :1], -v[:, 1:], f"{subject.name}: maps of the two classes of one channel")


def precision(subject: Subject) -> None:
    """Under half-precision autocast and for a float64 network: float32 maps, near those of float32."""
    toy = made("plain").asking(*LOGITS)
    expected = subject.maps(toy).values
    for dtype, nearness in ((torch.bfloat16, 0.9), (torch.float16, 0.98)):
        with torch.autocast("cpu", dtype=dtype):
            maps = subject.maps(toy)
        _near(maps, expected, -1 if subject.traits.searched else nearness, f"{subject.name} under autocast to {dtype}")
    wide = made("plain").asking(*LOGITS)
    wide.user.double()
    _near(subject.maps(wide), expected, 0.999, f"{subject.name} on a float64 network")


def memory_layout(subject: Subject) -> None:
    """How an input lies in memory does not matter: channels last, a strided view, one repeated row, float64."""
    toy = made("plain").asking(*LOGITS)
    expected = subject.maps(toy).values
    wider = torch.cat([toy.x, toy.x], 3)
    for what, x in {
        "channels last": toy.x.contiguous(memory_format=torch.channels_last),
        "a strided view": wider.flip(3).flip(3)[..., :16],
        "float64": toy.x.double(),
    }.items():
        with untouched(toy.user, x):
            actual = subject.maps(replace(toy, x=x)).values
        same(actual, expected, f"{subject.name}: input as {what}")
    rows = toy.x[:1].expand_as(toy.x)
    with untouched(toy.user, rows):
        actual = subject.maps(replace(toy, x=rows)).values
    same(actual, expected[:1].expand_as(expected), f"{subject.name}: one row shown as a batch")


def empty_region(subject: Subject) -> None:
    """Alone an error; in a batch NaN for that image and target, a warning that names it, and no harm to others."""
    toy = toys.never_seen()
    with untouched(toy.user, toy.x), refused(f"{subject.name}, empty region", EmptyRegionError):
        subject.call(toy.network, toy.x, toy.targets, toy.layer)
    toy = made("plain")
    where = torch.zeros(3, 12, 16, dtype=torch.bool)
    where[0, 2:6, 3:9] = where[2, 1:4, 5:15] = True
    asked = [Target("car", mask(where)), Target("sky", everything)]
    maps, found = subject.seen(toy, targets=asked)
    name = f"{subject.name}, a batch with an empty region"
    demand(bool(maps.values[1, 0].isnan().all() and maps.score[1, 0].isnan()), f"{name}: no NaN.")
    text = warned(found, EmptyRegionWarning)
    demand("image 1" in text, f"{name}: no EmptyRegionWarning names image 1.")
    full = subject.maps(toy, targets=[asked[1]]).values
    same(maps.values[:, 1:], full, f"{name}: maps of the other target")
    for b in (0, 2):
        one = subject.maps(toy.rows(b), targets=[Target("car", mask(where[b]))]).values
        same(maps.values[b : b + 1, :1], one, f"{name}: the map of image {b}")


def zero_map(subject: Subject) -> None:
    """A map of zeros is announced by a ZeroMapWarning that names image and target."""
    toy = toys.vanishing()
    maps, found = subject.seen(toy)
    _zeros_announced(subject.name, maps, found)


def _well_formed(subject: Subject, toy: Toy, maps: Maps, warnings: Sequence[SeglensWarning]) -> None:
    name = f"{subject.name} on {toy.network.name}"
    shape = (toy.x.shape[0], len(toy.targets), *toy.x.shape[2:])
    v = maps.values
    demand(tuple(v.shape) == shape, f"{name}: maps of shape {tuple(v.shape)}, not {shape}.")
    demand(v.dtype == torch.float32, f"{name}: maps of {v.dtype}, not float32.")
    demand(v.device == toy.network.device, f"{name}: maps on {v.device}.")
    demand(not v.requires_grad, f"{name}: the maps hold the graph.")
    demand(bool(v.isfinite().all()), f"{name}: maps with NaN or infinity.")
    demand(maps.signed or bool((v >= 0).all()), f"{name}: signed=False, but some values are < 0.")
    demand(tuple(maps.score.shape) == shape[:2], f"{name}: score of {tuple(maps.score.shape)}.")
    demand(not maps.score.requires_grad, f"{name}: the score holds the graph.")
    stated = maps.scores(maps.output).float()
    same_scores(maps.score, stated, f"{name}: the score against its output's")
    demand(maps.layer is None or subject.reads_layer, f"{name}: names a layer, but has no field for it.")
    if subject.reads_layer:
        demand(maps.layer == toy.layer, f"{name}: read {toy.layer!r}, but names {maps.layer!r}.")
    for key, extra in maps.extras.items():
        right = tuple(extra.shape[:2]) == shape[:2] and not extra.requires_grad
        demand(right, f"{name}: extra {key!r} of {tuple(extra.shape)} is not [B T …] or holds the graph.")
    for key, names in maps.names.items():
        demand(key in maps.extras, f"{name}: names for {key!r}, which is no extra.")
        tail = tuple(maps.extras[key].shape[2:])
        demand(tail in ((), (len(names),)), f"{name}: {len(names)} names for extra {key!r} of {tail} for each map.")
    _zeros_announced(name, maps, warnings)


def _zeros_announced(name: str, maps: Maps, warnings: Sequence[SeglensWarning]) -> None:
    blank = (maps.values == 0).flatten(2).all(2)
    text = warned(warnings, ZeroMapWarning)
    # A warning may leave the tail of a long list out.
    for b, t in blank.nonzero().tolist()[:8]:
        told = f"image {b}" in text and str(maps.scores.items[t]) in text
        demand(told, f"{name}: zeros for image {b}, target {t}, and no ZeroMapWarning names it.")


def _near(maps: Maps, expected: Tensor, nearness: float, what: str) -> None:
    """float32, finite, and of a cosine to what is expected of `nearness` or more; where that is above 0, as large."""
    demand(maps.values.dtype == torch.float32, f"{what}: maps of {maps.values.dtype}.")
    demand(bool(maps.values.isfinite().all()), f"{what}: not finite.")
    a, e = maps.values.flatten(2), expected.flatten(2)
    lively = e.abs().amax(2) > 0
    close = cosine_similarity(a, e, 2)[lively]
    ratio = (a.norm(dim=2) / e.norm(dim=2))[lively]
    worst = float(close.min())
    demand(worst >= nearness, f"{what}: cosine {worst:.3f} to float32's, below {nearness}.")
    within = nearness < 0 or bool(((ratio > 0.8) & (ratio < 1.25)).all())
    demand(within, f"{what}: {ratio.tolist()} times as large as float32's.")
