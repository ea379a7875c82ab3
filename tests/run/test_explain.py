"""explain(): one call against the same work done by hand, over images, sizes, classes and failures."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import seglens as sl
from seglens.core.errors import (
    ClassNotFoundError,
    DegenerateImageWarning,
    EmptyRegionError,
    GuessWarning,
    ImageError,
    MemoryWarning,
    NameNotFoundError,
    ParameterError,
    RegionError,
    SeglensError,
    ShapeError,
    ZeroMapWarning,
)

NAMES = ("road", "car", "sky")
RNG = np.random.default_rng(0)


def network(**fields):
    torch.manual_seed(4)
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(6, 6, 3, stride=2, padding=1),
        nn.Tanh(),
        nn.Conv2d(6, 3, 3, padding=1),
    )
    with torch.no_grad():
        module[4].bias -= module(tensor(picture())).mean((0, 2, 3))
    return sl.load(module, **{"classes": NAMES, "convention": sl.Convention(divisor=4), **fields})


def picture(*size):
    return np.random.default_rng(3).integers(0, 255, (*(size or (12, 16)), 3), np.uint8)


def tensor(image):
    return torch.from_numpy(image).movedim(-1, 0)[None].float() / 255


def test_one_image_and_one_target_by_hand():
    net, image = network(), picture()
    why = sl.explain(net, image, "saliency", sl.Target("car", sl.box(1, 2, 7, 9)))
    x = tensor(image).requires_grad_()
    y = nn.functional.interpolate(net.module(x), size=(12, 16), mode="bilinear", align_corners=False)
    score = y[0, 1, 1:7, 2:9].mean()
    np.testing.assert_allclose(why.map, torch.autograd.grad(score, x)[0].abs().sum(1)[0].numpy(), rtol=1e-4, atol=1e-7)
    assert why.score == pytest.approx(float(score.detach()), rel=1e-5)
    assert (why.prediction == y[0].argmax(0).numpy()).all()
    assert why.region[1:7, 2:9].all()
    assert why.region.sum() == 42
    assert (why.image == image).all()
    assert (why.method, why.channel, why.unit) == ("saliency", "car", "logit per unit of input")
    assert why.layer is None
    assert why.cost is None


def test_the_map_has_the_pictures_own_size():
    """Padded to the divisor and cut again; resized and back: the geometry of the region travels with it."""
    for size in ((11, 15), (12, 16), (9, 30)):
        for convention in (
            sl.Convention(divisor=4),
            sl.Convention(divisor=4, fit="resize"),
            sl.Convention(size=(8, 8)),
        ):
            why = sl.explain(network(convention=convention), picture(*size), "saliency", sl.Target("car"))
            assert why.map.shape == why.region.shape == why.prediction.shape == size
            assert why.region.all()


def test_padding_is_never_explained():
    net = network(convention=sl.Convention(divisor=8))
    why = sl.explain(net, picture(), "input-x-gradient", sl.Target("car"))
    assert why.region.sum() == 12 * 16
    y = net.module(nn.functional.pad(tensor(picture()), (0, 0, 0, 4), mode="replicate"))
    y = nn.functional.interpolate(y, size=(16, 16), mode="bilinear")
    assert why.score == pytest.approx(float(y[0, 1, :12].mean().detach()), rel=1e-4, abs=1e-6)


def test_what_comes_back_for_what_is_asked():
    net, image = network(), picture()
    assert isinstance(sl.explain(net, image, "saliency", "car"), sl.Explanation)
    assert isinstance(sl.explain(net, image, "saliency", ["car"]), sl.Explanations)
    assert isinstance(sl.explain(net, [image], "saliency", "car"), sl.Explanations)
    many = sl.explain(net, [image, picture(8, 8)], "saliency", [sl.Target("car"), sl.Target("sky")])
    assert [(w.channel, w.map.shape) for w in many] == [
        ("car", (12, 16)),
        ("sky", (12, 16)),
        ("car", (8, 8)),
        ("sky", (8, 8)),
    ]


def test_without_a_target_the_class_that_covers_most():
    net, image = network(), picture()
    why = sl.explain(net, image, "saliency")
    counts = np.bincount(why.prediction.ravel(), minlength=3)
    assert why.channel == NAMES[counts.argmax()]
    assert (why.region == (why.prediction == counts.argmax())).all()


def test_images_of_one_size_together_equal_each_alone():
    net = network()
    images = [RNG.integers(0, 255, (12, 16, 3), np.uint8) for _ in range(3)]
    target = [sl.Target("car"), sl.Target("sky", sl.box(0, 0, 5, 5))]
    together = sl.explain(net, images, sl.HiResCAM("1", relu=False), target)
    alone = [w for image in images for w in sl.explain(net, image, sl.HiResCAM("1", relu=False), target)]
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a.map, b.map, rtol=1e-5, atol=1e-8)
        assert (a.region == b.region).all()


def test_truths_of_several_images(tmp_path):
    """A list in order, or a folder by stems: each image gets its own."""
    net = network()
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    labels = []
    for i in range(2):
        Image.fromarray(RNG.integers(0, 255, (12, 16, 3), np.uint8)).save(tmp_path / f"images/{i}.png")
        labels.append(np.zeros((12, 16), np.uint8))
        labels[i][2 + 4 * i : 5 + 4 * i, 3:9] = 1
        Image.fromarray(labels[i]).save(tmp_path / f"labels/{i}.png")
    for given in (labels, tmp_path / "labels"):
        found = sl.explain(net, tmp_path / "images", "saliency", sl.Target("car", sl.truth("car")), truth=given)
        for why, own in zip(found, labels, strict=True):
            assert (why.region == (own == 1)).all()
            assert (why.truth == own).all()
    with pytest.raises(ParameterError, match="truth: 1 for 2 image"):
        sl.explain(net, tmp_path / "images", "saliency", "car", truth=labels[:1])
    with pytest.raises(ImageError, match="whose is it"):
        sl.explain(net, tmp_path / "images", "saliency", "car", truth=tmp_path / "labels/0.png")


def test_truth_instances_and_against():
    net, image = network(), picture()
    truth = np.zeros((12, 16), np.uint8)
    truth[2:6, 3:9] = 1
    truth[6:8] = 255
    ids = np.zeros((12, 16), np.uint8)
    ids[2:6, 3:6] = 7
    ids[2:6, 6:9] = 9
    question = sl.Target(sl.channel("car") - sl.channel("road"), sl.instance("car", at=(3, 7), of="truth"))
    why = sl.explain(net, image, "saliency", question, truth=truth, instances=ids)
    assert (why.region == (ids == 9)).all()
    assert why.channel == "car - road"
    assert sl.explain(net, image, "saliency", sl.Target("car"), truth=truth).region.sum() == 12 * 16 - 32
    truth[6:8] = 2
    assert sl.explain(net, image, "saliency", sl.Target("car"), truth=truth, ignore=1).region.sum() == 12 * 16 - 24


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"target": "cra"}, ClassNotFoundError, "Nearest: 'car'"),
        ({"method": "grad-cma"}, NameNotFoundError, "no method 'grad-cma'.\n  Nearest: 'grad-cam'"),
        ({"target": sl.Target("car", sl.truth("car"))}, RegionError, "needs the true labels"),
        ({"target": sl.Target("car", sl.mask(np.zeros((12, 16))))}, EmptyRegionError, "no pixel lies in mask"),
        ({"target": sl.Target("car", sl.mask(np.ones((3, 3))))}, ShapeError, "a mask of 3 × 3 does not fit"),
        ({"truth": np.zeros((5, 5), np.uint8)}, ShapeError, "5 × 5 does not fit an image of 12 × 16"),
        ({"truth": np.full((12, 16), 7, np.uint8)}, ImageError, "labels outside the class table: 7"),
        ({"image": np.full((4, 4), np.nan)}, ImageError, "NaN"),
    ],
)
def test_one_clear_error(asked, error, message):
    fields = {"image": picture(), "method": "saliency", "target": sl.Target("car"), **asked}
    with pytest.raises(error, match=message):
        sl.explain(network(), **fields)


def test_a_failure_concerns_its_own_image():
    """The second image has no car, the third cannot be read: the others are explained, in order."""
    net, good = network(), picture()
    region = sl.predicted("car")
    blank = np.zeros_like(good)
    outcomes = list(
        sl.explain_each(net, [good, blank, np.full((2, 2), np.nan), good], sl.Saliency(), sl.Target("car", region))
    )
    kinds = [type(o.error).__name__ if isinstance(o, sl.Failure) else len(o) for o in outcomes]
    inside = [bool((sl.explain(net, i, "saliency", sl.Target("car")).prediction == 1).any()) for i in (good, blank)]
    assert inside[0]
    assert kinds[0] == kinds[3] == 1
    assert kinds[2] == "ImageError"
    assert kinds[1] == (1 if inside[1] else "EmptyRegionError")
    np.testing.assert_allclose(outcomes[0][0].map, outcomes[3][0].map, rtol=1e-5, atol=1e-8)


@pytest.mark.filterwarnings("ignore::seglens.core.errors.EmptyRegionWarning")
def test_an_image_without_the_class_fails_alone():
    """In one batch with images that have the class: its own error, not theirs, and no NaN map in its place."""
    net, good = network(), picture()
    no_car = sl.load(Blank(net.module), classes=NAMES, convention=net.convention)
    black = np.zeros_like(good)
    first, second, third = sl.explain_each(no_car, [good, black, good], sl.Saliency(), "car")
    assert np.isfinite(first[0].map).all()
    assert np.isfinite(third[0].map).all()
    if isinstance(second, sl.Failure):
        assert isinstance(second.error, EmptyRegionError)
    else:
        assert np.isnan(second[0].map).all()
        assert any("empty region" in note for note in second[0].notes)
        assert not any("empty region" in note for note in first[0].notes)


class Blank(nn.Module):
    """Predicts road on a black picture."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        black = (x.amax((1, 2, 3), keepdim=True) == 0).float()
        return self.inner(x) + 99 * black * torch.tensor([1.0, 0, 0]).reshape(1, 3, 1, 1)


