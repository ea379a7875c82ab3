"""Scores, each with its range, its direction, and what it is where undefined."""

from seglens.metrics.agreement import agreement, consensus, contested, ranks
from seglens.metrics.boundary import BOUNDARY_F, TOLERANCE, Boundary, boundary, contour, tolerance_for
from seglens.metrics.confusion import OVERALL, PER_CLASS, By, Confusion, Tallies, mean_defined
from seglens.metrics.context_bias import CBD, CBL, cbd, cbl, on_cells
from seglens.metrics.context_statistics import CONTEXT_RATIO, CONTEXT_SHARE, RING, ContextTally, ring_around, ring_width
from seglens.metrics.randomisation import KNOWN_WEAK, randomisation_test
from seglens.metrics.score import Score
from seglens.metrics.shuffling import shuffled_copy

__all__ = [
    "BOUNDARY_F",
    "CBD",
    "CBL",
    "CONTEXT_RATIO",
    "CONTEXT_SHARE",
    "KNOWN_WEAK",
    "OVERALL",
    "PER_CLASS",
    "RING",
    "TOLERANCE",
    "Boundary",
    "By",
    "Confusion",
    "ContextTally",
    "Score",
    "Tallies",
    "agreement",
    "boundary",
    "cbd",
    "cbl",
    "consensus",
    "contested",
    "contour",
    "mean_defined",
    "on_cells",
    "randomisation_test",
    "ranks",
    "ring_around",
    "ring_width",
    "shuffled_copy",
    "tolerance_for",
]
