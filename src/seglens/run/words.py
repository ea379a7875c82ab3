"""What pictures say of an explanation in words, for the shells too."""

from seglens.viz.words import numbers

__all__ = ["numbers"]
