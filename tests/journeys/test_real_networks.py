"""Trained networks of others, on their own pictures, explained from end to end without a line of seglens for them."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import seglens as sl
from seglens.core.method import takes_target
from seglens.testing.untouched import untouched

# Test folders are no packages: modules beside this file are found through the path.
sys.path.insert(0, str(Path(__file__).parent))
from published import NucleiUNet, WNet, material

pytest.importorskip("skimage", reason="instances need scikit-image: pip install 'seglens[image]'")

METHODS = {
    "saliency": sl.Saliency(),
    "input-x-gradient": sl.InputXGradient(),
    "integrated-gradients": sl.IntegratedGradients(nodes=16, gap=0.1),
    "smooth-grad": sl.SmoothGrad(samples=4),
    "activation": sl.Activation(),
    "grad-cam": sl.GradCAM(),
    "grad-cam-plus-plus": sl.GradCAMPlusPlus(),
    "hires-cam": sl.HiResCAM(),
    "layer-cam": sl.LayerCAM(),
    "guided-backprop": sl.GuidedBackprop(),
    "guided-grad-cam": sl.GuidedGradCAM(),
    "grid-saliency": sl.GridSaliency(fill="mean", sparsity=1e-3, steps=4),
    "context-saliency": sl.ContextSaliency(fill="black", sparsity=1e-4, steps=4),
    "score-map": sl.ScoreMap(),
    "ssm": sl.SSM(),
    "gssm": sl.GSSM(),
    "similarity-map": sl.SimilarityMap(),
    "xrai": sl.XRAI(nodes=4),
    "occlusion": sl.Occlusion(size=64),
    "rise": sl.RISE(masks=24),
}
# From black, the gradient of that network jumps so often that 256 nodes miss 1 %; from a blurred picture 16 do.
VESSEL_METHODS = {**METHODS, "integrated-gradients": sl.IntegratedGradients(nodes=16, baseline="blur")}
# An untruncated CAM of a small region, bottlenecks that these networks hardly use, and XRAI at few nodes are named by
# warnings.
honest = pytest.mark.filterwarnings(
    "ignore::seglens.core.errors.ReachWarning",
    "ignore::seglens.core.errors.ZeroMapWarning",
    "ignore:the integrated gradients of XRAI:seglens.core.errors.CompletenessWarning",
)


def test_every_method_takes_part():
    """Those that ask nothing have a test of their own; second derivatives of this network are zero."""
    assert set(METHODS) | {"fusion-map", "second-order"} == set(sl.METHODS)
    assert [name for name in sl.METHODS if not takes_target(sl.METHODS[name]())] == ["fusion-map"]


def dice(a, b):
    """2|a ∩ b| / (|a| + |b|)."""
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def near(region, pixels):
    """A region grown by some pixels in chessboard distance."""
    grown = torch.nn.functional.max_pool2d(torch.from_numpy(region)[None, None].float(), 2 * pixels + 1, 1, pixels)
    return grown[0, 0].numpy() > 0


def check(network, found, x):
    """What holds for every explanation: finite, of the picture's size, never negative where it says so, not blank."""
    assert found.map.shape == found.image.shape[:2] == x
    assert np.isfinite(found.map).all()
    assert np.isfinite(found.score)
    assert found.signed or found.map.min() >= 0
    assert found.classes.names == network.classes.names


