"""Evaluation image by image: which images stand behind each cell of the confusion matrix."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

import numpy as np

from seglens.core.errors import MissingExtraError, SeglensError
from seglens.core.images import Source, name_of
from seglens.core.progress import tell
from seglens.run.evaluate import evaluate
from seglens.run.evaluation import Evaluation, ImageScores
from seglens.run.explain import Failure
from seglens.run.questions import NetworkSource, open_network


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageEvaluations:
    """whole: as `evaluate` gives it. each: the scores of every image in order, None for one that failed.

    cells: by (truth, prediction), for cells off the diagonal and on it that have any pixels: which images, by their
    place, with how many pixels, the most first; none for independent labels.
    """

    whole: Evaluation
    each: tuple[ImageScores | None, ...]
    cells: dict[tuple[int, int], list[tuple[int, int]]]


def evaluate_images(
    network: NetworkSource, images: Sequence[Source], truths: Sequence[Source], *, ignore: int | None = 255
) -> ImageEvaluations:
    """`evaluate`, image by image, each with its own confusion matrix. Arguments likewise, as lists of one length.

    Raises what `evaluate` raises; where every image fails, the first one's error.
    """
    net = open_network(network)
    found: list[Evaluation | None] = []
    failures: list[Failure] = []
    for i, (image, truth) in enumerate(zip(images, truths, strict=True)):
        tell("images", i, len(images))
        try:
            found.append(evaluate(net, [image], [truth], ignore=ignore))
        except MissingExtraError:
            # What is not installed is missing for every image.
            raise
        except SeglensError as failed:
            found.append(None)
            failures.append(Failure(name_of(image), failed))
    tell("images", len(images), len(images))
    there = [e for e in found if e is not None]
    if not there:
        raise failures[0].error if failures else SeglensError("no image was given to be evaluated.")
    matrices = [e.confusion for e in there if e.confusion is not None]
    whole = replace(
        there[0],
        tallies=reduce(add, (e.tallies for e in there)),
        confusion=reduce(add, matrices) if matrices else None,
        images=tuple(e.images[0] for e in there),
        failures=tuple(failures),
    )
    cells: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for place, e in enumerate(found):
        if e is not None and e.confusion is not None:
            for was, said in np.argwhere(e.confusion.counts > 0).tolist():
                cells.setdefault((was, said), []).append((place, int(e.confusion.counts[was, said])))
    for behind in cells.values():
        behind.sort(key=lambda pair: -pair[1])
    each = tuple(None if e is None else e.images[0] for e in found)
    return ImageEvaluations(whole=whole, each=each, cells=cells)
