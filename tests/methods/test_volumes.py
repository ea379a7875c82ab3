"""Volumes [B C D H W]: every method, against what the same method says of a plane, and by what must hold in space.

A network that ignores depth and a volume that is the same in every slice are written twice: as convolutions of depth 1
over a volume, and as plane convolutions. The question spans all slices, and the score is a sum, so that each slice of
the volume's map is the plane's map.
"""

import warnings
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import pad

from seglens.core.convention import Convention
from seglens.core.errors import SeglensWarning
from seglens.core.method import METHODS
from seglens.core.network import Network
from seglens.core.regions import box, everything, mask, pixel, predicted
from seglens.core.targets import Target, channel
from seglens.methods import (
    RISE,
    ContextSaliency,
    GradCAMPlusPlus,
    GridSaliency,
    IntegratedGradients,
    Occlusion,
    Saliency,
    SmoothGrad,
)

DEPTH, PLANE = 3, (8, 10)

PLANAR: set[str] = set()
"""Methods that cannot explain volumes: a new method works on them, or is named here and says so by an error."""

SPACE_ITSELF = {
    "rise": "random masks are other ones in a volume; its expectation is tested in closed form (test_rise.py)",
    "grad-cam-plus-plus": "its weights hang on how many places a feature map has; its formula is written out below",
}
"""Methods of which a slice of the volume's map is not the plane's, and why."""

SMALL = {
    "occlusion": Occlusion(size=DEPTH, stride=2),
    "rise": RISE(masks=30, cells=2),
    "grid-saliency": GridSaliency(cells=(1, 2, 3), fill="black", sparsity=1e-4, steps=6),
    "context-saliency": ContextSaliency(cells=(1, 2, 3), fill="black", sparsity=1e-4, steps=6),
    # Of next to no noise: the draws of a volume are not those of a plane.
    "smooth-grad": SmoothGrad(samples=3, noise=1e-7),
    "integrated-gradients": IntegratedGradients(nodes=12, most=12),
}
IN_PLANE = {
    **SMALL,
    "grid-saliency": GridSaliency(cells=(2, 3), fill="black", sparsity=1e-4, steps=6),
    "context-saliency": ContextSaliency(cells=(2, 3), fill="black", sparsity=1e-4, steps=6),
}


def of(name, plane=False):
    return (IN_PLANE if plane else SMALL).get(name) or METHODS[name]()


class Layers(nn.Module):
    """Two convolutions, a pool within the plane, and back up: in space, or with the same weights in the plane."""

    def __init__(self, dims, depth=1, padding_mode="zeros", channels=1):
        super().__init__()
        conv = nn.Conv3d if dims == 3 else nn.Conv2d
        kernel, around = ((depth, 3, 3), (depth // 2, 1, 1)) if dims == 3 else (3, 1)
        self.first = conv(channels, 5, kernel, padding=around, padding_mode=padding_mode)
        self.act = nn.ReLU()
        self.pool = nn.AvgPool3d((1, 2, 2)) if dims == 3 else nn.AvgPool2d(2)
        self.deep = conv(5, 6, kernel, padding=around, padding_mode=padding_mode)
        self.end = nn.ReLU()
        self.up = nn.Upsample(scale_factor=(1, 2, 2) if dims == 3 else 2)
        self.head = conv(11, 3, 1)

    def forward(self, x):
        a = self.act(self.first(x))
        return self.head(torch.cat([a, self.up(self.end(self.deep(self.pool(a))))], 1))


def seeded(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) / max(1, p[0].numel()) ** 0.5)
    return module.eval()


def network(module, channels=1, **more):
    return Network(module=module, convention=Convention(channels=channels), default_layer="end", name="layers", **more)


def volumes(*shape, seed=3):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def quietly(method, net, x, targets):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SeglensWarning)
        return method(net, x, targets)


