"""VAE, CVAE, segmentation VAE, Burgess's VAE and the U-Net: shapes, conditions, bounds, what they refuse."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from seglens.core.errors import ParameterError, ShapeError
from seglens.generative import CVAE, VAE, BurgessVAE, Mgrad2VAE, Objective, SegmentationVAE, XceptionUNet
from seglens.generative.coder import Coder
from seglens.generative.layers import LOGVAR_BOUND, bounded, initialise, stage
from seglens.generative.losses import kl_per_unit
from seglens.generative.vae import VAEConfig

DATA = Path(__file__).parents[3] / "shared" / "data"


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(autouse=True)
def _same_weights():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def images(b=2, channels=3, size=(32, 32)):
    return torch.rand(b, channels, *size, generator=seeded(1))


@pytest.mark.parametrize("pooling", ["max", "average", "stride"])
@pytest.mark.parametrize(
    ("size", "widths", "convolutions", "latent"),
    [
        ((64, 64), (4, 6, 8, 10), 2, 7),
        ((32, 48), (4, 6), 1, 1),
        ((16, 16), (3,), 3, 100),
        ((96, 32), (2, 2, 2, 2, 2), 2, 5),
    ],
)
def test_shapes_of_any_size_depth_and_latent(size, widths, convolutions, latent, pooling):
    net = VAE(size=size, widths=widths, convolutions=convolutions, latent=latent, pooling=pooling, channels=2)
    x = images(2, 2, size)
    mu, logvar = net.encode(x)
    assert mu.shape == logvar.shape == (2, latent)
    raw = net(x)
    assert raw.shape == x.shape
    assert torch.equal(raw, net.decode(mu))
    assert 0 <= net.picture(raw).min() <= net.picture(raw).max() <= 1
    passed = net.training_pass(x, generator=seeded())
    z = mu + (logvar / 2).exp() * torch.randn(2, latent, generator=seeded())
    torch.testing.assert_close(passed.raw, net.decode(z))
    assert passed.attention is None
    assert passed.scales == ()
    # As many convolutions each way as the stages have.
    for half in (net.encoder, net.decoder):
        assert sum(isinstance(m, nn.Conv2d) for m in half.modules()) == convolutions * len(widths)


def test_the_papers_network_and_its_layers():
    """Eight convolutions each way in four pooled stages of two, 32 to 256 kernels; a head that is linear in the map."""
    net = VAE()
    kernels = [m.weight.shape[0] for m in net.encoder.modules() if isinstance(m, nn.Conv2d)]
    assert kernels == [32, 32, 64, 64, 128, 128, 256, 256]
    back = [m.weight.shape[1] for m in net.decoder.modules() if isinstance(m, nn.Conv2d)]
    assert back == [256, 256, 128, 128, 64, 64, 32, 32]
    kept = {}
    net.encoder.stage4.register_forward_hook(lambda m, i, o: kept.update(map=o))
    mu, _ = net.encode(images(size=(64, 64)))
    assert kept["map"].shape == (2, 256, 4, 4)
    torch.testing.assert_close(mu, kept["map"].flatten(1) @ net.encoder.mu.weight.T + net.encoder.mu.bias)


@pytest.mark.parametrize("size", [64, 128, 256])
@pytest.mark.parametrize("stages", [3, 4, 5])
@pytest.mark.parametrize("latent", [5, 100])
def test_segmentation_vae_of_the_papers_sizes(size, stages, latent):
    net = SegmentationVAE(size=(size, size), stages=stages, latent=latent, width=2, classes=["a", "b", "c"])
    x = images(1, size=(size, size))
    assert net(x).shape == (1, 3, size, size)
    torch.testing.assert_close(net.picture(net(x)).sum(1), torch.ones(1, size, size))
    assert torch.equal(net(x), net.decode(net.encode(x)[0]))
    assert net.training_pass(x, generator=seeded()).mu.shape == (1, latent)


MODELS = {
    "VAE": lambda: VAE(size=(32, 32), widths=(4, 8), latent=3),
    "CVAE": lambda: CVAE(size=(32, 32), widths=(4, 8), latent=3, conditions=("a", "b")),
    "SegmentationVAE": lambda: SegmentationVAE(size=(32, 32), width=2, latent=3),
    "Mgrad2VAE": lambda: Mgrad2VAE(size=(32, 32), latent=3, dense=8),
    "BurgessVAE": lambda: BurgessVAE(channels=3, size=(32, 32), latent=3),
}


@pytest.mark.parametrize("name", MODELS)
def test_all_are_coders_and_rebuilt_from_plain_values(name):
    net = MODELS[name]()
    assert isinstance(net, Coder)
    fields = {k: getattr(net.config, k) for k in net.config.__dataclass_fields__}
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}  # as a TOML file gives them
    twin = type(net)(**plain)
    assert twin.config == net.config
    assert hash(twin.config) == hash(net.config)
    twin.load_state_dict(net.state_dict())
    x = images()
    c = torch.tensor([[1.0, 0.0]]) if net.conditions else None
    assert torch.equal(net(x, c), twin(x, c))
    with pytest.raises(ShapeError, match=rf"{name} takes images \[B 3 32 32\], not \[2, 3, 32, 16\]"):
        net(x[..., :16], c)
    with pytest.raises(ShapeError, match=rf"{name} decodes latent vectors \[B 3\], not \[2, 4\]"):
        net.decode(torch.zeros(2, 4), c)


@pytest.mark.parametrize("name", MODELS)
def test_a_step_of_training_lessens_the_loss(name):
    net, x = MODELS[name](), images(4)
    c = torch.rand(4, 2, generator=seeded(2)) if net.conditions else None
    truth = x if net.produces == "image" else torch.randint(0, 2, (4, 32, 32), generator=seeded(3))
    objective = Objective(reconstruction="bce" if net.produces == "image" else "cross-entropy")

    def loss():
        return objective(net.training_pass(x, c, seeded()), truth)["loss"]

    before = loss()
    before.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    norm = torch.stack([p.grad.norm() for p in net.parameters()]).norm()
    with torch.no_grad():
        for p in net.parameters():
            p -= 1e-5 * p.grad
    drop = (before - loss()).item()
    # A short step down the gradient lessens the loss by its length times the slope.
    assert drop == pytest.approx(1e-5 * norm.item() ** 2, rel=0.5)
    assert drop > 0


def conditional(**changes):
    return CVAE(size=(16, 16), widths=(4, 4), latent=3, conditions=("smile", "hat", "glasses"), **changes).double()


def test_the_condition_reaches_encoder_and_decoder():
    net, x = conditional(), images(2, size=(16, 16)).double()
    z = torch.ones(2, 3).double()
    base, other = torch.zeros(2, 3).double(), torch.tensor([[1.0, 0, 0], [0, 0, 0]]).double()
    for result in (lambda c: net.encode(x, c)[0], lambda c: net.encode(x, c)[1], lambda c: net.decode(z, c)):
        changed = (result(base) - result(other)).flatten(1).abs().amax(1)
        assert changed[0] > 1e-4
        assert changed[1] == 0
    # Each entry has a say of its own, in both.
    for result in (lambda c: net.encode(x[:1], c[None])[0][0], lambda c: net.decode(z[:1], c[None]).flatten()):
        jacobian = torch.autograd.functional.jacobian(result, torch.full((3,), 0.5).double())
        assert torch.linalg.matrix_rank(jacobian) == 3


def test_an_encoder_that_has_the_condition_need_not_encode_it():
    """Embedded planes beside the image: at every place the same, so a constant image is seen with them anywhere."""
    net = conditional()
    planes = net.encoder.condition(images(1, size=(16, 16)).double(), torch.tensor([[1.0, 2.0, 3.0]]).double())
    assert planes.shape == (1, 6, 16, 16)
    assert (planes[:, 3:] == planes[:, 3:, :1, :1]).all()
    linear = net.encoder.condition.linear
    expected = linear.weight @ torch.tensor([1.0, 2, 3]).double() + linear.bias
    torch.testing.assert_close(planes[0, 3:, 0, 0], expected)
    many = CVAE(size=(16, 16), widths=(4,), conditions=[f"a{i}" for i in range(40)])
    assert many.encoder.condition.linear.out_features == 8


def test_classes_are_one_hot():
    net, x = conditional(), images(3, size=(16, 16)).double()
    by_number = net(x, torch.tensor([2, 0, 1]))
    by_vector = net(x, torch.eye(3).double()[[2, 0, 1]])
    assert torch.equal(by_number, by_vector)
    assert torch.equal(net(x, torch.eye(3).double()[:1]), net(x, torch.tensor([0, 0, 0])))


def test_conditions_that_do_not_fit():
    net, x = conditional(), images(2, size=(16, 16)).double()
    with pytest.raises(ParameterError, match=r"CVAE needs a condition \[B 3\]: smile, hat, glasses"):
        net(x)
    with pytest.raises(ParameterError, match=r"the condition of CVAE is to be \[2 3\] .*, not \[2, 2\]"):
        net(x, torch.zeros(2, 2))
    with pytest.raises(ParameterError, match=r"a class of the condition is not one of 0 to 2: \[0, 3\]"):
        net(x, torch.tensor([0, 3]))
    with pytest.raises(ParameterError, match=r"VAE was built without conditions and takes none"):
        MODELS["VAE"]()(images(), torch.zeros(2, 1))
    with pytest.raises(ParameterError, match=r"CVAE.conditions is to name what it is conditioned on"):
        CVAE(size=(16, 16), widths=(4,))
    with pytest.raises(ParameterError, match=r"SegmentationVAE takes no condition"):
        MODELS["SegmentationVAE"]().encode(images(), torch.zeros(2, 1))


def test_log_variance_is_the_identity_and_bent_at_its_ends():
    r = torch.linspace(-60, 60, 2401, dtype=torch.float64, requires_grad=True)
    ell = bounded(r)
    inside = r.abs() <= 12
    assert torch.equal(ell[inside], r[inside])
    assert (ell.abs() <= LOGVAR_BOUND).all()
    (slope,) = torch.autograd.grad(ell.sum(), r, create_graph=True)
    assert (slope[inside] == 1).all()
    assert (slope[r.abs() < 30] > 0).all()  # so that whoever went there comes back
    (bend,) = torch.autograd.grad(slope.sum(), r)
    assert bend[inside].count_nonzero() == 0
    steps = (slope[2:] - slope[:-2]).detach() / 0.1
    torch.testing.assert_close(bend[1:-1], steps, rtol=0, atol=2e-2)  # no jump: C² also where the pieces meet
    far = bounded(torch.tensor([torch.inf, -torch.inf, 1e30]))
    assert far.tolist() == [14, -14, 14]


@pytest.mark.parametrize("name", MODELS)
def test_images_beyond_all_bounds_do_not_break_it(name):
    net = MODELS[name]()
    x, c = images() * 1e6, torch.ones(2, 2) if net.conditions else None
    passed = net.training_pass(x, c, seeded())
    assert kl_per_unit(passed.mu, passed.logvar).isfinite().all()
    assert passed.logvar.abs().max() <= LOGVAR_BOUND
    assert passed.raw.isfinite().all()


@pytest.mark.parametrize("name", ["VAE", "SegmentationVAE", "Mgrad2VAE"])
def test_the_posterior_stays_in_single_precision_under_autocast(name):
    net, x = MODELS[name](), images()
    with torch.autocast("cpu", torch.bfloat16):
        passed = net.training_pass(x, generator=seeded())
    assert passed.mu.dtype == passed.logvar.dtype == torch.float32
    assert passed.raw.dtype == torch.bfloat16
    exact = net.training_pass(x, generator=seeded())
    torch.testing.assert_close(passed.mu, exact.mu, rtol=0, atol=0.05 * exact.mu.std().item())
    torch.testing.assert_close(passed.raw.float(), exact.raw, rtol=0, atol=0.15 * exact.raw.std().item())


@pytest.mark.parametrize("act", ["relu", "silu", "softplus", "tanh", "gelu", "elu", "leaky_relu"])
def test_the_start_keeps_the_signal(act):
    """Eight layers deep the image still tells images apart; with torch's own start a ten-thousandth is left."""
    x = torch.randn(8, 3, 16, 16, generator=seeded(1))
    deep = nn.Sequential(stage(3, 32, 4, act, None), stage(32, 32, 4, act, None))
    power = deep(x).square().mean().item()
    assert 0.2 < power < 5
    own = copy.deepcopy(deep)
    for m in own.modules():
        if isinstance(m, nn.Conv2d):
            m.reset_parameters()
    if act in ("relu", "silu", "gelu"):
        assert (own(x) - own(x).mean(0)).square().mean() < 1e-3 * (deep(x) - deep(x).mean(0)).square().mean()
    up = nn.Sequential(nn.ConvTranspose2d(32, 32, 4, 2, 1), nn.ReLU())
    initialise(up, "relu")
    assert 0.5 < up(torch.randn(4, 32, 16, 16, generator=seeded(2)))[..., 2:-2, 2:-2].square().mean() < 2


