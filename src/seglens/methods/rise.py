"""RISE: the score of randomly masked pictures, told apart by which pixels they keep."""

import warnings
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from seglens.core.batches import in_batches, rows_at_once
from seglens.core.capture import capture, own
from seglens.core.errors import EmptyRegionError, EmptyRegionWarning, ParameterError
from seglens.core.frame import Frame
from seglens.core.maps import SCORE, Maps, finish
from seglens.core.method import METHODS
from seglens.core.network import Network, upsampled
from seglens.core.parameters import Bounds, Help, check_parameters
from seglens.core.targets import Scores, Targets, of_image
from seglens.methods._perturbed import looked_at, unasked_is_nan, usual_reading
from seglens.perturb import Fill, fill
from seglens.perturb.masks import FramedMasks, RandomMasks
from seglens.perturb.padding import repeated


@METHODS.register("rise")
@dataclass(frozen=True, slots=True)
class RISE:
    """Σ_n (w_n − mean w) M_n / ((N − 1) p), with w_n the score of x∘M_n + fill∘(1 − M_n); in units of score.

    M_n: masks that keep a pixel with probability p on average (`perturb.masks`). With kept or dropped pixels it is
    E[w | pixel kept] − E[w], without bias: positive where keeping the pixel raises the score, 0 where it does not
    matter. Source: Petsiuk et al. 2018, arXiv:1806.07421, whose 1/(N p) Σ_n w_n M_n (`centred=False`) estimates
    E[w | pixel kept]: the same but for the constant E[w] (extra 'mean-weight', [B T]), and with more noise.

    w: S, read off probabilities where the target leaves it open (values, of units that are no classes), over the
    region of x; or, weigh="dice", Dice's overlap within the region of what is predicted as the target's class in the
    masked picture and in x (without unit; NaN, with an EmptyRegionWarning, where x has none of the class there).
    A 'mean-weight' near the score of x says that the fill takes nothing away: choose another.
    Picture 'standard-error': of each pixel, from the spread of its N terms. Draws are shared by the images of a batch
    that are of one size. Cells count the image without its padding, which is masked as the pixel that it repeats.
    Cost: (N + 1) F for N masks, however many the targets.
    """

    masks: Annotated[int, Bounds(ge=2, le=1_000_000), Help("N, masked pictures")] = 2000
    cells: Annotated[
        int, Bounds(ge=1), Help("cells of a mask along the side of a square; as many in all otherwise")
    ] = 7
    keep: Annotated[float, Bounds(ge=0.01, le=0.99), Help("p, probability that a cell is kept")] = 0.5
    fill: Annotated[Fill, Help("what takes the place of dropped cells, in pixel values")] = "mean"
    weigh: Annotated[
        Literal["score", "dice"], Help("masks by their score, or by the overlap of their prediction with the image's")
    ] = "score"
    centred: Annotated[bool, Help("less the mean score of all masks; without, the published sum")] = True
    seed: Annotated[int, Bounds(ge=0, le=2**31 - 1), Help("of the masks")] = 0

    def __post_init__(self) -> None:
        check_parameters(self)

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] to maps [B T *grid]. Raises EmptyRegionError, NonFiniteError, ParameterError."""
        with capture(network), torch.no_grad():
            x = own(network, x)
            y = network(x)
            targets = Targets.of(targets)
            scores = targets.bind(network, x, y, usual_reading(network, y))
            weigh = _Overlap.of(scores, y) if self.weigh == "dice" else scores
            dropped = fill(network, x, self.fill, targets.shown(x))
            frames = targets.frames_of(x)
            draws = FramedMasks.over(frames, self.cells, self.keep, self.seed)

            def weights(start: int, stop: int) -> Tensor:
                m = draws.draw(start, stop, x)[:, :, None]
                masked = (m * x + (1 - m) * dropped).flatten(0, 1)
                return weigh(looked_at(network, masked, self.fill)).unflatten(0, (stop - start, x.shape[0]))

            w = torch.cat(list(in_batches(self.masks, rows_at_once(x), weights, "masks")))
            values, errors = self._map(draws, w, x)
            return finish(
                values,
                scores,
                scores(y),
                y,
                unit=SCORE if self.weigh == "score" else "Dice",
                extras={"mean-weight": unasked_is_nan(w.mean(0), scores)},
                pictures={"standard-error": unasked_is_nan(errors.float(), scores)},
            )

    def _map(self, draws: FramedMasks, w: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map and standard error [B T *grid] from the weights [N B T]. Masks are drawn anew rather than kept."""
        values, errors = x.new_empty(2, *w.shape[1:], *x.shape[2:])
        for masks, frame, images in draws.groups:
            at = list(images)
            values[at], errors[at] = self._sums(masks, frame, w[:, at], x[at])
        return values, errors

    def _sums(self, masks: RandomMasks, frame: Frame, w: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """As `_map`, for images that share their masks."""
        n = self.masks
        factors = (w - w.mean(0) if self.centred else w).flatten(1).mT.to(x)
        middle = self.keep if self.centred else 0.0

        def part(start: int, stop: int) -> tuple[Tensor, Tensor]:
            m = repeated(masks.draw(start, stop, x), frame).flatten(1) - middle
            some = factors[:, start:stop]
            return some @ m, some.square() @ m.square()

        total = squares = torch.zeros((), device=x.device)
        # Autocast would take these sums in half precision.
        with torch.autocast(x.device.type, enabled=False):
            for once, twice in in_batches(n, rows_at_once(x), part):
                total, squares = total + once, squares + twice
        spread = (squares - total.square() / n).clamp_min(0) / (n - 1)
        shape = (*w.shape[1:], *x.shape[2:])
        mean = total / ((n - 1 if self.centred else n) * self.keep)
        return mean.reshape(shape), ((spread / n).sqrt() / self.keep).reshape(shape)


@dataclass(frozen=True, slots=True, eq=False)
class _Overlap:
    """Dice's coefficient of each target's class, within its region, between an output and that of the clean image.

    members: bool [B T *grid], where the class is predicted in the clean image and the region; [B T] without space.
    """

    scores: Scores
    labels: tuple[int, ...]
    members: Tensor

    @classmethod
    def of(cls, scores: Scores, y: Tensor) -> "_Overlap":
        """For the clean output y. Raises ParameterError for what is no single class, EmptyRegionError."""
        if scores.network.link_for(y) == "none":
            raise ParameterError(f"{scores.network.name} has no classes, so there is no Dice: weigh by 'score'.")
        labels: list[int] = []
        for target, terms in zip(scores.items, scores.terms, strict=True):
            if list(terms.values()) != [1.0]:
                raise ParameterError(f"Dice is that of one class, and {target} names none: weigh by 'score'.")
            labels += terms
        found = cls(scores, tuple(labels), torch.zeros((), dtype=torch.bool))
        members = found._members(y)
        found = cls(scores, tuple(labels), members)
        none = ~members.flatten(2).any(2) if members.ndim > 2 else ~members
        asked = none if scores.empty is None else none & ~scores.empty
        if bool(none.all()):
            raise EmptyRegionError(
                "the network predicts the target's class nowhere in its region, so no overlap can be lost: "
                + ", ".join(map(str, scores.items))
                + ".\n  Ask about a class that is predicted there, or weigh by 'score'."
            )
        for b in asked.any(1).nonzero().flatten().tolist():
            named = ", ".join(str(scores.items[t]) for t in asked[b].nonzero().flatten().tolist()[:8])
            message = f"not predicted in the region, so there is no Dice: {named}{of_image(b, none.shape[0])}."
            warnings.warn(EmptyRegionWarning(message, b), stacklevel=4)
        return found

    def __call__(self, y: Tensor) -> Tensor:
        """[n·B T] for output y of n blocks of the batch; NaN where the clean image has no such pixel."""
        found = self._members(y).unflatten(0, (-1, self.members.shape[0]))

        def count(inside: Tensor) -> Tensor:
            return (inside.flatten(3).sum(3) if inside.ndim > 3 else inside).float()

        clean = count(self.members[None])
        dice = 2 * count(found & self.members) / (count(found) + clean)
        return dice.masked_fill(clean == 0, torch.nan).flatten(0, 1)

    def _members(self, y: Tensor) -> Tensor:
        """bool [n·B T *grid]: where each target's class is predicted and its region lies."""
        network, masks = self.scores.network, self.scores.masks
        y = upsampled(network, y, self.scores.grid)
        found = torch.stack([network.members(y, label) for label in self.labels], 1)
        return found if masks is None else found & masks.repeat(y.shape[0] // masks.shape[0], *[1] * (masks.ndim - 1))