class TestNuclei:
    STEM = "a22b7882fa85"
    CROP = (slice(40, 168), slice(0, 128))
    SIZE = (128, 128)

    @pytest.fixture(scope="class")
    @classmethod
    def network(cls):
        convention = {"channels": 1, "per_image": True, "divisor": 8}
        weights = material("nuclei-unet/state_dict_from_onnx.pt")
        return sl.load(weights, constructor=NucleiUNet, convention=convention, classes=["background", "nucleus"])

    @pytest.fixture
    def picture(self):
        path = material(f"dsb2018/{self.STEM}_image.png")
        return np.array(Image.open(path).convert("RGB"))[self.CROP]

    @pytest.fixture
    def instances(self):
        return np.array(Image.open(material(f"dsb2018/{self.STEM}_instances.png"))).astype(np.int64)[self.CROP]

    def test_module_reproduces_the_published_output(self, network):
        raw = torch.from_numpy(np.load(material("nuclei-unet/test_input.npy")))
        expected = torch.from_numpy(np.load(material("nuclei-unet/test_output.npy")))
        x, _ = network.convention.prepare(raw[0])
        with torch.no_grad():
            p = network.scores(network(x), "probabilities")
        torch.testing.assert_close(p[:, 1:], expected, rtol=0, atol=1e-4)
        torch.testing.assert_close(p[:, :1], 1 - expected, rtol=0, atol=1e-4)

    @pytest.mark.parametrize("stem", ["a22b7882fa85", "f8e74d4006dd", "abbfff07379b"])
    def test_it_finds_the_nuclei(self, network, stem):
        truth = np.array(Image.open(material(f"dsb2018/{stem}_instances.png"))) > 0
        target = sl.Target("nucleus", sl.predicted("nucleus"))
        found = sl.explain(network, material(f"dsb2018/{stem}_image.png"), "saliency", target)
        assert dice(found.region, truth) > 0.8

    def test_layers_and_classes(self, network, picture):
        layers = {layer.path: layer for layer in sl.layer_tree(network, picture)}
        assert layers["pool"].runs == 3
        assert layers["base"].stride == (8, 8)
        assert [f.name for f in sl.find_classes(network, picture)] == ["background", "nucleus"]

    @honest
    @pytest.mark.parametrize("name", METHODS)
    def test_every_method_over_every_kind_of_region(self, network, picture, instances, name):
        whole = sl.instance("nucleus", at=(50, 25), of="truth")
        predicted = sl.instance("nucleus", largest=1)
        regions = [sl.predicted("nucleus"), predicted, whole, sl.border(predicted, 2), sl.pixel(50, 25)]
        targets = [sl.Target("nucleus", r) for r in regions] + [sl.Target("background", ~sl.predicted("nucleus"))]
        with untouched(network):
            found = sl.explain(
                network, picture, METHODS[name], targets, truth=(instances > 0).astype(np.uint8), instances=instances
            )
        assert len(found) == len(targets)
        for one in found:
            check(network, one, self.SIZE)
        assert found[2].region.sum() == (instances == instances[50, 25]).sum()
        assert not (found[3].region & ~found[1].region).any()
        assert found[4].region.sum() == 1
        assert all(one.score > 0 for one in (found[0], found[1], found[2], found[5]))

    def test_the_fusion_map_is_unsure_along_the_edges_of_nuclei(self, network, picture):
        found = sl.explain(network, picture, sl.FusionMap(show="margin"))
        border = sl.explain(network, picture, "saliency", sl.Target(1, sl.border(sl.predicted("nucleus"), 1))).region
        inner = sl.explain(network, picture, "saliency", sl.Target(1, sl.predicted("nucleus"))).region & ~border
        assert np.isnan(found.score)
        assert found.map[border].mean() < 0.8 * found.map[inner].mean()
        assert (found.extras["winner"] == found.prediction).all()
        assert (found.extras["second"] == 1 - found.prediction).all()

    def test_superpixels_keep_the_sum_of_the_score_map(self, network, picture):
        target = sl.Target("nucleus", sl.predicted("nucleus"))
        score, *gathered = (sl.explain(network, picture, m, target) for m in ("score-map", "ssm", "gssm"))
        for one in gathered:
            assert one.map.sum() == pytest.approx(score.map.sum(), rel=1e-4)
            assert np.corrcoef(one.map.ravel(), score.map.ravel())[0, 1] > 0.9
            assert len(np.unique(one.map)) < 0.1 * one.map.size

    def test_one_logit_is_two_opposite_classes(self, network, picture):
        region = sl.predicted("nucleus")
        targets = [sl.Target(c, region) for c in ("nucleus", "background")]
        nucleus, background = sl.explain(network, picture, sl.InputXGradient(), targets)
        assert background.score == pytest.approx(-nucleus.score)
        np.testing.assert_allclose(background.map, -nucleus.map, atol=1e-9)

    def test_integrated_gradients_are_complete_and_stay_at_the_nucleus(self, network, picture):
        target = sl.Target("nucleus", sl.instance("nucleus", largest=1))
        found = sl.explain(network, picture, sl.IntegratedGradients(nodes=16), target)
        gained = found.score - found.extras["baseline-score"]
        assert found.map.sum() == pytest.approx(gained, rel=0.01)
        close = near(found.region, 3)
        assert found.share(close) > 0.9 > 0.2 > close.mean()

    @honest
    def test_late_layers_look_like_the_logits_and_their_input_is_named_as_such(self, network, picture):
        x, _ = network.convention.prepare(sl.read_image(picture).pixels)
        with torch.no_grad():
            logits = network(x)[0, 0].relu().numpy()
        target = sl.Target("nucleus", sl.predicted("nucleus"))
        with pytest.warns(sl.SeglensWarning, match="feeds a linear 1×1 head"):
            late = sl.explain(network, picture, sl.GradCAM("decoders.2"), target)
        early = sl.explain(network, picture, sl.GradCAM("encoders.0"), target)
        alike = [np.corrcoef(one.map.ravel(), logits.ravel())[0, 1] for one in (early, late)]
        assert alike[1] > 0.95
        assert alike[1] > alike[0]

    def test_an_in_place_rectifier_behind_the_layer_changes_nothing(self, network, picture):
        target = sl.Target("nucleus", sl.predicted("nucleus"))
        before = sl.explain(network, picture, sl.HiResCAM("encoders.2.1", relu=False), target)
        copy = NucleiUNet()
        copy.load_state_dict(network.module.state_dict())
        for module in copy.modules():
            if isinstance(module, torch.nn.ReLU):
                module.inplace = False
        plain = network.with_(module=copy)
        after = sl.explain(plain, picture, sl.HiResCAM("encoders.2.1", relu=False), target)
        np.testing.assert_allclose(before.map, after.map, rtol=1e-4, atol=1e-7)


