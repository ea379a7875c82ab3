"""Several images, questions and methods in one go, image after image, so that what is done can be kept."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import Literal

from seglens.core.errors import (
    ClassNotFoundError,
    LayerNotFoundError,
    MissingExtraError,
    NameNotFoundError,
    ParameterError,
    SeglensError,
)
from seglens.core.explanation import Explanation
from seglens.core.method import METHODS, Method, takes_target
from seglens.core.network import Network, Of, upsampled
from seglens.core.parameters import parameters
from seglens.core.targets import Target, Targets, channel
from seglens.core.view import Region
from seglens.run.explain import Failure, Precision, explain_each
from seglens.run.layers import explain_layers, layer_tree, names_of_blocks
from seglens.run.questions import Case, at_layer, forward, make_case, most_frequent, name_of_method, targets_for

EVERY_IMAGE = (ClassNotFoundError, LayerNotFoundError, NameNotFoundError, MissingExtraError, ParameterError)
"""Errors of the question, not of the image: they would meet every other image too."""

ON_DEVICE = 16
"""Images that share a pass on an accelerator. On a CPU sharing gains nothing, and results would come later."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of every image.

    label: class or unit; None is the class that covers most of the region, without one of the image.
    against: a second class, for 'why the first and not this one'. region: None is where the class is predicted.
    """

    label: str | None = None
    against: str | None = None
    region: Region | None = None
    of: Of | None = None
    reduce: Literal["mean", "sum"] = "mean"

    def target(self, label: str | int) -> Target:
        """The target with the label settled. Raises ParameterError for a class against itself."""
        if self.against is not None and str(label).casefold() == self.against.casefold():
            raise ParameterError(f"{label} against {self.against} is nothing: name two different classes.")
        asked = channel(label) if self.against is None else channel(label) - channel(self.against)
        bare = Targets.of(asked).items[0]
        return replace(bare, region=self.region or bare.region, of=self.of, reduce=self.reduce)


@dataclass(frozen=True, slots=True)
class Given:
    """One image with what belongs to it."""

    image: Path
    truth: Path | None = None
    instances: Path | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out for one image: its explanations (method by method, question by question) and its failures.

    whole: False where an interruption came before every method was done. notes: what was found of the image itself.
    """

    given: Given
    explanations: list[Explanation] = field(default_factory=list[Explanation])
    failures: list[Failure] = field(default_factory=list[Failure])
    whole: bool = True
    notes: Sequence[str] = ()


def explain_all(
    network: Network,
    given: Sequence[Given],
    methods: Sequence[Method],
    questions: Sequence[Question],
    *,
    layers: Sequence[str] | Literal["all"] | None = None,
    ignore: int | None = 255,
    precision: Precision | None = None,
    cost: bool = False,
    step: Callable[[str, str], None] | None = None,
) -> Iterator[Outcome]:
    """Explain every image with every method and question; one Outcome for each image, as it is done.

    layers: to read, for the methods that read one; 'all': every block of the network.
    step: told (image, method) before each piece of work, for progress.
    Raises SeglensError for what would fail on every image, and KeyboardInterrupt, after handing over what was done
    until then.
    """
    chosen = _at_layers(methods, layers) if layers is not None and layers != "all" else list(methods)
    if layers == "all" and not any(map(_reads_layer, methods)):
        at_layer(methods[0], "")
    alone = layers == "all" or network.device.type == "cpu" or any(q.label is None for q in questions)
    size = 1 if alone else ON_DEVICE
    for start in range(0, len(given), size):
        part = given[start : start + size]
        outcomes = [Outcome(g) for g in part]
        stop: SeglensError | KeyboardInterrupt | None = None
        try:
            # Methods that ask nothing need no class settled.
            targets = settled(network, part[0], questions, ignore) if any(map(takes_target, chosen)) else []
            for method in chosen:
                if step is not None:
                    step(part[0].image.name, name_of_method(method))
                panel = layers == "all" and _reads_layer(method)
                found = (
                    _panel(network, part[0], method, targets, ignore, precision, cost)
                    if panel
                    else explain_each(
                        network,
                        [g.image for g in part],
                        method,
                        targets or None,
                        truths=[g.truth for g in part],
                        instances=[g.instances for g in part],
                        ignore=ignore,
                        precision=precision,
                        cost=cost,
                    )
                )
                # A panel gives several results for its one image.
                for outcome, result in zip(cycle(outcomes), found, strict=False):
                    if not isinstance(result, Failure):
                        outcome.explanations.extend(result)
                    elif isinstance(result.error, EVERY_IMAGE):
                        raise result.error
                    elif all(str(f.error) != str(result.error) for f in outcome.failures):
                        outcome.failures.append(result)
        except EVERY_IMAGE as failed:
            stop = failed
        except KeyboardInterrupt as interrupted:
            stop = interrupted
            outcomes = [replace(o, whole=False) for o in outcomes]
        except SeglensError as failed:
            outcomes[0].failures.append(Failure(part[0].image.name, failed))
        yield from (o for o in outcomes if o.explanations or o.failures)
        if stop is not None:
            raise stop


