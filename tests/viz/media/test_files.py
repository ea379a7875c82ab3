"""Figures to files: several pages in one PDF, and what is said without matplotlib."""

import numpy as np
import pytest

from seglens.core.errors import MissingExtraError
from seglens.viz.media.files import drawing, write_book
from seglens.viz.media.sheet import Sheet


def page(number):
    sheet = Sheet(2.0)
    sheet.picture(0.1, 0.1, 1.8, 1.8, np.full((7, 7, 3), number, np.uint8))
    return sheet.figure(2.0)


def test_a_book_has_all_pages_and_the_same_bytes(tmp_path):
    for name in ("a.pdf", "b.pdf"):
        write_book((page(n) for n in range(3)), tmp_path / name)
    a, b = ((tmp_path / name).read_bytes() for name in ("a.pdf", "b.pdf"))
    assert a == b
    assert b"/Count 3" in a
    assert a.count(b"/Width 7") == 3  # the pictures' own pixels
    assert b"CreationDate" not in a


def test_a_page_that_fails_leaves_no_book(tmp_path):
    def pages():
        yield page(0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_book(pages(), tmp_path / "a.pdf")
    assert list(tmp_path.iterdir()) == []


def test_only_the_absence_of_matplotlib_is_translated():
    with pytest.raises(MissingExtraError, match=r"drawing needs matplotlib.*\n.*seglens\[image\]"), drawing("drawing"):
        raise ModuleNotFoundError(name="matplotlib.figure")
    with pytest.raises(ModuleNotFoundError, match="other"), drawing("drawing"):
        raise ModuleNotFoundError("other", name="numpy")
