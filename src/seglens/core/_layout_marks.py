"""On which tensors the image's entries and the extra ones of a tensor depend, kept apart."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from seglens.core._layout import Axis, Block, Layout, marks
from seglens.core._layout_rules import NORMS, SEVERAL, VIEWS, Op


class Marks(NamedTuple):
    """Sets of bits: what the image's entries depend on, and what the extra ones do."""

    image: int = 0
    extra: int = 0

    @property
    def all(self) -> int:
        return self.image | self.extra

    def __or__(self, other: "Marks") -> "Marks":  # type: ignore[override]
        return Marks(self.image | other.image, self.extra | other.extra)

    @property
    def mixed(self) -> "Marks":
        return Marks(self.all, self.all)


NONE = Marks()

_APART = frozenset(f"{VIEWS} {NORMS} permute transpose t expand repeat clone detach alias _to_copy contiguous".split())
"""Operations in which every entry of a token axis keeps to itself, by name; pointwise ones do too."""

_MIXING = (
    "_softmax _log_softmax softmax log_softmax _safe_softmax sum mean amax amin max min prod any all std var var_mean "
    "std_mean logsumexp norm linalg_vector_norm sort topk cumsum"
)
_ALONG = frozenset(_MIXING.split())
"""Operations that mix along their argument `dim`."""


def carried(name: str, func: Any, op: Op, given: dict[str, Marks], every: Marks, out: Layout, at: int) -> Marks:
    """Marks of output number `at`. given: of the tensor arguments by name; every: of all inputs together."""
    try:
        found = _apart(name, func, op, given, every, at)
    except (LookupError, TypeError, ValueError):
        # An argument that nobody foresaw: more dependence than there is does no harm.
        found = None
    found = every.mixed if found is None else found
    return found if out.extras else found.mixed


def _apart(name: str, func: Any, op: Op, given: dict[str, Marks], every: Marks, at: int) -> Marks | None:
    if name not in SEVERAL:
        name = name.removesuffix("_")
    main = given.get("self", given.get("input", NONE))
    if name in ("slice", "select", "split", "split_with_sizes", "unbind"):
        return _taken(name, op, main, at)
    if name == "cat":
        return _joined(op, given)
    if name in ("mm", "bmm", "addmm", "baddbmm"):
        left, right = [n for n in ("self", "mat1", "batch1", "mat2", "batch2") if n in op.named][-2:]
        if _has_block(op.layout(left).axes[-1]):
            return None
        bias = main if left != "self" else NONE
        return given.get(left, NONE) | bias | given.get(right, NONE).mixed
    if "query" in given:
        return given["query"] | given.get("key", NONE).mixed | given.get("value", NONE).mixed
    if name in _ALONG:
        dims = op.named.get("dim")
        axes = op.layout("self").axes
        over = [dims] if isinstance(dims, int) else dims or range(len(axes))
        return None if any(_has_block(axes[d]) for d in over) else every
    return every if name in _APART or torch.Tag.pointwise in func.tags or name in SEVERAL else None


def _has_block(axis: Axis) -> bool:
    return any(isinstance(p, Block) for p in axis)


def _taken(name: str, op: Op, main: Marks, at: int) -> Marks:
    """Of a part of an axis: extra entries alone, the image's alone, or both."""
    axis = op.layout("self").axes[op.named["dim"]]
    if len(axis) != 1 or not isinstance(axis[0], Block):
        return main
    block = axis[0]
    places = _places(name, op, block.size, at)
    inside = [block.before <= p < block.size - block.after for p in places]
    if not any(inside):
        return Marks(main.extra, main.extra)
    return Marks(main.image, main.image) if all(inside) else main


def _places(name: str, op: Op, n: int, at: int) -> Sequence[int]:
    if name == "select":
        return [op.named["index"] % n]
    if name == "unbind":
        return [at]
    if name == "slice":
        return range(n)[slice(op.named["start"], op.named["end"], op.named["step"])]
    dim = op.named["dim"]
    start = sum(shape[dim] for shape in op.shapes[:at])
    return range(start, start + op.shapes[at][dim])


def _joined(op: Op, given: dict[str, Marks]) -> Marks:
    """What runs along the image in the axis is the image's; all beside it is extra."""
    total = NONE
    for i, t in enumerate(op.named["tensors"]):
        m, s = given.get(f"tensors.{i}", NONE), op.look(t)
        running = s is not None and s.shape != (0,) and bool(marks(s.axes[op.named["dim"]]))
        if running:
            total |= m if s is not None and s.extras else Marks(m.image, 0)
        else:
            total |= Marks(0, m.all)
    return total
