"""Tiles with overlap: a network that takes pictures larger than it can hold, tile by tile, for every method alike."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, lcm
from typing import Any, cast

import torch
from torch import Tensor, nn

from seglens.core.capture import (
    _with_first_tensor as with_first_tensor,  # pyright: ignore[reportPrivateUsage]
)
from seglens.core.capture import capture, first_tensor
from seglens.core.errors import CaptureError, NetworkError, ParameterError, SeglensError
from seglens.core.network import Network, is_out_of_memory
from seglens.networks._seams import Seam
from seglens.networks._stitch import Job, Plan, Stitch
from seglens.networks._stitching import Cuts, Rows, cuts
from seglens.networks._tile_probe import OUTPUT, Call, Look, look, unit_of
from seglens.networks.layers import default_layer_of

USUAL = 512
"""Pixels of a tile's side where nothing says otherwise."""

Sides = int | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tiles:
    """size: of a tile's sides in pixels. overlap: by how many pixels neighbouring tiles overlap."""

    size: tuple[int, ...]
    overlap: tuple[int, ...]

    def __str__(self) -> str:
        return f"{_times(self.size)}, overlap {_times(self.overlap)}"


def tiled(network: Network, size: Sides | None = None, overlap: Sides | None = None) -> Network:
    """The same network, for pictures of any size: it runs on tiles with overlap, whose outputs are joined.

    size: of a tile in pixels, for all sides or for each; None takes the size that the network was made for, else 512.
    overlap: None covers the receptive field where that is at most half a tile, else it is a quarter of a tile. Both
    are rounded up to multiples of the network's stride.

    Output, layers' maps and all derivatives are those of the network on the whole picture where the overlap covers the
    receptive field. Elsewhere (global pooling, attention, too small an overlap) the tiled network is another function,
    and how far its tiles disagree where they meet is measured: `seams_of`, in each explanation's provenance, and as a
    SeamWarning. A picture that fits into one tile passes as ever.

    Activations take the memory of one tile. The picture and the scores of all classes are held whole. A reverse pass
    computes each tile again that a gradient reaches; a layer that is read costs a further pass up to that layer.
    A network made for one size takes the picture's own pixels instead, padded to multiples of its stride.

    Raises ParameterError for sizes that do not fit, NetworkError for a network whose output has no space, and what the
    network raises on a tile.
    """
    if isinstance(network.module, TiledModule):
        network = network.module.network
    made_for = network.convention.size
    dims = len(size) if isinstance(size, tuple) else network.dims
    divisor = network.convention.divisor
    sides = _sides(made_for or USUAL if size is None else size, dims, "size")
    sides = tuple(-(-n // divisor) * divisor for n in sides)
    with capture(network):
        unit = _unit(network, sides, divisor)
        sides = tuple(-(-n // u) * u for n, u in zip(sides, unit, strict=True))
        seen = look(network, _grey(network, sides), ())[OUTPUT]
    if len(seen.shape) != dims + 2:
        raise NetworkError(
            f"{network.name} gives {list(seen.shape)} for a tile: no map of scores that could be joined.\n"
            "  Resize the picture for it instead: size = … in the convention."
        )
    widths = _overlap(overlap, sides, unit, seen, dims)
    convention = network.convention
    if made_for is not None:
        joint = lcm(divisor, *unit)
        convention = replace(convention, size=None, fit="pad", divisor=joint)
    layer = network.default_layer
    if layer is None:
        layer = _default_layer(network, _grey(network, sides)[network.explained])
    module = TiledModule(network, Tiles(sides, widths), unit)
    return network.with_(module=module, convention=convention, output=None, default_layer=layer)


def seams_of(network: Network) -> tuple[Seam, ...]:
    """What the last pass of a tiled network that was measured found; nothing for others, and for a single tile.

    Measured is the first pass inside each `capture`: of the picture itself for most methods.
    """
    return network.module.seams if isinstance(network.module, TiledModule) else ()


def tiling_of(network: Network) -> dict[str, str]:
    """Tiles and seams in words, for a provenance; nothing for a network without tiles."""
    if not isinstance(network.module, TiledModule):
        return {}
    words = {"tiles": str(network.module.tiles)}
    for seam in network.module.seams:
        words[f"seam of {seam.layer}" if seam.layer else "seam"] = str(seam)
    return words


def one_tile(network: Network, x: Tensor) -> tuple[Network, Tensor]:
    """The network itself and the first tile of x, for what looks at layers; as they are without tiles."""
    if not isinstance(network.module, TiledModule):
        return network, x
    inner = network.module.network.with_(convention=network.convention, default_layer=network.default_layer)
    return inner, x[(..., *(slice(0, n) for n in network.module.tiles.size))]


class Joined(nn.Module):
    """Stands for a layer of the tiled network: its output is the layer's map of the whole picture, joined from tiles.

    Hooks on it see that, once for each call of the layer in a pass, and may exchange it for what comes behind.
    """

    def forward(self, joined: Tensor) -> Tensor:
        """The joined map [B K *layer grid], as it is."""
        return joined


class TiledModule(nn.Module):
    """A module in tiles. Layers, parameters, buffers and their names are those of the module inside.

    `named_modules` gives a `Joined` under each layer's path; `modules` those and the ones inside. Takes and gives what
    the network's module does, the scores alone: [B K *space].
    """

    def __init__(self, network: Network, tiles: Tiles, unit: tuple[int, ...]) -> None:
        super().__init__()
        self.network = network
        self.tiles = tiles
        self.unit = unit
        # Under names that no path has, so that no layer's name is taken.
        self._modules["(tile)"] = network.module
        self._modules["(layers)"] = _mirror(network.module)
        self._state: dict[str, Any] = {"plans": {}, "seams": {}}
        self.train(network.module.training)

    @property
    def layers(self) -> nn.Module:
        """The tree of `Joined` layers."""
        return cast(nn.Module, self._modules["(layers)"])

    @property
    def seams(self) -> tuple[Seam, ...]:
        """Of the last pass that was measured: of the layers that were read, and of the output."""
        return tuple(self._state["seams"].values())

    def forward(self, *inputs: Tensor) -> Tensor:
        """Scores [B K *space] for inputs whose explained one is [B C *grid]."""
        x = inputs[self.network.explained]
        watched = [path for path, m in self.layers.named_modules() if path and m._forward_hooks]
        if all(n <= size for n, size in zip(x.shape[2:], self.tiles.size, strict=True)):
            self._state["seams"].clear()
            with self._hooked_once(watched):
                return self.network.pick(self.network.module(*inputs))
        plan = self.plan(inputs, watched)
        # Each `capture` registers hooks of its own here: the first pass in it is measured.
        key = tuple(self._forward_pre_hooks)
        measured = self._state.get("measured") != key or not self._state["seams"]
        seams: dict[Call, Seam] | None = {} if measured else None
        given: dict[Call, Tensor] = {}

        def joined(call: Call) -> Tensor:
            return cast(
                Tensor, Stitch.apply(Job(self.network, plan, call, tuple(given), inputs, seams), x, *given.values())
            )

        for call in plan.calls[:-1]:
            given[call] = self.layers.get_submodule(call[0])(joined(call))
        out = joined(OUTPUT)
        if seams is not None:
            self._state["measured"] = key
            self._state["seams"].clear()
            self._state["seams"].update(seams)
        return out

    def plan(self, inputs: Sequence[Tensor], watched: Sequence[str] = ()) -> Plan:
        """For these sizes and layers; worked out once, by passes on three tiles. Inside `capture`."""
        x = inputs[self.network.explained]
        key = (tuple(x.shape[1:]), *watched)
        if key not in self._state["plans"]:
            self._state["plans"][key] = self._planned(inputs, watched)
        return self._state["plans"][key]

    def _planned(self, inputs: Sequence[Tensor], watched: Sequence[str]) -> Plan:
        grid = inputs[self.network.explained].shape[2:]
        tiles, unit = self.tiles, self.unit
        rows = tuple(map(Rows.over, grid, tiles.size, tiles.overlap, unit))
        inner = tuple(r.ends[0] for r in rows)
        last = tuple(r.ends[-1] - r.starts[-1] for r in rows)
        # Of another size, and the same remainder as the picture: what depends on a tile's size is no law.
        other = tuple(min(n + u, size) for n, u, size in zip(last, unit, grid, strict=True))
        looks = {size: self._look(inputs, size, watched) for size in dict.fromkeys((inner, last, other))}
        first = looks[inner]
        dims = range(len(grid))
        lines = {
            call: tuple(_one([seen[call].lines[d] if call in seen else None for seen in looks.values()]) for d in dims)
            for call in first
        }
        for call, seen in first.items():
            if call != OUTPUT and len(seen.shape) != len(grid) + 2:
                raise CaptureError(
                    f"layer {call[0]!r} of {self.network.name} gives {list(seen.shape)} for a tile: no map over the "
                    "picture, so those of several tiles cannot be joined.\n  Choose a layer with space, or take the "
                    "network without tiles."
                )
        joined = {call: self._cuts(rows, call, first[call], looks[last][call], lines[call]) for call in first}
        return Plan(rows, joined, lines)

    def _cuts(
        self, rows: tuple[Rows, ...], call: Call, inner: Look, last: Look, lines: Sequence[Any]
    ) -> tuple[Cuts, ...]:
        return tuple(cuts(r, [inner.grid[d]] * (len(r) - 1) + [last.grid[d]], lines[d]) for d, r in enumerate(rows))

    def _look(self, inputs: Sequence[Tensor], size: tuple[int, ...], watched: Sequence[str]) -> dict[Call, Look]:
        x = inputs[self.network.explained]
        box = tuple(slice(n - s, n) for n, s in zip(x.shape[2:], size, strict=True))
        cut = [e[(..., *box)] if e.ndim == x.ndim and e.shape[2:] == x.shape[2:] else e for e in inputs]
        return look(self.network, cut, watched)

    @contextmanager
    def _hooked_once(self, watched: Sequence[str]) -> Generator[None]:
        """Layers run as they are, what hangs on their `Joined` being told of them."""

        def hand_on(joined: nn.Module, module: nn.Module, args: Any, output: Any) -> Any:
            found = first_tensor(output)
            return None if found is None else with_first_tensor(output, joined(found))

        with ExitStack() as undo:
            for path in watched:
                hook = partial(hand_on, self.layers.get_submodule(path))
                undo.callback(self.network.layer(path).register_forward_hook(hook).remove)
            yield

    def named_modules(
        self, memo: set[nn.Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Generator[tuple[str, nn.Module]]:
        """Itself, and the `Joined` layers by the paths of those inside."""
        yield prefix, self
        dot = f"{prefix}." if prefix else ""
        for path, layer in self.layers.named_modules(memo, "", remove_duplicate):
            if path:
                yield dot + path, layer

    def modules(self, remove_duplicate: bool = True) -> Iterator[nn.Module]:
        """Itself, the `Joined` layers, and every module inside."""
        for root in (self.named_modules, self.network.module.named_modules):
            for _, module in root(remove_duplicate=remove_duplicate):
                yield module

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """Those of the module inside."""
        return self.network.module.named_parameters(prefix, recurse, remove_duplicate)

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Those of the module inside."""
        return self.network.module.named_buffers(prefix, recurse, remove_duplicate)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """That of the module inside."""
        return self.network.module.state_dict(*args, **kwargs)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Into the module inside."""
        return self.network.module.load_state_dict(state_dict, strict, assign)


def _mirror(module: nn.Module) -> nn.Module:
    """The tree of a module's layers, each a `Joined`; a module under two names stays one."""
    known: dict[nn.Module, nn.Module] = {}

    def of(one: nn.Module) -> nn.Module:
        if one not in known:
            known[one] = Joined()
            for name, child in one.named_children():
                known[one].add_module(name, of(child))
        return known[one]

    return of(module)


def _unit(network: Network, sides: tuple[int, ...], divisor: int) -> tuple[int, ...]:
    """The network's stride, found on a tile that the usual strides divide; on the tile itself where that fails."""
    even = lcm(divisor, 32)
    wide = tuple(-(-n // even) * even for n in sides)
    try:
        return unit_of(network, _grey(network, wide)[network.explained], divisor)
    except NetworkError:
        if wide == sides:
            raise
        return unit_of(network, _grey(network, sides)[network.explained], divisor)


def _one(found: Sequence[Any]) -> Any:
    """What all agree on; None where they do not."""
    return found[0] if all(f == found[0] for f in found) else None


def _sides(given: Sides, dims: int, name: str) -> tuple[int, ...]:
    sides = (given,) * dims if isinstance(given, int) else tuple(given)
    if len(sides) != dims or any(n < 1 for n in sides):
        raise ParameterError(f"{name} of a tile is a number ≥ 1, or {dims} of them, not {given!r}.")
    return sides


def _overlap(
    given: Sides | None, sides: tuple[int, ...], unit: tuple[int, ...], seen: Look, dims: int
) -> tuple[int, ...]:
    """In multiples of the stride; by default what covers the receptive field, where that is affordable."""
    wanted = None if given is None else _sides(given, dims, "overlap")
    found: list[int] = []
    for d, (side, u) in enumerate(zip(sides, unit, strict=True)):
        line = seen.lines[d]
        if wanted is not None:
            width = wanted[d]
        else:
            # So that one position at least of each border is seen whole by both tiles, and can be compared.
            needed = side if line is None else line.size - 1 + ceil(2 * line.jump)
            width = needed if needed <= side // 2 else side // 4
        width = max(-(-width // u) * u, u)
        if width >= side:
            raise ParameterError(
                f"tiles of {side} pixels cannot overlap by {width}"
                + (f" (rounded up to the network's stride of {u})" if u > 1 else "")
                + ".\n  Give larger tiles, or a smaller overlap."
            )
        found.append(width)
    return tuple(found)


def _grey(network: Network, sides: tuple[int, ...]) -> list[Tensor]:
    """The module's inputs for one grey tile."""
    pixels = torch.full((network.convention.channels or 3, *sides), 0.5)
    x = network.convention.normalise(pixels[None]).to(network.device, network.dtype)
    rows = max((e.shape[0] for e in network.extra if e.ndim), default=1)
    x = x.expand(rows, *x.shape[1:]).clone()
    inputs = [e.to(network.device) for e in network.extra]
    inputs.insert(network.explained, x)
    return inputs


def _default_layer(network: Network, x: Tensor) -> str | None:
    """As for the network itself, found on a tile; None where there is none, which a method then says."""
    try:
        return default_layer_of(network, x)
    except (SeglensError, RuntimeError, MemoryError) as failed:
        if not isinstance(failed, SeglensError) and not is_out_of_memory(failed):
            raise
        return None


def _times(sizes: Sequence[int]) -> str:
    return " × ".join(map(str, sizes))
