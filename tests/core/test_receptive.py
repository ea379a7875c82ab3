"""Receptive fields against the brute-force support: the Jacobian of positive random networks."""

import itertools
from fractions import Fraction

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from seglens.core.errors import CaptureError, ParameterError, ShapeError
from seglens.core.receptive import Follower, Reach

CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
BACK = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
ADAPT = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def reach_of(net, x, grad=True, dims=None) -> Reach:
    with torch.set_grad_enabled(grad), Follower() as follower:
        follower.root(x, dims)
        reach = follower.reach(net(x))
    assert reach is not None
    return reach


def brute(net, x: Tensor, dims: int) -> Tensor:
    """bool [*out, *in]: which input place each output place depends on, by gradients."""
    jac = torch.autograd.functional.jacobian(net, x.double()).abs() > 1e-9
    jac = jac.any(dims + 3).any(dims + 2)  # input batch and channels follow the output's axes
    return jac.any(1).any(0)


def positive(layer):
    """Weights in [0.5, 1.5]: nothing cancels."""
    for p in layer.parameters():
        nn.init.uniform_(p, 0.5, 1.5)
    return layer.double()


def check(net, x, dims, exact=True):
    seen = brute(net, x, dims)
    for grad in (True, False):
        reach = reach_of(net, x.double(), grad)
        assert reach.shape == tuple(seen.shape[:dims])
        for index in itertools.product(*map(range, reach.shape)):
            places = seen[index].nonzero()
            if len(places):
                ends = list(zip(places.amin(0).tolist(), places.amax(0).tolist(), strict=True))
                window = reach.window(index)
                assert window is not None
                assert all(a <= c and d <= b for (a, b), (c, d) in zip(window, ends, strict=True))
                assert not exact or list(window) == ends, index
    return reach


