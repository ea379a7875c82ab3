"""ONNX files, and models in memory, as networks."""

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from seglens.core.errors import NetworkError
from seglens.networks.exported import Program, joined
from seglens.networks.loaded import Loaded, Request
from seglens.networks.onnx.build import Builder, refusal, unknown_operators
from seglens.networks.onnx.ends import End, Graph, distinct, end_of, is_channels_last, order_of
from seglens.networks.onnx.module import OnnxModule, Port
from seglens.networks.onnx.nodes import Node, node_of
from seglens.networks.onnx.operators import OLDEST
from seglens.networks.onnx.reading import check, inlined, is_external, read_model, require_onnx, tensors_of
from seglens.networks.onnx.tensors import torch_type

_INFERRED = 2**28
"""Bytes of a model up to which ONNX is asked to work out the shapes of its values."""

_CLASS_KEYS = ("names", "classes", "class_names", "labels")


def load_onnx(path: Path, request: Request) -> Loaded:
    """The network in an ONNX file, operator set 7 or newer: a module whose layers are called after the nodes.

    Settled: input channels, a fixed size, whether channels come last, the link that closes it (then taken off, so that
    logits come out) and class names that exporters leave in it. Data beside the file is read from its folder only.
    Raises NetworkError: damaged; not valid; with operators that are not supported, all at once. UnsafeFileError: data
    outside the folder, unless trusted. MissingExtraError: onnx is not installed.
    """
    return _loaded(read_model(path, request.trust), path.name)


