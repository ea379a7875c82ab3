"""Make the pictures of the README and the docs again: python docs/make_pictures.py

They come from the built-in scenes and networks alone, take about a minute, and go to docs/pictures/.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

import seglens as sl
from seglens.datasets import Streets

HERE = Path(__file__).parent / "pictures"


def keep(explanations: Sequence[sl.Explanation], name: str, width: int) -> None:
    """Draw explanations, `width` pixels wide, as a small WebP without loss."""
    with TemporaryDirectory() as folder:
        shrink(sl.save(explanations, Path(folder) / "drawn.png"), name, width)


def shrink(drawn: Path, name: str, width: int) -> None:
    """Keep a drawn picture, at most `width` pixels wide, as a small WebP without loss."""
    with Image.open(drawn) as opened:
        picture = opened.convert("RGB")
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    path = HERE / name
    # Multiples of 5, white among them: finer steps nobody sees, and the files shrink by half.
    picture.point(lambda value: round(value / 5) * 5).save(path, lossless=True, method=6)
    print(f"{path.relative_to(HERE.parent)}: {picture.width} × {picture.height}, {path.stat().st_size / 1000:.0f} kB")


def readme(net: sl.Network) -> None:
    """The first minute: one class; two objects by five methods."""
    street = Streets(16, (192, 384), seed=3)[1].image
    keep([one(sl.explain(net, street, "hires-cam", "bicycle"))], "why-bicycle.webp", 1100)
    methods = ("grad-cam", "hires-cam", "layer-cam", "integrated-gradients", "smooth-grad")
    asked = [sl.Target(name, sl.instance(name, largest=1)) for name in ("bicycle", "motorcycle")]
    keep([one(sl.explain(net, street, method, target)) for target in asked for method in methods], "methods.webp", 1080)


def tutorial(net: sl.Network) -> None:
    """Pictures of docs/tutorials/why-these-pixels.md."""
    image = Streets(8, seed=99)[0].image
    road = sl.Target("road", sl.pixel(80, 96), reduce="sum")
    sky = sl.Target("sky", sl.everything)
    pixel = [one(sl.explain(net, image, sl.GradCAM("bottleneck", truncate=cut), road)) for cut in (False, True)]
    keep(pixel, "one-pixel.webp", 900)
    keep([one(sl.explain(net, image, sl.GradCAM("bottleneck"), sky))], "sky-everywhere.webp", 1000)
    keep(list(sl.explain_layers(net, image, sky)), "layers.webp", 640)


def context() -> None:
    """Pictures of docs/tutorials/a-wrong-label-and-its-context.md."""
    net = sl.load("streets-unet-biased")
    scene = Streets(60, seed=7)[22]
    wrong = sl.mask(scene.instances == 5) & sl.confused(truth="person", as_="rider")
    why = one(sl.explain(net, scene.image, "context-saliency", sl.Target("rider", wrong), truth=scene.labels))
    keep([why], "rider-by-context.webp", 620)
    with TemporaryDirectory() as folder:
        check = sl.verify(net, scene.image, why, truth=scene.labels)
        shrink(check.save(Path(folder) / "check.png"), "rider-verified.webp", 760)


def classifier() -> None:
    """Pictures of docs/tutorials/a-classifier.md."""
    net = sl.load("streets-vgg")
    # The page's crop about instance 1.
    rider = Streets(12, (288, 576), seed=3)[10].image[106:269, 345:508]
    with TemporaryDirectory() as folder:
        (sheet,) = sl.activations(net, rider, target="rider", strongest=6).save(Path(folder) / "drawn.png")
        shrink(sheet, "classifier-activations.webp", 900)
    methods = ("saliency", "guided-backprop", "grad-cam", "guided-grad-cam", "grad-cam-plus-plus")
    keep([one(sl.explain(net, rider, method, "rider")) for method in methods], "classifier-methods.webp", 780)


def segmenter(net: sl.Network) -> None:
    """Pictures of docs/tutorials/maps-of-a-segmenter.md: figures 7 to 10 of Neuroscope's paper."""
    scenes = Streets(16, (192, 384), seed=99)
    street, busy = scenes[0].image, scenes[3].image
    methods = (sl.Saliency(), sl.GuidedBackprop(), sl.GradCAM("bottleneck"), sl.GuidedGradCAM("bottleneck"))
    keep([one(sl.explain(net, street, method, "rider")) for method in methods], "four-gradient-maps.webp", 820)
    layers = ["encoder.block2", "encoder.block4", "decoder.block1"]
    keep(list(sl.explain_layers(net, busy, "car", layers)), "car-over-layers.webp", 820)
    layers[1] = "bottleneck"
    poles = [one(sl.explain(net, busy, sl.GuidedGradCAM(layer), "pole")) for layer in layers]
    keep(poles, "pole-over-layers.webp", 820)
    small = Streets(16, (96, 192), seed=99)[0].image
    keep([one(sl.explain(net, small, "fusion-map"))], "fusion-map.webp", 560)
    maps = ("score-map", "ssm", "gssm", "similarity-map")
    keep([one(sl.explain(net, small, name, "car")) for name in maps], "score-maps-of-cars.webp", 820)


def architecture() -> None:
    """The picture of docs/how-to/architecture.md."""
    path = sl.network_graph("streets-deeplab", size=(96, 192)).save(HERE / "architecture.svg", depth=2)
    print(f"{path.relative_to(HERE.parent)}: {path.stat().st_size / 1000:.0f} kB")


def one(found: sl.Explanation | sl.Explanations) -> sl.Explanation:
    """The only explanation of one question."""
    return found if isinstance(found, sl.Explanation) else found[0]


if __name__ == "__main__":
    # Notes stand in the pictures themselves.
    warnings.simplefilter("ignore", sl.SeglensWarning)
    HERE.mkdir(exist_ok=True)
    network = sl.load("streets-unet")
    readme(network)
    tutorial(network)
    classifier()
    segmenter(network)
    architecture()
    context()
