"""Geometry: from picture to grid and back, without a shift."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seglens.core.errors import RegionError, ShapeError
from seglens.core.frame import Frame, resize, resize_labels


def linear(row: torch.Tensor, n: int) -> torch.Tensor:
    """Linear interpolation at (i + ½)·old/n − ½, ends repeated: written out."""
    old, out = len(row), []
    for i in range(n):
        at = min(max((i + 0.5) * old / n - 0.5, 0), old - 1)
        low = int(at)
        out.append(row[low] + (at - low) * (row[min(low + 1, old - 1)] - row[low]))
    return torch.stack(out)


@pytest.mark.parametrize(("old", "new"), [(4, 8), (5, 12), (6, 3), (7, 5)])
def test_half_pixel_centres(old, new):
    row = torch.rand(old, generator=torch.Generator().manual_seed(old), dtype=torch.float64)
    torch.testing.assert_close(resize(row[None, None], (new,))[0, 0], linear(row, new))
    square = resize(row[None, None, :, None] * row, (new, new))[0, 0]
    torch.testing.assert_close(square, linear(row, new)[:, None] * linear(row, new))


def test_the_same_size_is_the_same_tensor():
    x = torch.rand(1, 2, 3, 4, 5)
    assert resize(x, (3, 4, 5)) is x


@given(st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=80, deadline=None, derandomize=True, database=None)
def test_labels_by_the_nearest_pixel(old, new):
    """The pixel in which the new centre lies, in whole numbers; never a label that was not there."""
    labels = torch.arange(old)[None]
    got = resize_labels(labels, (new,))[0]
    assert got.tolist() == [((2 * i + 1) * old) // (2 * new) for i in range(new)]
    assert got.dtype == torch.int64
    assert torch.equal(resize_labels(labels, (old,)), labels)


@given(st.tuples(*[st.integers(2, 20)] * 4), st.tuples(st.integers(0, 5), st.integers(0, 5)))
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
def test_there_and_back(sizes, extra):
    original, resized = sizes[:2], tuple(max(a, b) for a, b in zip(sizes[:2], sizes[2:], strict=True))
    frame = Frame(original, resized, tuple(r + e for r, e in zip(resized, extra, strict=True)))
    labels = torch.arange(original[0] * original[1]).reshape(original)
    there = frame.to_grid(labels, -1)
    assert torch.equal(there == -1, ~frame.valid())
    # Onto a finer grid nothing is lost, so that it comes back as it was.
    assert torch.equal(frame.labels_to_original(there), labels)
    for point in ((0, 0), (original[0] - 1, original[1] - 1), (original[0] // 2, original[1] // 3)):
        assert there[frame.place(point)] == labels[point]


def test_maps_come_back_with_padding_cut_off():
    frame = Frame((6, 8), (3, 4), (5, 6))
    maps = torch.rand(2, 5, 6)
    expected = torch.nn.functional.interpolate(maps[None, :, :3, :4], size=(6, 8), mode="bilinear")[0]
    torch.testing.assert_close(frame.to_original(maps), expected)
    assert not frame.is_identity
    assert Frame.identity((3, 4)).is_identity
    assert Frame.identity((3, 4)).to_original(maps[:, :3, :4]).equal(maps[:, :3, :4])


def test_what_is_refused():
    frame = Frame((6, 8), (3, 4), (5, 6))
    with pytest.raises(
        ShapeError, match=r"a mask of 3 × 4 does not fit an image of 6 × 8.\n.*never stretched"
    ) as caught:
        frame.to_grid(torch.zeros(3, 4))
    assert caught.value.actual == (3, 4)
    with pytest.raises(RegionError, match=r"the point \(6, 0\) lies outside the image of 6 × 8"):
        frame.place((6, 0))
    with pytest.raises(RegionError, match="has 1 coordinates, the image 2 dimensions"):
        frame.place((0,))
