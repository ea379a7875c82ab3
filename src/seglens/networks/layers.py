"""The layer tree: what every module of a network gives on an example, and the layer to explain by default."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, is_dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import _disable_current_modes  # pyright: ignore[reportPrivateUsage]
from torch.utils.weak import WeakTensorKeyDictionary

from seglens.core.capture import TAKES_NO_HOOKS, capture
from seglens.core.errors import LayerNotFoundError
from seglens.core.layouts import Held, LayoutFollower
from seglens.core.network import Network
from seglens.core.receptive import Follower, Reach


@dataclass(frozen=True, slots=True)
class Layer:
    """One module of a network, and what it did in one forward pass.

    path: dotted, '' for the network itself; depth: the number of its parts. type: its class.
    order: when its last call ended, counted over all calls from 0; None where it never ran.
    runs: how often it ran. shape: of the first tensor of its (last) output.
    spatial: that tensor holds a map whose grid is known. map_shape: [B C *space] of that map, which methods read.
    layout: how the tensor holds it where it is not the map as it stands ('tokens 14×14 + 1' of which one is no place
    of the image, 'windows 7×7', 'channels last'), else None. heard: some place of the map can change the network's
    output; False behind the last attention of a network that reads its class token alone.
    parameters: its own and its children's, shared ones counted once.
    field: receptive field in pixels per image dimension, None = the whole image; the tuple is None
    where the output does not depend on the image or was not seen. stride: pixels from one position
    to the next, None where there is no such number.
    tensor: equal for layers that hand on the very same tensor. after_head: it is, holds, or comes
    after a last layer with weights (a head), so that its output is a score already.
    hooked: False where the module refuses hooks (TorchScript), so that it could not be watched.
    """

    path: str
    depth: int
    type: str
    parameters: int
    order: int | None = None
    runs: int = 0
    shape: tuple[int, ...] | None = None
    spatial: bool = False
    map_shape: tuple[int, ...] | None = None
    layout: str | None = None
    heard: bool = True
    field: tuple[int | None, ...] | None = None
    stride: tuple[Fraction | None, ...] | None = None
    tensor: int | None = None
    after_head: bool = False
    hooked: bool = True

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values; a stride that is no whole number becomes a float."""
        out = {f.name: getattr(self, f.name) for f in fields(self)}
        out["shape"] = None if self.shape is None else list(self.shape)
        out["map_shape"] = None if self.map_shape is None else list(self.map_shape)
        out["field"] = None if self.field is None else list(self.field)
        out["stride"] = None if self.stride is None else [_number(s) for s in self.stride]
        return out


def _number(value: Fraction | None) -> float | None:
    if value is None:
        return None
    return int(value) if value.denominator == 1 else float(value)


@dataclass(slots=True, eq=False)
class _Record:
    """What the hooks saw of one module."""

    runs: int = 0
    order: int | None = None
    tensor: int | None = None
    shape: tuple[int, ...] | None = None
    reach: Reach | None = None
    held: Held | None = None
    marks: int = 0
    hooked: bool = True


