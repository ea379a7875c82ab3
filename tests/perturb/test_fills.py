"""Fills: pixel values before normalisation, whatever the network's convention."""

import pytest
import torch
from PIL import Image
from torch import nn

from seglens.core.convention import Convention
from seglens.core.errors import ParameterError, ShapeError
from seglens.core.network import Network
from seglens.perturb import FILLS, fill
from seglens.perturb.fills import check_fill, gaussian

P = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
CONVENTIONS = [
    Convention(),
    Convention(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    Convention(mean=(104.0, 117.0, 123.0), range=(0, 255), order="BGR"),
    Convention(range=(-1, 1)),
]
IDS = ["plain", "mean and std", "BGR of 0..255", "−1..1"]


def net(convention):
    return Network(module=nn.Identity(), convention=convention)


@pytest.mark.parametrize("convention", CONVENTIONS, ids=IDS)
@pytest.mark.parametrize(("kind", "level"), [("black", 0.0), ("grey", 0.5), ("white", 1.0)])
def test_one_level_in_pixel_values(convention, kind, level):
    x = convention.normalise(P)
    found = fill(net(convention), x, kind)
    torch.testing.assert_close(convention.denormalise(found), torch.full_like(P, level))
    assert found.shape == x.shape
    assert found.dtype == x.dtype


@pytest.mark.parametrize("convention", CONVENTIONS, ids=IDS)
def test_mean_colour_of_each_image(convention):
    found = convention.denormalise(fill(net(convention), convention.normalise(P), "mean"))
    torch.testing.assert_close(found, P.mean((2, 3), keepdim=True).expand_as(P))


@pytest.mark.parametrize("convention", CONVENTIONS, ids=IDS)
def test_blur(convention):
    """Linear with weights that sum to one, so blurring before or after normalisation is the same."""
    found = convention.denormalise(fill(net(convention), convention.normalise(P), "blur"))
    torch.testing.assert_close(found, gaussian(P, 24 / 16))


def test_gaussian_by_its_formula():
    sigma, radius = 1.5, 4
    at = torch.arange(-radius, radius + 1, dtype=torch.float64)
    k = torch.exp(-(at**2) / (2 * sigma**2))
    k = torch.outer(k, k) / k.sum() ** 2
    edge = nn.functional.pad(P, [radius] * 4, mode="replicate")
    expected = nn.functional.conv2d(edge, k.expand(3, 1, -1, -1), groups=3)
    torch.testing.assert_close(gaussian(P, sigma), expected)


def test_gaussian_of_a_volume_keeps_constants_and_the_sum_of_a_point():
    constant = torch.full((1, 1, 5, 6, 7), 0.3, dtype=torch.float64)
    torch.testing.assert_close(gaussian(constant, 2.0), constant)
    point = torch.zeros(1, 1, 15, 15, 15, dtype=torch.float64)
    point[0, 0, 7, 7, 7] = 1
    blurred = gaussian(point, 1.0)
    assert blurred.sum() == pytest.approx(1)
    torch.testing.assert_close(blurred, blurred.transpose(2, 4))


@pytest.mark.parametrize(("kind", "level"), [("black", 0.0), ("grey", 0.5), ("white", 1.0)])
def test_a_network_that_standardises_each_image(kind, level):
    """There the image's own darkest and brightest pixel values stand for black and white, channel means applied."""
    for convention in (
        Convention(per_image=True),
        Convention(per_image=True, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0)),
    ):
        x = convention.normalise(P)
        found = fill(net(convention), x, kind)
        for b in range(2):
            lo, hi = P[b].min(), P[b].max()
            value = (lo + level * (hi - lo) - P[b].mean()) / P[b].std(correction=0)
            expected = torch.stack([(value - m) / s for m, s in zip(convention.mean, convention.std, strict=True)])
            torch.testing.assert_close(found[b], expected[:, None, None].expand(3, 16, 24))


def test_a_colour_is_red_green_and_blue_for_a_network_of_the_opposite_order():
    """Standardised by each image: the same colour, with its channels the other way round."""
    plain, opposite = (Convention(per_image=True, order=order) for order in ("RGB", "BGR"))
    found = fill(net(opposite), opposite.normalise(P), (0.1, 0.5, 0.9))
    torch.testing.assert_close(found, fill(net(plain), plain.normalise(P), (0.1, 0.5, 0.9)).flip(1))