def test_gaussian_likelihood_gives_pixels():
    net = VAE(size=(16, 16), widths=(4,), latent=2, likelihood="gaussian")
    raw = torch.tensor([-1.0, 0.5, 2.0])
    assert net.picture(raw).tolist() == [0, 0.5, 1]


def test_what_cannot_be_built():
    with pytest.raises(ParameterError, match=r"VAE.size is 60 x 64, but 4 stages .* multiples of 16.\n .* 64 x 64"):
        VAE(size=(60, 64))
    with pytest.raises(ParameterError, match=r"Mgrad2VAE.size is 64 x 100, but 4 scales halve it 3 times"):
        Mgrad2VAE(size=(64, 100))
    with pytest.raises(ParameterError, match=r"VAEConfig has no 'latents'.\n  Nearest: 'latent'"):
        VAE(latents=3)
    with pytest.raises(ParameterError, match=r"VAEConfig.latent is to be >= 1, not 0"):
        VAE(latent=0)
    with pytest.raises(ParameterError, match=r"VAEConfig.widths is to be the channels of each stage, .* not \(\)"):
        VAE(widths=())
    with pytest.raises(ParameterError, match=r"VAEConfig.size is to be \(height, width\) in pixels"):
        VAE(size=(64,))
    with pytest.raises(ParameterError, match=r"activation is to be one of .*, not 'swish'"):
        VAE(activation="swish")
    with pytest.raises(ParameterError, match=r"conditions is to be different names"):
        CVAE(conditions=("a", "a"))
    with pytest.raises(ParameterError, match=r"classes is to be the names of two classes or more, not \('a',\)"):
        SegmentationVAE(classes=["a"])
    with pytest.raises(ParameterError, match=r"BurgessVAE.size is to be \(32, 32\) or \(64, 64\), not \(48, 48\)"):
        BurgessVAE(size=(48, 48))
    assert VAE(VAEConfig(latent=5, size=(32, 32), widths=(2,)), latent=6).config.latent == 6


