"""Evaluation image by image: which images stand behind each cell of the confusion matrix."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seglens.core.errors import ParameterError
from seglens.core.images import Source
from seglens.core.progress import tell
from seglens.run.evaluate import Scored, Total, each_scored
from seglens.run.evaluation import Evaluation, ImageScores
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

    Raises what `evaluate` raises, and ParameterError for no image at all.
    """
    if not images:
        raise ParameterError("no image was given to be evaluated.")
    net = open_network(network)
    total = Total()
    each: list[ImageScores | None] = []
    cells: dict[tuple[int, int], list[tuple[int, int, int]]] = {}

    def step(_: str) -> None:
        tell("images", len(each), len(images))

    for place, outcome in enumerate(each_scored(net, images, truths, ignore, None, step, regions=True)):
        total.add(outcome)
        each.append(outcome.scores if isinstance(outcome, Scored) else None)
        if isinstance(outcome, Scored) and outcome.confusion is not None and outcome.asked is not None:
            counts, asked = outcome.confusion.counts, outcome.asked.counts
            for was, said in np.argwhere(counts > 0).tolist():
                cells.setdefault((was, said), []).append((place, int(counts[was, said]), int(asked[was, said])))
    tell("images", len(images), len(images))
    for behind in cells.values():
        behind.sort(key=lambda image: -image[1])
    return ImageEvaluations(whole=total.evaluation(net, ignore, None), each=tuple(each), cells=cells)
