"""Context saliency: the smallest part of the surroundings that must be kept for the network to say the same."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import ClassVar

from torch import Tensor

from seglens.core.maps import Maps
from seglens.core.method import METHODS
from seglens.core.network import Network
from seglens.core.parameters import check_parameters
from seglens.core.targets import Targets
from seglens.methods._mask_settings import (
    CellsField,
    EarlyField,
    FillField,
    KeepField,
    ModeField,
    MomentumField,
    OptimiserField,
    PresetField,
    RateField,
    Settings,
    SparsityField,
    StartField,
    StepsField,
)
from seglens.methods._saliency_masks import MaskState, mask_states, searched


@METHODS.register("context-saliency")
@dataclass(frozen=True, slots=True)
class ContextSaliency:
    """(1 − R) ∘ U(M), M = argmin over [0, 1]^cells of λ ‖M‖₁ + mean over R of max(f(x) − f(p(x, M)), 0).

    p(x, M) = x ∘ U(M) + x_R ∘ (1 − U(M)), x_R = x ∘ R + fill ∘ (1 − R): the region itself always stays, and only what
    surrounds it is removed. An empty mask says that no context is needed. Source: Hoyer et al. 2019, eq. 3.
    All else, fields, extras and cost too, as `GridSaliency`; there 'bare-confidence' is that of the region alone.
    """

    needs_context: ClassVar[bool] = True

    mode: ModeField = "robust"
    preset: PresetField = None
    cells: CellsField = None
    fill: FillField = None
    sparsity: SparsityField = None
    optimiser: OptimiserField = None
    rate: RateField = None
    momentum: MomentumField = None
    steps: StepsField = None
    start: StartField = None
    early: EarlyField = True
    keep: KeepField = None

    def __post_init__(self) -> None:
        check_parameters(self)

    @property
    def in_full(self) -> "ContextSaliency":
        """The same with every field written out that does not hang on the picture."""
        return ContextSaliency(**asdict(Settings.of(self).in_full))

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] to maps [B T *grid]. Raises EmptyRegionError, NonFiniteError, ParameterError, RegionError."""
        return searched(network, x, targets, Settings.of(self), context=True)

    def iterate(self, network: Network, x: Tensor, targets: Targets) -> Iterator[MaskState]:
        """The search step by step; it may be left at any time, with `state.maps` as they are then."""
        return mask_states(network, x, targets, Settings.of(self), context=True)
