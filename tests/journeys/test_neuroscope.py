"""A person who used Neuroscope finds every inspection of section 3.1.4 of its paper here, and each is what it says.

Schorr, Goodarzi, Chen and Dahmen 2021, doi:10.3390/app11052199. Commands write files; what the files hold is worked
out again in plain torch and numpy, from the network's module and the picture alone, and from Python.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inspections import ByHand
from numpy.typing import NDArray
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

import seglens as sl
from seglens.cli import app
from seglens.core.method import METHODS
from seglens.datasets import CLASSES, Streets

pytestmark = pytest.mark.filterwarnings("ignore::seglens.core.errors.SeglensWarning")

SEGMENTER, CLASSIFIER = "streets-unet", "streets-classifier"
RIDER = CLASSES.index("rider")
LAYER = {SEGMENTER: "bottleneck", CLASSIFIER: "features.block4"}
CLASS = {SEGMENTER: "rider", CLASSIFIER: "car"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Streets with their labels under the same file names, as Neuroscope's image list takes them, and a crop."""
    here = tmp_path_factory.mktemp("neuroscope")
    for name in ("images", "labels"):
        (here / name).mkdir()
    scenes = Streets(16, (96, 192), seed=3)
    for i in (3, 14):
        Image.fromarray(scenes[i].image).save(here / f"images/{i}.png")
        Image.fromarray(scenes[i].labels).save(here / f"labels/{i}.png")
    large = Streets(16, (192, 384), seed=3)[14]
    rows, columns = np.nonzero(large.labels == CLASSES.index("car"))
    top, left = int(np.median(rows)) - 24, int(np.median(columns)) - 24
    Image.fromarray(large.image[top : top + 48, left : left + 48]).save(here / "crop.png")
    return here


@pytest.fixture(autouse=True)
def _stand_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.chdir(folder)


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(w) for w in words])
    assert result.exit_code == 0, result.output
    return result.output


def told(*words: object) -> Any:
    result = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def by_hand(network: str, picture: str) -> ByHand:
    net = sl.load(network)
    image = np.asarray(Image.open(picture).convert("RGB"))
    return ByHand(net.module.eval(), image, net.classes.index(CLASS[network]), LAYER[network])


SHARED: dict[str, Callable[[ByHand], NDArray]] = {
    "saliency": ByHand.saliency,
    "guided-backprop": ByHand.guided_backprop,
    "grad-cam": ByHand.grad_cam,
    "guided-grad-cam": ByHand.guided_grad_cam,
    "grad-cam-plus-plus": ByHand.grad_cam_plus_plus,
    "score-map": ByHand.score_map,
}
"""Marked (C), and all but Grad-CAM++ (S) too; here both kinds of network have all."""


@pytest.mark.parametrize(("network", "picture"), [(SEGMENTER, "images/14.png"), (CLASSIFIER, "crop.png")])
def test_what_both_kinds_of_network_have(network: str, picture: str) -> None:
    words = [w for name in SHARED for w in ("-m", name)]
    run("explain", network, picture, "-c", CLASS[network], *words, "--format", "npz,png", "-o", "both")
    (raw,), (png,) = (list(Path("both").glob(f"*{CLASS[network]}*.{kind}")) for kind in ("npz", "png"))
    found, hand = sl.open(raw), by_hand(network, picture)
    assert isinstance(found, sl.Explanations)
    assert [e.method for e in found] == list(SHARED)
    for why in found:
        expected = SHARED[why.method](hand)
        assert expected.max() > 0
        np.testing.assert_allclose(why.map, expected, rtol=1e-3, atol=1e-4 * expected.max(), err_msg=why.method)
        again = sl.explain(network, picture, why.method, CLASS[network])
        np.testing.assert_allclose(again.map, why.map, rtol=1e-5, atol=1e-6 * expected.max())
        # The input image and, of a segmenter, the predicted segmentation travel with every map.
        assert (why.image == hand.image).all()
        if network == SEGMENTER:
            assert (why.prediction == hand.p.argmax(0)).all()
    with Image.open(png) as drawn:
        assert drawn.width > 2 * hand.image.shape[1]