def _panel(
    network: Network,
    given: Given,
    method: Method,
    targets: Sequence[Target],
    ignore: int | None,
    precision: Precision | None,
    cost: bool,
) -> Iterator[list[Explanation] | Failure]:
    """One method at every block of the network, block by block."""
    paths = names_of_blocks(layer_tree(network, given.image))
    plain = type(method) is METHODS["grad-cam"] and not getattr(method, "truncate", False)
    if plain and precision is None and not cost:
        # All layers from one pass for each target.
        for target in targets:
            found = explain_layers(
                network,
                given.image,
                target,
                paths,
                method=method,  # pyright: ignore[reportArgumentType]
                truth=given.truth,
                instances=given.instances,
                ignore=ignore,
            )
            yield list(found)
        return
    for path in paths:
        yield from explain_each(
            network,
            [given.image],
            at_layer(method, path),
            list(targets) or None,
            truths=[given.truth],
            instances=[given.instances],
            ignore=ignore,
            precision=precision,
            cost=cost,
        )


def settled(network: Network, given: Given, questions: Sequence[Question], ignore: int | None) -> list[Target]:
    """The questions as targets of one image: where no class was named, the one that covers most of the region.

    That costs a pass. Raises EmptyRegionError, ImageError.
    """
    case: Case | None = None
    targets: list[Target] = []
    for q in questions:
        label: str | int | None = q.label
        if label is None:
            case = case or make_case(network, given.image, truth=given.truth, instances=given.instances, ignore=ignore)
            label = most_frequent(network, case) if q.region is None else _most_frequent_in(network, case, q, ignore)
        targets.append(q.target(label))
    return targets


def _most_frequent_in(network: Network, case: Case, question: Question, ignore: int | None) -> str | int:
    """The class predicted for most pixels of the question's region. Raises EmptyRegionError. Costs one pass."""
    y = forward(network, case.x)
    if y.ndim == 2 or network.link_for(y) == "none":
        return most_frequent(network, case)
    bound = targets_for(Target(0, question.region), [case], network, ignore).bind(network, case.x, y)
    if bound.masks is None:
        return most_frequent(network, case)
    inside = bound.masks[0, 0]
    table = network.class_table(y)
    y = upsampled(network, y, tuple(inside.shape))
    areas = [int((network.members(y, c)[0] & inside).sum()) for c in range(len(table))]
    return table.names[max(range(len(areas)), key=areas.__getitem__)]


def _reads_layer(method: Method) -> bool:
    return any(p.name == "layer" for p in parameters(type(method)))


def _at_layers(methods: Sequence[Method], layers: Sequence[str]) -> list[Method]:
    """Each method at each layer, those that read none as they are. Raises ParameterError where none reads one."""
    if not any(map(_reads_layer, methods)):
        at_layer(methods[0], layers[0])
    return [
        m for method in methods for m in ([at_layer(method, a) for a in layers] if _reads_layer(method) else [method])
    ]