class TestVessels:
    SIZE = (96, 96)

    @pytest.fixture(scope="class")
    @classmethod
    def network(cls):
        with pytest.warns(sl.SeglensWarning, match="'model_state_dict'"):
            return sl.load(
                material("vessels/wnet_drive.pth"),
                constructor=WNet,
                convention={"divisor": 4},
                classes=["background", "vessel"],
                output=1,
            )

    @pytest.fixture
    def picture(self):
        whole = Image.open(material("photos/retina.jpg")).convert("RGB").resize((512, 512), Image.Resampling.BILINEAR)
        return np.array(whole)[208:304, 32:128]

    def test_it_finds_the_vessels(self, network, picture):
        found = {f.name: f for f in sl.find_classes(network, picture)}
        assert 0.05 < found["vessel"].share < 0.35
        assert found["vessel"].confidence > 0.8
        # Vessels are darker in green than what surrounds them.
        target = sl.Target("vessel", sl.predicted("vessel"))
        region = sl.explain(network, picture, "saliency", target).region
        green = picture[..., 1].astype(float)
        beside = near(region, 4) & ~near(region, 1)
        assert green[region].mean() < green[beside].mean() - 5

    @honest
    @pytest.mark.parametrize("name", METHODS)
    def test_every_method_over_every_kind_of_region(self, network, picture, name):
        vessel = sl.instance("vessel", largest=1)
        regions = [sl.predicted("vessel"), vessel, sl.border(vessel, 1)]
        targets = [sl.Target("vessel", r) for r in regions]
        with untouched(network):
            found = sl.explain(network, picture, VESSEL_METHODS[name], targets)
        for one in found:
            check(network, one, self.SIZE)
        assert found[0].score > found[2].score

    def test_integrated_gradients_are_complete_and_stay_at_the_vessel(self, network, picture):
        target = sl.Target("vessel", sl.instance("vessel", largest=1))
        found = sl.explain(network, picture, VESSEL_METHODS["integrated-gradients"], target)
        gained = found.score - found.extras["baseline-score"]
        assert found.map.sum() == pytest.approx(gained, rel=0.01)
        assert found.share(found.region) > 1.5 * found.region.mean()

    def test_the_mode_of_the_module_is_the_callers(self, network, picture):
        target = sl.Target("vessel", sl.predicted("vessel"))
        both = sl.explain(network, picture, sl.Saliency(), target)
        try:
            network.module.mode = "eval"
            one = sl.explain(network.with_(output=None), picture, sl.Saliency(), target)
            assert network.module.mode == "eval"
        finally:
            network.module.mode = "train"
        np.testing.assert_array_equal(both.map, one.map)

    def test_a_pair_of_outputs_is_asked_about(self, network, picture):
        with pytest.raises(sl.SeglensError, match="output=INDEX"):
            sl.explain(network.with_(output=None), picture, "saliency", "vessel")
