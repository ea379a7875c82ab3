"""What an image becomes where it is not salient."""

from seglens.perturb.fills import FILLS, Fill, fill

__all__ = ["FILLS", "Fill", "fill"]