def adapt(source: Any) -> Loaded | None:
    """The network in a ModelProto; None for another object. The model is not changed. Raises as `load_onnx`."""
    if type(source).__name__ != "ModelProto":
        return None
    onnx = require_onnx("an ONNX model")
    model = onnx.ModelProto()
    model.CopyFrom(source)
    name = model.graph.name or "ONNX model"
    if any(is_external(t) for t in tensors_of(model)):
        raise NetworkError(
            f"{name} keeps weights in another file, which its object does not hold.\n"
            "  Load the file instead: load('NAME.onnx'), or call onnx.load_external_data_for_model first."
        )
    loaded = _loaded(model, name)
    return Loaded(loaded.module, loaded.convention, loaded.batch, {"name": name, **loaded.fields}, loaded.notes)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A checked model, ready to be built."""

    model: Any
    name: str
    nodes: list[Node]
    ranks: dict[str, int]
    given: list[Any]
    builder: Builder


def _opened(model: Any, name: str) -> _Opened:
    model = inlined(model, name)
    versions = {"" if o.domain == "ai.onnx" else o.domain: o.version for o in model.opset_import}
    if unknown := unknown_operators(model.graph.node, versions):
        raise NetworkError(refusal(name, unknown))
    if versions.get("", 0) < OLDEST:
        raise NetworkError(
            f"{name} uses operator set {versions.get('', 0)}; {OLDEST} is the oldest taken.\n"
            "  Convert it: onnx.version_converter.convert_version(model, 13)."
        )
    check(model, name)
    weights = {t.name: t for t in model.graph.initializer}
    nodes = [node_of(p, versions) for p in model.graph.node]
    ranks = _ranks(model)
    for node in nodes:
        node.rank = ranks.get(node.inputs[0], 0) if node.inputs else 0
        _settle_axes(node, weights)
    given = [i for i in model.graph.input if i.name not in weights]
    return _Opened(model, name, nodes, ranks, given, Builder(name, weights, versions))


def as_it_is(model: Any, name: str, *, turned: bool = False) -> OnnxModule:
    """The graph as a module with the very inputs and outputs that the file tells, nothing taken off.

    turned: images are given channels second, also where the graph has them last. Raises as `load_onnx`.
    """
    found = _opened(model, name)
    orders: dict[str, tuple[int, ...]] = {}
    if turned:
        value = found.given[_image(found.given, name)]
        shape = _shape(value)
        if is_channels_last(Graph(found.nodes, found.ranks, []), value.name, shape):
            orders[value.name] = (0, *range(2, len(shape)), 1)
    found.builder.add(found.nodes)
    inputs = [Port(i.name, orders.get(i.name)) for i in found.given]
    outputs = [Port(o.name) for o in found.model.graph.output]
    return found.builder.assembled(inputs, outputs, _input_type(found.given))


def _loaded(model: Any, name: str) -> Loaded:
    found = _opened(model, name)
    graph, nodes, ranks, given = found.model.graph, found.nodes, found.ranks, found.given
    around = Graph(nodes, ranks, [o.name for o in graph.output])
    image = _image(given, name)
    shape = _shape(given[image])
    last = is_channels_last(around, given[image].name, shape)
    ends = distinct(around, [end_of(around, o.name, last) for o in graph.output])
    notes = _notes(nodes, ends, name)
    rank = len(shape)
    to_graph = (0, *range(2, rank), 1) if last else None
    inputs = [Port(i.name, to_graph if k == image else None) for k, i in enumerate(given)]
    outputs = [Port(e.name, order_of(e.axis, ranks.get(e.name, rank)), e.shown) for e in ends]
    found.builder.add(nodes)
    module = found.builder.assembled(inputs, outputs, _input_type(given[image : image + 1]))
    kind = torch_type(given[image].type.tensor_type.elem_type) or torch.float32
    if not kind.is_floating_point:
        notes.append(f"{name} takes whole numbers ({kind}); it is given fractions of them, to be differentiated")
    batch, *sizes = (shape[0], shape[-1], *shape[1:-1]) if last else shape
    batch = None if batch is not None and _is_free(module, len(given), batch, sizes) else batch
    fields = _fields(ends, image)
    classes = _classes(found.model, ends, {o.name: _shape(o) for o in graph.output})
    if classes is not None:
        fields["classes"] = classes
    return Loaded(
        Program(module, batch, tuple(sizes)), _convention(sizes, kind), batch, fields, tuple(n + "." for n in notes)
    )


def _input_type(given: Sequence[Any]) -> torch.dtype:
    """The floating type of the images; float32 where they are whole numbers."""
    kinds = (torch_type(i.type.tensor_type.elem_type) for i in given)
    return next((k for k in kinds if k is not None and k.is_floating_point), torch.float32)


def _image(given: Sequence[Any], name: str) -> int:
    """Which input holds the images. Raises NetworkError where none can."""
    for k, i in enumerate(given):
        kind = torch_type(i.type.tensor_type.elem_type) if i.type.HasField("tensor_type") else None
        if kind in (torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64) and len(_shape(i)) >= 2:
            return k
    what = ", ".join(f"{i.name!r} {list(_shape(i))}" for i in given) or "nothing"
    raise NetworkError(f"{name} takes no image [batch, channels, …]; its inputs are: {what}.")


def _shape(value: Any) -> tuple[int | None, ...]:
    """Declared sizes; None for each that is free."""
    dims = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in dims)


def _ranks(model: Any) -> dict[str, int]:
    """How many axes values have, where that is declared or ONNX can work it out."""
    onnx = require_onnx("an ONNX model")
    graph = model.graph
    if model.ByteSize() <= _INFERRED:
        try:
            graph = onnx.shape_inference.infer_shapes(model).graph
        except Exception:  # noqa: BLE001 - what cannot be inferred stays unknown; the run tells the truth
            graph = model.graph
    values = [*graph.input, *graph.value_info, *graph.output]
    return {
        v.name: len(v.type.tensor_type.shape.dim)
        for v in values
        if v.type.HasField("tensor_type") and v.type.tensor_type.HasField("shape")
    }


def _settle_axes(node: Node, weights: Mapping[str, Any]) -> None:
    """Known axes of Squeeze as an attribute, as in older operator sets: the graph's ends are read by it."""
    if node.op == "Squeeze" and len(node.inputs) == 2 and node.inputs[1] in weights:
        from onnx import numpy_helper

        node.attributes["axes"] = [int(a) for a in numpy_helper.to_array(weights[node.inputs[1]]).reshape(-1)]
        node.inputs = node.inputs[:1]


