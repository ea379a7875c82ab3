"""Parts: every pixel covered, patches of full size, and layers that tell the same as masks."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seglens.core.frame import Frame
from seglens.perturb.parts import Patches, Superpixels

CPU = torch.device("cpu")


def frames(dims=(1, 3)):
    """Frames of one to three dimensions, with and without padding."""
    side = st.tuples(st.integers(1, 9), st.integers(0, 3))

    def framed(sides):
        shown = tuple(n for n, _ in sides)
        return Frame(shown, shown, tuple(n + extra for n, extra in sides))

    return st.lists(side, min_size=dims[0], max_size=dims[1]).map(framed)


def in_layers(parts):
    """For each pixel, the numbers of the parts in which it lies, from the layers."""
    stacked = torch.stack(list(parts.layers())).flatten(1)
    return [[i for i in column if i >= 0] for column in stacked.mT.tolist()]


def in_masks(parts):
    """The same from the masks."""
    stacked = torch.stack([parts.mask(i) for i in range(len(parts))]).flatten(1)
    return [column.nonzero().flatten().tolist() for column in stacked.mT]


@settings(max_examples=80, deadline=None)
@given(frame=frames(), size=st.integers(1, 10), data=st.data())
def test_patches(frame, size, data):
    stride = data.draw(st.integers(1, size))
    parts = Patches.over(frame, size, stride, CPU)
    shown = tuple(slice(0, n) for n in frame.resized)
    full = 1
    for n in frame.resized:
        full *= min(size, n)
    for i in range(len(parts)):
        assert parts.mask(i).shape == frame.grid
        assert int(parts.mask(i)[shown].sum()) == full
    found = in_masks(parts)
    assert all(found)
    assert [sorted(column) for column in in_layers(parts)] == found
    for spans, n, whole in zip(parts.spans, frame.resized, frame.grid, strict=True):
        starts = [start for start, _ in spans]
        assert starts[0] == 0
        assert starts[-1] == max(n - size, 0)
        assert spans[-1][1] == whole
        steps = [b - a for a, b in pairwise(starts)]
        assert all(0 < step <= stride for step in steps)
        assert not steps or max(steps) - min(steps) <= 1
        # No more of them than are needed.
        assert len(starts) == 1 + -(-max(n - size, 0) // stride)


def test_patches_that_fit_are_a_partition():
    parts = Patches.over(Frame.identity((6, 9)), 3, 3, CPU)
    assert len(parts) == 6
    (layer,) = parts.layers()
    expected = torch.arange(6).reshape(2, 3).repeat_interleave(3, 0).repeat_interleave(3, 1)
    assert torch.equal(layer, expected)


def test_padding_goes_with_the_pixel_that_it_repeats():
    frame = Frame((2, 2), (2, 2), (3, 4))
    parts = Patches.over(frame, 1, 1, CPU)
    (layer,) = parts.layers()
    assert layer.tolist() == [[0, 1, 1, 1], [2, 3, 3, 3], [2, 3, 3, 3]]
    labels = torch.tensor([[0, 1, -1, -1], [2, 1, -1, -1], [-1, -1, -1, -1]])
    segments = Superpixels.of([labels], frame)
    assert segments.ids[0].tolist() == [[0, 1, 1, 1], [2, 1, 1, 1], [2, 1, 1, 1]]


@settings(max_examples=40, deadline=None)
@given(frame=frames((2, 2)), levels=st.integers(1, 3), seed=st.integers(0, 99))
def test_superpixels(frame, levels, seed):
    generator = torch.Generator().manual_seed(seed)
    divisions = []
    for _ in range(levels):
        labels = torch.full(frame.grid, -1)
        inside = torch.randint(0, 4, frame.resized, generator=generator)
        labels[tuple(slice(0, n) for n in frame.resized)] = inside.unique(return_inverse=True)[1]
        divisions.append(labels)
    parts = Superpixels.of(divisions, frame)
    assert len(parts) == sum(int(one.max()) + 1 for one in divisions)
    found = in_masks(parts)
    assert [sorted(column) for column in in_layers(parts)] == found
    assert all(len(column) == levels for column in found)
    begun = 0
    for one in divisions:
        for k in range(int(one.max()) + 1):
            assert torch.equal(parts.mask(begun + k) & (one >= 0), one == k)
        begun += int(one.max()) + 1


@pytest.mark.parametrize("size", [4, 5, 99])
def test_a_patch_larger_than_the_picture_is_the_picture(size):
    parts = Patches.over(Frame.identity((3, 4)), size, 2, CPU)
    assert len(parts) == 1
    assert bool(parts.mask(0).all())