@pytest.fixture(scope="module")
def twins():
    """A network of volumes that ignores depth, the same in the plane, a volume of equal slices, and one of them."""
    flat = seeded(Layers(2))
    deep = Layers(3).eval()
    deep.load_state_dict({k: v[:, :, None] if v.ndim == 4 else v for k, v in flat.state_dict().items()})
    plane = volumes(1, 1, *PLANE)
    return network(deep), network(flat), plane[:, :, None].expand(-1, -1, DEPTH, -1, -1).contiguous(), plane


def asked(reduce="sum"):
    whole = box(0, 2, 3, DEPTH, 6, 8), box(2, 3, 6, 8)
    of_space = [Target(1, whole[0], reduce=reduce), Target(channel(2) - channel(0), predicted(2), reduce=reduce)]
    return of_space, [replace(of_space[0], region=whole[1]), of_space[1]]


class TestEveryMethod:
    @pytest.mark.parametrize("name", list(METHODS))
    def test_it_explains_volumes_or_says_that_it_cannot(self, name):
        assert name not in PLANAR  # none so far: the error of the first is to be tested here
        net = network(seeded(Layers(3, depth=3)))
        x = volumes(1, 1, 3, 12, 14) / 5
        x[0, 0, 1, 3:9, 4:10] += 0.8
        with torch.no_grad():  # every class is predicted somewhere
            net.module.head.bias -= net(x).transpose(0, 1).flatten(1).mean(1)
        maps = quietly(self.deep(name), net, x, [Target(1, box(1, 1, 2, 3, 4, 6))])
        assert maps.values.shape == x[:1].shape
        assert bool(maps.values.isfinite().all())
        # It says something, and says it of space: slices differ.
        # Second derivatives of a network of rectifiers are zero.
        assert bool((maps.values[:, :, 0] != maps.values[:, :, 1]).any()) or name == "second-order"

    @staticmethod
    def deep(name):
        method = Occlusion(size=2, stride=2) if name == "occlusion" else of(name)
        return replace(method, cells=(3, 2, 3)) if hasattr(method, "sparsity") else method

    @pytest.mark.parametrize("name", [n for n in METHODS if n not in SPACE_ITSELF])
    def test_without_depth_every_slice_is_the_planes_map(self, name, twins):
        deep, flat, x, plane = twins
        masked = name in ("grid-saliency", "context-saliency")
        of_space, in_plane = asked("mean" if masked else "sum")
        found = quietly(of(name), deep, x, of_space)
        expected = quietly(of(name, plane=True), flat, plane, in_plane)
        # A patch of a volume covers all slices, and each falls by as much.
        slices = DEPTH if name == "occlusion" else 1
        wanted = (expected.values * slices)[:, :, None].expand_as(found.values)
        assert float(expected.values.abs().max()) > 0 or name == "second-order"
        scale = float(wanted.abs().max())
        tolerance = {"guided-grad-cam": 1e-4, "smooth-grad": 1e-3, **dict.fromkeys(("grid-saliency",), 1e-3)}
        torch.testing.assert_close(found.values, wanted, rtol=1e-4, atol=tolerance.get(name, 2e-5) * scale)
        times = 1 if masked or not expected.score.isfinite().all() else DEPTH
        torch.testing.assert_close(found.score, expected.score * times, equal_nan=True, rtol=1e-5, atol=1e-5)


LOCAL = (
    "saliency", "input-x-gradient", "integrated-gradients", "guided-backprop", "grad-cam", "grad-cam-plus-plus",
    "hires-cam", "layer-cam", "guided-grad-cam", "activation", "score-map", "fusion-map", "similarity-map",
)  # fmt: skip
"""Methods that know no grid of their own: moved by whole strides, a question gives the map moved."""


