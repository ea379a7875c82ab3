"""Exported programs (`.pt2`): opened safely, unflattened so that layers keep paths and take hooks."""

import logging
import os
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram, UnflattenedModule
from torch.fx import Graph, GraphModule

from seglens.core.errors import BatchMixingWarning, NetworkError, ShapeError
from seglens.networks.archive import rebuilt
from seglens.networks.loaded import ADAPTERS, LOADERS, Loaded, Request
from seglens.networks.pickles import damaged


class Program(nn.Module):
    """An unflattened exported program that also takes another batch than the one it was exported with.

    batch: the fixed batch size, None where the program takes any. sizes: the fixed sizes of the
    first input's other dimensions, None for each free one. A program exported for one image runs a
    batch image by image, so a layer inside runs once for each image.
    """

    def __init__(self, program: nn.Module, batch: int | None, sizes: tuple[int | None, ...]) -> None:
        super().__init__()
        # The tables are shared, not copied: one set of layers and weights under their own paths,
        # whichever of
        # the two modules moves them to another device or hangs a hook on them.
        self._modules = program._modules
        self._parameters = program._parameters
        self._buffers = program._buffers
        # Kept out of the table of submodules, where it would double every path.
        self.__dict__["program"] = program
        self.batch = batch
        self.sizes = sizes

    def forward(self, *inputs: Any) -> Any:
        """The program's output; inputs as it was exported, with any batch where `batch` is None or 1."""
        rest = tuple(inputs[0].shape[1:])
        if len(rest) != len(self.sizes) or any(
            want not in (None, have) for have, want in zip(rest, self.sizes, strict=True)
        ):
            wanted = ", ".join("any" if n is None else str(n) for n in self.sizes)
            raise ShapeError(
                f"the program was exported for inputs [batch, {wanted}], not "
                f"{list(inputs[0].shape)}.\n"
                "  State size = [height, width] in its description, so that images are resized; or "
                "export it with "
                "dynamic_shapes."
            )
        rows = inputs[0].shape[0]
        if self.batch is None or rows == self.batch:
            return self._run(inputs)
        if self.batch != 1:
            raise ShapeError(
                f"the program was exported for batches of exactly {self.batch} images, not "
                f"{rows}.\n"
                "  Export it with a dynamic batch: dynamic_shapes=({0: "
                "torch.export.Dim('batch')},)."
            )
        return joined([self._run(tuple(_row(i, k, rows) for i in inputs)) for k in range(rows)])

    def _run(self, inputs: tuple[Any, ...]) -> Any:
        return cast(nn.Module, self.__dict__["program"])(*inputs)


def joined(outputs: list[Any]) -> Any:
    """Outputs of one image each as one output: tensors joined along their first dimension, containers kept."""
    first = outputs[0]
    if isinstance(first, Tensor):
        return torch.cat(cast("list[Tensor]", outputs)) if first.ndim else torch.stack(outputs)
    if isinstance(first, Mapping):
        keys = cast("Mapping[str, Any]", first)
        return {k: joined([o[k] for o in outputs]) for k in keys}
    if isinstance(first, list | tuple):
        parts = [joined(list(column)) for column in zip(*outputs, strict=True)]
        return parts if isinstance(first, list) else tuple(parts)
    return first


@LOADERS.register("pt2")
def load_exported(path: Path, request: Request) -> Loaded:
    """The network in a file of `torch.export.save`.

    What it settles of the input convention: channels, a fixed size, the divisor of its dynamic
    sides.
    Raises UnsafeFileError (unless trusted) for an archive that could run code, NetworkError for a
    damaged one.
    """
    return _loaded(_opened(path, request.trust), path.name)


@ADAPTERS.register("torch")
def adapt_exported(source: object) -> Loaded | None:
    """The network in an exported program in memory, or in a module made of one; None for any other module of torch.

    The layers of `program.module()` are names without calls: it is exported again, which brings them back.
    Raises NetworkError where that fails, or where its first input is no image.
    """
    if isinstance(source, ExportedProgram):
        return _loaded(source, "the exported program")
    if isinstance(source, UnflattenedModule):
        return _free(source, _input_shape(source.graph, None, "the unflattened program"))
    if isinstance(source, GraphModule) and _is_flat(source):
        name = "the exported program's module"
        # Exported again, the multiples in its dynamic sides are forgotten: they are read off the first one.
        return _free(_unflattened(_again(source), name), _input_shape(source.graph, None, name))
    return None


def _is_flat(module: GraphModule) -> bool:
    """Whether layers are told by the nodes' notes but never called, as in the module of an exported program."""
    nodes = list(module.graph.nodes)
    noted = any(node.meta.get("nn_module_stack") for node in nodes if node.op == "call_function")
    return noted and not any(node.op == "call_module" and node.target != "_guards_fn" for node in nodes)


def _again(module: GraphModule) -> ExportedProgram:
    """An exported program's module exported again, with the same sizes free."""
    values = [node.meta.get("val") for node in module.graph.nodes if node.op == "placeholder"]
    if not all(isinstance(v, Tensor) for v in values):
        raise NetworkError("the exported program's module takes inputs that are no tensors: give the program itself.")
    free = [{d: torch.export.Dim.AUTO for d, n in enumerate(v.shape) if not isinstance(n, int)} for v in values]
    shapes = [tuple(n if isinstance(n, int) else int(n.node.hint or 2) for n in v.shape) for v in values]
    examples = tuple(torch.zeros(s, dtype=v.dtype) for s, v in zip(shapes, values, strict=True))
    try:
        with warnings.catch_warnings(), _quiet("torch.export"), _quiet("torch._export"):
            warnings.simplefilter("ignore")
            return torch.export.export(module, examples, dynamic_shapes=tuple(free))
    except Exception as failed:
        raise NetworkError(
            f"the layers of the exported program's module cannot be found again: {_first_line(failed)}\n"
            "  Give the program itself, or the file of torch.export.save."
        ) from failed


