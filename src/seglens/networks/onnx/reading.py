"""ONNX files opened: nothing outside their folder is read, and what cannot be right is refused."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from seglens.core.errors import NetworkError, UnsafeFileError, missing_extra
from seglens.networks.pickles import damaged

PROTOBUF_LIMIT = 2**31 - 1
"""Bytes of the largest protocol buffer."""

MOST_NODES = 100_000
"""Nodes of the largest graph, its functions written out."""


def require_onnx(name: str) -> Any:
    """The package onnx. Raises MissingExtraError."""
    try:
        import onnx
    except ImportError:
        raise missing_extra("onnx", "onnx", f"opening {name}") from None
    return onnx


def read_model(path: Path, trust: bool = False) -> Any:
    """The ModelProto in a file, with the data that lies in files beside it.

    Raises NetworkError for a damaged file, UnsafeFileError for data outside the file's folder, unless trusted.
    """
    onnx = require_onnx(path.name)
    size = path.stat().st_size
    if size > PROTOBUF_LIMIT:
        raise NetworkError(
            f"{path.name} has {size:,} bytes, more than the 2 GB that its format can hold, so it is damaged.\n"
            "  Save large weights in a file beside it: onnx.save(model, NAME, save_as_external_data=True)."
        )
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as failed:
        raise damaged(path.name, failed) from failed
    if not model.HasField("graph"):
        raise damaged(path.name, ValueError("it holds no graph"))
    for tensor in tensors_of(model):
        if is_external(tensor):
            _fetch(tensor, path, trust)
    return model


def is_external(tensor: Any) -> bool:
    """Whether a tensor's data lies in another file."""
    return tensor.data_location == 1


def tensors_of(model: Any) -> Iterator[Any]:
    """Every tensor of a model: weights, those in attributes, in subgraphs and in functions."""
    yield from _in_graph(model.graph)
    for function in model.functions:
        yield from _in_nodes(function.node)


