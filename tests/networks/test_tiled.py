"""A network in tiles is the network, where tiles overlap by its receptive field; elsewhere the difference is told."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tiled_toys import Dilated, Placed, Squeezed, Strided, Unet, Unpadded, Volume, network, picture
from torch import Tensor, nn

import seglens as sl
from seglens.core.errors import CaptureError, NetworkError, ParameterError, SeamWarning
from seglens.core.network import Network
from seglens.core.regions import box, everything, predicted
from seglens.core.targets import Target, channel
from seglens.networks.layers import layers_of
from seglens.networks.tiled import seams_of, tiled
from seglens.testing import untouched

QUESTIONS = (
    Target(1, everything),
    Target(channel(1) - channel(0), box(17, 22, 24, 31)),
    Target(0, predicted(0), of="probabilities"),
)


def scores(net: Network, x: Tensor) -> Tensor:
    with sl.capture(net), torch.no_grad():
        return net(x)


def slopes(net: Network, x: Tensor, region: Sequence[slice]) -> Tensor:
    """∂/∂x of a weighted sum of the output's values in a region, by hand."""
    with sl.capture(net):
        x = x.clone().requires_grad_()
        y = net(x)[(..., *region)]
        weights = picture(9, *y.shape)
        return torch.autograd.grad((y * weights).sum(), x)[0]


def close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(torch.allclose(a, b, rtol=1e-10, atol=1e-12))


KINDS: dict[str, tuple[Network, tuple[int, ...], int]] = {
    "unet": (network(Unet, divisor=4), (2, 3, 100, 132), 64),
    "dilated": (network(Dilated, 2), (3, 2, 41, 57), 29),
    "strided": (network(Strided), (2, 3, 61, 107), 48),
    "unpadded": (network(Unpadded), (2, 3, 47, 59), 22),
    "volume": (network(Volume, 1), (2, 1, 20, 26, 34), 16),
}
"""Network, shape of a picture, and a tile's side."""