def test_score_maps_of_a_segmenter() -> None:
    names = ["ssm", "gssm", "similarity-map", "fusion-map"]
    words = [w for name in names for w in ("-m", name)]
    run("explain", SEGMENTER, "images/14.png", "-c", "rider", *words, "-o", "scores.npz")
    found = {e.method: e for e in sl.open("scores.npz")}  # type: ignore[union-attr]
    assert list(found) == names
    hand = by_hand(SEGMENTER, "images/14.png")
    segments = hand.segments()
    masks = [hand.p.argmax(0) == c for c in range(len(CLASSES))]
    expected = {
        "ssm": hand.guided_segments(segments),
        "gssm": hand.guided_segments([*segments, *masks]),
        "similarity-map": hand.similarity_map(),
        "fusion-map": hand.fusion_map(),
    }
    for name, why in found.items():
        np.testing.assert_allclose(why.map, expected[name], atol=2e-5, err_msg=name)
    assert (found["fusion-map"].extras["winner"] == hand.p.argmax(0)).all()
    assert found["fusion-map"].unit == "probability"
    assert np.isnan(found["fusion-map"].score)
    assert found["ssm"].map.sum() == pytest.approx(hand.score_map().sum(), rel=1e-4)


def test_the_table_of_a_classifiers_scores() -> None:
    p, y = by_hand(CLASSIFIER, "crop.png").p, by_hand(CLASSIFIER, "crop.png").y[0]
    rows = told("classes", CLASSIFIER, "crop.png")
    assert [r["index"] for r in rows] == y.argsort(descending=True).tolist()
    for row in rows:
        assert row["confidence"] == pytest.approx(p[row["index"]], rel=1e-4)
        assert row["logit"] == pytest.approx(float(y[row["index"]]), rel=1e-4)


