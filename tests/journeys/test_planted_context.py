"""What a map should show is known where the context was planted: the biased twin must be seen to read the bicycle.

In the twin's world every rider was on a bicycle and no person was, so the bicycle alone tells them apart; for its
sister a bicycle says nothing. The question is the one that a person asks: why rider, and not person? Layer, question
and measure were settled on scenes of two other seeds; the scenes here were not looked at for that.
"""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

import seglens as sl
from seglens.datasets import Plant, Streets

RIDER_NOT_PERSON = sl.channel("rider") - sl.channel("person")
METHODS = {
    # Early enough to keep a bicycle's place: at the bottleneck, 6 × 12 places, no cue is told from its surroundings.
    "grad-cam": sl.GradCAM("encoder.block3"),
    # Shares need no tight gap: eight nodes rank two networks as well as fifty.
    "integrated-gradients": sl.IntegratedGradients(nodes=8, gap=1.0),
}
INSTANCES = 10


@cache
def riders() -> list[tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]]:
    """(image, rider, bicycle beneath) of the largest rider of each scene, where both are large enough to be seen."""
    found = []
    for scene in Streets(100, seed=2026, plant=Plant(riders_on_bicycles=1.0)):
        ids, sizes = np.unique(scene.instances[scene.labels == 7], return_counts=True)
        if not len(ids) or sizes.max() < 120:
            continue
        rider = scene.instances == ids[sizes.argmax()]
        rows, columns = np.nonzero(rider)
        tall = np.ptp(rows)
        near = np.zeros_like(rider)
        near[rows.min() : rows.max() + tall, max(columns.min() - tall, 0) : columns.max() + tall] = True
        if (scene.cue & near).sum() >= 60:
            found.append((scene.image, rider, scene.cue & near))
        if len(found) == INSTANCES:
            break
    return found


@cache
def shares(method: str, network: str) -> NDArray[np.float64]:
    """Share of each rider's map that lies on the bicycle."""
    net = sl.load(network)
    found = []
    for image, rider, bicycle in riders():
        why = sl.explain(net, image, METHODS[method], sl.Target(RIDER_NOT_PERSON, sl.mask(rider)))
        assert isinstance(why, sl.Explanation)
        found.append(why.share(bicycle))
    return np.array(found)


@pytest.mark.filterwarnings("ignore::seglens.SeglensWarning")
@pytest.mark.parametrize(("method", "times", "won"), [("grad-cam", 1.5, 7), ("integrated-gradients", 2.0, 9)])
def test_the_twin_puts_more_weight_on_the_planted_cue(method: str, times: float, won: int) -> None:
    biased, fair = shares(method, "streets-unet-biased"), shares(method, "streets-unet")
    assert len(biased) == INSTANCES
    assert biased.mean() > times * fair.mean()
    assert (biased > fair).sum() >= won