@pytest.mark.parametrize("kind", KINDS)
def test_is_the_network_on_the_whole_picture(kind: str) -> None:
    net, shape, size = KINDS[kind]
    x = picture(1, *shape)
    t = tiled(net, size)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert close(scores(t, x), scores(net, x))
    (seam,) = seams_of(t)
    assert seam.exact
    assert seam.positions > 0
    everywhere = [slice(None)] * (len(shape) - 2)
    part = [slice(n // 3, n // 2) for n in scores(net, x).shape[2:]]
    for region in (everywhere, part):
        assert close(slopes(t, x, region), slopes(net, x, region))


@settings(max_examples=12, deadline=None, derandomize=True, phases=[Phase.generate])
@given(
    kind=st.sampled_from(["dilated", "strided", "unpadded"]),
    height=st.integers(21, 90),
    width=st.integers(21, 90),
    more=st.integers(0, 9),
    wider=st.integers(0, 3),
)
def test_of_any_size_in_tiles_of_any_size(kind: str, height: int, width: int, more: int, wider: int) -> None:
    """Odd sizes, sizes that no stride divides, tiles that fit and that do not; the last tile as it comes."""
    net, shape, size = KINDS[kind]
    x = picture(height, 1, shape[1], height, width)
    t = tiled(net, size + more, size // 2 + wider)
    assert close(scores(t, x), scores(net, x))
    assert all(seam.exact for seam in seams_of(t))
    region = [slice(2, 9), slice(1, None)]
    assert close(slopes(t, x, region), slopes(net, x, region))


def test_an_overlap_one_pixel_too_small_is_told() -> None:
    """13 × 11 pixels are seen: an overlap of 12 is enough, one of 11 is not, and the scores there differ."""
    net, x = KINDS["dilated"][0], picture(2, 1, 2, 60, 20)
    whole = scores(net, x)
    enough = tiled(net, (30, 30), (12, 12))
    assert close(scores(enough, x), whole)
    assert seams_of(enough)[0].covered
    short = tiled(net, (30, 30), (11, 12))
    with pytest.warns(SeamWarning, match="receptive field of 13 × 11 is larger than the overlap"):
        found = scores(short, x)
    assert not close(found, whole)
    seam = seams_of(short)[0]
    assert not seam.covered
    assert not seam.exact
    assert seam.largest > seam.rounding


METHODS: list[Any] = [
    sl.Saliency(),
    sl.InputXGradient(),
    sl.IntegratedGradients(nodes=4, most=4, gap=0.9),
    sl.SmoothGrad(samples=2),
    sl.GradCAM("bottom"),
    sl.GradCAM("second", truncate=True),
    sl.GradCAMPlusPlus("bottom"),
    sl.LayerCAM("second"),
    sl.HiResCAM("bottom.2"),
    sl.Occlusion(size=20, stride=20),
    sl.RISE(masks=4),
    sl.GridSaliency(mode="reference", steps=3, fill="black"),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
@pytest.mark.filterwarnings("ignore::seglens.core.errors.SeglensWarning")
def test_methods_give_the_maps_of_the_whole_picture(method: Any) -> None:
    net, x = KINDS["unet"][0], picture(3, 2, 3, 64, 92)
    t = tiled(net, 64)
    with untouched(net), untouched(t, x):
        found = method(t, x, QUESTIONS)
    expected = method(net, x, QUESTIONS)
    assert torch.allclose(found.values, expected.values, rtol=1e-4, atol=1e-6 * float(expected.values.abs().max()))
    assert torch.allclose(found.score, expected.score)
    assert float(expected.values.abs().max()) > 0


def test_several_layers_are_joined_in_one_pass() -> None:
    """Each layer's derivative runs through the layers behind it, and a layer that runs twice has two maps."""
    for net, names in (
        (KINDS["unet"][0], ["first", "second", "bottom.2"]),
        (KINDS["unpadded"][0], ["again#0", "again#1"]),
    ):
        x = picture(4, 1, 3, 48, 92)
        t = tiled(net, 64)
        maps: list[list[Tensor]] = []
        for one in (net, t):
            with sl.capture(one, names) as taps:
                y = one(x)
                weighted = (y * picture(5, *y.shape)).sum()
                at = [taps[name] for name in names]
                maps.append([*(a.detach() for a in at), *torch.autograd.grad(weighted, at)])
        assert all(close(a, b) for a, b in zip(*maps, strict=True))
        assert [s.layer for s in seams_of(t)][:-1] == [n.removesuffix("#0") for n in names]


def test_layers_receive_what_a_hook_hands_on() -> None:
    """A layer's joined map may be exchanged: what comes behind sees the other."""
    net, x = KINDS["unet"][0], picture(6, 1, 3, 48, 100)
    t = tiled(net, 64)
    found: list[Tensor] = []
    for one in (net, t):
        handle = one.layer("bottom").register_forward_hook(lambda m, args, out: out * 0.5 + 1)
        found.append(scores(one, x))
        handle.remove()
    assert close(*found)
    assert not close(found[0], scores(net, x))


def test_global_networks_are_another_function_and_that_is_measured() -> None:
    net, x = network(Squeezed), picture(7, 1, 3, 50, 70)
    t = tiled(net, 32)
    with pytest.warns(SeamWarning, match="receptive field of everything × everything is larger"):
        y = scores(t, x)
    seam = seams_of(t)[0]
    # By hand: the same picture pooled over the first two tiles alone, along the column where they meet.
    overlap = t.module.tiles.overlap[1]  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue, reportUnknownVariableType, reportUnknownMemberType, reportIndexIssue]
    first, second = scores(net, x[..., :32, :32]), scores(net, x[..., :32, 32 - overlap : 64 - overlap])
    gap = (first[..., 28:29] - second[..., 28 - 32 + overlap : 29 - 32 + overlap]).abs().amax()
    assert not seam.exact
    assert seam.largest > 1e-4
    assert math.isfinite(seam.rms)
    assert seam.largest * float(y.std((2, 3)).max()) >= float(gap) > 0
    assert not close(y, scores(net, x))


def test_a_covered_field_is_not_believed_where_tiles_disagree() -> None:
    """A network that knows where its pixels lie sees three of them, and is still not the same in tiles."""
    net, x = network(Placed, 1), picture(8, 1, 1, 20, 64)
    t = tiled(net, 24)
    with pytest.warns(SeamWarning, match="not exact though the overlap covers the receptive field of 3 × 3"):
        scores(t, x)


def test_sizes_that_change_the_law_are_not_called_exact() -> None:
    """Resizing 50.5 to 101 is no factor of two: the last tile's law is another, and so would the picture's be."""

    class Halved(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            small = nn.functional.max_pool2d(self.conv(x), 2)
            return nn.functional.interpolate(small, size=x.shape[2:], mode="bilinear", align_corners=False)

    net = network(Halved, 1)
    assert close(scores(tiled(net, 32), picture(1, 1, 1, 100, 40)), scores(net, picture(1, 1, 1, 100, 40)))
    t = tiled(net, 32)
    with pytest.warns(SeamWarning):
        scores(t, picture(1, 1, 1, 101, 40))
    assert not seams_of(t)[0].exact


def test_one_tile_is_held_at_a_time_and_none_runs_again_without_a_gradient() -> None:
    """Counted inside: what the layers see at once, and how often they run in the reverse pass of a small region."""
    net, x = KINDS["dilated"][0], picture(10, 1, 2, 64, 80)
    seen: list[int] = []
    handle = net.layer("body.0").register_forward_pre_hook(lambda m, args: seen.append(args[0].shape[2:].numel()))
    t = tiled(net, 32, 16)
    try:
        with sl.capture(t):
            y = scores(t, x)
            seen.clear()
            z = x.clone().requires_grad_()
            y = t(z)
            # Tiles begin at 0, 16, 32 and at 0, 16, 32, 48: twelve.
            assert len(seen) == 12
            assert max(seen) <= 32 * 32
            seen.clear()
            torch.autograd.grad(y[..., 30:34, 44:48].sum(), z, retain_graph=True)
            # Rows 30 to 33 lie in the cores 24 … 39, columns 44 to 47 in 40 … 55: one tile.
            assert len(seen) == 1
            seen.clear()
            torch.autograd.grad(y.sum(), z)
            assert len(seen) == 12
    finally:
        handle.remove()


def test_the_picture_that_fits_passes_once() -> None:
    net, x = KINDS["unet"][0], picture(11, 1, 3, 32, 28)
    t = tiled(net, 32)
    runs: list[int] = []
    handle = net.layer("first.0").register_forward_hook(lambda *_: runs.append(1))
    try:
        with sl.capture(t, ["second"]) as taps:
            y = t(x)
            torch.autograd.grad(y.sum(), taps["second"])
    finally:
        handle.remove()
    assert len(runs) == 1
    assert seams_of(t) == ()
    assert torch.equal(y, scores(net, x))


def test_names_and_parameters_are_those_inside() -> None:
    net = KINDS["unet"][0]
    t = tiled(net, 32)
    assert [n for n, _ in t.module.named_modules()] == [n for n, _ in net.module.named_modules()]
    assert [n for n, _ in t.module.named_parameters()] == [n for n, _ in net.module.named_parameters()]
    assert all(a is b for a, b in zip(t.module.parameters(), net.module.parameters(), strict=True))
    assert list(t.module.state_dict()) == list(net.module.state_dict())
    assert t.dtype == torch.float64
    assert set(net.module.modules()) <= set(t.module.modules())
    x = picture(12, 1, 3, 64, 40)
    assert t.default_layer == "bottom"
    assert [a.path for a in layers_of(t, x)] == [a.path for a in layers_of(net, x)]


def test_what_a_network_draws_it_draws_again_in_reverse() -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x * nn.functional.dropout(torch.ones_like(x), 0.5, training=True))

    t = tiled(network(Noisy, 1), 16, 4)
    with warnings.catch_warnings(), sl.capture(t):
        warnings.simplefilter("ignore")
        x = picture(13, 1, 1, 30, 30).requires_grad_()
        y = t(x)
        (g,) = torch.autograd.grad(y.sum(), x)
    # Linear in x: the derivative along x is the sum itself, but for the bias, only with the same draws.
    bias = dict(t.module.named_parameters())["conv.bias"]
    assert torch.allclose((g * x).sum(), y.sum() - (bias.sum() * 900).double())


@pytest.mark.filterwarnings("ignore::seglens.core.errors.SeglensWarning")
def test_guided_backprop_inside_one_tile() -> None:
    """The guided rule is not linear, so it is the whole picture's only where one tile holds the region's field."""
    net, x = KINDS["unet"][0], picture(14, 1, 3, 68, 96)
    t, inside, across = tiled(net, 64), Target(1, box(4, 4, 8, 8)), Target(1, everything)
    assert torch.equal(sl.GuidedBackprop()(t, x, (inside,)).values, sl.GuidedBackprop()(net, x, (inside,)).values)
    with pytest.warns(SeamWarning, match="guided rule is not linear"):
        sl.GuidedBackprop()(t, x, (across,))
    linear = tiled(network(Placed, 1), 24)
    with pytest.raises(CaptureError, match="no rectifier"):
        sl.GuidedBackprop()(linear, picture(1, 1, 1, 30, 30), (across,))


def test_refusals() -> None:
    net = KINDS["unet"][0]
    with pytest.raises(ParameterError, match="cannot overlap by 32"):
        tiled(net, 32, 32)
    with pytest.raises(ParameterError, match="size of a tile"):
        tiled(net, 0)
    with pytest.raises(ParameterError, match="overlap of a tile"):
        tiled(net, 32, (4, 4, 4))
    classifier = Network(module=nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    with pytest.raises(NetworkError, match="no map of scores that could be joined"):
        tiled(classifier, 32)
    squeezed = tiled(network(Squeezed), 24)
    with pytest.raises(CaptureError, match=r"gives .* for a tile: no map"), sl.capture(squeezed, ["gate"]):
        squeezed(picture(1, 1, 3, 40, 40))
