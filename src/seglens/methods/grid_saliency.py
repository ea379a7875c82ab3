"""Grid saliency: the smallest part of a picture that must be kept for the network to say the same."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

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


@METHODS.register("grid-saliency")
@dataclass(frozen=True, slots=True)
class GridSaliency:
    """U(M), M = argmin over [0, 1]^cells of λ ‖M‖₁ + mean over R of max(f(x) − f(p(x, M)), 0), pixel by pixel.

    p(x, M) = x ∘ U(M) + fill ∘ (1 − U(M)); U spreads the mask bilinearly over the picture, whose padding goes with the
    pixel that it repeats. f: what the target reads, probabilities where it leaves that open (values, of units that are
    no classes); pixels of R enter one by one; a target's sum divides by nothing. ‖M‖₁: the sum over cells.
    The map is in [0, 1], the share of a pixel that is kept. Source: Hoyer et al. 2019, eq. 2.

    mode="reference" is the published recipe: projected gradient descent from M = ½, the last mask. Its preset "toy":
    4x4 cells, momentum 0.5, rate 0.2, 100 masks, λ = 0.05; "cityscapes": 16x32, rate 1, 80 masks, λ = 0.01.
    mode="robust" mends two failures: a start at which the score is saturated, so that λ alone moves the mask (it
    starts from ½ and from 1, and takes the best mask met, both ends too); and a fill that removes nothing (where the
    loss of the empty mask is below a tenth of the score for the mean colour, and another fill takes half of the score
    or more, that one is taken, with a FillWarning).
    `early`: a search ends when no cell moves by 1e-3 in five steps, or its best objective has not fallen by 1 % in
    twelve (reference mode: 6 % in seven; in more where λ alone moves a cell of sgd by less than 0.02 a step); and where
    P0 / λ, the most cells that the optimum can hold, is 0.1 or less, the empty mask is returned.

    Extras, each [B T …]: 'mask' (of the cells), 'loss' (the objective of every mask tried), 'kept-confidence' and
    'bare-confidence' (mean of f under the mask, and without anything kept; the score is that of the whole picture),
    'objective', 'empty-loss' (P0), 'bound' (P0 / λ), 'mask-size' (‖M‖₁), 'tried' (how many masks), 'settled' (1 or 0),
    and, where the fill was left open in robust mode, 'fill-sweep' (P0 of mean, blur, black, 0.25, grey, 0.75, white)
    and 'fill' (which of these was taken, by index).
    A mask worse than the empty or the full one is returned with a MaskSearchWarning.
    Cost for each image and target: at most 2 n F for n masks tried and F for the empty one, and F for the image; in
    robust mode twice the search, and 6 F for the sweep.
    """

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
    def in_full(self) -> "GridSaliency":
        """The same with every field written out that does not hang on the picture."""
        return GridSaliency(**asdict(Settings.of(self).in_full))

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] to maps [B T *grid]. Raises EmptyRegionError, NonFiniteError, ParameterError."""
        return searched(network, x, targets, Settings.of(self), context=False)

    def iterate(self, network: Network, x: Tensor, targets: Targets) -> Iterator[MaskState]:
        """The search step by step; it may be left at any time, with `state.maps` as they are then."""
        return mask_states(network, x, targets, Settings.of(self), context=False)
