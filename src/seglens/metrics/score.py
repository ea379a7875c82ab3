"""What is to be known of a score before it is read: its range, which way is better, when there is none."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Score:
    """One score of a metric.

    name: as a table heads it. formula: in words. low, high: its range; `high` is best for all scores here.
    undefined: when it is NaN.
    """

    name: str
    formula: str
    undefined: str
    low: float = 0.0
    high: float = 1.0
