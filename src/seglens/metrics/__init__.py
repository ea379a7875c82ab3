"""Scores, each with its range, its direction, and what it is where undefined."""

from seglens.metrics.agreement import agreement, consensus, contested, ranks
from seglens.metrics.boundary import BOUNDARY_F, TOLERANCE, Boundary, boundary, contour, tolerance_for
from seglens.metrics.confusion import OVERALL, PER_CLASS, By, Confusion, Tallies, mean_defined
from seglens.metrics.randomisation import KNOWN_WEAK, randomisation_test
from seglens.metrics.score import Score
from seglens.metrics.shuffling import shuffled_copy

__all__ = [
    "BOUNDARY_F",
    "KNOWN_WEAK",
    "OVERALL",
    "PER_CLASS",
    "TOLERANCE",
    "Boundary",
    "By",
    "Confusion",
    "Score",
    "Tallies",
    "agreement",
    "boundary",
    "consensus",
    "contested",
    "contour",
    "mean_defined",
    "randomisation_test",
    "ranks",
    "shuffled_copy",
    "tolerance_for",
]
