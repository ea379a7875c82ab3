"""Whether seglens computes an ONNX network as onnxruntime does, output by output or node by node."""

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seglens.core.errors import NetworkError, SeglensWarning, missing_extra
from seglens.core.images import Source
from seglens.core.network import Network
from seglens.networks.load import load
from seglens.networks.onnx.loading import as_it_is
from seglens.networks.onnx.module import OnnxModule, Port, Step
from seglens.networks.onnx.reading import PROTOBUF_LIMIT, inlined, read_model

_SIDE = 64
"""Free sides of an input that is made of noise."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One value, computed twice.

    value: its name; node, op: what makes it. largest: of onnxruntime's numbers, in absolute value. absolute: the
    largest difference; relative: that over `largest` (NaN where shapes differ). agrees: it is within the tolerance.
    """

    value: str
    node: str
    op: str
    shape: tuple[int, ...]
    largest: float
    absolute: float
    relative: float
    agrees: bool


@dataclass(frozen=True, slots=True)
class OnnxAgreement:
    """seglens beside onnxruntime on one input.

    outputs: of the graph. nodes: every value between, in the order of the graph, where asked for.
    """

    name: str
    tolerance: float
    outputs: tuple[Difference, ...]
    nodes: tuple[Difference, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether all outputs do."""
        return all(d.agrees for d in self.outputs)

    @property
    def first(self) -> Difference | None:
        """The first node that differs: what comes after it differs for its sake. None where none does."""
        return next((d for d in self.nodes if not d.agrees), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain form; NaN becomes None."""
        return {
            "name": self.name,
            "tolerance": self.tolerance,
            "agrees": self.agrees,
            "outputs": [_plain(d) for d in self.outputs],
            "nodes": [_plain(d) for d in self.nodes],
        }


def check_onnx(
    source: str | os.PathLike[str] | Network | Any,
    image: Source | Tensor | None = None,
    *,
    nodes: bool = False,
    tolerance: float = 1e-4,
    trust: bool = False,
) -> OnnxAgreement:
    """Run an ONNX network by seglens and by onnxruntime (on the CPU, its optimisations off), and compare.

    source: the file, a ModelProto, or a network that was loaded from a file. image: a picture, taken by the network's
    convention, or input values [B C *space] as a tensor; by default noise from 0 to 1 of the declared size (free sides
    64). nodes: compare every value between too, which keeps all of them in memory.
    tolerance: largest difference of a value, as a share of the largest number in it.
    Raises MissingExtraError without onnxruntime, NetworkError for what is no ONNX file or cannot be run by either.
    """
    try:
        import onnxruntime
    except ImportError:
        raise missing_extra("onnxruntime", "onnx", "comparing with onnxruntime") from None
    model, name, where = _model_of(source, trust)
    model = inlined(model, name)
    module = as_it_is(model, name, turned=True)
    inputs = _inputs(model, module, _values(where, image, trust))
    wanted = {p.name for p in module.plan.outputs}
    steps = [s for s in module.plan.steps if not s.sizes] if nodes else []
    between = {n for s in steps for n in s.gives if n}
    theirs = _by_runtime(onnxruntime, model, name, _as_told(inputs, module.plan.inputs), between - wanted)
    makers: dict[str, Step] = {n: s for s in module.plan.steps for n in s.gives if n}
    with torch.no_grad():
        ours = module.run(inputs, wanted | between)
    return OnnxAgreement(
        name=name,
        tolerance=tolerance,
        outputs=tuple(_difference(p.name, makers, ours, theirs, tolerance) for p in module.plan.outputs),
        nodes=tuple(
            _difference(n, makers, ours, theirs, tolerance) for s in steps for n in s.gives if n and n in theirs
        ),
    )


def _model_of(source: Any, trust: bool) -> tuple[Any, str, Any]:
    """(the ModelProto, its name, what to load for its convention)."""
    if type(source).__name__ == "ModelProto":
        return source, source.graph.name or "ONNX model", source
    where = source.source if isinstance(source, Network) else source
    path = Path(where).expanduser()
    if not path.is_file():
        raise NetworkError(
            f"{str(where)!r} is no ONNX file.\n"
            "  Give the file that the network was loaded from: check_onnx('NAME.onnx')."
        )
    return read_model(path, trust), path.name, source if isinstance(source, Network) else path


def _values(where: Any, image: Source | Tensor | None, trust: bool) -> Tensor | None:
    """Input values, where an image was given."""
    if image is None or isinstance(image, Tensor):
        return image
    with warnings.catch_warnings():
        # What is guessed of the input is as good as any other numbers here.
        warnings.simplefilter("ignore", SeglensWarning)
        network = where if isinstance(where, Network) else load(where, trust=trust)
        return network.convention.prepare(network.read(image).pixels)[0]


def _inputs(model: Any, module: OnnxModule, x: Tensor | None) -> list[Tensor]:
    """A tensor for each input of the module, in its order: x for the images, noise for what is not given."""
    told = {i.name: i.type.tensor_type for i in model.graph.input}
    generator = torch.Generator().manual_seed(0)
    found: list[Tensor] = []
    for port in module.plan.inputs:
        kind = told[port.name]
        sizes = [d.dim_value if d.dim_value > 0 else 0 for d in kind.shape.dim]
        if port.order is not None:
            sizes = [sizes[0], sizes[-1], *sizes[1:-1]]
        whole = kind.elem_type not in (1, 10, 11, 16)
        if x is not None and x.ndim == len(sizes):
            value, x = x, None
        else:
            shape = [n or (1 if k == 0 else 3 if k == 1 else _SIDE) for k, n in enumerate(sizes)]
            value = torch.rand(shape, generator=generator) * (255 if whole else 1)
        found.append(value.round() if whole else value)
    return found


def _as_told(inputs: Sequence[Tensor], ports: Sequence[Port]) -> dict[str, Tensor]:
    """Inputs in the graph's own order of axes."""
    return {p.name: x if p.order is None else x.permute(p.order) for p, x in zip(ports, inputs, strict=True)}


def _by_runtime(
    runtime: Any, model: Any, name: str, inputs: Mapping[str, Tensor], between: set[str]
) -> dict[str, NDArray[Any]]:
    """onnxruntime's values by name: the outputs, and those named in `between`."""
    from onnx import ModelProto, ValueInfoProto, helper

    asked = ModelProto()
    asked.CopyFrom(model)
    asked.graph.output.extend(ValueInfoProto(name=n) for n in sorted(between))
    if asked.ByteSize() > PROTOBUF_LIMIT:
        raise NetworkError(f"{name} has more than 2 GB of weights, which onnxruntime takes from files only.")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    kinds = {i.name: helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type) for i in model.graph.input}
    given = {n: x.detach().cpu().double().numpy().astype(kinds[n]) for n, x in inputs.items()}
    try:
        session = runtime.InferenceSession(asked.SerializeToString(), options, providers=["CPUExecutionProvider"])
        values = session.run(None, given)
    except Exception as failed:
        first = str(failed).strip().partition("\n")[0][:300]
        raise NetworkError(f"onnxruntime {runtime.__version__} does not run {name}: {first}") from failed
    return {o.name: v for o, v in zip(session.get_outputs(), values, strict=True) if isinstance(v, np.ndarray)}


def _difference(
    value: str,
    makers: Mapping[str, Step],
    ours: Mapping[str, Any],
    theirs: Mapping[str, NDArray[Any]],
    tolerance: float,
) -> Difference:
    step = makers.get(value)
    node, op = (step.name, step.op) if step is not None else ("", "")
    a = ours[value].detach().cpu().double().numpy()
    b: NDArray[np.float64] = theirs[value].astype(np.float64)
    largest = float(np.abs(b[np.isfinite(b)]).max(initial=0.0))
    if a.shape != b.shape:
        return Difference(value, node, op, b.shape, largest, float("nan"), float("nan"), False)
    with np.errstate(invalid="ignore"):
        # Equal infinities differ by nothing, and so do two that are no numbers.
        apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    absolute = float(np.nan_to_num(apart, nan=np.inf).max(initial=0.0))
    relative = absolute / largest if largest else absolute
    return Difference(value, node, op, b.shape, largest, absolute, relative, relative <= tolerance)


def _plain(difference: Difference) -> dict[str, Any]:
    plain = {**asdict(difference), "shape": list(difference.shape)}
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in plain.items()}