def _notes(nodes: Sequence[Node], ends: Sequence[End], name: str) -> list[str]:
    notes = [f"{name}: {e.note}" if len(ends) == 1 else f"{name}, output {e.shown!r}: {e.note}" for e in ends if e.note]
    if any(n.op == "QuantizeLinear" for n in nodes):
        notes.append(f"{name} rounds values to few bits; gradients pass through that as if nothing were rounded")
    if any(n.op in ("BatchNormalization", "Dropout") and n.setting("training_mode", 0) for n in nodes):
        notes.append(f"{name} was exported in training mode; it is run in evaluation mode, with its stored statistics")
    return notes


def _fields(ends: Sequence[End], image: int) -> dict[str, Any]:
    fields: dict[str, Any] = {"explained": image} if image else {}
    links = {(e.link, e.emits) for e in ends}
    if len(links) == 1:
        link, emits = links.pop()
        if link is not None:
            fields |= {"link": link, "emits": emits}
    return fields


def _convention(sizes: Sequence[int | None], kind: torch.dtype) -> dict[str, Any]:
    settled: dict[str, Any] = {}
    if sizes and sizes[0] is not None:
        settled["channels"] = sizes[0]
    space = sizes[1:]
    if space and all(n is not None for n in space):
        settled["size"] = tuple(space)
    if kind == torch.uint8:
        settled["range"] = (0.0, 255.0)
    return settled


def _classes(model: Any, ends: Sequence[End], shapes: Mapping[str, tuple[int | None, ...]]) -> tuple[str, ...] | None:
    """Class names that an exporter left in the file, where there is one for each channel."""
    told = {p.key: p.value for p in model.metadata_props}
    names = next((n for k in _CLASS_KEYS if k in told and (n := _names(told[k]))), None)
    shape = shapes.get(ends[0].shown, ())
    axis = ends[0].axis if ends[0].axis is not None else 1
    fits = names is not None and len(ends) == 1 and len(shape) > axis and shape[axis] == len(names)
    return names if fits else None


def _names(text: str) -> tuple[str, ...] | None:
    """['a', 'b'] or {0: 'a', 1: 'b'}, of JSON or Python; None for anything else."""
    found: object = None
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
            break
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    if isinstance(found, dict):
        table = cast("dict[object, object]", found)
        try:
            numbered = {int(str(k)): v for k, v in table.items()}
        except ValueError:
            return None
        found = [numbered[k] for k in sorted(numbered)] if sorted(numbered) == list(range(len(numbered))) else None
    if not isinstance(found, list) or not found:
        return None
    names = cast("list[object]", found)
    return tuple(str(n) for n in names) if all(isinstance(n, str) for n in names) else None


def _is_free(module: OnnxModule, inputs: int, batch: int, sizes: Sequence[int | None]) -> bool:
    """Whether a graph declared for a fixed batch computes others rightly: tried with two together and apart."""
    if inputs != 1:
        return False
    generator = torch.Generator().manual_seed(0)
    shape = [n if n is not None else (3 if k == 0 else 64) for k, n in enumerate(sizes)]
    images = torch.rand((2 * batch, *shape), generator=generator).to(module.like.dtype)
    with torch.no_grad():
        try:
            apart = joined([module(block) for block in images.split(batch)])
            together = module(images)
        except Exception:  # noqa: BLE001 - any failure means no; the image-by-image way then serves
            return False
    pairs = zip(_values(together), _values(apart), strict=False)
    return all(a.shape == b.shape and torch.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in pairs)


def _values(output: Any) -> list[Tensor]:
    return list(output.values()) if isinstance(output, dict) else [output]
