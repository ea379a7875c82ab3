"""What an image becomes where it is not salient."""

from seglens.perturb.cells import Cells, cells_of, pooled, spread, tiled
from seglens.perturb.fills import FILLS, Fill, fill, name_of_fill

__all__ = ["FILLS", "Cells", "Fill", "cells_of", "fill", "name_of_fill", "pooled", "spread", "tiled"]
