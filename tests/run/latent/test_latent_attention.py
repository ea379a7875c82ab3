"""Latent attention: on an encoder whose units read one patch each, on VAEs of every kind, and at the stated cost."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seglens as sl
from seglens.core.cost import measured
from seglens.core.errors import DeadUnitWarning, NetworkError, ParameterError
from seglens.core.targets import Targets
from seglens.generative import CVAE, VAE, BurgessVAE, Mgrad2VAE, SegmentationVAE
from seglens.generative.coder import conditioned, latent_of
from seglens.methods import GradCAM
from seglens.run.latent.attention import encoder_scales, latent_attention, units_of

# A unit for which nothing speaks at a layer has a map of zeros, lawfully.
pytestmark = pytest.mark.filterwarnings("ignore::seglens.core.errors.ZeroMapWarning")

GRID = 4
"""Patches along a side."""


class Patches(nn.Module):
    """A VAE whose unit i is the mean of patch i of an image of 4 × 4 patches of 4 pixels, times 10; log σ² = −2.

    Its layer `maps` gives one channel a patch: the image inside its patch, zero elsewhere. The last unit is dead.
    """

    latent, conditions, produces = GRID * GRID + 1, (), "image"

    def __init__(self):
        super().__init__()
        n = GRID * GRID
        self.maps = nn.Conv2d(1, n, 1, bias=False)
        nn.init.ones_(self.maps.weight)
        masks = torch.zeros(n, 1, 16, 16)
        for i in range(n):
            masks[i, 0, 4 * (i // GRID) :][:4, 4 * (i % GRID) :][:, :4] = 1
        self.register_buffer("masks", masks[:, 0])
        self.cut = Cut(self.masks)
        self.dense = nn.Linear(n * 16 * 16, n + 1, bias=False)
        with torch.no_grad():
            self.dense.weight.zero_()
            for i in range(n):
                self.dense.weight[i].view(n, 256)[i] = 10 * masks[i, 0].flatten() / 16

    def encode(self, x, condition=None):
        mu = self.dense(self.cut(self.maps(x)).flatten(1))
        logvar = torch.full_like(mu, -2.0)
        logvar[:, -1] = 0.0
        return mu, logvar

    def decode(self, z, condition=None):
        return torch.einsum("bi,ihw->bhw", z[:, :-1] / 10, self.masks)[:, None]

    def picture(self, raw):
        return raw.clamp(0, 1)

    def forward(self, x, condition=None):
        return self.decode(self.encode(x)[0])


class Cut(nn.Module):
    def __init__(self, masks):
        super().__init__()
        self.register_buffer("masks", masks)

    def forward(self, a):
        return a * self.masks


def patches() -> sl.Network:
    return sl.load(Patches(), convention=sl.Convention(channels=1, size=(16, 16)), name="patches")


def noise(*shape) -> np.ndarray:
    return (np.random.default_rng(5).random(shape) * 200 + 50).astype(np.uint8)


@pytest.mark.parametrize("method", ["grad-cam", "hires-cam", "layer-cam"])
def test_the_map_of_a_unit_that_reads_one_patch_is_that_patch(method):
    """Grad-CAM: α is 10/256 in channel i alone, so M_i = 10/256 · image inside the patch; HiRes: 10/16 of it."""
    picture = noise(16, 16)
    found = latent_attention(patches(), picture, range(16), layer="cut", method=method)
    share = 10 / 256 if method == "grad-cam" else 10 / 16
    for i, e in enumerate(found):
        inside = np.zeros((16, 16), bool)
        inside[4 * (i // 4) :, 4 * (i % 4) :][:4, :4] = True
        expected = np.where(inside, share * picture / 255, 0)
        np.testing.assert_allclose(e.map, expected, rtol=1e-5, atol=1e-8)
        assert e.target == e.channel == f"unit {i}"
        assert e.score == pytest.approx(10 * picture[inside].mean() / 255, rel=1e-5)


def test_it_is_the_very_grad_cam_of_segmentation():
    network, picture = patches(), noise(16, 16)
    x = torch.from_numpy(picture / 255).float()[None, None]
    plain = GradCAM("cut")(latent_of(network), x, Targets.of([3, 7]))
    found = latent_attention(network, picture, [3, 7], layer="cut")
    np.testing.assert_array_equal(np.stack([e.map for e in found]), plain.values[0].numpy())


def test_a_unit_that_says_nothing_is_named():
    """One image: silent or dead cannot be told; the unit with a posterior away from the prior is not named."""
    with pytest.warns(DeadUnitWarning, match=r"unit 16 of patches is the prior .*One image cannot tell") as seen:
        found = latent_attention(patches(), noise(16, 16), [2, 16], layer="cut", method=GradCAM(relu=False))
    (message,) = (str(w.message) for w in seen if w.category is DeadUnitWarning)
    assert "unit 2" not in message
    assert not any("the prior" in note for note in found[0].notes)
    assert any("KL 0 nat" in note for note in found[1].notes)
    mu, logvar, kl = (float(found[0].extras[name]) for name in ("mu", "logvar", "kl"))
    assert (mu, logvar) == (pytest.approx(found[0].score, rel=1e-6), -2.0)
    assert kl == pytest.approx((mu**2 + np.exp(-2) - 1 + 2) / 2)


def test_the_mean_of_the_maps_is_not_the_map_of_the_sum():
    """Units that speak against each other cancel in Σz, and not in the mean of rectified maps."""
    vae, picture = small(VAE), noise(16, 16, 3)
    each = np.stack([e.map for e in latent_attention(vae, picture)])
    (mean,) = latent_attention(vae, picture, average=True)
    np.testing.assert_allclose(mean.map, each.mean(0), rtol=1e-5, atol=1e-8)
    assert mean.target == "mean of 5 units"
    assert np.isnan(mean.score)
    (total,) = latent_attention(vae, picture, "sum", method=GradCAM(relu=False))
    signed = np.stack([e.map for e in latent_attention(vae, picture, method=GradCAM(relu=False))])
    np.testing.assert_allclose(total.map, signed.sum(0), rtol=1e-4, atol=1e-6)
    assert total.target == "sum of 5 units"
    assert not np.allclose(np.maximum(total.map, 0) / 5, mean.map, rtol=0.1)


def small(kind, **fields):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        shape = {"size": (16, 16), "latent": 5, "channels": 3}
        more = {
            VAE: {"widths": (4, 8), "activation": "silu"},
            CVAE: {"widths": (4, 8), "conditions": ("smile", "glasses")},
            SegmentationVAE: {"stages": 2, "width": 4, "classes": ("back", "eye", "mouth")},
            Mgrad2VAE: {"widths": (4, 6), "dense": 8},
            BurgessVAE: {"size": (32, 32)},
        }[kind]
        module = kind(**{**shape, **more, **fields})
        with torch.no_grad():
            for p in module.parameters():
                p.mul_(1.5)
        return module.eval()


@pytest.mark.filterwarnings("ignore::seglens.core.errors.DeadUnitWarning")
@pytest.mark.parametrize("kind", [VAE, CVAE, SegmentationVAE, Mgrad2VAE, BurgessVAE])
@pytest.mark.parametrize("of", ["mu", "logvar", "sample"])
def test_every_kind_of_autoencoder_against_plain_autograd(kind, of):
    """GAP of ∂z_i/∂A by one reverse pass a unit in float64, and the maps made of it."""
    module = small(kind).double()
    condition = {"smile": 1, "glasses": 0} if kind is CVAE else None
    side = 32 if kind is BurgessVAE else 16
    picture = noise(side, side, 3)
    layer = {BurgessVAE: "encoder.conv3"}.get(kind, "encoder.stage2")
    found = latent_attention(
        module, picture, layer=layer, of=of, seed=3, condition=condition, method=GradCAM(relu=False)
    )
    x = torch.from_numpy(picture / 255).movedim(2, 0)[None].to(torch.float64).float().double()
    kept: list[Tensor] = []

    def keep(layer, args, output):
        kept.append(output)
        output.retain_grad()

    handle = module.get_submodule(layer).register_forward_hook(keep)
    mu, logvar = module.encode(x, torch.tensor([[1.0, 0.0]]).double() if kind is CVAE else None)
    handle.remove()
    epsilon = torch.randn(5, generator=torch.Generator().manual_seed(3)).double()
    z = {"mu": mu, "logvar": logvar, "sample": mu + (logvar / 2).exp() * epsilon}[of]
    for i, e in enumerate(found):
        g = torch.autograd.grad(z[0, i], kept[0], retain_graph=True)[0]
        coarse = (g.mean((2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True)
        expected = nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")[0, 0].detach().numpy()
        np.testing.assert_allclose(e.map, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())
        assert e.score == pytest.approx(float(z[0, i].detach()), rel=1e-5)


def test_a_sample_hangs_on_its_seed_alone():
    vae, picture = small(VAE), noise(16, 16, 3)
    first, again, other = (latent_attention(vae, picture, of="sample", seed=s)[0].map for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_a_condition_changes_the_attention():
    cvae, picture = small(CVAE), noise(16, 16, 3)
    maps = [
        latent_attention(cvae, picture, 0, condition=(1, value), method=GradCAM(relu=False))[0].map for value in (0, 1)
    ]
    assert not np.allclose(*maps)
    given = conditioned(sl.load(cvae), torch.tensor([[1.0, 0.0]]))
    np.testing.assert_array_equal(latent_attention(given, picture, 0, method=GradCAM(relu=False))[0].map, maps[0])


def test_several_layers_are_averaged_on_the_image():
    vae, picture = small(VAE), noise(16, 16, 3)
    scales = encoder_scales(vae, picture)
    assert scales[-1] == "encoder.stage2"
    assert all(name.startswith("encoder.stage") for name in scales)
    together = latent_attention(vae, picture, [0, 3], layer=scales)
    one = [latent_attention(vae, picture, [0, 3], layer=a) for a in scales]
    for i, e in enumerate(together):
        each = np.stack([found[i].map for found in one])
        np.testing.assert_allclose(e.map, each.mean(0), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(e.extras["scales"], each, rtol=1e-5, atol=1e-7)
    scaled = latent_attention(vae, picture, [0, 3], layer=scales, normalize=True)
    for i, e in enumerate(scaled):
        each = np.stack([found[i].map / max(found[i].map.max(), 1e-30) for found in one])
        np.testing.assert_allclose(e.map, each.mean(0), rtol=1e-5, atol=1e-7)
        assert e.unit == "share of the largest"


def test_a_map_of_zeros_is_not_divided_by_its_maximum():
    """The papers' code gives 0/0 there."""
    with pytest.warns(DeadUnitWarning):
        (mean,) = latent_attention(patches(), noise(16, 16), [2, 16], layer="cut", average=True, normalize=True)
    assert np.isfinite(mean.map).all()
    assert mean.map.max() == pytest.approx(0.5)


