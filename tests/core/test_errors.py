"""Errors: one base for all, the nearest names, and the line that brings what is missing."""

import sys

import numpy as np
import pytest

from seglens.core import errors
from seglens.core.errors import MissingExtraError, SeglensError, SeglensWarning, missing_extra, nearest, suggest
from seglens.core.masks import components

KNOWN = ["encoder.block3", "encoder.block4", "head", "Head"]


def test_one_base_for_all():
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == errors.__name__:
            assert issubclass(value, SeglensError | SeglensWarning)
            assert value.__doc__


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("encoder.blok4", ["encoder.block4", "encoder.block3"]),
        ("HEAD", ["head"]),
        ("zzz", []),
        ("", []),
    ],
)
def test_nearest_names(name, found):
    assert nearest(name, KNOWN) == found
    assert suggest(name, KNOWN) == ("\n  Nearest: " + ", ".join(map(repr, found)) + "." if found else "")


def test_a_missing_extra_names_the_line_that_brings_it(monkeypatch):
    text = "drawing needs numpy, which is not installed.\n  It comes with: pip install 'seglens[image]'"
    assert str(missing_extra("numpy", "image", "drawing")) == text
    monkeypatch.setitem(sys.modules, "skimage.measure", None)
    with pytest.raises(MissingExtraError, match=r"telling instances apart needs scikit-image.*\n.*'seglens\[image\]'"):
        components(np.ones((2, 2), bool))