@st.composite
def steps(draw, dims):
    """One operation and its name."""
    kind = draw(st.sampled_from(
        ["conv", "conv", "pool", "back", "nearest", "linear", "corners", "adapt", "cubic", "pad",
         "crop", "flip", "roll", "skip", "cat"]
    ))  # fmt: skip
    k, s = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    p, d = draw(st.integers(0, k // 2)), draw(st.integers(1, 2))
    if kind == "conv":
        return positive(CONV[dims](1, 1, k, s, p, d))
    if kind == "pool":
        return lambda x: POOL[dims](x, k, s, p, ceil_mode=bool(d - 1))
    if kind == "back":
        k = max(k, s)
        return positive(BACK[dims](1, 1, k, s, min(p, (k - 1) // 2), min(1, s - 1)))
    if kind == "adapt":
        return lambda x: ADAPT[dims](x, s + 1)
    if kind in ("nearest", "linear", "corners", "cubic"):
        mode = {"nearest": "nearest", "cubic": "bicubic"}.get(kind, LINEAR[dims])
        if kind == "cubic" and dims != 2:
            return lambda x: x * 2
        extra = {} if kind == "nearest" else {"align_corners": kind == "corners"}
        sizes = draw(st.integers(3, 9))
        return lambda x: F.interpolate(x, size=(sizes,) * dims, mode=mode, **extra)
    if kind == "pad":
        mode = draw(st.sampled_from(["constant", "reflect", "replicate"]))
        return lambda x: F.pad(x, (1, 2) + (1, 1) * (dims - 1), mode=mode)
    if kind == "crop":
        return lambda x: x[:, :, 1::s]
    if kind == "flip":
        return lambda x: x.flip(2)
    if kind == "roll":
        return lambda x: x.roll(1, -1)
    conv = positive(CONV[dims](1, 1, 3, 1, d, d))
    if kind == "skip":
        return lambda x: x + conv(x)
    return lambda x: torch.cat([x, conv(x)], 1).sum(1, keepdim=True)


@pytest.mark.parametrize(("dims", "size", "depth"), [(1, 11, 5), (2, 6, 4), (3, 4, 2)])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_random_networks_see_what_their_jacobian_says(dims, size, depth, data):
    layers = data.draw(st.lists(steps(dims), min_size=1, max_size=depth))
    x = torch.rand(1, 1, *(size + d for d in range(dims)))

    def net(t):
        for layer in layers:
            assume(min(t.shape[2:]) >= 3 and t.numel() < 400)
            t = layer(t)
        return t

    try:
        net(x.double())
    except RuntimeError:  # a kernel larger than its map, or the like
        assume(False)
    check(net, x, dims)


def at(reach: Reach) -> list[tuple[int, int]] | None:
    window = reach.window([n // 2 for n in reach.shape])
    return None if window is None else list(window)


@pytest.mark.parametrize("depth", [1, 3, 6])
def test_closed_form_of_plain_stacks(depth):
    """r_l = r_(l-1) + (k - 1) j, j_l = j_(l-1) s."""
    layers, r, jump = [], 1, 1
    for i in range(depth):
        k, s = 3 + 2 * (i % 2), 1 + i % 2
        layers += [nn.Conv2d(1, 1, k, s, k // 2), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        r, jump = r + (k - 1) * jump, jump * s
        r, jump = r + jump, jump * 2
    reach = reach_of(nn.Sequential(*layers), torch.rand(1, 1, 600, 600), grad=False)
    assert reach.size == (r, r)
    assert reach.stride == (jump, jump)


def resnet18() -> nn.Module:
    class Block(nn.Module):
        def __init__(self, i, o, s):
            super().__init__()
            self.a = nn.Conv2d(i, o, 3, s, 1)
            self.b = nn.Conv2d(o, o, 3, 1, 1)
            self.norm = nn.BatchNorm2d(o)
            self.down = nn.Conv2d(i, o, 1, s) if s > 1 else nn.Identity()

        def forward(self, x):
            out = self.norm(self.b(torch.relu_(self.a(x))))
            out += self.down(x)
            return torch.relu_(out)

    blocks = [(4, 4, 1), (4, 4, 1), (4, 6, 2), (6, 6, 1), (6, 8, 2), (8, 8, 1), (8, 9, 2), (9, 9, 1)]
    stem = [nn.Conv2d(3, 4, 7, 2, 3), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, *(Block(*b) for b in blocks)).eval()


@pytest.mark.parametrize("size", [64, 160])
@pytest.mark.parametrize("grad", [True, False])
def test_resnet18_sees_435_pixels_whatever_the_image(size, grad):
    reach = reach_of(resnet18(), torch.rand(1, 3, size, size), grad)
    assert reach.size == (435, 435)
    assert reach.stride == (32, 32)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.isinstance.treespec:FutureWarning")
def test_torchscript_and_exported_programs_are_followed_alike():
    net, x = resnet18(), torch.rand(1, 3, 64, 64)
    scripted = torch.jit.freeze(torch.jit.trace(net, x))
    with torch.no_grad():
        exported = torch.export.unflatten(torch.export.export(net, (x,)))
    for other in (scripted, exported):
        assert reach_of(other, x, grad=False).size == (435, 435)


def windows_of_4(x):
    """Attention within windows of 4 x 4 places."""
    b, c, h, w = x.shape
    t = x.view(b, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1).reshape(-1, 16, c)
    t = F.scaled_dot_product_attention(t, t, t)
    return t.view(b, h // 4, w // 4, 4, 4, c).permute(0, 5, 1, 3, 2, 4).reshape(b, c, h, w)


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize(
    ("net", "window"),
    [
        (lambda x: F.linear(x.permute(0, 2, 3, 1), torch.ones(5, 4)).permute(0, 3, 1, 2), (4, 4)),
        (lambda x: F.layer_norm(x.permute(0, 2, 3, 1), (4,)), (4, 4)),
        (lambda x: torch.einsum("bchw,kc->bkhw", x, torch.ones(2, 4)), (4, 4)),
        (lambda x: x.flatten(2).transpose(1, 2).reshape(1, 8, 8, 4), (4, 4)),
        (lambda x: torch.stack(x.chunk(2, 1)).sum(0), (4, 4)),
        (lambda x: F.hardswish(x.clone(), inplace=True).softmax(1).argmax(1), (4, 4)),
        (lambda x: F.max_pool2d(x, 3, 1, 1, return_indices=True)[1], (3, 5)),
        (lambda x: F.pixel_shuffle(x, 2), (4, 4)),
        (lambda x: F.pixel_unshuffle(x, 2), (4, 5)),
        (windows_of_4, (4, 7)),
        (lambda x: windows_of_4(x.roll((-2, -2), (2, 3))).roll((2, 2), (2, 3)), (2, 5)),
        (lambda x: x * x.mean((2, 3), keepdim=True), (0, 7)),
        (lambda x: F.group_norm(x, 2), (0, 7)),
        (lambda x: F.batch_norm(x, None, None, training=True), (0, 7)),
        (lambda x: x.softmax(-1), [(4, 4), (0, 7)]),
        (lambda x: F.grid_sample(x, torch.zeros(1, 8, 8, 2), align_corners=False), (0, 7)),
        (lambda x: torch.fft.fft2(x).real, (0, 7)),
        (lambda x: F.interpolate(x, 16, mode="bilinear", antialias=True), (2, 6)),  # an upper bound
    ],
)  # fmt: skip
def test_operations(net, window, grad):
    reach = reach_of(net, torch.rand(1, 4, 8, 8), grad)
    assert at(reach) == (window if isinstance(window, list) else [window] * 2)


def test_dense_output_sees_everything_and_has_no_grid():
    x = torch.rand(2, 3, 6, 7)
    reach = reach_of(lambda x: F.linear(x.flatten(1), torch.ones(5, 126)), x)
    assert (reach.shape, reach.size, reach.stride) == ((), (None, None), (None, None))
    seen = reach.seen_from(torch.tensor([True, False]))
    assert seen[0].all()
    assert not seen[1].any()


def test_what_does_not_depend_on_the_root_has_no_reach():
    with Follower() as follower:
        x = torch.rand(1, 1, 4, 4)
        follower.root(x)
        assert follower.reach(torch.zeros_like(x) + 1) is None
        assert follower.reach(x.new_zeros(3)) is None


def test_memory_written_in_place_is_seen_through_every_view():
    with torch.no_grad(), Follower() as follower:
        x = torch.rand(1, 1, 8, 8)
        follower.root(x)
        canvas = torch.zeros(1, 1, 10, 10)
        early = canvas[:, :, 5:]
        canvas[:, :, 1:-1, 1:-1] = x
        late = canvas.clone()
        for t in (canvas, early, late):
            assert follower.reach(t).size == (None, None)
        y = x.clone()
        alias = y.view(1, 64)
        y += F.conv2d(x, torch.ones(1, 1, 3, 3), padding=1)
        assert follower.reach(y).size == (3, 3)
        assert follower.reach(alias.view(1, 1, 8, 8)).window((4, 4)) == ((0, 7), (0, 7))


def test_freed_tensors_leave_nothing_behind():
    with torch.no_grad(), Follower() as follower:
        x = torch.rand(1, 1, 8, 8)
        follower.root(x)
        for _ in range(50):
            y = x * 2
            del y
            fresh = torch.rand(1, 1, 8, 8)
            assert follower.reach(fresh) is None
            assert follower.reach(fresh + 1) is None


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_seen_from_is_the_union_of_the_windows(dims):
    torch.manual_seed(dims)
    size = [(23,), (11, 9), (6, 5, 7)][dims - 1]
    conv = positive(CONV[dims](1, 1, 3, 2, 1, 2))

    def net(t):
        return F.interpolate(conv(t), scale_factor=2.0, mode=LINEAR[dims])

    x = torch.rand(1, 1, *size, dtype=torch.float64)
    reach = reach_of(net, x)
    mask = torch.rand(3, *reach.shape) < 0.08
    mask[2] = False
    expected = torch.zeros(3, *size, dtype=torch.bool)
    for b, *place in mask.nonzero().tolist():
        window = reach.window(place)
        assert window is not None
        expected[(b, *(slice(first, last + 1) for first, last in window))] = True
    torch.testing.assert_close(reach.seen_from(mask), expected)
    torch.testing.assert_close(brute(net, x, dims)[mask[0]].any(0) & ~expected[0],
                               torch.zeros(size, dtype=torch.bool))  # fmt: skip


def test_root_may_be_a_layers_output():
    body, head = nn.Conv2d(3, 4, 5, 2, 2), nn.Conv2d(4, 2, 3, padding=1)
    with torch.no_grad(), Follower() as follower:
        hook = body.register_forward_hook(lambda m, a, out: follower.root(out))
        out = F.interpolate(head(body(torch.rand(1, 3, 16, 16)).relu_()), scale_factor=2.0)
        hook.remove()
        reach = follower.reach(out)
    assert reach.extent == (8, 8)
    mask = torch.zeros(1, 16, 16, dtype=torch.bool)
    mask[0, 9, 2] = True
    assert reach.seen_from(mask)[0].nonzero().tolist() == [[y, x] for y in (3, 4, 5) for x in (0, 1, 2)]


def test_a_position_in_a_gap_sees_nothing():
    reach = reach_of(lambda x: F.conv_transpose2d(x, torch.ones(1, 1, 1, 1), stride=2),
                     torch.rand(1, 1, 4, 4))  # fmt: skip
    assert reach.window((1, 0)) is None
    assert reach.window((2, 4)) == ((1, 1), (2, 2))
    assert reach.stride == (Fraction(1, 2), Fraction(1, 2))


def test_errors():
    follower, x = Follower(), torch.rand(1, 1, 4, 4)
    with pytest.raises(CaptureError, match="name a root first"):
        follower.reach(x)
    with pytest.raises(ParameterError, match="no spatial axes"):
        follower.root(torch.rand(2, 3))
    follower.root(x)
    reach = follower.reach(x)
    with pytest.raises(ShapeError, match="grid of shape"):
        reach.window((1,))
    with pytest.raises(ShapeError, match="bool"):
        reach.seen_from(torch.ones(1, 4, 4))


def test_the_brute_force_check_can_fail(monkeypatch):
    narrow = reach_of(lambda t: t * 1.0, torch.rand(1, 1, 5, 5))
    monkeypatch.setitem(globals(), "reach_of", lambda *_: narrow)
    with pytest.raises(AssertionError):
        check(positive(nn.Conv2d(1, 1, 3, padding=1)), torch.rand(1, 1, 5, 5), 2)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_affine_law_holds_every_window_and_its_size_is_the_widest(data):
    """Convolutions and pooling on a long signal: the law is what is seen away from the borders."""
    sizes = st.tuples(st.integers(1, 4), st.integers(1, 2), st.integers(0, 1), st.integers(1, 2))
    drawn = data.draw(st.lists(sizes, min_size=1, max_size=3))
    layers = [nn.Conv1d(1, 1, k, s, min(p, k // 2), d) for k, s, p, d in drawn]
    reach = reach_of(nn.Sequential(*layers), torch.rand(1, 1, 200), grad=False)
    (line,), widest = reach.lines, 0
    for i in range(reach.shape[0]):
        ((first, last),) = reach.window((i,))
        assert line.jump * i + line.lo <= first
        assert last <= line.jump * i + line.hi
        widest = max(widest, last - first + 1)
    assert reach.size == (widest,)


def test_affine_law_through_up_and_downsampling():
    """Two up by transposed convolution, a convolution, bilinear up, and pooled down again."""
    back = nn.ConvTranspose1d(1, 1, 4, 2, 1)
    conv = nn.Conv1d(1, 1, 3, padding=1)

    def net(x):
        return F.avg_pool1d(F.interpolate(conv(back(x)), scale_factor=2.0, mode="linear"), 4)

    reach = reach_of(net, torch.rand(1, 1, 60))
    widths = [b - a + 1 for i in range(60) for a, b in reach.window((i,))]
    assert reach.stride == (1,)
    assert max(widths) <= reach.size[0] <= max(widths) + 1