class Hungry(nn.Module):
    """Runs out of memory above a number of images."""

    def __init__(self, inner, most):
        super().__init__()
        self.inner, self.most = inner, most

    def forward(self, x):
        if x.shape[0] > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.inner(x)


def test_memory_halves_and_results_stay():
    net = network()
    images = [RNG.integers(0, 255, (12, 16, 3), np.uint8) for _ in range(5)]
    expected = sl.explain(net, images, "saliency", sl.Target("car"))
    hungry = sl.load(Hungry(net.module, 2), classes=NAMES, convention=net.convention)
    with pytest.warns(MemoryWarning, match="memory ran out with 5 at once; going on with 2"):
        found = sl.explain(hungry, images, "saliency", sl.Target("car"))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.map, b.map, rtol=1e-5, atol=1e-8)
    starved = sl.load(Hungry(net.module, 0), classes=NAMES, convention=net.convention)
    (failed,) = sl.explain_each(starved, images[:1], "saliency", sl.Target("car"))
    assert isinstance(failed.error, SeglensError)
    assert "Use a smaller image" in str(failed.error)


@pytest.mark.filterwarnings("ignore::seglens.core.errors.MemoryWarning")
def test_memory_that_runs_out_before_a_layer_is_found_fails_each_image():
    net = network()
    starved = sl.load(Hungry(net.module, 0), classes=NAMES, convention=net.convention)
    outcomes = list(sl.explain_each(starved, [picture(), picture()], "grad-cam", sl.Target("car")))
    assert len(outcomes) == 2
    assert all("Use a smaller image" in str(o.error) for o in outcomes)


