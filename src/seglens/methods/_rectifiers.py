"""The guided rule: rectifiers are found on the autograd graph of one pass, and hooked there for a while."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from warnings import warn

import torch
from torch import Tensor

from seglens.core.errors import GuessWarning, RectifierError, SeamWarning
from seglens.core.nested import nested_in
from seglens.core.network import Network
from seglens.core.slopes import Slopes

Node = Any
Edge = tuple[Node, int]

SMOOTH_OR_LEAKY = frozenset(
    (
        "LeakyRelu",
        "PreluKernel",
        "RreluWithNoise",
        "RreluWithNoiseFunctional",
        "Elu",
        "Celu",
        "Silu",
        "Gelu",
        "Mish",
        "Hardswish",
        "Softplus",
    )
)
"""Activations that are rectifiers whatever their parameters, by the names of their nodes without 'Backward0'."""

GATES = frozenset(("Sigmoid", "Hardsigmoid", "Tanh", "Erf", "Hardtanh", "Clamp", "ClampMin"))
POINTWISE = GATES.union(
    (
        "Mul",
        "Div",
        "Add",
        "Sub",
        "Rsub",
        "Neg",
        "Pow",
        "Abs",
        "Exp",
        "Expm1",
        "Log1P",
        "Softplus",
        "ClampMax",
        "Where",
        "ToCopy",
    )
)
"""Steps of which an activation may be written out: each value depends on the value at its own place."""

EXTREMES = {"Maximum": "maximum", "Fmax": "fmax", "Minimum": "minimum", "Fmin": "fmin", "Logaddexp": "logaddexp"}
"""The larger or smaller of two: a rectifier where both are functions of one value, which the graph need not tell."""

LONGEST = 16
"""Steps of the longest activation written out that is looked for: the tanh form of GELU has ten."""

SEALED = {
    "CheckpointFunctionBackward": "reentrant checkpointing; set use_reentrant=False, or switch checkpointing off",
    "CompiledFunctionBackward": "torch.compile; give the network as it was before",
    "DifferentiableGraphBackward": "compiled TorchScript; give the network as a module, or export it with torch.export",
}
"""Nodes that hold whole parts of a network, with what makes them and the way round."""

PLAIN = frozenset(("AccumulateGrad", "CopyBackwards", "BackwardHookFunctionBackward"))
"""Nodes that are no operators and pass gradients on."""


@dataclass(frozen=True, slots=True)
class Rectifiers:
    """What lies on the way from the output to the input.

    nodes: the rectifiers, the node of a product or choice standing for an activation written out. sealed: names of
    nodes that hold whole parts of the network; doubtful: of those that may be or hold a rectifier, and how often.
    """

    nodes: tuple[Node, ...]
    sealed: tuple[str, ...]
    doubtful: Mapping[str, int]


def find_rectifiers(nodes: Iterable[Node]) -> Rectifiers:
    """Sort the nodes of an autograd graph by what the guided rule makes of them."""
    found: list[Node] = []
    inside: set[Node] = set()
    sealed: list[str] = []
    doubts: list[tuple[Node, str]] = []
    readers: defaultdict[Node, list[Node]] = defaultdict(list)
    every = list(nodes)
    for node in every:
        for following, _ in _edges(node):
            readers[following].append(node)
    for node in every:
        kind = _kind(node)
        if not kind:
            name = _name(node)
            if name in SEALED:
                sealed.append(name)
            elif name not in PLAIN:
                doubts.append((node, "an operation in place on a view" if name == "CopySlices" else name))
        elif (steps := _written_out(node, kind)) is not None:
            found.append(node)
            inside |= steps
        elif _is_rectifier(node, kind):
            if not _is_hard_sigmoid(node, readers):
                found.append(node)
        elif _may_mask(node, kind):
            doubts.append((node, "a choice or mask of the input's size"))
        elif kind in EXTREMES and len(_edges(node)) == 2:
            doubts.append((node, f"torch.{EXTREMES[kind]}"))
    return Rectifiers(
        nodes=tuple(n for n in found if n not in inside),
        sealed=tuple(dict.fromkeys(sealed)),
        doubtful=Counter(name for node, name in doubts if node not in inside),
    )


def refuse_scripts(network: Network) -> None:
    """Raise RectifierError for TorchScript: from its second call on, rectifiers are fused into other steps."""
    if any(isinstance(m, torch.jit.ScriptModule) for m in network.module.modules()):
        scripts = [n for n, m in network.module.named_modules() if isinstance(m, torch.jit.ScriptModule)]
        where = f"its layer {scripts[0]!r} is" if scripts and scripts[0] else "it is"
        raise RectifierError(
            f"the gradient of rectifiers in {network.name} cannot be changed: {where} compiled TorchScript, which "
            "fuses them into other steps.\n  Export the network with torch.export to a .pt2 file, or give it as a "
            "module. Saliency works on TorchScript too."
        )


@contextmanager
def guided(network: Network, found: Slopes) -> Generator[int]:
    """Reverse passes of `found` inside follow the guided rule at every rectifier; gives how many there are.

    The hooks sit on the graph of this one pass, which dies with `found`: no module is changed. Warns (GuessWarning) of
    steps that may be or hold a rectifier and are passed through as they are. Raises RectifierError where there is no
    rectifier, and where a whole part of the network lies hidden in one node.
    """
    nodes = list(found.nodes())
    nested = [(n, inside) for n in nodes if (inside := nested_in(n)) is not None]
    with ExitStack() as undo:
        # Parts that are computed again in reverse are built of the same steps piece by piece: one tells of all.
        inside = [node for n, part in nested for node in undo.enter_context(part.sample(n))]
        seen = find_rectifiers([*(n for n in nodes if nested_in(n) is None), *inside])
    if seen.sealed:
        reasons = ";\n  ".join(SEALED[name] for name in seen.sealed)
        raise RectifierError(
            f"a part of {network.name} lies hidden in one step of the reverse pass, with any rectifiers in it, whose "
            f"gradient can then not be changed:\n  {reasons}."
        )
    doubts = ", ".join(f"{name}{f' ({n} times)' if n > 1 else ''}" for name, n in seen.doubtful.items())
    if not seen.nodes:
        raise RectifierError(
            f"no rectifier was met on the way from the score of {network.name} to its input, so guided "
            "back-propagation would be the plain gradient.\n  Use saliency for that"
            + (f"; or, if one of these is a rectifier, write it as torch's own: {doubts}." if doubts else ".")
        )
    if doubts:
        warn(
            f"{network.name}: guided back-propagation changes {len(seen.nodes)} rectifier(s), and passes through "
            f"{doubts} by the plain gradient; what that computes cannot be seen. If it is or holds a rectifier, write "
            "it as torch's own.",
            GuessWarning,
            stacklevel=4,
        )
    pieces, passes = [0], found.passes

    @contextmanager
    def rule(nodes: Iterable[Node]) -> Generator[None]:
        pieces[0] += 1
        with _hooked(find_rectifiers(nodes).nodes):
            yield

    with ExitStack() as undo:
        for _, part in nested:
            part.rules.append(rule)
            undo.callback(part.rules.remove, rule)
        undo.enter_context(_hooked(seen.nodes))
        yield len(seen.nodes)
    if pieces[0] > (found.passes - passes) * len(nested):
        warn(
            f"the region reaches over several tiles of {network.name}. The guided rule is not linear: where tiles "
            "overlap, each cuts its own share of the gradient, and the map differs from that of the whole picture. It "
            "is the same for a region inside one tile; saliency is the same for all.",
            SeamWarning,
            stacklevel=4,
        )


@contextmanager
def _hooked(rectifiers: Iterable[Node]) -> Generator[None]:
    with ExitStack() as undo:
        for node in rectifiers:
            undo.callback(node.register_prehook(_positive).remove)
        yield


def _positive(gradients: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    """Pre-hook of a node: what its output's gradient becomes before the node's own derivative multiplies it."""
    return tuple(None if g is None else g.clamp_min(0) for g in gradients)


def _name(node: Node) -> str:
    return node.name().rpartition("::")[2]


def _kind(node: Node) -> str:
    """'Relu' for ReluBackward0: torch's own operators, and theirs alone, end in a number. '' for all others."""
    match = re.fullmatch(r"(\w+)Backward\d+", _name(node))
    return match[1] if match else ""


