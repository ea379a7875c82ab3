"""Work in batches that fit: sized by pixels, halved when memory runs out."""

import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from seglens.core.errors import MemoryWarning, SeglensError
from seglens.core.network import is_out_of_memory
from seglens.core.progress import tell

T = TypeVar("T")

PIXELS = {"cpu": 2**17}
"""Input pixels that go through the network at once, by kind of device. On a CPU more only falls out of its cache:
16 scenes of 96 × 192 at once cost a fifth more each than 4."""

PIXELS_ELSEWHERE = 2**21


def rows_at_once(x: Tensor, most: int = 32) -> int:
    """How many inputs like those in x [B C *grid] to pass at once, or blocks of x: at least 1, at most `most`."""
    pixels = PIXELS.get(x.device.type, PIXELS_ELSEWHERE)
    return max(1, min(most, pixels // max(x[:, 0].numel(), 1)))


def in_batches(n: int, size: int, work: Callable[[int, int], T], what: str = "") -> Iterator[T]:
    """`work(start, stop)` over 0..n in slices of at most `size`, in order.

    Where memory runs out the slice is halved and tried again, with a MemoryWarning that says so; the smaller size
    is kept for the rest. Raises SeglensError where even one does not fit. `work` must not have changed anything
    when it runs out of memory. `what`: under which name progress is told; without a name it is not.
    """
    start = 0
    while start < n:
        stop = min(n, start + size)
        try:
            result = work(start, stop)
        except (RuntimeError, MemoryError) as failed:
            if not is_out_of_memory(failed):
                raise
            if stop - start == 1:
                raise out_of_memory(failed) from failed
            size = (stop - start) // 2
            warnings.warn(
                f"memory ran out with {stop - start} at once; going on with {size}.", MemoryWarning, stacklevel=2
            )
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            continue
        if what:
            tell(what, stop, n)
        yield result
        start = stop


def out_of_memory(failed: BaseException) -> SeglensError:
    """The error for a single input that does not fit."""
    return SeglensError(
        f"memory ran out on a single input: {failed}\n"
        "  Use a smaller image or working size, a layer nearer the output, or another device."
    )
