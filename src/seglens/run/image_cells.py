"""Evaluation image by image: which images stand behind each cell of the confusion matrix."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from seglens.core.errors import SeglensError
from seglens.core.images import Source
from seglens.core.progress import tell
from seglens.run.evaluate import Scored, each_scored
from seglens.run.evaluation import Evaluation, ImageScores
from seglens.run.explain import Failure
from seglens.run.questions import NetworkSource, open_network


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageEvaluations:
    """whole: as `evaluate` gives it. each: the scores of every image in order, None for one that failed.

    cells: by (truth, prediction), for cells off the diagonal and on it that have any pixels: which images, by their
    place, with how many pixels, the most first; none for independent labels. Then with how many pixels of the picture
    the region `confused(truth, prediction)` asks: it lies on the network's input grid, so where that is not the
    picture's a border may differ from what is scored.
    """

    whole: Evaluation
    each: tuple[ImageScores | None, ...]
    cells: dict[tuple[int, int], list[tuple[int, int, int]]]


def evaluate_images(
    network: NetworkSource, images: Sequence[Source], truths: Sequence[Source], *, ignore: int | None = 255
) -> ImageEvaluations:
    """`evaluate`, image by image, each with its own confusion matrix. Arguments likewise, as lists of one length.

    Raises what `evaluate` raises; where every image fails, the first one's error.
    """
    net = open_network(network)
    found: list[Scored | Failure] = []

    def step(_: str) -> None:
        tell("images", len(found), len(images))

    for outcome in each_scored(net, images, truths, ignore, None, step, regions=True):
        found.append(outcome)
    tell("images", len(images), len(images))
    there = [one for one in found if isinstance(one, Scored)]
    failures = tuple(one for one in found if isinstance(one, Failure))
    if not there:
        raise failures[0].error if failures else SeglensError("no image was given to be evaluated.")
    matrices = [one.confusion for one in there if one.confusion is not None]
    whole = Evaluation(
        network=net.name,
        classes=there[0].classes,
        tallies=reduce(add, (one.scores.tallies for one in there)),
        confusion=reduce(add, matrices) if matrices else None,
        images=tuple(one.scores for one in there),
        failures=failures,
        ignore=ignore,
        tolerance=None,
        provenance=there[0].provenance,
    )
    cells: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for place, one in enumerate(found):
        if isinstance(one, Scored) and one.confusion is not None and one.asked is not None:
            counts, asked = one.confusion.counts, one.asked.counts
            for was, said in np.argwhere(counts > 0).tolist():
                cells.setdefault((was, said), []).append((place, int(counts[was, said]), int(asked[was, said])))
    for behind in cells.values():
        behind.sort(key=lambda image: -image[1])
    each = tuple(one.scores if isinstance(one, Scored) else None for one in found)
    return ImageEvaluations(whole=whole, each=each, cells=cells)