@dataclass(slots=True)
class _Watch:
    """The state of one pass: a counter of calls, and which weighted layers others read."""

    follower: Follower
    layouts: LayoutFollower
    records: dict[str, _Record]
    numbers: Any = field(default_factory=WeakTensorKeyDictionary)  # an id would come again
    calls: int = 0
    read: int = 0
    heard: int = 0

    def enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """A layer with weights starts: what reaches it is no score yet."""
        for t in tensors((args, kwargs)):
            self.read |= self.follower.marks(t)

    def leave(self, path: str, bit: int | None, module: nn.Module, args: Any, out: Any) -> None:
        record = self.records[path]
        record.runs += 1
        record.order = self.calls
        self.calls += 1
        found = list(tensors(out))
        for t in found:
            if bit is not None:
                self.follower.mark(t, bit)
        record.marks = 0
        for t in found:
            record.marks |= self.follower.marks(t)
        if found:
            record.tensor = self.numbers.setdefault(found[0], record.order)
            record.shape = tuple(found[0].shape)
            # What is worked out of the records here is not to be followed in its turn.
            with _disable_current_modes():
                record.reach = self.follower.reach(found[0])
            record.held = self.layouts.held(found[0])
            if record.held.form is not None and record.held.form.layout.extras:
                self.layouts.mark(found[0], list(self.records).index(path))
        if not path:
            for t in found:
                self.heard |= self.layouts.marks(t)


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in nested tuples, lists, mappings and dataclasses, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors(item)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for item in value:
            yield from tensors(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for f in fields(value):
            yield from tensors(getattr(value, f.name))


def layer_tree(call: Callable[[], object], module: nn.Module, x: Tensor) -> list[Layer]:
    """Every module below and including `module`, in order of definition, from one forward pass.

    call: runs `module` once on `x` [B C *space], the very tensor, whose axes from the third on are
    the image's. Runs in eval mode without gradients; modes and hooks are as before afterwards,
    whatever fails. `module` is free of wrappers (DataParallel, torch.compile).
    """
    modules = dict(module.named_modules())
    follower = Follower()
    layouts = LayoutFollower()
    watch = _Watch(follower, layouts, {path: _Record() for path in modules})
    weighted = [p for p, m in modules.items() if _has_weights(m)]
    with ExitStack() as undo:
        for m in modules.values():
            if getattr(m, "training", False):
                undo.callback(setattr, m, "training", True)
                m.training = False
        for path, m in modules.items():
            if isinstance(m, torch.jit.ScriptModule):
                watch.records[path].hooked = False
                continue
            bit = weighted.index(path) if path in weighted else None
            if bit is not None:
                handle = m.register_forward_pre_hook(watch.enter, with_kwargs=True)
                undo.callback(handle.remove)
            handle = m.register_forward_hook(partial(watch.leave, path, bit))
            undo.callback(handle.remove)
        with torch.no_grad(), layouts, follower:
            follower.root(x)
            layouts.root(x)
            call()
    ran = [i for i, p in enumerate(weighted) if watch.records[p].runs]
    heads = sum(1 << i for i in ran if not watch.read >> i & 1)
    layers = [_layer(p, m, watch.records[p], heads, x) for p, m in modules.items()]
    return [replace(a, heard=_heard(a, watch.heard >> i & 1)) for i, a in enumerate(layers)]


def _heard(layer: Layer, marked: int) -> bool:
    """Only of tokens beside extra ones can all that is heard of a layer be in the extra ones."""
    return bool(marked) or not (layer.layout and "+" in layer.layout)


def _has_weights(module: nn.Module) -> bool:
    """It has weights that mix channels, in its own name: convolution or linear, not a norm."""
    return any(is_lazy(p) or p.ndim >= 2 for p in module.parameters(recurse=False))


def _layer(path: str, module: nn.Module, record: _Record, heads: int, x: Tensor) -> Layer:
    reach, held = record.reach, record.held
    form = held.form if held else None
    spatial = form is not None
    if held is not None and held.plain and record.shape is not None:
        spatial = held.whole or (reach is not None and _is_map(record.shape, reach, x))
    script = isinstance(module, torch.jit.ScriptModule)
    return Layer(
        path=path,
        depth=len(path.split(".")) if path else 0,
        type=str(module.original_name) if script else type(module).__name__,
        parameters=sum(p.numel() for p in module.parameters() if not is_lazy(p)),
        order=record.order,
        runs=record.runs,
        shape=record.shape,
        spatial=spatial,
        map_shape=form.shape if form else record.shape if spatial else None,
        layout=form.word if form else None,
        field=reach.size if reach else None,
        stride=reach.stride if reach else None,
        tensor=record.tensor,
        after_head=bool(record.marks & heads),
        hooked=record.hooked,
    )


def _is_map(shape: tuple[int, ...], reach: Reach, x: Tensor) -> bool:
    """Of a tensor as a map stands, with space reduced to one place: that place is the image's, or its windows move."""
    if len(shape) != x.ndim or shape[0] != x.shape[0]:
        return False
    if reach.axes is not None:
        return reach.axes == tuple(range(2, x.ndim))
    ends = (*reach.first, *reach.last)
    return any(bool((v != v.flatten()[0]).any()) for v in ends if v.numel())


def default_layer(layers: Sequence[Layer]) -> Layer:
    """The layer that explanations use where none is named: the end of the encoder.

    Of all maps before the heads, those of smallest area (more than one pixel, unless none has); of those the whole
    blocks before their parts (least deep), then the ones with most channels, and then the last that ran. Of several
    that hand on that same tensor the last beside the one that made it; never the network itself. A head is a
    convolution or linear layer whose output no other one reads. Where a network reads its class token alone, the places
    of the last tokens do not matter to it: then it is the last block whose places do.
    Raises LayerNotFoundError where no layer qualifies.
    """
    maps = {
        a.path: (math.prod(a.map_shape[2:]), a)
        for a in layers
        if a.path and a.spatial and a.map_shape is not None and a.order is not None and not a.after_head and a.heard
    }
    wide = {p: v for p, v in maps.items() if v[0] > 1} or maps
    if not wide and any(not a.hooked for a in layers):
        raise LayerNotFoundError(f"no layer of it can be read: {TAKES_NO_HOOKS}")
    if not wide:
        raise LayerNotFoundError(
            "no layer gives a map whose grid is known before the network's last layer: name one yourself.\n"
            f"  The network has {len(layers)} layers: {', '.join(repr(a.path) for a in layers[:8])}."
        )
    unheard = any(a.spatial and not a.heard for a in layers)
    blocks = {a.path.rpartition(".")[0] for a in layers if a.path}

    def rank(item: tuple[int, Layer]) -> tuple[int, int, int, int]:
        area, layer = item
        if unheard:
            return (-area, layer.path in blocks, layer.order or 0, 0)
        return (-area, -layer.depth, (layer.map_shape or (0, 0))[1], layer.order or 0)

    best = max(wide.values(), key=rank)[1]
    same = [a for _, a in wide.values() if a.tensor == best.tensor and a.depth == best.depth]
    made = min(same, key=lambda a: a.order or 0)
    # An in-place activation beside its convolution hands on that tensor too, and is meant.
    beside = [a for a in same if a.path.rpartition(".")[0] == made.path.rpartition(".")[0]]
    return max(beside, key=lambda a: a.order or 0)


def layers_of(network: Network, x: Tensor) -> list[Layer]:
    """The layer tree of a network for input x [B C *grid], in one pass; the network is left as it was.

    Of a network in tiles, that of the network inside on the first tile.
    """
    from seglens.networks.tiled import one_tile  # which imports this file

    network, x = one_tile(network, x)
    if not network.extra:
        x = x[:1]
    x = x.detach().to(device=network.device, dtype=network.dtype)
    with capture(network):
        return layer_tree(lambda: network(x), network.module, x)


def default_layer_of(network: Network, x: Tensor) -> str:
    """The layer to explain where none is named: the network's own default, else found in one pass."""
    return network.default_layer or default_layer(layers_of(network, x)).path
