"""Masks: connected components, and growing by a margin."""

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seglens.core.errors import missing_extra


def components(inside: NDArray[np.bool_]) -> NDArray[np.integer[Any]]:
    """Connected components of a mask, numbered from 1; 0 outside. Needs scikit-image."""
    try:
        from skimage.measure import label
    except ImportError as absent:
        raise missing_extra("scikit-image", "image", "telling instances apart") from absent
    return cast("NDArray[np.integer[Any]]", label(inside, connectivity=inside.ndim))


def grown(inside: Tensor, width: int) -> Tensor:
    """A mask [B *grid] grown by `width` pixels in chessboard distance."""
    values = inside[:, None].float()
    for dim in range(2, values.ndim):
        # One dimension after another: a box is the sum of its sides.
        flat = values.movedim(dim, -1)
        shape = flat.shape
        flat = torch.nn.functional.max_pool1d(flat.reshape(1, -1, shape[-1]), 2 * width + 1, 1, width)
        values = flat.reshape(shape).movedim(-1, dim)
    return values[:, 0] > 0
