"""Image by image gives what evaluating all at once gives, and the cells add up to the matrix."""

import numpy as np
import pytest

import seglens as sl
from seglens.datasets.streets import Streets
from seglens.run.image_cells import evaluate_images


def test_the_whole_is_that_of_evaluate_and_the_cells_add_up_to_it() -> None:
    scenes = list(Streets(3, (96, 192), seed=5))
    images, truths = [s.image for s in scenes], [s.labels for s in scenes]
    network = sl.load("streets-unet")
    at_once = sl.evaluate(network, images, truths)
    found = evaluate_images(network, images, truths)
    assert found.whole.overall == pytest.approx(at_once.overall, nan_ok=True)
    assert found.whole.confusion is not None
    assert at_once.confusion is not None
    assert np.array_equal(found.whole.confusion.counts, at_once.confusion.counts)
    summed = np.zeros_like(at_once.confusion.counts)
    for (was, said), behind in found.cells.items():
        assert [n for _, n, _ in behind] == sorted((n for _, n, _ in behind), reverse=True)
        summed[was, said] = sum(n for _, n, _ in behind)
    assert np.array_equal(summed, at_once.confusion.counts)


def test_an_image_that_fails_keeps_its_place() -> None:
    scenes = list(Streets(3, (96, 192), seed=5))
    truths = [scenes[0].labels, scenes[1].labels[:10], scenes[2].labels]
    found = evaluate_images("streets-unet", [s.image for s in scenes], truths)
    assert [e is None for e in found.each] == [False, True, False]
    assert {place for behind in found.cells.values() for place, *_ in behind} == {0, 2}
    assert len(found.whole.failures) == 1
    with pytest.raises(sl.errors.ShapeError):
        evaluate_images("streets-unet", [scenes[1].image], [truths[1]])