def _loaded(program: ExportedProgram, name: str) -> Loaded:
    module = _unflattened(program, name)
    first = next(iter(program.graph_signature.user_inputs), "")
    return _free(module, _input_shape(program.graph, str(first), name))


def _unflattened(program: ExportedProgram, name: str) -> UnflattenedModule:
    with warnings.catch_warnings():
        # torch's own use of what torch deprecates.
        warnings.simplefilter("ignore")
        try:
            module = torch.export.unflatten(program)
        except Exception as failed:
            raise damaged(name, failed) from failed
    _warn_of_training(program, name)
    return module


def _free(module: UnflattenedModule, shape: tuple[Any, ...]) -> Loaded:
    """The unflattened program for inputs of that shape, freed of a fixed batch where it computes any."""
    fixed = tuple(n if isinstance(n, int) else None for n in shape)
    batch = fixed[0]
    if batch is not None and None not in fixed and _is_free(module, cast("tuple[int, ...]", fixed)):
        # The sizes are checked by Program, which says what to do.
        module.check_input_constraints = False
        batch = None
    return Loaded(Program(module, batch, fixed[1:]), _convention(shape), batch)


def _opened(path: Path, trust: bool) -> ExportedProgram:
    source = path if trust else rebuilt(path)
    try:
        with warnings.catch_warnings(), _quiet("torch.export"), _quiet("torch._export"):
            warnings.simplefilter("ignore")
            return torch.export.load(source)
    except Exception as failed:
        hint = f"It may come from another version of torch: export it again with torch {torch.__version__} or older."
        raise NetworkError(f"{path.name} cannot be read: {_first_line(failed)}\n  {hint}") from failed


@contextmanager
def _quiet(logger: str) -> Generator[None]:
    """Keep torch from logging a traceback for what becomes one error, or nothing, here."""
    log = logging.getLogger(logger)
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


def _input_shape(graph: Graph, first: str | None, name: str) -> tuple[Any, ...]:
    """Sizes of the input called `first` (None: the first there is): int where fixed, torch's symbol where dynamic."""
    for node in graph.nodes:
        if node.op == "placeholder" and first in (None, node.name):
            value = node.meta.get("val")
            if isinstance(value, Tensor) and value.ndim >= 2:
                return tuple(value.shape)
            break
    raise NetworkError(f"{name} takes no image: its first input is no tensor [batch, channels, …].")


def _is_free(module: Any, shape: tuple[int, ...]) -> bool:
    """Whether a program exported for a fixed batch computes other batches rightly when it is not checked.

    Tried with three images together and alone: a graph into which the batch size was folded, or
    that mixes images, fails or differs.
    """
    generator = torch.Generator().manual_seed(0)
    if sum(node.op == "placeholder" for node in module.graph.nodes) != 1:
        return False
    images = torch.rand((3 * shape[0], *shape[1:]), generator=generator)
    with torch.no_grad():
        try:
            apart = joined([module(block) for block in images.split(shape[0])])
            module.check_input_constraints = False
            together = module(images)
        except Exception:  # noqa: BLE001 - any failure means no; the image-by-image way then serves
            return False
        finally:
            module.check_input_constraints = True
    return _alike(together, apart)


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return one.shape == other.shape and torch.allclose(one, other, rtol=1e-4, atol=1e-5)
    if isinstance(one, Mapping):
        return all(_alike(one[k], other[k]) for k in cast("Mapping[str, Any]", one))
    if isinstance(one, list | tuple):
        return all(_alike(a, b) for a, b in zip(one, other, strict=True))
    return one == other


def _convention(shape: tuple[Any, ...]) -> dict[str, Any]:
    """What the program's first input settles of the input convention."""
    settled: dict[str, Any] = {}
    if isinstance(shape[1], int):
        settled["channels"] = shape[1]
    sides = shape[2:]
    if sides and all(isinstance(n, int) for n in sides):
        settled["size"] = tuple(sides)
    elif sides:
        # Dim('h') * 8 has the expression 8*s0: sides are then multiples of 8.
        factors = [int(n.node.expr.as_coeff_Mul()[0]) for n in sides if not isinstance(n, int)]
        settled["divisor"] = max(factors)
    return settled


def _warn_of_training(program: ExportedProgram, name: str) -> None:
    """Evaluation mode cannot be set on a graph: what was exported in training mode stays so."""
    for node in program.graph.nodes:
        for argument, value in zip(_arguments(node), node.args, strict=False):
            if argument in ("training", "train") and value is True:
                warnings.warn(
                    f"{name} was exported in training mode ({node.name} is still training: it "
                    "mixes the images of "
                    "a batch, or drops at random). Call model.eval() before torch.export.export.",
                    BatchMixingWarning,
                    stacklevel=3,
                )
                return


def _arguments(node: Any) -> list[str]:
    schema = getattr(node.target, "_schema", None)
    return [a.name for a in schema.arguments] if schema is not None else []


def _row(value: Any, k: int, rows: int) -> Any:
    return value[k : k + 1] if isinstance(value, Tensor) and value.ndim and value.shape[0] == rows else value


def _first_line(failed: Exception) -> str:
    return (str(failed).strip().partition(os.linesep)[0] or type(failed).__name__)[:200]
