"""Tensors of an ONNX file as torch's, once header and data agree."""

from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seglens.core.errors import NetworkError

LARGEST = 2**28
"""Elements of the largest tensor that a file may ask to be made out of nothing (1 GiB in float32)."""

# By the numbers of TensorProto.DataType, which are part of the format and never change.
_TYPES: dict[int, torch.dtype] = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    # Wider and signed: torch has hardly any arithmetic for these.
    4: torch.int32,
    5: torch.int16,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    12: torch.int64,
    13: torch.int64,
    16: torch.bfloat16,
    17: torch.float8_e4m3fn,
    19: torch.float8_e5m2,
    # Four bits have no type of their own in torch's arithmetic: whole numbers are held in bytes.
    21: torch.uint8,
    22: torch.int8,
}
_BITS = {4: 16, 12: 32, 13: 64, 21: 4, 22: 4}
"""Bits of a number in the file, where torch holds it in more."""


def torch_type(number: int) -> torch.dtype | None:
    """The torch type of an ONNX element type; None for strings, complex numbers and what torch lacks."""
    return _TYPES.get(number)


def decode(proto: Any, what: str) -> Tensor:
    """A TensorProto, its data inside, as a tensor of its own memory.

    Raises NetworkError where the type is none of torch's, or header and data disagree.
    """
    from onnx import numpy_helper

    kind = torch_type(proto.data_type)
    if kind is None:
        raise NetworkError(
            f"{what} holds values of ONNX type {proto.data_type} (text, complex numbers, or a type newer than this), "
            "with which torch cannot compute."
        )
    shape = tuple(proto.dims)
    if any(n < 0 for n in shape):
        raise NetworkError(f"{what} is damaged: its header gives the shape {list(shape)}.")
    if proto.HasField("raw_data"):
        bits = _BITS.get(proto.data_type, kind.itemsize * 8)
        want, have = -(-prod(shape) * bits // 8), len(proto.raw_data)
        if want != have:
            raise NetworkError(
                f"{what} is damaged: its header says {list(shape)} of {kind}, {want} bytes, and {have} bytes follow."
            )
    try:
        array = np.ascontiguousarray(numpy_helper.to_array(proto))
    except (ValueError, TypeError, OverflowError, MemoryError) as failed:
        raise NetworkError(f"{what} is damaged: header {list(shape)} of {kind} and data disagree.") from failed
    return from_array(array, kind).reshape(shape)


def from_array(array: Any, kind: torch.dtype) -> Tensor:
    """A numpy array as a tensor of that type: bits where numpy knows the type by another library only."""
    if kind.is_floating_point and kind.itemsize == 1:
        return torch.from_numpy(array.view(np.uint8).copy()).view(kind)
    if kind == torch.bfloat16:
        return torch.from_numpy(array.view(np.int16).copy()).view(kind)
    names = {torch.uint8: np.uint8, torch.int8: np.int8, torch.int32: np.int32, torch.int64: np.int64}
    return torch.from_numpy(np.array(array, dtype=names.get(kind, array.dtype)))


def whole(value: Tensor | None) -> list[int]:
    """The whole numbers in a tensor of sizes, axes or pads; [] for an absent one."""
    return [] if value is None else [int(n) for n in value.reshape(-1).tolist()]


def bounded(shape: list[int], what: str) -> list[int]:
    """A shape that the graph asks to fill. Raises NetworkError where it is no shape, or beyond LARGEST."""
    if any(n < 0 for n in shape) or prod(shape) > LARGEST:
        raise NetworkError(
            f"{what} asks for a tensor of shape {shape}: more than {LARGEST:,} numbers, or none.\n"
            "  Such a file is damaged, or made to fill the memory."
        )
    return shape
