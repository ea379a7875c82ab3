"""Data sets with exact truth: what a network was shown is known to the pixel."""

from seglens.datasets.streets import CLASSES, COLOURS, Plant, Scene, Streets

__all__ = ["CLASSES", "COLOURS", "Plant", "Scene", "Streets"]
