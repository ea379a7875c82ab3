"""Batches that halve when memory runs out, and keep what is done."""

import pytest
import torch

from seglens.core.batches import PIXELS, in_batches, rows_at_once
from seglens.core.errors import MemoryWarning, SeglensError

CPU = PIXELS["cpu"]


@pytest.mark.parametrize(("pixels", "rows"), [(1, 32), (CPU // 8, 8), (CPU, 1), (9 * CPU, 1), (0, 32)])
def test_rows_at_once(pixels, rows):
    assert rows_at_once(torch.empty(1, 3, 1, pixels)) == rows
    assert rows_at_once(torch.empty(1, 3, 1, pixels, device="meta")) == min(32, rows * 16 if pixels < CPU * 9 else 1)


def test_slices_in_order():
    assert list(in_batches(7, 3, lambda a, b: (a, b))) == [(0, 3), (3, 6), (6, 7)]
    assert list(in_batches(0, 3, lambda a, b: (a, b))) == []


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory"), MemoryError()]
)
def test_halved_where_memory_runs_out(error):
    """Memory for three rows: 8, 4, 2, and 2 for the rest; nothing is done twice."""
    done = []

    def work(start, stop):
        if stop - start > 3:
            raise error
        done.append((start, stop))
        return range(start, stop)

    with pytest.warns(MemoryWarning) as caught:
        results = [i for part in in_batches(10, 8, work) for i in part]
    assert results == list(range(10))
    assert done == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10)]
    assert [str(w.message) for w in caught] == [
        "memory ran out with 8 at once; going on with 4.",
        "memory ran out with 4 at once; going on with 2.",
    ]


def test_results_before_a_failure_are_kept():
    def work(start, stop):
        if start == 2:
            raise torch.OutOfMemoryError("out of memory")
        return start

    found = in_batches(4, 1, work)
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(SeglensError, match="memory ran out on a single input: out of memory\n  Use a smaller image"):
        next(found)


def test_other_errors_pass():
    def work(start, stop):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        list(in_batches(4, 2, work))