@pytest.mark.parametrize(("network", "picture"), [(SEGMENTER, "images/14.png"), (CLASSIFIER, "crop.png")])
def test_activation_maps(network: str, picture: str) -> None:
    """Of one channel, of the strongest, of all: the layer's own numbers, ranked by gradient times activation."""
    question = (network, picture, "-l", LAYER[network])
    hand = by_hand(network, picture)
    a, g = hand.at_layer()
    contributions = (a * g).sum((1, 2))
    run("activations", *question, "-c", CLASS[network], "--strongest", 3, "-o", "three.npz")
    with np.load("three.npz") as three:
        channels = three["index"].tolist()
        assert channels == contributions.argsort(descending=True)[:3].tolist()
        np.testing.assert_allclose(three["maps"], a[channels].numpy(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(three["contributions"], contributions, rtol=1e-3, atol=1e-6)
    # On the picture, as an explanation like any other.
    run("explain", network, picture, "-m", "activation", "-l", LAYER[network], "-c", CLASS[network], "-o", "first.npz")
    first = sl.open("first.npz")
    assert isinstance(first, sl.Explanation)
    np.testing.assert_allclose(first.map, hand.enlarged(a[channels[0]]), rtol=1e-4, atol=1e-5)
    assert len(sl.activations(network, picture, LAYER[network])) == len(a)
    run("activations", *question, "--all", "-o", "sheet.pdf")
    assert Path("sheet.pdf").read_bytes().startswith(b"%PDF")


def test_confusion_matrix_scores_and_errors() -> None:
    """Over a folder of pictures with their labels, as counted pixel by pixel; rows are the truth."""
    counts = np.zeros((len(CLASSES), len(CLASSES)), int)
    for i in (3, 14):
        truth, said = np.asarray(Image.open(f"labels/{i}.png")), by_hand(SEGMENTER, f"images/{i}.png").p.argmax(0)
        for t, s in zip(truth.flat, said.flat, strict=True):
            counts[t, s] += 1
    found = told("evaluate", SEGMENTER, "images", "--truth", "labels", "-o", "matrix.png", "-o", "scores.csv")
    assert found["confusion"] == counts.tolist()
    assert (counts != counts.T).any()
    hits = counts.diagonal()
    union = counts.sum(0) + counts.sum(1) - hits
    assert [c["iou"] for c in found["classes"]] == pytest.approx((hits / union).tolist())
    assert found["overall"]["pixel_accuracy"] == pytest.approx(hits.sum() / counts.sum())
    assert "rider" in Path("scores.csv").read_text()
    with Image.open("matrix.png") as drawn:
        assert drawn.width > 200
    # The error filter: where one class is missed, and where it is seen in vain.
    one = told("errors", SEGMENTER, "images/14.png", "--truth", "labels/14.png", "-c", "rider", "-o", "errors.png")
    truth, said = (
        np.asarray(Image.open("labels/14.png")) == RIDER,
        by_hand(SEGMENTER, "images/14.png").inside[0].numpy(),
    )
    (row,) = [c for c in one["classes"] if c["name"] == "rider"]
    assert (row["true_positive"], row["false_positive"], row["false_negative"]) == (
        int((truth & said).sum()),
        int((~truth & said).sum()),
        int((truth & ~said).sum()),
    )


def test_filters_of_the_inspection_window() -> None:
    """Positive and negative part, intersection and union with prediction and truth: what is shown, pixel by pixel."""
    from seglens.viz.display import show

    why = sl.explain(SEGMENTER, "images/14.png", "input-x-gradient", "rider", truth="labels/14.png")
    truth, said = np.asarray(Image.open("labels/14.png")) == RIDER, why.prediction == RIDER
    parts = {
        "all": why.map,
        "positive": np.maximum(why.map, 0),
        "negative": np.minimum(why.map, 0),
        "absolute": abs(why.map),
    }
    places = {"prediction": said, "truth": truth, "both": said & truth, "either": said | truth}
    seen = set()
    for part, expected in parts.items():
        for place, where in places.items():
            shown = show(why, sl.Display(part=part, within=place))
            np.testing.assert_array_equal(shown.values[where], expected[where])
            assert (shown.inside == where).all()
            name = f"{part}-{place}.png"
            if (part, place) in (("positive", "both"), ("negative", "either"), ("positive", "truth")):
                words = ("--truth", "labels/14.png", "--part", part, "--within", place, "-o", name)
                run("explain", SEGMENTER, "images/14.png", "-c", "rider", "-m", "input-x-gradient", *words)
                seen.add(Path(name).read_bytes())
    assert len(seen) == 3


def test_architecture_and_model_options() -> None:
    """Every layer with its type and size, any of which can be looked at; and what a network has to be told."""
    module = sl.load(SEGMENTER).module
    listed = {one["path"]: one for one in told("layers", SEGMENTER)["layers"]}
    assert {path: one["type"] for path, one in listed.items()} == {
        p: type(m).__name__ for p, m in module.named_modules()
    }
    assert listed["bottleneck"]["default"]
    assert listed["bottleneck"]["shape"] == [1, *by_hand(SEGMENTER, "images/14.png").at_layer()[0].shape]
    options = run("describe", SEGMENTER)
    for word in ("task", "classes", "emits", "channels", "size", "order", "range", "mean", "std"):
        assert f"{word} = " in options
    run(
        "explain",
        SEGMENTER,
        "images/14.png",
        "-c",
        "rider",
        "-l",
        "encoder.block1",
        "-l",
        "decoder.block1",
        "-o",
        "l.npz",
    )
    early, late = sl.open("l.npz")  # type: ignore[misc]
    hand = by_hand(SEGMENTER, "images/14.png")
    for why in (early, late):
        hand.layer = why.layer
        np.testing.assert_allclose(why.map, hand.grad_cam(), rtol=1e-3, atol=1e-4 * hand.grad_cam().max())


def test_the_page_for_such_a_person_names_only_what_there_is() -> None:
    """Functions, methods, commands and options of docs/coming-from-neuroscope.md."""
    page = (Path(__file__).parents[2] / "docs/coming-from-neuroscope.md").read_text(encoding="utf-8")
    for name in set(re.findall(r"\bsl\.(\w+)", page)):
        assert name in sl.__all__, name
    methods = set(re.findall(r"-m ([a-z-]+)", page))
    assert methods <= set(METHODS.names())
    assert {m for m in SHARED if m != "activation"} | {"ssm", "gssm", "similarity-map", "fusion-map"} <= methods
    commands = get_command(app)
    known = set(commands.commands)  # type: ignore[attr-defined]
    options = {o for c in commands.commands.values() for p in c.params for o in p.opts}  # type: ignore[attr-defined]
    assert set(re.findall(r"(?:^|`)seglens ([a-z]+)", page, re.MULTILINE)) <= known
    assert set(re.findall(r"(?<=[ `])(--[a-z]+|-[a-z])(?=[ `])", page)) <= options