def test_a_hundred_units_of_a_vae_cost_its_encoders_pass():
    """D = 100, linear head: at most 1.05 F, F being a pass of the encoder on the same image."""
    vae = small(VAE, latent=100, size=(64, 64), widths=(32, 64, 128, 256), convolutions=2)
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad(), measured() as once:
        vae.encode(x)
    with measured() as spent:
        GradCAM("encoder.stage4", relu=False)(latent_of(sl.load(vae)), x, Targets.of(range(100)))
    assert spent.flops / once.flops <= 1.05


def test_an_encoder_without_an_autoencoder_has_units_too():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Flatten(), nn.Linear(4 * 64, 3))
    network = sl.load(plain, link="none", convention=sl.Convention(size=(16, 16)))
    found = latent_attention(network, noise(16, 16, 3), layer="0", method=GradCAM(relu=False))
    assert [e.target for e in found] == ["unit 0", "unit 1", "unit 2"]
    with pytest.raises(ParameterError, match="no log-variance, no samples"):
        latent_attention(network, noise(16, 16, 3), of="logvar")


def test_what_has_no_units_is_refused():
    with pytest.raises(NetworkError, match="has no latent units: it is no autoencoder"):
        units_of(sl.load("streets-unet"))
    with pytest.raises(ParameterError, match="no unit 5: there are 5"):
        latent_attention(small(VAE), noise(16, 16, 3), 5)
    with pytest.raises(ParameterError, match="no unit given"):
        latent_attention(small(VAE), noise(16, 16, 3), [])
    with pytest.raises(ParameterError, match="takes no condition"):
        latent_attention(small(VAE), noise(16, 16, 3), condition=(1.0,))
    with pytest.raises(ParameterError, match="'all' or 'sum'"):
        latent_attention(small(VAE), noise(16, 16, 3), "every")
