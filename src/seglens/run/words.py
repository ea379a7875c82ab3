"""What pictures say of an explanation in words, for the shells too."""

from seglens.viz.words import lists, numbers

__all__ = ["lists", "numbers"]
