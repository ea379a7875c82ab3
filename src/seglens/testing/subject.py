"""The method under test: how the checks call it, and how they compare what it gives."""

import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from seglens.core.errors import SeglensError, SeglensWarning
from seglens.core.maps import Maps
from seglens.core.method import Method
from seglens.core.network import Network
from seglens.core.regions import everything
from seglens.core.targets import Target, Targets
from seglens.core.view import Region, View
from seglens.testing.toys import Toy

TOLERANCE = 1e-4
"""Largest difference, as a share of a map's largest value, that counts as rounding."""


class ConformanceError(AssertionError):
    """A method does not do what every method is to do. Its text says what, and on which toy network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a method declares of itself, where lawful methods differ.

    homogeneous: scores s times as large give a map s times as large, and a region's sum its size times the mean's
    map. False, say, for Grad-CAM++, whose weights are ratios of powers of a gradient, and for probabilities.
    linear: the map of a contrast is the difference of the maps: no rectifying, no absolute values.
    rectifiers: changes the gradient of rectifiers, and refuses a network without any with a RectifierError.
    units: explains latent units too; False: it needs classes, and refuses units with a ParameterError.
    context: explains by what lies outside the region: refuses an output without space with a RegionError, and is asked
    about half of the image where others are asked about everything.
    searched: the map is where a search ended, which half precision may lead elsewhere: there it need only be finite.
    curved: takes second derivatives, which are zero where the score is piecewise linear, as the toys' logits are: asked
    about probabilities where others are asked about logits. Of units, which have none, the map may be zeros.
    """

    homogeneous: bool = True
    linear: bool = False
    rectifiers: bool = False
    units: bool = True
    context: bool = False
    searched: bool = False
    curved: bool = False


