"""Paths of layers from the names of nodes: 'encoder.conv1.Conv' for '/encoder/conv1/Conv'."""

from collections import Counter
from collections.abc import Sequence

from torch import nn

from seglens.networks.onnx.nodes import Node

_TAKEN = frozenset(dir(nn.Module()))
"""Names that a module has already: a child under one of them would hide it."""


def paths_of(nodes: Sequence[Node]) -> list[str]:
    """A dotted path for each node, all different, none of them the beginning of another.

    A name's slashes and dots part it; torch's exporter repeats what lies above ('layer1/layer1.0/conv1'), which is
    told once ('layer1.0.conv1'). Where it notes the module that a node comes from, as its newer form does instead, the
    node's name stands below that module's path. A node without a name is called after its operator, and numbered.
    """
    counts: Counter[str] = Counter()
    wanted: list[tuple[str, ...]] = []
    for node in nodes:
        if not node.name:
            wanted.append((*_parts(node.scope or ""), f"{node.op}_{counts[node.op]}"))
            counts[node.op] += 1
        elif node.scope is not None:
            wanted.append((*_parts(node.scope), node.name.replace("/", "_").replace(".", "_")))
        else:
            wanted.append(_parts(node.name) or (f"{node.op}_{counts[node.op]}",))
    groups = {p[:k] for p in wanted for k in range(1, len(p))}
    used: set[tuple[str, ...]] = set()
    found: list[str] = []
    for parts in wanted:
        safe = tuple(_safe(p) for p in parts)
        path, k = safe, 1
        while path in used or path in groups:
            path, k = (*safe[:-1], f"{safe[-1]}_{k}"), k + 1
        used.add(path)
        found.append(".".join(path))
    return found


def _parts(name: str) -> tuple[str, ...]:
    parts: list[str] = []
    above = ""
    for piece in name.split("/"):
        if not piece:
            continue
        # 'layer1.0' below 'layer1' is its child '0'.
        rest = piece.removeprefix(f"{above}.") if above else piece
        parts += [p for p in rest.split(".") if p]
        above = piece
    return tuple(parts)


def _safe(part: str) -> str:
    part = part.replace("#", "_")
    return f"{part}_" if part in _TAKEN else part