def _edges(node: Node) -> list[Edge]:
    return [edge for edge in node.next_functions if edge[0] is not None]


def _saved(node: Node, name: str) -> Any:
    """What a node keeps; None where it keeps no such thing or it was overwritten since."""
    try:
        return getattr(node, f"_saved_{name}", None)
    except RuntimeError:
        return None


def _is_zero(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() > 0 and not bool(value.any())
    return value is not None and value == 0


def _is_rectifier(node: Node, kind: str) -> bool:
    if kind == "Relu" or kind in SMOOTH_OR_LEAKY:
        return True
    if kind == "Threshold":
        return _saved(node, "threshold") >= 0
    if kind in ("Clamp", "ClampMin"):
        return _is_zero(_saved(node, "min"))
    if kind == "Hardtanh":
        return _is_zero(_saved(node, "min_val"))
    if kind in ("Maximum", "Fmax"):
        # The larger of x and a constant 0, on whichever side.
        constant = [
            n for n, (following, _) in zip(("self", "other"), node.next_functions, strict=True) if not following
        ]
        return len(constant) == 1 and _is_zero(_saved(node, constant[0]))
    return False


def _written_out(node: Node, kind: str) -> set[Node] | None:
    """The steps inside an activation written out, of which `node` is the last; None where it is none.

    x·h(x) with a gate h (Swish, Mish, GELU, hard swish), where(x > 0, x, h(x)) and max(x, h(x)) (leaky ReLU, ELU), and
    x + |x|.
    """
    branches = _edges(node)
    if kind not in ("Mul", "Where", "Add", "Maximum") or len(branches) != 2 or not (found := _between(branches)):
        return None
    steps, of = found
    if not any(branch == of or _is_multiple(branch[0], of) for branch in branches):
        return None
    kinds = {_kind(step) for step in steps}
    if kind in ("Where", "Maximum") or (kind == "Mul" and kinds & GATES) or (kind == "Add" and kinds == {"Abs"}):
        return steps
    return None


def _between(edges: Sequence[Edge]) -> tuple[set[Node], Edge] | None:
    """The pointwise steps from several edges back to the one value of which all are functions, and that value."""
    front = set(edges)
    steps: set[Node] = set()
    while len(front) > 1:
        # What was made last cannot be an argument of the others.
        edge = max(front, key=lambda e: -1 if hasattr(e[0], "variable") else e[0]._sequence_nr())
        if _kind(edge[0]) not in POINTWISE or len(steps) == LONGEST:
            return None
        front.remove(edge)
        steps.add(edge[0])
        front.update(_edges(edge[0]))
    return (steps, front.pop()) if steps else None


def _is_multiple(node: Node, of: Edge) -> bool:
    return _kind(node) in ("Mul", "Div", "ToCopy") and _edges(node) == [of]


def _is_hard_sigmoid(node: Node, readers: Mapping[Node, Sequence[Node]]) -> bool:
    """Whether a rectifier stands in clamp(x + c, 0, m) / m, in one clamp or two: a gate with values in 0..1."""
    if [_kind(before) for before, _ in _edges(node)] not in (["Add"], ["Sub"]):
        return False
    top = _saved(node, "max_val" if _kind(node) == "Hardtanh" else "max")
    after = readers[node]
    if top is None and len(after) == 1 and _kind(after[0]) in ("Clamp", "ClampMax"):
        top, after = _saved(after[0], "max"), readers[after[0]]
    if top is None or len(after) != 1 or _kind(after[0]) not in ("Mul", "Div") or len(_edges(after[0])) != 1:
        return False
    scale = _saved(after[0], "other")
    if not isinstance(scale, Tensor) or scale.numel() != 1:
        return False
    whole = float(scale) / float(top) if _kind(after[0]) == "Div" else float(scale) * float(top)
    return abs(whole - 1) < 1e-3


def _may_mask(node: Node, kind: str) -> bool:
    """Whether some values go on and others are replaced, by a condition that may be their sign: as large as they are.

    Masks of attention and of padding are smaller, and spread over channels or heads.
    """
    which: dict[str, Callable[[], Any]] = {
        "Where": lambda: _saved(node, "condition"),
        "MaskedFill": lambda: _saved(node, "mask"),
        "Mul": lambda: _saved(node, "other") if _saved(node, "self") is None else _saved(node, "self"),
    }
    if kind == "IndexPut":
        return True
    if kind not in which or (kind != "Where" and len(_edges(node)) != 1):
        return False
    mask, (result, *_) = which[kind](), node._input_metadata
    if not isinstance(mask, Tensor) or list(mask.shape) != list(result.shape) or mask.numel() < 2:
        return False
    return mask.dtype == torch.bool or bool(((mask == 0) | (mask == 1)).all() and (mask == 0).any())
