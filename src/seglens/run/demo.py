"""The main job on built-in data: one street, several methods, classes, layers and networks, ready to be looked at."""

import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from seglens.core.errors import SeglensWarning
from seglens.core.explanation import Explanation, Explanations, save
from seglens.core.method import Method
from seglens.core.network import Network
from seglens.core.regions import instance, mask, predicted
from seglens.core.targets import Target, channel
from seglens.datasets.streets import CLASSES as CITY
from seglens.datasets.streets import Plant, Streets
from seglens.methods import GradCAM, GuidedGradCAM, HiResCAM, IntegratedGradients, LayerCAM, Saliency, SmoothGrad
from seglens.networks import load
from seglens.run.explain import explain
from seglens.run.layers import explain_layers
from seglens.viz.picture import labels_picture, table_of

SCENE = Streets(16, (192, 384), seed=3)
"""Twice the size on which the networks were trained: their description resizes, the pictures stay sharp."""

INDEX = 14
"""A scene with riders, persons, cars and bicycles, near and far, that the network labels well."""

PLANTED = Streets(16, (96, 192), seed=11, plant=Plant(riders_on_bicycles=1.0))
PLANTED_INDEX = 5
"""Every rider on a bicycle, no person on one: the cue that the biased twin was trained to rely on."""

FINE = "decoder.block3"
"""Where Grad-CAM of this network tells single figures apart; its default layer, the bottleneck, is 6 x 12."""

EARLY = "encoder.block3"
"""Where a cue keeps its place: tests/journeys/test_planted_context.py measures the twins there."""

CLASSES = ("rider", "person", "bicycle", "car", "road", "vegetation", "sky")
LAYERS = ("encoder.block1", "encoder.block2", "encoder.block4", "bottleneck", "decoder.block4", FINE, "decoder.block1")

_SCORES = (("fusion-map", None), ("score-map", "car"), ("ssm", "car"), ("gssm", "car"))


@dataclass(frozen=True, slots=True)
class Sight:
    """Files worth a look, and what they show."""

    files: tuple[Path, ...]
    shows: str


def demo(out: Path, step: Callable[[str], None] | None = None) -> list[Sight]:
    """Explain a built-in street scene and write pictures, a page and raw values into `out`.

    step: told what begins, for progress.
    """
    tell = step or (lambda _: None)
    with _quiet():
        return list(_sights(out, tell))


def _sights(out: Path, tell: Callable[[str], None]) -> Iterator[Sight]:
    network = load("streets-unet")
    scene = out / "scene.png"
    out.mkdir(parents=True, exist_ok=True)
    Image.fromarray(SCENE[INDEX].image).save(scene)
    rider = Target("rider", instance("rider", largest=1))

    tell("eight methods on one rider")
    methods = [e for m in _methods() for e in _several(explain(network, scene, m, rider))]
    first = methods[0]
    prediction = out / "prediction.png"
    if first.prediction is not None:
        Image.fromarray(labels_picture(first.prediction, table_of(first))).save(prediction)
    yield Sight(
        (scene, prediction),
        "A made-up street, and the class that the network gives each pixel (red: riders, crimson: persons, dark blue: "
        "cars).",
    )
    yield Sight(
        (save(methods, out / "methods.png"),),
        "Why is the outlined figure a rider? Eight answers. CAMs are coarse and say where the evidence lies; gradients "
        "are fine and say on which pixels the score hangs.",
    )

    tell("one method for seven classes")
    classes = _several(explain(network, scene, GradCAM(FINE), list(CLASSES)))
    yield Sight(
        (save(classes, out / "classes.png"),),
        "Grad-CAM for seven classes, all from one forward pass. Where a map lights up another class, ask why.",
    )

    tell("rider and not person")
    both = predicted("rider") | predicted("person")
    contrast = Target(channel("rider") - channel("person"), both)
    against = _several(explain(network, scene, GradCAM(FINE, relu=False), contrast))
    yield Sight(
        (save(against, out / "rider-not-person.png"),),
        "Why rider and not person? Red speaks for rider, blue for person.",
    )

    tell("one question at seven layers")
    layers = list(explain_layers(network, scene, rider, LAYERS))
    yield Sight(
        (save(layers, out / "layers.png"),),
        "The same rider from input to output: fine and scattered early, coarse in the middle, at last the figure.",
    )

    tell("what was nearly decided")
    scores = [e for m, t in _SCORES for e in _several(explain(network, scene, m, t))]
    yield Sight(
        (save(scores[:1], out / "nearly-decided.png"), save(scores[1:], out / "score-maps.png")),
        "How sure the network is, and which class came second; the score of cars, gathered over parts of the picture.",
    )

    everything = [*methods, *against, *classes, *scores]
    tell("another network")
    others = [e for n in (network, load("streets-deeplab")) for e in _cams(n, scene)]
    yield Sight((save(others, out / "networks.png"),), "The same questions to a second architecture: do they agree?")

    tell("the biased twin")
    yield _twins(out, network)

    tell("writing the page")
    singles = out / "maps"
    for e in methods:
        save([e], singles / f"rider.{e.method}{f'.{e.layer}' if e.layer else ''}.png")
    yield Sight((singles,), "Each of the eight methods' maps by itself, with the legend of the classes.")
    yield Sight((save(everything, out / "maps.npz"),), "Raw values of all maps: seglens.open('maps.npz').")
    yield Sight(
        (save(everything, out / "demo.html"),), "All of it on one page, with opacity, outline and grey image to switch."
    )


def _twins(out: Path, fair: Network) -> Sight:
    planted = PLANTED[PLANTED_INDEX]
    path = out / "planted-scene.png"
    Image.fromarray(planted.image).save(path)
    found: list[Explanation] = []
    # The annotated rider, so that both networks are asked about the same pixels.
    ids, sizes = np.unique(planted.instances[planted.labels == CITY.index("rider")], return_counts=True)
    rider = mask(planted.instances == ids[sizes.argmax()], "the largest rider")
    why_not_person = Target(channel("rider") - channel("person"), rider)
    for network in (fair, load("streets-unet-biased")):
        for method in (GradCAM(EARLY), IntegratedGradients(gap=0.05, most=200)):
            found += _several(explain(network, path, method, why_not_person))
    on_cue = [f"{e.share(planted.cue):.0%}" for e in found]
    return Sight(
        (save(found, out / "twins.png"),),
        "Why rider, and not person? A network trained where only riders have bicycles, beside its fair sister. Of the "
        f"weight, bicycles hold {on_cue[2]} in the biased one and {on_cue[0]} in the fair one by Grad-CAM, "
        f"{on_cue[3]} and {on_cue[1]} by integrated gradients.",
    )


def _methods() -> tuple[Method, ...]:
    """CAMs, then gradients. The gap of integrated gradients is wider than its default, to be quick."""
    return (
        GradCAM(FINE),
        GradCAM(),
        HiResCAM(),
        LayerCAM(),
        GuidedGradCAM(FINE),
        Saliency(),
        SmoothGrad(),
        IntegratedGradients(gap=0.05, most=200),
    )


def _cams(network: Network, scene: Path) -> list[Explanation]:
    return _several(explain(network, scene, "layer-cam", ["rider", "car", "road"]))


def _several(found: Explanation | Explanations) -> list[Explanation]:
    return [found] if isinstance(found, Explanation) else list(found)


@contextmanager
def _quiet() -> Generator[None]:
    """Warnings stand in the pictures' notes; on the screen they would hide where to look."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SeglensWarning)
        yield
