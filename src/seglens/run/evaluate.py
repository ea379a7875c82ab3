"""evaluate(): from a network, images and true labels to a confusion matrix and scores."""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seglens.core.batches import in_batches, out_of_memory
from seglens.core.classes import ClassTable
from seglens.core.errors import (
    DegenerateImageWarning,
    ImageError,
    MissingExtraError,
    ParameterError,
    SeglensError,
    ShapeError,
)
from seglens.core.frame import Frame
from seglens.core.images import ARRAY_SUFFIXES, Source, load_array, name_of
from seglens.core.labels import read_labels
from seglens.core.network import Network, is_out_of_memory, upsampled
from seglens.metrics import Confusion, Tallies, boundary
from seglens.run.evaluation import Evaluation, ImageScores
from seglens.run.explain import Failure, provenance
from seglens.run.pairs import one_for_each
from seglens.run.questions import (
    Case,
    NetworkSource,
    forward,
    images_at_once,
    make_case,
    noted,
    open_network,
    read_many,
    times,
)


def evaluate(
    network: NetworkSource,
    images: Source | Sequence[Source],
    truth: Source | Sequence[Source],
    *,
    ignore: int | None = 255,
    tolerance: float | None = None,
    device: str | torch.device | None = None,
    step: Callable[[str], None] | None = None,
) -> Evaluation:
    """How well does the network segment these images? Confusion matrix, IoU, Dice, boundary F and the other scores.

    network: what `seglens.load` takes. images: a path, a folder, a glob, an array, or a list of them. truth: the label
    map of one image, a folder whose files have the images' stems, or a list in the images' order. For independent
    labels, an array [K *picture] of masks may be given instead of a label map.
    ignore: the label that counts nowhere, None for none. With None, a map of 0 and 255 is a mask where the network has
    two classes. tolerance: of boundary F in pixels; None takes 0.75 % of each picture's diagonal.
    step: told the name of each image before it is scored, for progress.

    All is counted on each picture's own grid: the network's raw output is resized to it linearly, its classes are read
    off there, and true labels are never resized. (Regions and explanations live on the network's input grid, so that
    where the network takes another size than the picture's, a border may differ from theirs by a pixel of that grid.)
    Memory: K values for each pixel of one picture.

    An image that cannot be evaluated is a Failure in the result, and counts nowhere.
    Raises ParameterError for a classifier or encoder, ImageError for images without truth; where every image fails,
    the first one's error.
    """
    if tolerance is not None and not tolerance >= 0:
        raise ParameterError(f"a tolerance is a number of pixels from 0, not {tolerance}.")
    net = open_network(network, device)
    sources, truths = _pairs(images, truth)
    total = Total()
    for outcome in each_scored(net, sources, truths, ignore, tolerance, step or (lambda _: None)):
        total.add(outcome)
    return total.evaluation(net, ignore, tolerance)


class Total:
    """What images add up to, one after the other: of many classes and images, all matrices would fill the memory."""

    def __init__(self) -> None:
        self._first: Scored | None = None
        self._scores: list[ImageScores] = []
        self._failures: list[Failure] = []
        self._matrix: Confusion | None = None

    def add(self, outcome: "Scored | Failure") -> None:
        """Another image."""
        if isinstance(outcome, Failure):
            self._failures.append(outcome)
            return
        self._first = self._first or replace(outcome, confusion=None, asked=None)
        self._scores.append(outcome.scores)
        if outcome.confusion is not None:
            self._matrix = outcome.confusion if self._matrix is None else self._matrix + outcome.confusion

    def evaluation(self, network: Network, ignore: int | None, tolerance: float | None) -> Evaluation:
        """Of all that were added. Raises the first one's error where every image failed."""
        failures, first = self._failures, self._first
        if first is None:
            if len(failures) == 1:
                raise failures[0].error
            raise SeglensError(
                f"none of the {len(failures)} images could be evaluated. The first, {failures[0].image}: "
                f"{failures[0].error}"
            ) from failures[0].error
        return Evaluation(
            network=network.name,
            classes=first.classes,
            tallies=reduce(add, (s.tallies for s in self._scores)),
            confusion=self._matrix,
            images=tuple(self._scores),
            failures=tuple(failures),
            ignore=ignore,
            tolerance=tolerance,
            provenance=first.provenance,
        )


