"""The operators of ONNX, by subject; importing this fills the table OPERATORS."""

from seglens.networks.onnx.operators import (
    activations,
    convolution,
    indexing,
    linear,
    norms,
    padding,
    pointwise,
    pooling,
    quantised,
    reductions,
    resize,
    sampling,
    shapes,
)
from seglens.networks.onnx.operators._registry import NEWEST, OLDEST, OPERATORS, Operator, operator

SUBJECTS = (
    convolution,
    pooling,
    norms,
    activations,
    linear,
    resize,
    sampling,
    padding,
    pointwise,
    reductions,
    shapes,
    indexing,
    quantised,
)
"""The rooms of the table."""

__all__ = ["NEWEST", "OLDEST", "OPERATORS", "SUBJECTS", "Operator", "operator"]