@pytest.mark.parametrize("kind", FILLS)
def test_each_image_is_filled_by_itself(kind):
    network = net(CONVENTIONS[1])
    torch.testing.assert_close(fill(network, P, kind)[1:], fill(network, P[1:], kind))


@pytest.mark.parametrize("kind", FILLS)
@pytest.mark.parametrize("per_image", [False, True])
def test_padding_does_not_change_what_fills_the_picture(kind, per_image):
    """Two pictures on one grid, one padded with its last row and column: each as it is filled alone, unpadded."""
    network = net(Convention(per_image=per_image))
    small = P[:1, :, :13, :10]
    x = torch.cat([nn.functional.pad(small, (0, 14, 0, 3), mode="replicate"), P[1:]])
    shown = torch.ones(2, 16, 24, dtype=torch.bool)
    shown[0, 13:], shown[0, :, 10:] = False, False
    found = fill(network, x, kind, shown)
    torch.testing.assert_close(found[:1, :, :13, :10], fill(network, small, kind))
    assert torch.equal(found[1:], fill(network, P[1:], kind))
    if kind in ("mean", "blur"):
        assert not torch.allclose(found[:1], fill(network, x, kind)[:1])


def test_the_mean_of_half_precision_does_not_overflow():
    x = torch.full((1, 1, 400, 400), 3.0, dtype=torch.float16)
    shown = torch.ones(1, 400, 400, dtype=torch.bool)
    shown[:, :, 300:] = False
    torch.testing.assert_close(fill(net(Convention(channels=1)), x, "mean", shown), x)


@pytest.mark.parametrize("convention", CONVENTIONS, ids=IDS)
@pytest.mark.parametrize(
    ("kind", "colour"),
    [(0.25, (0.25,) * 3), ("0.75", (0.75,) * 3), ((0.1, 0.2, 0.3),) * 2, ("0.1,0.2,0.3", (0.1, 0.2, 0.3))],
)
def test_any_constant_in_pixel_values(convention, kind, colour):
    found = convention.denormalise(fill(net(convention), convention.normalise(P), kind))
    expected = torch.tensor(colour, dtype=torch.float64)[None, :, None, None].expand_as(P)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("convention", CONVENTIONS, ids=IDS)
def test_noise_is_uniform_in_pixel_values_and_always_the_same(convention):
    network, x = net(convention), convention.normalise(P)
    state = torch.get_rng_state()
    found = fill(network, x, "noise")
    assert torch.equal(torch.get_rng_state(), state)
    pixels = convention.denormalise(found)
    assert torch.equal(fill(network, x, "noise"), found)
    assert pixels.min() > -1e-6
    assert pixels.max() < 1 + 1e-6
    assert pixels.mean() == pytest.approx(0.5, abs=0.03)
    assert pixels.var() == pytest.approx(1 / 12, abs=0.01)


@pytest.mark.parametrize("form", ["array", "file"])
def test_any_picture_resized_to_the_image(form, tmp_path):
    picture = (torch.rand(8, 12, 3, generator=torch.Generator().manual_seed(5)) * 255).round().to(torch.uint8).numpy()
    kind = picture
    if form == "file":
        kind = str(tmp_path / "other.png")
        Image.fromarray(picture).save(kind)
    found = CONVENTIONS[1].denormalise(fill(net(CONVENTIONS[1]), CONVENTIONS[1].normalise(P), kind))
    small = torch.from_numpy(picture).permute(2, 0, 1)[None].double() / 255
    expected = nn.functional.interpolate(small, (16, 24), mode="bilinear", align_corners=False)
    torch.testing.assert_close(found, expected.expand_as(P), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["grai", "1.5", 2, (0.1, -1.0), "", "nan", ()])
def test_what_is_no_fill_is_refused(kind):
    with pytest.raises(ParameterError, match="to be"):
        check_fill(kind)


def test_a_damaged_picture_and_a_colour_of_other_channels_are_refused(tmp_path):
    path = tmp_path / "cut.png"
    Image.new("RGB", (64, 64)).save(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ParameterError, match="a picture that cannot be read"):
        check_fill(str(path))
    with pytest.raises(ShapeError, match="a colour of 2 channels does not fill images of 3"):
        fill(net(CONVENTIONS[0]), P, (0.1, 0.2))
