"""Targets: what of the output is asked about. A channel or a contrast of channels, in a region, as one number."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from seglens.core.errors import EmptyRegionError, EmptyRegionWarning, ParameterError, RegionError, ShapeError
from seglens.core.frame import Frame, resize
from seglens.core.network import OFS, Network, Of, upsampled
from seglens.core.regions import predicted
from seglens.core.view import Region, View, resolve

_SPELLED = 6  # terms of a channel that its text names one by one


@dataclass(frozen=True, slots=True)
class Channel:
    """A linear combination of output channels: one class, or a contrast such as rider − person."""

    terms: tuple[tuple[str | int, float], ...]

    def __add__(self, other: "Channel") -> "Channel":
        return Channel((*self.terms, *other.terms))

    def __neg__(self) -> "Channel":
        return Channel(tuple((name, -weight) for name, weight in self.terms))

    def __sub__(self, other: "Channel") -> "Channel":
        return self + -other

    def __mul__(self, factor: float) -> "Channel":
        return Channel(tuple((name, weight * factor) for name, weight in self.terms))

    __rmul__ = __mul__

    def __str__(self) -> str:
        text = ""
        for name, weight in self.terms if len(self.terms) <= _SPELLED else (*self.terms[:2], self.terms[-1]):
            sign = ("-" if weight < 0 else "") if not text else (" - " if weight < 0 else " + ")
            factor = "" if abs(weight) == 1 else f"{abs(weight):g} * "
            # Of a long sum, such as all latent units, what stands between is left out.
            between = " + …" if len(self.terms) > _SPELLED and (name, weight) == self.terms[-1] else ""
            text += f"{between}{sign}{factor}{name}"
        return text if len(self.terms) <= _SPELLED else f"{text} ({len(self.terms)} terms)"


def channel(name: str | int) -> Channel:
    """One output channel by class name or index; subtract two to ask 'why this and not that'."""
    return Channel(((name, 1.0),))


@dataclass(frozen=True, slots=True)
class Target:
    """One question: the score of `channel` over `region`.

    channel: a class name or index, a latent unit, or a contrast; None for methods that show the network without a
    question, whose score is then NaN. region: None for every pixel, and for networks without space. of: what is read;
    None is the method's own default. reduce: 'mean' over the region (the map then does not grow with it), or 'sum' as
    in the papers.
    """

    channel: str | int | Channel | None
    region: Region | None = None
    of: Of | None = None
    reduce: Literal["mean", "sum"] = "mean"

    def __post_init__(self) -> None:
        if self.of is not None and self.of not in OFS:
            raise ParameterError(f"Target.of is one of {', '.join(OFS)}, not {self.of!r}.")
        if self.reduce not in ("mean", "sum"):
            raise ParameterError(f"Target.reduce is 'mean' or 'sum', not {self.reduce!r}.")
        if self.region is not None and not isinstance(self.region, Region):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ParameterError(
                f"Target.region is to be a region, such as predicted('car') or mask(array), not {self.region!r}."
            )

    @property
    def terms(self) -> Channel:
        """The channel as a linear combination; of nothing where there is none."""
        if self.channel is None:
            return Channel(())
        return self.channel if isinstance(self.channel, Channel) else channel(self.channel)

    def __str__(self) -> str:
        where = f" in {self.region}" if self.region is not None else ""
        if self.channel is None:
            return f"no class{where}"
        return f"{'sum of ' if self.reduce == 'sum' else ''}{self.terms}{where}"


Asked = "Target | Channel | str | int | Iterable[Target | Channel | str | int] | Targets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """The questions asked of a batch at once, with the truth and geometry that their regions may need.

    items: T targets. truth: labels [B *grid] on the network's input grid; instances: ids likewise.
    frames: from each picture to the grid; None where the input is the picture. ignore: the label of no region.
    """

    items: tuple[Target, ...]
    truth: Tensor | None = None
    instances: Tensor | None = None
    frames: tuple[Frame, ...] | None = None
    ignore: int | None = 255

    @classmethod
    def of(cls, asked: "Target | Channel | str | int | Iterable[Target | Channel | str | int] | Targets") -> "Targets":
        """Targets from one target or several. A bare class means that class where it is predicted."""
        if isinstance(asked, Targets):
            return asked
        several = [asked] if isinstance(asked, Target | Channel | str | int) else list(asked)
        if not several:
            raise ParameterError("no target given: name a class, or give a Target.")
        return cls(items=tuple(_target(one) for one in several))

    def __len__(self) -> int:
        return len(self.items)

    def shown(self, x: Tensor) -> Tensor:
        """bool [B *grid]: the pixels of input x that show its images, not their padding."""
        return torch.stack([f.valid(x.device) for f in self.frames_of(x)])

    def frames_of(self, x: Tensor) -> tuple[Frame, ...]:
        """Where the images of input x lie on its grid; they fill it where nothing else is known."""
        return self.frames or (Frame.identity(tuple(x.shape[2:])),) * x.shape[0]

    def bind(self, network: Network, x: Tensor, y: Tensor, of: Of = "logits", *, unasked: bool = False) -> "Scores":
        """Work the regions out on output y for input x. `of`: the method's default, where a target leaves it open.

        `unasked`: the method takes targets without a channel too. Raises EmptyRegionError where every region of every
        image is empty, and warns where some are; NonFiniteError where the network gave NaN; ParameterError for a
        target without a channel.
        """
        if not unasked and any(t.channel is None for t in self.items):
            raise ParameterError("this method explains the score of a class, and the target names none.")
        network.check_finite(y)
        items = tuple(replace(t, of=t.of or of) for t in self.items)
        table = network.class_table(y.detach()) if network.link_for(y) != "none" else None
        terms: list[dict[int, float]] = []
        for target in items:
            sums: dict[int, float] = {}
            for name, weight in target.terms.terms:
                index = table.index(name) if table else _unit(name, y.shape[1])
                sums[index] = sums.get(index, 0.0) + weight
            terms.append(sums)
        masks = self._masks(network, x, y.detach(), items)
        if masks is None:
            # A bare class asked of an output without space is asked of the whole image.
            items = tuple(replace(t, region=None) for t in items)
        return Scores(network=network, items=items, terms=tuple(terms), masks=masks, grid=tuple(x.shape[2:]))

    def _masks(self, network: Network, x: Tensor, y: Tensor, items: Sequence[Target]) -> Tensor | None:
        if y.ndim == 2:
            for target in items:
                if target.region is not None and not _bare(target):
                    raise RegionError(
                        f"{network.name} gives one score for the whole image, so no region can be asked about "
                        f"({target.region}).\n  Leave the region out."
                    )
            return None
        if y.ndim != x.ndim:
            raise ShapeError(
                f"{network.name} gave {y.ndim - 2} spatial dimensions for an input with {x.ndim - 2}.", tuple(y.shape)
            )
        grid = tuple(x.shape[2:])
        for name, given in (("truth", self.truth), ("instances", self.instances)):
            if given is not None and tuple(given.shape) != (x.shape[0], *grid):
                raise ShapeError(
                    f"{name} has shape {tuple(given.shape)}; expected {(x.shape[0], *grid)}, as the input.",
                    tuple(given.shape),
                )
        view = View(
            network=network,
            output=upsampled(network, y, grid),
            frames=self.frames_of(x),
            truth=None if self.truth is None else self.truth.to(y.device),
            instances=self.instances,
            ignore=self.ignore,
        )
        # A region shared by several targets is worked out once.
        worked: dict[Region | None, Tensor] = {}
        for target in items:
            if target.region not in worked:
                worked[target.region] = resolve(target.region, view) if target.region else view.known()
        masks = torch.stack([worked[t.region] for t in items], 1)
        _check_empty(masks, items)
        return masks


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Targets bound to one batch: from a raw output to the numbers S that are explained.

    terms: for each target the weights of its classes, by index. masks: bool [B T *grid], None for an output
    without space.
    """

    network: Network
    items: tuple[Target, ...]
    terms: tuple[dict[int, float], ...]
    masks: Tensor | None
    grid: tuple[int, ...]

    @property
    def empty(self) -> Tensor | None:
        """bool [B T]: where the region has no pixel; None for an output without space."""
        return None if self.masks is None else ~self.masks.flatten(2).any(2)

    def __call__(self, y: Tensor) -> Tensor:
        """S [B T] in float32 (float64 of such an output), differentiable in y; 0 where the region is empty.

        y [n·B K *space'] may hold n blocks of the bound batch; S then is [n·B T].
        """
        read: dict[Of, Tensor] = {}
        return torch.stack([self.one(y, t, read) for t in range(len(self.items))], 1)

    def one(self, y: Tensor, t: int, read: dict[Of, Tensor]) -> Tensor:
        """S of target t alone, [n·B]. `read` keeps what several targets read off the same y: pass one for all."""
        target = self.items[t]
        of = target.of or "logits"
        if target.channel is None:
            return y.new_full((y.shape[0],), torch.nan)
        if self.masks is None:
            if of not in read:
                read[of] = self.network.scores(y, of)
            return _combined(read[of], self.terms[t])
        linear = of == "logits" and self.network.emits == "logits"
        if of not in read:
            # Combining channels and upsampling are both linear for logits: there one channel is resized, not all.
            read[of] = self.network.scores(y if linear else upsampled(self.network, y, self.grid), of)
        pixels = _combined(read[of], self.terms[t])
        if linear:
            pixels = resize(pixels[:, None], self.grid)[:, 0]
        rounds = y.shape[0] // self.masks.shape[0]
        mask = self.masks[:, t].repeat(rounds, *[1] * len(self.grid)).flatten(1)
        total = (pixels.flatten(1) * mask).sum(1)
        return total / mask.sum(1).clamp_min(1) if target.reduce == "mean" else total

    def pixels(self, y: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor:
        """What is averaged to S, pixel by pixel: [n *grid], or [n] without space, for pairs (image, target).

        y [n K *space']: row i is the output for the image of pair i, in whatever form. Differentiable in y.
        """
        rows: dict[Of, list[int]] = {}
        for i, (_, t) in enumerate(pairs):
            rows.setdefault(self.items[t].of or "logits", []).append(i)
        found: list[Tensor] = []
        for of, some in rows.items():
            part = y if len(rows) == 1 else y[some]
            linear = self.masks is None or (of == "logits" and self.network.emits == "logits")
            read = self.network.scores(part if linear else upsampled(self.network, part, self.grid), of)
            one = torch.cat([_combined(read[r : r + 1], self.terms[pairs[i][1]]) for r, i in enumerate(some)])
            found.append(resize(one[:, None], self.grid)[:, 0] if self.masks is not None and linear else one)
        if len(rows) == 1:
            return found[0]
        order = torch.tensor([i for some in rows.values() for i in some], device=y.device)
        return torch.cat(found)[order.argsort()]

    def sizes(self) -> Tensor:
        """[B T]: by how many pixels a mean is divided (at least 1); 1 for sums and for outputs without space."""
        if self.masks is None:
            return torch.ones(1, len(self.items))
        counts = self.masks.flatten(2).sum(2).clamp_min(1)
        means = torch.tensor([t.reduce == "mean" for t in self.items], device=counts.device)
        return torch.where(means, counts, 1)

    def same_region(self) -> list[list[int]]:
        """Targets grouped by what they share but the channel: the same mask on every image, linear, same reduce."""
        groups: dict[object, list[int]] = {}
        pixels: dict[Region | None, bytes] = {}
        for t, target in enumerate(self.items):
            if self.masks is not None and target.region not in pixels:
                # By its pixels: equal masks made one by one are one region.
                packed = np.packbits(self.masks[:, t].cpu().numpy())
                pixels[target.region] = sha256(packed.tobytes()).digest()
            key: object = (pixels.get(target.region), target.reduce) if target.of == "logits" else t
            groups.setdefault(key, []).append(t)
        return list(groups.values())

    def only(self, chosen: Sequence[int]) -> "Scores":
        """The same for some of the targets, in that order."""
        return replace(
            self,
            items=tuple(self.items[t] for t in chosen),
            terms=tuple(self.terms[t] for t in chosen),
            masks=None if self.masks is None else self.masks[:, list(chosen)],
        )


def _combined(scores: Tensor, terms: dict[int, float]) -> Tensor:
    """Weighted sum of a few channels of [B N *space]: the others are never read, however many there are."""
    return torch.stack([scores[:, index] * weight for index, weight in terms.items()]).sum(0)


def _target(asked: Target | Channel | str | int) -> Target:
    if isinstance(asked, Target):
        return asked
    if isinstance(asked, Channel):
        first = max(asked.terms, key=lambda term: term[1])[0]
        return Target(asked, _BareRegion(first))
    return Target(asked, _BareRegion(asked))


class _BareRegion(Region):
    """Where a class is predicted, as a bare class name means it; nothing for networks without space."""

    __slots__ = ("label",)

    def __init__(self, label: str | int) -> None:
        self.label = label

    def mask(self, view: View) -> Tensor:
        return predicted(self.label).mask(view)

    def __str__(self) -> str:
        return str(predicted(self.label))


def _bare(target: Target) -> bool:
    return isinstance(target.region, _BareRegion)


def _unit(name: str | int, n: int) -> int:
    if isinstance(name, str) and not name.isdigit():
        raise ParameterError(f"units are numbered from 0 to {n - 1}; {name!r} is no number.")
    if not 0 <= int(name) < n:
        raise ParameterError(f"no unit {name}: there are {n}, numbered from 0.")
    return int(name)


def _check_empty(masks: Tensor, items: Sequence[Target]) -> None:
    empty = ~masks.flatten(2).any(2)
    if not bool(empty.any()):
        return
    if bool(empty.all()):
        raise empty_region(items)
    for b in empty.any(1).nonzero().flatten().tolist():
        named = ", ".join(str(items[t]) for t in empty[b].nonzero().flatten().tolist()[:8])
        message = f"empty regions, their maps are NaN: {named}{of_image(b, empty.shape[0])}."
        warnings.warn(EmptyRegionWarning(message, b), stacklevel=4)


def empty_region(items: Sequence[Target]) -> EmptyRegionError:
    """The error for targets whose regions are all empty."""
    regions = ", ".join(dict.fromkeys(str(t.region or "everything") for t in items))
    return EmptyRegionError(
        f"no pixel lies in {regions}: there is nothing to explain.\n"
        "  Which classes the network found: seglens classes MODEL IMAGE. Or ask elsewhere, "
        "such as over everything or a truth region."
    )


def of_image(b: int, batch: int) -> str:
    """Words that name an image of a batch; none where it is the only one."""
    return f" (image {b} of the batch)" if batch > 1 else ""
