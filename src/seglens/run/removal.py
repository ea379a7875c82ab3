"""Context taken away: which pixels, by what they are replaced, and what the network makes of the picture then."""

import math
import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seglens.core.errors import ParameterError, RegionError, SeglensWarning
from seglens.core.explanation import Explanation
from seglens.core.network import Network
from seglens.core.targets import Target
from seglens.perturb import fills
from seglens.perturb.matched import distance_to
from seglens.run.explain import provenance
from seglens.run.questions import Case
from seglens.run.taking import Taking, crowded, quantity_of
from seglens.run.verification import Answer, Remove, Verification, composed
from seglens.viz.words import percent

_CUT = 0.05  # of the salient pixels: how many more of the last value must be left out for a note that says so
_NOTHING = 0.02  # share of the probability that taking all context away changes where a note says that this is nothing


class Trial(Taking):
    """One picture, and the region in it whose context is to be taken away.

    y: raw output for the picture. e: its explanation, of the score of `target` as it is read there. ignore: the label
    of no region. Raises EmptyRegionError, and RegionError for a region without context.
    """

    def __init__(
        self, network: Network, case: Case, y: Tensor, e: Explanation, target: Target, ignore: int | None
    ) -> None:
        super().__init__(network, case, y, target, ignore)
        self._e = e
        self._context = (case.frame.valid() & ~self._inside).numpy()
        self._notes: list[str] = []
        if not self._context.any():
            raise RegionError(
                f"{target.region or 'everything'} covers the whole picture, so there is no context to remove.\n"
                "  Ask about a part of it, such as where a class is predicted, or one instance."
            )

    def run(self, remove: Remove, share: float, fill: fills.Fill, controls: int, seed: int) -> Verification:
        """Take it away, and random context in its place. Raises ParameterError, NonFiniteError, MissingExtraError."""
        case, e = self._case, self._e
        salient = self._salient(distance_to(self._inside.numpy()), share)
        rest = self._context & ~salient
        removed = salient if remove == "salient" else rest
        parts = self._random(salient, self._context, controls, seed)
        taken = parts if remove == "salient" else self._context & ~parts
        outputs, scores, probabilities, filled = self._looked(np.stack([removed, self._context, *taken]), fill)
        display = case.picture.display
        before = self._answer(self._y, *self._read(self._y), display)
        after, bare = (
            self._answer(outputs[i], scores[i], probabilities[i], composed(display, filled, self._carried(mask)))
            for i, mask in enumerate((removed, self._context))
        )
        self._warn_of_another(before.score)
        drawn = self._controls(salient, parts, (scores[2:], probabilities[2:]), seed)
        self._notes += crowded(drawn, "The matched random context", "the salient")
        if salient.any():
            self._note(before, bare, fills.name_of_fill(fill))
        return Verification(
            explanation=e,
            remove=remove,
            share=share,
            fill=fills.name_of_fill(fill),
            salient=self._carried(salient),
            removed=self._carried(removed),
            salient_pixels=int(salient.sum()),
            removed_pixels=int(removed.sum()),
            context_pixels=int(self._context.sum()),
            region_pixels=int(self._inside.sum()),
            filled=filled,
            before=before,
            after=after,
            bare=bare,
            label=self._label,
            quantity=quantity_of(self._scores, before.segmentation.classes.names),
            controls=drawn,
            notes=tuple(self._notes),
            provenance=provenance(self._network, case),
        )

    def _salient(self, distance: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
        """bool [*grid]: the context's greatest positive values, at most `share` of it. Raises ParameterError."""
        n = int(self._context.sum())
        most = math.floor(share * n + 1e-9)
        if most < 1:
            raise ParameterError(f"share = {share:g} of a context of {n} pixels is less than one pixel.")
        values = self._case.frame.to_grid(torch.tensor(self._e.map, dtype=torch.float64)).numpy()
        at = np.flatnonzero(self._context & (values > 0))
        found = values.ravel()[at]
        chosen = np.lexsort((distance.ravel()[at], -found))[:most]
        salient = np.zeros(values.shape, bool)
        salient.ravel()[at[chosen]] = True
        if undefined := int(np.isnan(values[self._context]).sum()):
            self._notes.append(f"The map is undefined at {undefined:,} pixels of the context, which are not salient.")
        if 0 < len(at) < most:
            self._notes.append(
                f"Only {len(at):,} pixels of the context have positive values, {percent(len(at) / n)} of it, where up "
                f"to {percent(share)} may be salient."
            )
        elif len(at) > most:
            last = found[chosen[-1]]
            equal, taken = int((found == last).sum()), int((found[chosen] == last).sum())
            if equal - taken > _CUT * most:
                self._notes.append(
                    f"{equal:,} pixels of the context have one value; {taken:,} of them are salient, those nearest to "
                    "the region."
                )
        return salient

    def _note(self, before: Answer, bare: Answer, fill: str) -> None:
        if abs(before.probability - bare.probability) < _NOTHING * abs(before.probability):
            self._notes.append(
                f"Taking all context away changes next to nothing: none is needed, or the fill ({fill}) removes "
                "nothing. Try another."
            )

    def _warn_of_another(self, score: float) -> None:
        """That network or picture are not those of the explanation, where the score tells."""
        frame = self._case.frame
        # Of an enlarged picture a finished explanation has the region by the picture's pixels, coarser than the grid.
        coarse = 5 if any(new > old for new, old in zip(frame.resized, frame.original, strict=True)) else 1
        if not math.isclose(score, self._e.score, rel_tol=0.02 * coarse, abs_tol=0.005 * coarse):
            message = (
                f"the explanation was made for a score of {self._e.score:.4g}, and here it is {score:.4g}: another "
                "network or picture. What is verified is the map, on this one."
            )
            warnings.warn(SeglensWarning(message), stacklevel=4)
