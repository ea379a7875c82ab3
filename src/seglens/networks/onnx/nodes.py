"""One node of an ONNX graph in plain Python, with what is known of its inputs beforehand."""

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

_SCOPES = "pkg.torch.onnx.name_scopes"


class UnsupportedError(Exception):
    """A node that cannot be run: its text says why, in a few words. Collected, so that all are told at once."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A tensor known beforehand. learned: made of the file's weights, not of sizes and settings. key: names it."""

    tensor: Tensor
    learned: bool
    key: str


@dataclass(slots=True)
class Node:
    """A node: operator, its version, settings, and the names of the values that it reads and gives.

    version: of the operator set in force. inputs, outputs: names, '' for those left out. attributes: by name, as plain
    values; tensors and subgraphs as they lie in the file. scope: the exported module that it is part of, where the file
    tells. rank: axes of the first input, 0 where unknown. constants: inputs known beforehand, by place. claimed: places
    of inputs that its module holds itself. shared: parameters made so far, by what they were made of and how.
    """

    op: str
    domain: str
    version: int
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    scope: str | None = None
    rank: int = 0
    constants: dict[int, Constant] = field(default_factory=dict[int, Constant])
    claimed: set[int] = field(default_factory=set[int])
    shared: dict[tuple[str, str], nn.Parameter] = field(default_factory=dict[tuple[str, str], nn.Parameter])

    def has(self, place: int) -> bool:
        """Whether that input is there."""
        return place < len(self.inputs) and bool(self.inputs[place])

    def gives(self, place: int) -> bool:
        """Whether that output is asked for."""
        return place < len(self.outputs) and bool(self.outputs[place])

    def setting(self, name: str, default: Any) -> Any:
        """An attribute's value, or the default."""
        return self.attributes.get(name, default)

    def known(self, place: int) -> Tensor | None:
        """An input known beforehand, in its own type; None for what is absent or computed."""
        found = self.constants.get(place)
        return None if found is None else found.tensor

    def take(self, place: int, form: str = "", change: Callable[[Tensor], Tensor] | None = None) -> nn.Parameter:
        """An input known beforehand as a parameter of the node's own module, `change`d; one tensor read twice is one.

        form: names the change.
        """
        constant = self.constants[place]
        self.claimed.add(place)
        key = (constant.key, form)
        if key not in self.shared:
            tensor = constant.tensor if change is None else change(constant.tensor).contiguous()
            self.shared[key] = nn.Parameter(tensor, requires_grad=tensor.is_floating_point())
        return self.shared[key]

    def refuse(self, why: str) -> UnsupportedError:
        """The error for a setting that is not supported."""
        return UnsupportedError(why)


def node_of(proto: Any, versions: dict[str, int]) -> Node:
    """A NodeProto as a Node; versions: of the operator sets, by domain."""
    from onnx import helper

    domain = "" if proto.domain == "ai.onnx" else proto.domain
    attributes = {a.name: _plain(helper.get_attribute_value(a)) for a in proto.attribute if not a.ref_attr_name}
    notes = {p.key: p.value for p in proto.metadata_props} if hasattr(proto, "metadata_props") else {}
    return Node(
        op=proto.op_type,
        domain=domain,
        version=versions.get(domain, 0),
        name=proto.name,
        inputs=tuple(proto.input),
        outputs=tuple(proto.output),
        attributes=attributes,
        scope=_scope(notes.get(_SCOPES)),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(v) for v in value]
    return value


def _scope(text: str | None) -> str | None:
    """The path of the module of which torch's exporter made a node: the last but one of its scopes."""
    if text is None:
        return None
    try:
        scopes = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(scopes, list) or len(scopes) < 2 or not isinstance(scopes[-2], str):
        return None
    return "" if scopes[-2].startswith("_empty_nn_module") else scopes[-2]