@dataclass(frozen=True, slots=True)
class _Half(Region):
    """The first half of every row, of images of any size and dimension."""

    def mask(self, view: View) -> Tensor:
        mask = view.blank()
        mask[..., : mask.shape[-1] // 2] = True
        return mask

    def __str__(self) -> str:
        return "half"


@dataclass(frozen=True, slots=True)
class Subject:
    """A method's maker, which takes no arguments, with its traits."""

    make: Callable[[], Method]
    traits: Traits

    @property
    def name(self) -> str:
        """The method's class."""
        return type(self.make()).__name__

    @property
    def reads_layer(self) -> bool:
        """Whether the method has a field `layer`."""
        method = self.make()
        return is_dataclass(method) and any(f.name == "layer" for f in fields(method))

    def takes(self, toy: Toy) -> bool:
        """Whether the method explains such a network: one for context needs outputs with space."""
        return not self.traits.context or any(t.region is not None for t in toy.targets)

    def at(self, layer: str | None) -> Method:
        """The method, reading that layer if it reads any."""
        method: Any = self.make()
        return replace(method, layer=layer) if self.reads_layer else method

    def seen(
        self,
        toy: Toy,
        *,
        targets: Targets | Sequence[Target] | None = None,
        method: Method | None = None,
    ) -> tuple[Maps, list[SeglensWarning]]:
        """Maps of the toy and the named warnings on the way. Any error, and any other warning, is a failure."""
        with _blamed(f"{self.name} on {toy.network.name}"), named_warnings() as found:
            maps = self.call(toy.network, toy.x, targets or toy.targets, toy.layer, method)
        return maps, found

    def maps(
        self,
        toy: Toy,
        *,
        targets: Targets | Sequence[Target] | None = None,
        method: Method | None = None,
    ) -> Maps:
        """Maps of the toy; named warnings are let pass."""
        return self.seen(toy, targets=targets, method=method)[0]

    def call(
        self,
        network: Network,
        x: Tensor,
        targets: Targets | Sequence[Target],
        layer: str | None,
        method: Method | None = None,
    ) -> Maps:
        """The bare call, whose errors pass."""
        asked = targets if isinstance(targets, Targets) else Targets.of(targets)
        if self.traits.context:
            halved = (replace(t, region=_Half()) if t.region == everything else t for t in asked.items)
            asked = replace(asked, items=tuple(halved))
        if self.traits.curved and network.link != "none":
            bent = (replace(t, of="probabilities") if t.of in (None, "logits") else t for t in asked.items)
            asked = replace(asked, items=tuple(bent))
        return (method or self.at(layer))(network, x, asked)


@contextmanager
def named_warnings() -> Generator[list[SeglensWarning]]:
    """Collect warnings of seglens; all others become errors, as they name nothing that a user can act on."""
    named: list[SeglensWarning] = []
    with warnings.catch_warnings(record=True) as every:
        warnings.simplefilter("error")
        warnings.simplefilter("always", SeglensWarning)
        try:
            yield named
        finally:
            named.extend(w.message for w in every if isinstance(w.message, SeglensWarning))


@contextmanager
def refused(what: str, *kinds: type[Exception]) -> Generator[None]:
    """The block is to raise one of these errors of seglens; nothing and anything else are failures."""
    names = " or ".join(k.__name__ for k in kinds)
    try:
        with named_warnings():
            yield
    except kinds as raised:
        if not str(raised).strip():
            raise ConformanceError(f"{what}: {type(raised).__name__} says nothing.") from raised
        return
    except AssertionError:
        raise
    except Exception as raised:
        raise ConformanceError(f"{what}: expected {names}, not {type(raised).__name__}: {raised}") from raised
    raise ConformanceError(f"{what}: expected {names}, but it passed.")


def demand(holds: bool, failure: str) -> None:
    """Raise ConformanceError where it does not hold. An error, not `assert`, so that `python -O` keeps it."""
    if not holds:
        raise ConformanceError(failure)


def same(actual: Tensor, expected: Tensor, what: str, tolerance: float = TOLERANCE) -> None:
    """Equal to rounding: each map [B T *grid] against its own largest value; NaN in the same places."""
    demand(
        actual.shape == expected.shape,
        f"{what}: shapes differ, {tuple(actual.shape)} and {tuple(expected.shape)}.",
    )
    a, e = (t.double().reshape(*t.shape[:2], -1) for t in (actual, expected))
    demand(torch.equal(a.isnan(), e.isnan()), f"{what}: NaN in different places.")
    a, e = a.nan_to_num(), e.nan_to_num()
    scale = e.abs().amax(2, keepdim=True).clamp_min(1e-12)
    worst = float(((a - e).abs() / scale).max()) if a.numel() else 0.0
    demand(
        worst <= tolerance,
        f"{what}: they differ by {worst:.2g} of the largest value (at most {tolerance:.2g}).",
    )


def same_scores(actual: Tensor, expected: Tensor, what: str, tolerance: float = TOLERANCE) -> None:
    """Scores [B T] equal to rounding, against the largest of their image: a contrast may cancel to nothing."""
    same(actual[:, None], expected[:, None], what, tolerance)


def identical(actual: Tensor, expected: Tensor, what: str) -> None:
    """Equal bit for bit; NaN equals NaN."""
    alike = torch.equal(actual.isnan(), expected.isnan()) and torch.equal(actual.nan_to_num(), expected.nan_to_num())
    demand(alike, f"{what}: not the same bits.")


def warned(found: Sequence[SeglensWarning], kind: type[SeglensWarning]) -> str:
    """The texts of the warnings of that kind; '' where there is none."""
    return "\n".join(str(w) for w in found if isinstance(w, kind))


@contextmanager
def _blamed(where: str) -> Generator[None]:
    try:
        yield
    except AssertionError:
        raise
    except Warning as stray:
        raise ConformanceError(f"{where} gave a warning that is none of seglens: {stray!r}") from stray
    except SeglensError as raised:
        raise ConformanceError(f"{where} refused: {type(raised).__name__}: {raised}") from raised
    except Exception as raised:
        raise ConformanceError(f"{where} failed: {type(raised).__name__}: {raised}") from raised