def on_picture(network: Network, y: Tensor, frame: Frame) -> Tensor:
    """Raw output of one image y [1 K *space'] on the picture's own grid [1 K *original], linearly."""
    return frame.to_original(upsampled(network, y, frame.grid)[0])[None]


def check_segments(network: Network, y: Tensor) -> None:
    """Raise ParameterError for a raw output without classes or without space, NetworkError for another class table."""
    if network.link_for(y) == "none":
        raise ParameterError(f"the units of {network.name} are no classes, so true labels cannot be compared to them.")
    if y.ndim == 2:
        raise ParameterError(
            f"{network.name} is a classifier: it gives one answer for a whole image, and a picture of true labels has "
            "nothing to be compared with.\n"
            "  Evaluating and finding errors pixel by pixel needs a network that labels pixels."
        )
    network.class_table(y)


def read_truth(source: Source, network: Network, table: ClassTable, frame: Frame, ignore: int | None) -> Tensor:
    """The true labels [*original] of one picture for a class table; raises ImageError, and ShapeError for another size.

    Warns where a network of two classes is given 0 and 255, and 255 is ignored: no pixel of the class is left then.
    """
    labels: Tensor | None = None
    if len(table) == 2 and ignore is None:
        with suppress(ImageError):
            labels = _mask_of_two(read_labels(source, None, None))
    labels = read_labels(source, table, ignore) if labels is None else labels
    if tuple(labels.shape) != frame.original:
        raise ShapeError(
            f"the true labels {name_of(source)} are {times(tuple(labels.shape))}, the picture is "
            f"{times(frame.original)}.\n  Give labels of the picture's own size; they are never stretched to fit.",
            tuple(labels.shape),
        )
    if len(table) == 2 and ignore == 255 and _mask_of_two(labels) is not None:
        warnings.warn(
            f"{name_of(source)} holds 0 and 255 alone, and 255 is ignored, so it has no pixel of {table.names[1]}.\n"
            "  If 255 is the class, say so: ignore=None (--ignore none).",
            DegenerateImageWarning,
            stacklevel=2,
        )
    return labels


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """One image, scored. asked: the confusion in pixels of the regions that `confused` asks about, where wanted."""

    classes: ClassTable
    scores: ImageScores
    confusion: Confusion | None
    provenance: dict[str, str]
    asked: Confusion | None = None


def each_scored(
    network: Network,
    images: Sequence[Source],
    truths: Sequence[Source],
    ignore: int | None,
    tolerance: float | None,
    step: Callable[[str], None],
    *,
    regions: bool = False,
) -> Iterator[Scored | Failure]:
    """For each image, in order, its scores or its Failure. Images of one size that follow each other share a pass.

    regions: whether to count what regions ask about too.
    """
    waiting: list[tuple[Case, Source]] = []

    def flush() -> Iterator[Scored | Failure]:
        pairs, waiting[:] = list(waiting), []
        outputs = _outputs(network, [case for case, _ in pairs])
        for (case, truth), y in zip(pairs, outputs, strict=True):
            step(case.picture.name)
            if isinstance(y, SeglensError):
                yield Failure(case.picture.name, y)
                continue
            check_segments(network, y)
            try:
                yield _score(network, case, y, truth, ignore, tolerance, regions)
            except MissingExtraError:
                # What is not installed is missing for every image.
                raise
            except SeglensError as failed:
                yield Failure(case.picture.name, failed)

    for image, truth in zip(images, truths, strict=True):
        try:
            case = make_case(network, image)
        except SeglensError as failed:
            yield from flush()
            step(name_of(image))
            yield Failure(name_of(image), failed)
            continue
        if waiting:
            before = waiting[-1][0]
            alone = bool(network.extra) or before.x.shape != case.x.shape
            if alone or len(waiting) == images_at_once(network, case):
                yield from flush()
        waiting.append((case, truth))
    yield from flush()


def _outputs(network: Network, cases: Sequence[Case]) -> Iterator[Tensor | SeglensError]:
    """Raw output [1 K …] of each image, or why there is none."""

    def work(start: int, stop: int) -> list[Tensor | SeglensError]:
        try:
            y = forward(network, torch.cat([c.x for c in cases[start:stop]]))
        except SeglensError as failed:
            if stop - start == 1:
                return [failed]
            # One by one, so that the error meets the image that caused it.
            return [one for i in range(start, stop) for one in work(i, i + 1)]
        except (RuntimeError, MemoryError) as failed:
            if stop - start > 1 or not is_out_of_memory(failed):
                raise
            return [out_of_memory(failed)]
        return list(y.split(1))

    for outputs in in_batches(len(cases), len(cases), work) if cases else ():
        yield from outputs