def test_cost_is_counted_and_repeats():
    asked = (network(), picture(), sl.Saliency(), [sl.Target("car"), sl.Target("sky", sl.pixel(1, 1))])
    first, again = (sl.explain(*asked, cost=True)[0].cost for _ in range(2))
    assert first.flops == again.flops
    assert first.passes == pytest.approx(3, rel=0.01)


def test_warnings_are_notes_too():
    module = nn.Sequential(nn.Conv2d(3, 2, 1))
    nn.init.zeros_(module[0].weight)
    net = sl.load(module, convention=sl.Convention())
    with pytest.warns(ZeroMapWarning, match="zero everywhere"):
        why = sl.explain(net, picture(), "saliency", sl.Target(1))
    assert any("zero everywhere" in note for note in why.notes)


def test_precision():
    net, image = network(), picture()
    full = sl.explain(net, image, "saliency", sl.Target("car"))
    half = sl.explain(net, image, "saliency", sl.Target("car"), precision="bfloat16")
    assert half.map.dtype == np.float32
    assert np.corrcoef(half.map.ravel(), full.map.ravel())[0, 1] > 0.99
    assert not np.array_equal(half.map, full.map)


@pytest.mark.parametrize("of", ["logits", "probabilities", "log-probabilities"])
def test_binary_network(of):
    """Class 1 by y, class 0 by −y: opposite maps for logits and probabilities."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 1, 3, padding=1))
    net = sl.load(module, convention=sl.Convention())
    targets = [sl.Target(name, sl.box(2, 2, 8, 8), of=of) for name in ("background", "foreground")]
    no, yes = sl.explain(net, picture(), sl.Saliency("signed"), targets)
    y = module(tensor(picture()))[0, 0, 2:8, 2:8].detach()
    expected = {"logits": y, "probabilities": y.sigmoid(), "log-probabilities": y.sigmoid().log()}[of]
    assert yes.score == pytest.approx(float(expected.mean()), rel=1e-4)
    if of != "log-probabilities":
        np.testing.assert_allclose(no.map, -yes.map, rtol=1e-4, atol=1e-7)
    assert yes.of == of


@pytest.mark.filterwarnings("ignore::seglens.core.errors.ReachWarning")
def test_compare_places():
    """α at two places, their cosine by hand; a place compared with itself is 1."""
    net, image = network(), picture()
    places = [sl.box(0, 0, 5, 5), sl.box(6, 6, 12, 12), sl.box(0, 0, 5, 5)]
    found = sl.compare_places(net, image, "car", places, "1")
    assert found.alphas.shape == (3, 6)
    a = found.alphas.astype(float)
    for i in range(3):
        for j in range(3):
            cosine = a[i] @ a[j] / (np.linalg.norm(a[i]) * np.linalg.norm(a[j]))
            assert found.similarity[i, j] == pytest.approx(cosine, abs=1e-6)
    assert found.similarity[0, 2] == pytest.approx(1)
    assert found.layer == "1"
    with pytest.raises(ParameterError, match="comparing needs at least two places, not 1"):
        sl.compare_places(net, image, "car", places[:1])


def test_explain_layers():
    net, image = network(), picture()
    target = sl.Target("car", sl.everything)
    found = sl.explain_layers(net, image, target, ["0", "1", "2"], method=sl.GradCAM(relu=False))
    for why in found:
        alone = sl.explain(net, image, sl.GradCAM(why.layer, relu=False), target)
        np.testing.assert_allclose(why.map, alone.map, rtol=1e-5, atol=1e-8)
    assert [w.layer for w in found] == ["0", "1", "2"]


def test_find_classes():
    net, image = network(), picture()
    found = sl.find_classes(net, image)
    y = nn.functional.interpolate(net.module(tensor(image)), size=(12, 16), mode="bilinear").detach()
    labels, p = y[0].argmax(0), y.softmax(1)[0]
    assert [f.pixels for f in found] == sorted((f.pixels for f in found), reverse=True)
    assert sum(f.share for f in found) == pytest.approx(1)
    for f in found:
        assert f.pixels == int((labels == f.index).sum())
        if f.pixels:
            assert f.confidence == pytest.approx(float(p[f.index][labels == f.index].mean()), rel=1e-5)
        else:
            assert f.to_dict()["confidence"] is None


def test_what_was_guessed_is_said():
    with pytest.warns(GuessWarning, match=r"guessed how Sequential takes images: 3 channel\(s\), RGB"):
        sl.load(nn.Sequential(nn.Conv2d(3, 2, 1)))


def test_an_image_smaller_than_the_stride():
    net = network(convention=sl.Convention(divisor=16))
    with pytest.warns(DegenerateImageWarning, match=r"12 × 16, less than the network's stride of 16: padded to"):
        why = sl.explain(net, picture(), "saliency", sl.Target("car"))
    assert why.map.shape == (12, 16)
    assert any("padded" in note for note in why.notes)
