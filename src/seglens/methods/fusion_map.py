"""Fusion score map: how sure the network is of the class that wins each pixel, and of which class came second."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor

from seglens.core.errors import ParameterError
from seglens.core.maps import Maps, finish
from seglens.core.method import METHODS
from seglens.core.network import Network, upsampled
from seglens.core.parameters import Help, check_parameters
from seglens.core.targets import Targets
from seglens.methods.score_map import forward, one_pixel


@METHODS.register("fusion-map")
@dataclass(frozen=True, slots=True)
class FusionMap:
    """FSM = max_c p_c at every pixel of the input grid, over all classes; in probability, never negative.

    Source: Neuroscope (Schorr et al. 2021, doi:10.3390/app11052199, 2.14). Takes no target: a region only makes its map
    NaN where it is empty. Pictures: 'winner' and 'second', the classes of the largest and second largest p_c (int64);
    'runner-up', the second's p_c; 'margin', by how much the winner leads. `show` chooses which value is the map.
    One channel counts as two classes. Independent labels do not compete: 'winner' is the likeliest label even where
    p_c ≤ ½, where no label is predicted, and a small margin says that two labels overlap, not that one is in doubt.
    Of a classifier all are constant. Cost: 1 F.
    """

    show: Annotated[
        Literal["winner", "second", "margin"],
        Help("the map: p of the winner, p of the second class, or the difference"),
    ] = "winner"

    takes_target: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_parameters(self)

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] to maps [B T *grid], the same for each target. Raises ParameterError without two classes."""
        x, y, scores = forward(network, x, targets, unasked=True)
        if network.link_for(y) == "none":
            raise ParameterError(
                f"{network.name} gives units, not classes, so none can win a pixel.\n"
                "  Look at one unit with score-map, or state link = softmax or sigmoid in its description."
            )
        grid = tuple(x.shape[2:])
        big = one_pixel(y, len(grid)) if y.ndim == 2 else upsampled(network, y, grid)
        p = network.scores(big, "probabilities")
        if p.shape[1] < 2:
            raise ParameterError(f"{network.name} has one class only, so there is no second one to compare it with.")
        # Probabilities saturate before logits do: what came out of the network ranks the classes.
        rank = p if network.emits == "probabilities" else network.scores(big, "logits")
        winner = rank.argmax(1, keepdim=True)
        second = rank.scatter(1, winner, -torch.inf).argmax(1, keepdim=True)
        first, runner_up = p.gather(1, winner), p.gather(1, second)
        shown = {"winner": first, "second": runner_up, "margin": first - runner_up}
        each = (len(y), len(scores.items), *grid)
        pictures = {"winner": winner, "second": second, "margin": shown["margin"], "runner-up": runner_up}
        return finish(
            shown[self.show].expand(each),
            scores,
            scores(y),
            y,
            signed=False,
            unit="probability",
            pictures={name: picture.expand(each) for name, picture in pictures.items()},
        )
