"""compare(): several methods asked one question of one image, where they agree, and which of them hear the network."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seglens.core.comparison import COMPARISON_WRITERS, Comparison, Dependence, two_digits
from seglens.core.errors import (
    DisagreementWarning,
    ParameterError,
    SeglensError,
    SeglensWarning,
    WeakDependenceWarning,
)
from seglens.core.explanation import Explanation, Explanations
from seglens.core.images import Source
from seglens.core.method import Method, takes_target
from seglens.core.network import Network
from seglens.core.targets import Channel, Target, Targets
from seglens.metrics.agreement import agreement, consensus, contested
from seglens.metrics.randomisation import KNOWN_WEAK, randomisation_test
from seglens.metrics.shuffling import state_of
from seglens.networks.layers import default_layer_of
from seglens.run.explain import Failure, explain_each
from seglens.run.questions import (
    Case,
    NetworkSource,
    make_case,
    method_of,
    most_frequent,
    name_of_method,
    noted,
    open_network,
    targets_for,
)
from seglens.viz.comparison.writers import FORMATS, write_comparison

for _suffix in FORMATS:
    COMPARISON_WRITERS.add(_suffix, write_comparison)

METHODS_COMPARED = ("grad-cam", "hires-cam", "saliency", "input-x-gradient", "guided-backprop")
"""One of each family: a layer averaged over space, the same layer place by place, the gradient, the gradient with the
picture's own values, and a changed gradient that is known to deserve suspicion. Each costs a few passes, so that the
randomisation test takes seconds; integrated-gradients, occlusion and rise are better witnesses where there is time."""

DRAWS = 8
"""Shuffled copies by default: an interval over fewer is a guess."""

_NAMED = 6  # pairs that a warning names


def compare(
    network: NetworkSource,
    image: Source,
    methods: Sequence[str | Method] = METHODS_COMPARED,
    target: Target | Channel | str | int | None = None,
    *,
    truth: Source | None = None,
    instances: Source | None = None,
    ignore: int | None = 255,
    randomise: int = DRAWS,
    cascade: int = 0,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> Comparison:
    """Ask several methods one question of one image: side by side, their rank correlations, consensus and disputes.

    network, image, target, truth, instances, ignore: as `explain` takes them, for one image and one target.
    methods: registry names, or methods with parameters. One that fails is listed among the failures; the others go on.
    randomise: shuffled copies of the network for the randomisation test, at least 3; 0 leaves it out. Each method then
    costs 2 · randomise + 1 times as much again. cascade: steps of a cascade from output to input, each at the price of
    `randomise` runs. seed: of the shuffling; nothing else here is drawn.

    Compared are the values that speak for the target, max(map, 0): a map that was rectified has no others. Warns with
    DisagreementWarning of pairs that do not agree above chance, and with WeakDependenceWarning of methods known to
    depend weakly on networks (with what was measured on this one) and of those that are found to do so here.
    Raises ParameterError for a method that takes no target, and for less than two methods; SeglensError where no method
    gave a map, or the module cannot be copied.
    """
    net = open_network(network, device)
    if isinstance(methods, str):
        raise ParameterError(f"compare takes two or more methods, in a list; {methods!r} is one name.")
    chosen = [method_of(m) for m in methods]
    labels = labels_of(chosen)
    _check(chosen, labels, target, randomise, cascade)
    case = make_case(net, image, truth=truth, instances=instances, ignore=ignore)
    net = _with_default_layer(net, case, chosen)
    asked = Targets.of(most_frequent(net, case) if target is None else target).items[0]
    found: dict[str, Explanation] = {}
    failures: dict[str, str] = {}
    refused: SeglensError | None = None
    for label, method in zip(labels, chosen, strict=True):
        for outcome in explain_each(net, [image], method, asked, truths=[truth], instances=[instances], ignore=ignore):
            if isinstance(outcome, Failure):
                failures[label] = str(outcome.error)
                refused = refused or outcome.error
            else:
                found[label] = outcome[0]
    if refused is not None and not found:
        raise refused
    used = {label: m for label, m in zip(labels, chosen, strict=True) if label in found}
    known = {label: KNOWN_WEAK[n] for label, m in used.items() if (n := name_of_method(m)) in KNOWN_WEAK}
    dependences: tuple[Dependence, ...] = ()
    if randomise:
        targets = targets_for(asked, [case], net, ignore)
        dependences = randomisation_test(
            net, case.x, targets, used, draws=randomise, seed=seed, cascade=cascade, known=known
        )
    made = _put_together(found, failures, dependences, net, seed)
    with noted() as notes:
        _warn(made, known)
    return _with_notes(made, [str(n) for n in notes])


def comparison_formats() -> list[str]:
    """Suffixes that a comparison can be written with."""
    return ["html", "json", "npz", *(name for name in COMPARISON_WRITERS if name != "html")]


def labels_of(methods: Sequence[Method]) -> list[str]:
    """A name for each method, all different: the registry name, with the parameters that differ where names are alike.

    Raises ParameterError for the same method with the same parameters twice.
    """
    names = [name_of_method(m) for m in methods]
    labels: list[str] = []
    for name, method in zip(names, methods, strict=True):
        alike = [asdict(m) for n, m in zip(names, methods, strict=True) if n == name]  # pyright: ignore[reportArgumentType]
        own: dict[str, Any] = asdict(method)  # pyright: ignore[reportArgumentType]
        differ = [k for k in own if any(a[k] != own[k] for a in alike)]
        labels.append(f"{name}({', '.join(f'{k}={own[k]}' for k in differ)})" if differ else name)
    if twice := sorted({n for n in labels if labels.count(n) > 1}):
        raise ParameterError(f"{twice[0]} is given twice with the same parameters: compare different methods.")
    return labels


def favouring(e: Explanation) -> NDArray[np.float32]:
    """What of a map speaks for the target: max(map, 0), with undefined pixels as they are."""
    return np.maximum(e.map, 0) if e.signed else e.map


def _check(methods: Sequence[Method], labels: Sequence[str], target: object, randomise: int, cascade: int) -> None:
    """Raise ParameterError for what cannot be compared."""
    if len(methods) < 2:
        raise ParameterError(f"{len(methods)} method(s) given: a comparison takes two or more.")
    for label, method in zip(labels, methods, strict=True):
        if not takes_target(method):
            raise ParameterError(
                f"{label} shows the network without a question, so its map cannot agree or disagree with an answer.\n"
                "  Compare methods that explain a score; `explain` shows the others."
            )
    if not (target is None or isinstance(target, Target | Channel | str | int)):
        raise ParameterError(f"compare takes one target, not {type(target).__name__}: ask one question at a time.")
    if randomise < 0 or randomise in (1, 2):
        raise ParameterError(f"randomise is 0 (no test) or at least 3, not {randomise}: fewer give no interval.")
    if cascade < 0 or (cascade and not randomise):
        raise ParameterError(
            f"cascade = {cascade} with randomise = {randomise}: a cascade has at least 0 steps, and needs copies."
        )


def _with_default_layer(network: Network, case: Case, methods: Sequence[Method]) -> Network:
    """The network with its default layer found once, for all methods that read one and name none."""
    if network.default_layer is not None or all(getattr(m, "layer", "") is not None for m in methods):
        return network
    try:
        return network.with_(default_layer=default_layer_of(network, case.x))
    except SeglensError:
        # Each method that needs it meets the same fault, and is listed with it.
        return network


def _put_together(
    found: Mapping[str, Explanation],
    failures: Mapping[str, str],
    dependences: tuple[Dependence, ...],
    network: Network,
    seed: int,
) -> Comparison:
    labels = tuple(found)
    maps = [favouring(e) for e in found.values()]
    # A map that is undefined everywhere has no pixel in common with the others.
    whole = [i for i, m in enumerate(maps) if np.isfinite(m).any()]
    mean, spread, flat = consensus([maps[i] for i in whole]) if whole else (maps[0], maps[0], [])
    left_out = {labels[i]: "undefined everywhere" for i in range(len(maps)) if i not in whole}
    for k in flat:
        nothing = not np.nan_to_num(maps[whole[k]]).any()
        left_out[labels[whole[k]]] = "nothing speaks for the target" if nothing else "the same value everywhere"
    where = np.isfinite(mean) if len(flat) < len(whole) else None
    disputed, places = contested([maps[i] for i in whole], [labels[i] for i in whole]) if whole else (mean > 2, ())
    return Comparison(
        explanations=Explanations(list(found.values())),
        labels=labels,
        agreement=agreement(
            [np.where(np.isfinite(m), m, 0) if i not in whole else m for i, m in enumerate(maps)], where
        ),
        consensus=mean,
        spread=spread,
        disputed=disputed,
        contested=places,
        left_out=left_out,
        dependences=dependences,
        unmoved=state_of(network.module).unmoved if dependences else {},
        failures=dict(failures),
        seed=seed,
    )


def _warn(made: Comparison, known: Mapping[str, str]) -> None:
    if made.apart:
        pairs = [f"{a} and {b} ({two_digits(made.correlation(a, b))})" for a, b in made.apart[:_NAMED]]
        rest = len(made.apart) - _NAMED
        more = f" and {rest} more pair{'s' * (rest > 1)}" if rest > 0 else ""
        _say(DisagreementWarning, f"these maps agree no better than chance: {', '.join(pairs)}{more}.")
    if made.left_out:
        told = ", ".join(f"{name} ({why})" for name, why in made.left_out.items())
        _say(DisagreementWarning, f"without ranks, so in no correlation and not in the consensus: {told}.")
    measured = {d.label: d for d in made.dependences}
    for label in made.labels:
        d = measured.get(label)
        if label in known:
            head = f"{label} is known to depend weakly on what networks learned ({known[label]})"
            tail = f". On this one: {_told(d)}" if d else "; it was not tested on this one (randomise)."
            _say(WeakDependenceWarning, head + tail)
        elif d is not None and d.weak:
            _say(WeakDependenceWarning, f"{label} {d.claim}. On this network: {_told(d)}")


def _told(d: Dependence) -> str:
    """The measured numbers in a sentence."""
    if np.isnan(d.trained.low):
        return f"{d.undefined} of {d.draws} shuffled copies gave it no map, too many to measure it."
    return (
        f"its map correlates at {d.trained} with those of {d.draws - d.undefined} shuffled copies (by chance up to "
        f"{two_digits(d.chance)}, copies among themselves {two_digits(d.copies.value)}); beyond its decay around the "
        f"region at {d.beyond} (by chance up to {two_digits(d.chance_beyond)})."
    )


def _say(kind: type[SeglensWarning], text: str) -> None:
    warnings.warn(kind(text), stacklevel=4)


def _with_notes(made: Comparison, notes: Sequence[str]) -> Comparison:
    return replace(made, notes=tuple(notes))