def _score(
    network: Network,
    case: Case,
    y: Tensor,
    truth: Source,
    ignore: int | None,
    tolerance: float | None,
    regions: bool,
) -> Scored:
    with noted() as notes:
        table = network.class_table(y)
        raw, asked = y, None
        y = on_picture(network, y, case.frame)
        labels = network.labels(y)
        matrix: Confusion | None = None
        if labels is not None:
            was = read_truth(truth, network, table, case.frame, ignore).numpy()
            said = labels[0].cpu().numpy()
            matrix = Confusion.of(was, said, table, ignore)
            asked = _asked(network, raw, case.frame, was, table, ignore) if regions else None
            tallies, ignored = matrix.tallies, matrix.ignored
            known = np.ones(was.shape, bool) if ignore is None else was != ignore
            pairs = ((was == c, said == c, known) for c in range(len(table)))
        else:
            masks, knowns = _masks(truth, network, table, case.frame, ignore)
            said = torch.stack([network.members(y, c)[0] for c in range(len(table))]).cpu().numpy()
            tallies = Tallies.of(masks, said, knowns)
            ignored = int((~knowns.any(0)).sum())
            pairs = zip(masks, said, knowns, strict=True)
        contours = np.array([boundary(*masks, tolerance).f for masks in pairs])
    scores = ImageScores(
        image=case.picture.name,
        tallies=tallies,
        ignored=ignored,
        boundary=contours,
        notes=(*case.notes, *map(str, notes)),
    )
    told = {k: v for k, v in provenance(network, case).items() if not k.startswith(("image", "network input"))}
    return Scored(table, scores, matrix, told, asked)


def _asked(
    network: Network, y: Tensor, frame: Frame, was: NDArray[np.int64], table: ClassTable, ignore: int | None
) -> Confusion:
    """Confusion of truth and prediction as regions have them: on the network's input grid, carried to the picture."""
    flat = network.labels(upsampled(network, y, frame.grid))
    if flat is None:
        raise ParameterError("of independent labels there is no confusion.")
    true = frame.labels_to_original(frame.to_grid(torch.from_numpy(was), 0 if ignore is None else ignore))
    return Confusion.of(true.numpy(), frame.labels_to_original(flat[0]).cpu().numpy(), table, ignore)


def _masks(
    truth: Source, network: Network, table: ClassTable, frame: Frame, ignore: int | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """For independent labels: true masks [K *original], and the pixels that count; from masks or from a label map."""
    given = _stack(truth)
    if given is not None and given.shape == (len(table), *frame.original):
        known = np.ones(given.shape, bool) if ignore is None else given != ignore
        if not np.isin(given[known], (0, 1)).all():
            raise ImageError(f"{name_of(truth)}: masks of {len(table)} classes hold 0, 1 and the label to be ignored.")
        return (given == 1) & known, known
    labels = read_truth(truth, network, table, frame, ignore).numpy()
    counts = np.ones(labels.shape, bool) if ignore is None else labels != ignore
    known = np.broadcast_to(counts, (len(table), *labels.shape))
    return np.stack([labels == c for c in range(len(table))]) & known, known


def _stack(truth: Source) -> NDArray[Any] | None:
    """The array in a tensor, an array or its file; None for a picture."""
    if isinstance(truth, Tensor):
        return truth.detach().cpu().numpy()
    if isinstance(truth, np.ndarray):
        return truth
    if isinstance(truth, str | os.PathLike) and Path(truth).suffix.lower() in ARRAY_SUFFIXES:
        return load_array(Path(truth))
    return None


def _mask_of_two(labels: Tensor) -> Tensor | None:
    """Labels of 0 and 255 as 0 and 1; None where there are others, or no 255."""
    values = labels.unique()
    return (labels // 255) if 255 in values and bool(((values == 0) | (values == 255)).all()) else None


def _pairs(images: Any, truth: Any) -> tuple[list[Source], list[Source]]:
    """Each image with its truth. Raises ImageError where one has none, ParameterError for lists that differ."""
    sources = read_many(images)
    one = cast("list[Source]", [images]) if sources is None else sources
    return one, one_for_each(one, truth, "truth") or []
