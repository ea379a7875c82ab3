"""verify(): take the salient context away, segment again, and hold the result against random context."""

import re
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from seglens.core.classes import ClassTable
from seglens.core.errors import ParameterError, ShapeError
from seglens.core.explanation import Explanation
from seglens.core.images import Source
from seglens.core.method import Method, takes_target
from seglens.core.network import Network
from seglens.core.regions import mask
from seglens.core.targets import Channel, Target, Targets
from seglens.perturb.fills import Fill
from seglens.run.explain import explain
from seglens.run.questions import (
    Case,
    NetworkSource,
    classed_output,
    make_case,
    method_of,
    most_frequent,
    name_of_method,
    noted,
    open_network,
    times,
)
from seglens.run.removal import Trial
from seglens.run.taking import check_taking
from seglens.run.verification import Remove, Verification

METHOD = "context-saliency"
"""Where no method is named: the one that looks for the least context with which the prediction stays."""


def verify(
    network: NetworkSource,
    image: Source | None,
    explanation: Explanation | str | Method = METHOD,
    target: Target | Channel | str | int | None = None,
    *,
    remove: Remove = "salient",
    share: float = 0.1,
    fill: Fill = "mean",
    controls: int = 20,
    seed: int = 0,
    truth: Source | None = None,
    instances: Source | None = None,
    ignore: int | None = 255,
    device: str | torch.device | None = None,
) -> Verification:
    """Remove the context that an explanation marks and segment again: what becomes of the region's class and score?

    network, truth, instances, ignore: as `explain` takes them. image: one picture; None takes the explanation's own,
    which has 8 bits. explanation: a finished one, of any method, or a method and its `target`, to be explained first.
    A target of None is the class that covers most.

    Context is all that lies outside the region asked about. Salient are its pixels with the greatest positive values of
    the map, at most `share` of it; of equal values those nearer to the region come first, and of these the first in
    reading order. Values of 0 or below, or undefined, are never salient, so that a sparse map removes less.
    remove: 'salient' takes these away; 'rest' all other context, which asks whether the salient suffices.
    fill: what stands in its place, see `seglens.perturb.fill`. Pixels are replaced whole, on the network's input grid,
    where each has the value of the map's pixel in which its centre lies; padding goes with the pixel that it repeats.
    The region stays that of the unchanged picture (of a finished explanation, as its picture's pixels show it, which is
    coarser where the network enlarges the picture).

    controls: random parts of the context that are removed (kept, of 'rest') instead, each with as many pixels as the
    salient one, as far from the region, and with as long an outline; 0 for none. seed: of their drawing.
    Cost: 3 + controls F, and that of the method.

    Raises EmptyRegionError; RegionError where the region leaves no context; ParameterError for a classifier, units that
    are no classes, a map that answers no question, and a share of less than a pixel; ShapeError for a picture of
    another size than the map; NonFiniteError, MissingExtraError, and what `explain` raises.
    """
    _check(remove, share, fill, controls, seed)
    net = open_network(network, device)
    picture = image
    if isinstance(explanation, Explanation):
        _check_finished(explanation, target)
        picture = explanation.image if image is None else image
    if picture is None:
        raise ParameterError("image = None takes a finished explanation's own picture; give the image to be explained.")
    with noted() as notes:
        case = make_case(net, picture, truth=truth, instances=instances, ignore=ignore)
        y = segmented_output(net, case)
    if isinstance(explanation, Explanation):
        e, asked = explanation, _asked_before(explanation, case, net.class_table(y))
    else:
        asked = _asked(net, case, method_of(explanation), target)
        made = explain(net, picture, explanation, asked, truth=truth, instances=instances, ignore=ignore)
        e = cast("Explanation", made)
    with noted() as more:
        found = Trial(net, case, y, e, replace(asked, of=e.of), ignore).run(remove, share, fill, controls, seed)
    said = (*case.notes, *map(str, notes), *found.notes, *map(str, more))
    return replace(found, notes=tuple(dict.fromkeys(note for note in said if note not in e.notes)))


def _check(remove: str, share: float, fill: Fill, controls: int, seed: int) -> None:
    """Raise ParameterError for arguments out of bounds."""
    if remove not in ("salient", "rest"):
        raise ParameterError(f"remove is 'salient' or 'rest', not {remove!r}.")
    if not 0 < share <= 1:
        raise ParameterError(f"share is to be above 0 and at most 1, a part of the context, not {share!r}.")
    check_taking(fill, controls, seed)


def _check_finished(e: Explanation, target: object) -> None:
    """Raise ParameterError for an explanation that leaves nothing to verify."""
    if target is not None:
        raise ParameterError("the explanation is of a target already; give none, or a method to explain another.")
    if not e.channel:
        raise ParameterError(_unasked(e.method))


def _unasked(method: str) -> str:
    return (
        f"{method} shows the network without a question, so there is no region and no class to verify.\n"
        "  Verify a method that explains a score: seglens methods."
    )


def segmented_output(network: Network, case: Case) -> Tensor:
    """Raw output for the picture. Raises ParameterError where its pixels are not labelled."""
    y = classed_output(network, case)
    if y.ndim == 2:
        raise ParameterError(
            f"{network.name} is a classifier: it answers for the picture as a whole, so that no pixel is context.\n"
            "  What it says without a part of the picture, seglens.remove_mask tells in Python, and of many parts"
            " occlusion: seglens explain --method occlusion."
        )
    return y


def _asked(network: Network, case: Case, method: Method, target: object) -> Target:
    """The one question to be explained. Raises ParameterError."""
    if not takes_target(method):
        raise ParameterError(_unasked(name_of_method(method)))
    if target is None:
        target = most_frequent(network, case)
    if not isinstance(target, Target | Channel | str | int):
        raise ParameterError(f"verify takes one target, not {type(target).__name__}: ask one question at a time.")
    return Targets.of(target).items[0]


def _asked_before(e: Explanation, case: Case, classes: ClassTable) -> Target:
    """The question of a finished explanation, over its region. Raises ParameterError, ShapeError."""
    if e.map.shape != case.frame.original:
        raise ShapeError(
            f"the explanation is of a picture of {times(e.map.shape)}, this one has {times(case.frame.original)}.\n"
            "  Give the picture that was explained, or None for the one that the explanation holds.",
            case.frame.original,
        )
    if e.region is None:
        raise ParameterError(
            f"the explanation ({e.method}: {e.target}) has no region, so that no pixel is context.\n"
            "  Verify an explanation of a segmentation network."
        )
    reduce = "sum" if e.target.startswith("sum of ") else "mean"
    where = e.target.partition(f"{e.channel} in ")[2] or "everything"
    return Target(_channel(e.channel, classes), mask(e.region, where), reduce=reduce)


def _channel(text: str, classes: ClassTable) -> Channel:
    """The channel that `str` wrote as this. Raises ParameterError."""
    names = "|".join(re.escape(n) for n in sorted(classes.names, key=len, reverse=True))
    term = re.compile(rf"(?: ([+-]) |(-)?)(?:(\d\S*) \* )?({names}|\d+)(?= [+-] |$)", re.IGNORECASE)
    terms: list[tuple[str, float]] = []
    at = 0
    while at < len(text):
        found = term.match(text, at)
        if found is None:
            raise ParameterError(
                f"cannot tell which classes of this network {text!r} is made of.\n"
                "  Give the network that was explained, or a method and a target."
            )
        minus = "-" in (found[1], found[2])
        terms.append((found[4], float(found[3] or 1) * (-1 if minus else 1)))
        at = found.end()
    return Channel(tuple(terms))