@pytest.mark.parametrize("name", LOCAL)
def test_a_volume_moved_along_all_axes_moves_its_map(name):
    """In a space that closes on itself (circular padding); within the plane by multiples of the stride.

    Of methods that read a layer, on the layer's own places: what lies between them at an edge does not close.
    """
    net = network(seeded(Layers(3, depth=3, padding_mode="circular"), 2))
    x = volumes(1, 1, 4, 6, 8)
    inside = torch.zeros(4, 6, 8, dtype=torch.bool)
    inside[1:3, 2:5, 3:7] = True
    dims = (-3, -2, -1)

    def maps(by):
        found = quietly(of(name), net, x.roll(by, dims), [Target(c, mask(inside.roll(by, dims))) for c in range(3)])
        return found.extras.get("coarse", found.values)

    expected = maps((0, 0, 0))
    stride = 2 if expected.shape[-1] == 4 else 1
    moved, expected = maps((1, 4, -2)), expected.roll((1, 4 // stride, -2 // stride), dims)
    assert bool((moved != 0).any())
    torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_integrated_gradients_of_a_volume_are_complete():
    net = network(seeded(Layers(3, depth=3), 5))
    x = volumes(1, 1, 3, 6, 8)
    targets = [Target(1, everything), Target(2, pixel(2, 5, 7))]
    maps = quietly(IntegratedGradients(baseline="black", nodes=100, most=100), net, x, targets)
    with torch.no_grad():
        y, y0 = net(x), net(torch.zeros_like(x))
    change = torch.stack([(y - y0)[:, 1].flatten(1).mean(1), (y - y0)[:, 2, 2, 5, 7]], 1)
    torch.testing.assert_close(maps.values.flatten(2).sum(2), change, rtol=5e-3, atol=1e-4)


def test_grad_cam_plus_plus_of_a_volume_is_its_formula():
    net = network(seeded(Layers(3, depth=3), 4).double())
    x, region = volumes(1, 1, 3, 6, 8).double(), (slice(0, 3), slice(1, 4), slice(2, 6))
    kept = {}
    hook = net.module.end.register_forward_hook(lambda _, __, y: kept.update(a=y))
    s = net.module(x)[0, 1][region].sum()
    hook.remove()
    a, g = kept["a"], torch.autograd.grad(s, kept["a"])[0]
    share = g**2 / (2 * g**2 + a.sum((2, 3, 4), keepdim=True) * g**3)
    weights = (share.nan_to_num() * g.relu()).sum((2, 3, 4), keepdim=True)
    expected = (weights * a).sum(1).relu()
    maps = quietly(GradCAMPlusPlus(), net, x, [Target(1, box(0, 1, 2, 3, 4, 6), reduce="sum")])
    torch.testing.assert_close(maps.extras["coarse"][0, 0], expected[0].to(maps.extras["coarse"]))


def test_saliency_of_a_voxel_is_the_column_of_the_jacobian():
    net = network(seeded(Layers(3, depth=3), 6).double())
    x = volumes(1, 1, 3, 4, 6).double()
    jacobian = torch.autograd.functional.jacobian(lambda v: net.module(v)[0, 2, 1, 2, 3], x)
    values = quietly(Saliency(), net, x, [Target(2, pixel(1, 2, 3))]).values
    torch.testing.assert_close(values[0, 0], jacobian.abs().sum(1)[0].float())


def test_padding_at_the_end_of_all_three_dimensions_is_what_repeats_the_volume():
    """The map of an odd volume is that of the same volume padded by hand, cut."""
    net = network(seeded(Layers(3, depth=3), 7))
    net = replace(net, convention=Convention(channels=1, divisor=4))
    volume = volumes(1, 5, 7, 10)
    x, frame = net.convention.prepare(volume)
    torch.testing.assert_close(x, pad(volume[None], (0, 2, 0, 1, 0, 3), mode="replicate"))
    assert (frame.original, frame.grid) == ((5, 7, 10), (8, 8, 12))
    values = quietly(Saliency(), net, x, [Target(1, box(1, 1, 1, 4, 6, 9))]).values[0]
    torch.testing.assert_close(frame.to_original(values), values[:, :5, :7, :10])