def test_the_u_net():
    net = XceptionUNet(channels=1, classes=("a", "b", "c"), widths=[4, 6, 8]).eval()
    x = images(2, 1, (24, 20))
    assert net(x).shape == (2, 3, 24, 20)
    torch.testing.assert_close(net(x)[:1], net(x[:1]))
    kept = {}
    net.encoder.level3.register_forward_hook(lambda m, i, o: kept.update(map=o))
    net(x)
    assert kept["map"].shape == (2, 8, 6, 5)
    depthwise = [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert len(depthwise) == 1 + 2 * 2 + 2 * 2
    with pytest.raises(ShapeError, match=r"multiples of 4; got 24 x 22.\n  Pad or resize to 24 x 24"):
        net(images(1, 1, (24, 22)))
    with torch.no_grad():
        small = sum(p.numel() for p in XceptionUNet().parameters())
    assert small < 80_000


PUBLISHED = {"VAE_mnist": 32, "btcvae_mnist": 32, "VAE_dsprites": 64, "btcvae_dsprites": 64}


def published(name):
    path = DATA / "vae" / name / "model.pt"
    if not path.exists():
        pytest.skip(f"optional test material is absent: vae/{name} is looked for in ../shared/data")
    weights = torch.load(path, map_location="cpu", weights_only=True)
    net = BurgessVAE(size=(PUBLISHED[name],) * 2)
    net.load_state_dict(weights)
    return net.eval(), weights


def shapes(n=200):
    """White squares and ellipses on black, as in dSprites."""
    g = seeded(0)
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    found = torch.zeros(n, 1, 64, 64)
    for k in range(n):
        y, x = (rows - torch.randint(16, 48, (), generator=g)), (columns - torch.randint(16, 48, (), generator=g))
        r = 4 + k % 8
        found[k, 0] = (y.abs() < r) & (x.abs() < r) if k % 2 else y**2 + (2 * x) ** 2 < 1.5 * r * r
    return found


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_weights_fit_name_by_name_and_in_order(name):
    net, weights = published(name)
    assert list(net.state_dict()) == list(weights)
    assert [k for k, _ in net.named_parameters()] == list(weights)


@pytest.mark.parametrize(("name", "dead"), [("btcvae_dsprites", [0, 1, 5, 7, 9]), ("VAE_dsprites", [])])
def test_published_networks_reconstruct_and_their_dead_units_are_dead(name, dead):
    """μ and log σ² interleaved: taken as two halves, no unit would look like the prior and the pictures like noise."""
    net, _ = published(name)
    x = shapes()
    with torch.no_grad():
        mu, logvar = net.encode(x)
        units = kl_per_unit(mu, logvar).mean(0)
        missed = (net.picture(net.decode(mu)) - x).square().mean()
    assert [k for k in range(10) if units[k] < 0.01] == dead
    assert all(units[k] > 0.3 for k in range(10) if k not in dead)
    assert missed < 0.005 < 0.04 < x.var()
    swapped = torch.cat([mu[:, :5], logvar[:, :5]], 1)
    with torch.no_grad():
        assert (net.picture(net.decode(swapped)) - x).square().mean() > 4 * missed