def _in_graph(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    yield from _in_nodes(graph.node)


def _in_nodes(nodes: Any) -> Iterator[Any]:
    for node in nodes:
        for a in node.attribute:
            if a.HasField("t"):
                yield a.t
            yield from a.tensors
            for graph in (*([a.g] if a.HasField("g") else []), *a.graphs):
                yield from _in_graph(graph)


def _fetch(tensor: Any, path: Path, trust: bool) -> None:
    """Put the data of a tensor, of a file in the same folder, into it."""
    told = {e.key: e.value for e in tensor.external_data}
    source = _beside(path, told.get("location", ""), trust)
    try:
        offset = int(told.get("offset", 0))
        size = source.stat().st_size
        length = int(told.get("length", size - offset))
    except (ValueError, OSError) as failed:
        raise damaged(path.name, failed) from failed
    if offset < 0 or length < 0 or offset + length > size:
        raise NetworkError(
            f"{path.name} places weights {tensor.name!r} at bytes {offset:,} to {offset + length:,} of {source.name}, "
            f"which has {size:,}: one of the two is damaged or cut short.\n  Copy or download both again."
        )
    with source.open("rb") as file:
        file.seek(offset)
        tensor.raw_data = file.read(length)
    tensor.data_location = 0
    del tensor.external_data[:]


def _beside(path: Path, location: str, trust: bool) -> Path:
    """The file of that name in the network's folder, or below it."""
    inside = not (
        not location
        or PurePosixPath(location).is_absolute()
        or PureWindowsPath(location).is_absolute()
        or PureWindowsPath(location).drive
        or ".." in PureWindowsPath(location).parts
    )
    folder = path.parent.resolve()
    source = folder / location
    if inside and not trust:
        inside = source.resolve().is_relative_to(folder)
    if not inside:
        raise UnsafeFileError(
            f"{path.name} keeps weights in {location!r}, which is no file in its folder, so it was not read.\n"
            "  Weights beside a network lie in its folder. If it links elsewhere and you know where to, trust=True "
            "follows links."
        )
    if not source.is_file():
        near = ", ".join(sorted(p.name for p in folder.iterdir() if p.is_file())[:6])
        raise NetworkError(
            f"{path.name} keeps its weights in {location!r} beside it, which is not there.\n"
            f"  Copy that file too. In the folder: {near}."
        )
    return source


def inlined(model: Any, name: str) -> Any:
    """The model with its own functions written out. Raises NetworkError where that never ends or is too large."""
    onnx = require_onnx(name)
    count = _written_out(model, name)
    if count > MOST_NODES:
        raise NetworkError(
            f"{name} has {count:,} nodes once its functions are written out; {MOST_NODES:,} are the most taken."
        )
    if not model.functions:
        return model
    try:
        from onnx import inliner

        return inliner.inline_local_functions(model)
    except Exception as failed:
        raise NetworkError(f"{name}: its functions cannot be written out: {_line(failed)}") from failed
    finally:
        del onnx


def _written_out(model: Any, name: str) -> int:
    """How many nodes the graph has when every function is replaced by its body."""
    bodies = {(f.domain, f.name): _calls(f.node) for f in model.functions}
    sizes: dict[tuple[str, str], int] = {}

    def size(key: tuple[str, str], above: tuple[tuple[str, str], ...]) -> int:
        if key not in bodies:
            return 1
        if key in above or len(above) > 100:
            raise NetworkError(f"{name}: its function {key[1]!r} calls itself, so it cannot be written out.")
        if key not in sizes:
            sizes[key] = min(sum(n * size(k, (*above, key)) for k, n in bodies[key].items()), 10**12)
        return sizes[key]

    return sum(n * size(k, ()) for k, n in _calls(model.graph.node).items())


def _calls(nodes: Any) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for node in nodes:
        found[(node.domain, node.op_type)] += 1
        for a in node.attribute:
            for graph in (*([a.g] if a.HasField("g") else []), *a.graphs):
                found += _calls(graph.node)
    return found


def check(model: Any, name: str) -> None:
    """Have ONNX's own checker look at it. Raises NetworkError with what it found first."""
    onnx = require_onnx(name)
    newest = onnx.defs.onnx_opset_version()
    for o in model.opset_import:
        if o.domain in ("", "ai.onnx") and o.version > newest:
            raise NetworkError(
                f"{name} uses operator set {o.version}, but the installed onnx knows those up to {newest}.\n"
                "  Install a newer one: pip install -U onnx"
            )
    if model.ByteSize() > PROTOBUF_LIMIT:
        _check_order(model.graph, name)
        return
    # Runtimes take outputs whose type and shape are not told; the checker does not.
    untold = [o.type for o in model.graph.output if not o.type.HasField("tensor_type") and not o.type.ByteSize()]
    for kind in untold:
        kind.tensor_type.elem_type = 1
    shapeless = [
        o.type.tensor_type
        for o in model.graph.output
        if o.type.HasField("tensor_type") and not o.type.tensor_type.HasField("shape")
    ]
    for kind in shapeless:
        kind.shape.SetInParent()
    try:
        onnx.checker.check_model(model)
    except Exception as failed:
        # Deprecated operators are taken all the same: files hold them, and runtimes run them.
        if "is deprecated in domain_version" not in str(failed):
            raise NetworkError(f"{name} is no valid ONNX graph: {_line(failed)}") from failed
    _check_order(model.graph, name)
    for kind in shapeless:
        kind.ClearField("shape")


def _check_order(graph: Any, name: str) -> None:
    """Every value is made before it is read. Raises NetworkError."""
    known = {i.name for i in graph.input} | {t.name for t in graph.initializer}
    for node in graph.node:
        for value in node.input:
            if value and value not in known:
                raise NetworkError(
                    f"{name} is no valid ONNX graph: node {node.name!r} ({node.op_type}) reads {value!r}, which "
                    "nothing before it makes."
                )
        known.update(node.output)
    if missing := [o.name for o in graph.output if o.name not in known]:
        raise NetworkError(f"{name} is no valid ONNX graph: nothing makes its output {missing[0]!r}.")


def _line(failed: Exception) -> str:
    text = str(failed).strip()
    return (text.partition(os.linesep)[0] or type(failed).__name__)[:300]
