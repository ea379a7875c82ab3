"""The fields that grid and context saliency share, and what is settled where they are left open."""

import math
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal

from seglens.core.parameters import Bounds, Help
from seglens.methods._mask_search import Optimiser, Patience, Recipe
from seglens.perturb import Cells, Fill

USUAL = 0.02
"""By how much λ alone moves a cell in a step of the published settings; where it is less, settling takes longer."""

ModeField = Annotated[
    Literal["robust", "reference"],
    Help("'reference': the published recipe; 'robust': two starts, the better mask, a fill that removes something"),
]
PresetField = Annotated[
    Literal["toy", "cityscapes"] | None, Help("published settings, for every field that is left open")
]
CellsField = Annotated[
    Cells | None, Help("of the mask, such as 16x32; by default 8 along the picture's shorter side, nearly square")
]
FillField = Annotated[
    Fill | None,
    Help("what takes the place of what is removed: a name, a pixel value, a colour, a picture; by default mean"),
]
SparsityField = Annotated[
    float | None, Bounds(above=0, le=1e6), Help("λ, the price of a cell in score; by default 0.05")
]
OptimiserField = Annotated[Optimiser | None, Help("by default sgd in reference mode, adam in robust mode")]
RateField = Annotated[float | None, Bounds(above=0), Help("learning rate")]
MomentumField = Annotated[float | None, Bounds(ge=0, le=0.99), Help("of the optimiser; by default 0.5")]
StepsField = Annotated[int | None, Bounds(ge=1, le=10_000), Help("masks that are tried in a row, at most")]
StartField = Annotated[
    float | None, Bounds(ge=0, le=1), Help("value of the whole mask at first; by default 0.5, in robust mode 1 too")
]
EarlyField = Annotated[bool, Help("end a search that has settled, and certify empty masks without one")]
KeepField = Annotated[
    Literal["last", "best"] | None, Help("which mask of a search is returned; by default last, in robust mode best")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The fields of a method, each with its value: what is left open hangs on mode and preset."""

    mode: Literal["robust", "reference"]
    preset: Literal["toy", "cityscapes"] | None
    cells: Cells | None
    fill: Fill | None
    sparsity: float | None
    optimiser: Optimiser | None
    rate: float | None
    momentum: float | None
    steps: int | None
    start: float | None
    early: bool
    keep: Literal["last", "best"] | None

    @property
    def in_full(self) -> "Settings":
        """With every field that is known without a picture."""
        robust, toy, city = self.mode == "robust", self.preset == "toy", self.preset == "cityscapes"
        optimiser = self.optimiser or ("adam" if robust else "sgd")
        adam = optimiser == "adam"
        return replace(
            self,
            cells=self.cells or ("4x4" if toy else "16x32" if city else None),
            fill=self.fill if self.fill is not None or robust else "mean",
            sparsity=self.sparsity or (0.01 if city else 0.05),
            optimiser=optimiser,
            rate=self.rate or (0.2 if adam or not city else 1.0),
            momentum=0.5 if self.momentum is None else self.momentum,
            steps=self.steps or (30 if robust else 80 if city else 100),
            start=self.start if self.start is not None or robust else 0.5,
            keep=self.keep or ("best" if robust else "last"),
        )

    @classmethod
    def of(cls, method: Any) -> "Settings":
        """Those of a method with the same fields."""
        return cls(**{f.name: getattr(method, f.name) for f in fields(cls)})

    def recipe(self) -> Recipe:
        """How masks are searched with them."""
        full = self.in_full
        sparsity, optimiser = full.sparsity or 0.05, full.optimiser or "sgd"
        rate, momentum = full.rate or 0.2, full.momentum or 0.0
        slow = max(1.0, USUAL * (1 - momentum) / (sparsity * rate)) if optimiser == "sgd" else 1.0
        gain, steps = (0.01, 12) if full.mode == "robust" else (0.06, 7)
        return Recipe(
            sparsity=sparsity,
            optimiser=optimiser,
            rate=rate,
            momentum=momentum,
            steps=int(full.steps or 100),
            starts=(0.5, 1.0) if full.start is None else (full.start,),
            early=full.early,
            patience=Patience(gain, math.ceil(steps * slow - 1e-9)),
            best=full.keep == "best",
            careful=full.mode == "robust",
        )
