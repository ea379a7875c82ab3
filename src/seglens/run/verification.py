"""What removing the salient context did: segmentations, scores, and what removing random context would have done."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seglens.core.explanation import Explanation
from seglens.core.saving import as_json, suffix_of, write_text
from seglens.run.segment import Segmentation
from seglens.viz.media.files import FIGURES, drawing, write_drawn
from seglens.viz.verification.content import Content
from seglens.viz.verification.page import verification_page
from seglens.viz.words import percent

FORMATS = (*FIGURES, "html", "npz", "json")
"""Suffixes that a verification can be saved with."""

Remove = Literal["salient", "rest"]

SAME = 1e-6
"""Probabilities that differ by less are equal: passes in batches of other sizes round differently."""

_NAMED = 3  # classes of the region that a sentence names


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What the network makes of one picture.

    segmentation: of all of it; its `image` is the picture as the network saw it. score: of the target, read as the
    explanation read it (`Verification.of`). probability: of the target over the region, the mean of p_c, or of
    the contrast of such. probabilities: [K], the mean of each p_c over the region. shares: [K], what share of the
    region is labelled as each class (independent labels overlap). iou, dice: of the pixels labelled as the target's
    class with the region. A classifier is a segmenter of one pixel: the region is the picture, with one label.
    """

    segmentation: Segmentation
    score: float
    probability: float
    probabilities: NDArray[np.float64]
    shares: NDArray[np.float64]
    iou: float
    dice: float

    def to_dict(self) -> dict[str, Any]:
        """Plain form; `region` holds the shares of the classes that occur."""
        names = self.segmentation.classes.names
        return {
            "score": self.score,
            "probability": self.probability,
            "iou": self.iou,
            "dice": self.dice,
            "region": {name: float(s) for name, s in zip(names, self.shares, strict=True) if s > 0},
        }

    def labelled(self) -> list[tuple[str, float]]:
        """Classes of the region with their shares, the largest first; those that do not occur are left out."""
        order = np.argsort(-self.shares, kind="stable")
        names = self.segmentation.classes.names
        return [(names[i], float(self.shares[i])) for i in order if self.shares[i] > 0]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Controls:
    """Random parts in the place of the one that is taken away (or kept): n of as many pixels, as far from the region.

    masks: bool [n *picture], the parts. probabilities, scores: [n], as of an `Answer`. overlap: how much of the part
    that they are held against one repeats on average, in 0..1; NaN without parts.
    """

    masks: NDArray[np.bool_]
    probabilities: NDArray[np.float64]
    scores: NDArray[np.float64]
    overlap: float
    seed: int

    def __len__(self) -> int:
        return len(self.masks)

    def p_value(self, found: float, *, kept: bool = False) -> float:
        """(1 + k) / (1 + n), where k of the n parts do as much, in 1/(1 + n)..1; see `Verification.p_value`.

        found: the probability without the part that they are held against; kept: with it alone.
        """
        n = len(self)
        if not n or self.overlap == 1:
            return math.nan
        k = (self.probabilities >= found - SAME) if kept else (self.probabilities <= found + SAME)
        return float((1 + k.sum()) / (1 + n))

    def to_dict(self) -> dict[str, Any]:
        """Plain form, without the masks."""
        return {
            "probabilities": self.probabilities.tolist(),
            "scores": self.scores.tolist(),
            "overlap": self.overlap,
            "seed": self.seed,
        }

    def said(self, what: str, p: float) -> list[str]:
        """What came of them, in a sentence; none without any. what: they are. p: of `p_value`."""
        n = len(self)
        if not n:
            return []
        told = f"p = {p:.2g}" if p == p else "which is that very part: no test"
        return [f"{what}: {chance(float(self.probabilities.mean()))} on average ({n} draw{'s' * (n != 1)}), {told}."]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verification:
    """An explanation put to the test: its salient context, or the rest of the context, taken away.

    remove: 'salient' or 'rest'. share: of the context that counts as salient at most. fill: what stands in its place,
    in words. salient, removed: bool [*picture]. salient_pixels, removed_pixels, context_pixels, region_pixels: counted
    on the network's input grid, where pixels are replaced. filled: uint8, the picture in which everything is replaced.
    before: the picture as it is. after: without what was removed. bare: without any context.
    label: index of the target's class, the first of a contrast. quantity: what `probability` is, such as 'p(rider)'.
    controls: what removing (or keeping) random context does. notes: what was warned of.
    """

    explanation: Explanation
    remove: Remove
    share: float
    fill: str
    salient: NDArray[np.bool_]
    removed: NDArray[np.bool_]
    salient_pixels: int
    removed_pixels: int
    context_pixels: int
    region_pixels: int
    filled: NDArray[np.uint8]
    before: Answer
    after: Answer
    bare: Answer
    label: int
    quantity: str
    controls: Controls
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def of(self) -> str:
        """What the scores are read off: 'logits', 'probabilities' or 'log-probabilities'."""
        return self.explanation.of

    @property
    def drop(self) -> float:
        """By how much the probability of the target falls over the region."""
        return self.before.probability - self.after.probability

    @property
    def p_value(self) -> float:
        """(1 + k) / (1 + n), where k of the n controls do as much, in 1/(1 + n)..1.

        Without the salient context, as much: the probability falls at least as far. With it alone (remove='rest'): it
        stays at least as high. NaN where there are no controls, or all of them are the salient context itself.
        """
        return self.controls.p_value(self.after.probability, kept=self.remove == "rest")

    @property
    def said(self) -> list[str]:
        """What came out, sentence by sentence."""
        what = "Matched random context" if self.remove == "salient" else "With matched random context in its place"
        return [self._removed(), *self.controls.said(what, self.p_value), *self._bare(), self._relabelled()]

    def without(self, mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """The picture with the pixels of a mask [*picture] replaced by the fill."""
        return composed(self.before.segmentation.image, self.filled, mask)

    def to_dict(self) -> dict[str, Any]:
        """Plain form, stable for --json; what is undefined is NaN."""
        e = self.explanation
        return {
            "network": self.before.segmentation.network,
            "image": self.before.segmentation.name,
            "method": e.method,
            "parameters": dict(e.parameters),
            "layer": e.layer,
            "target": e.target,
            "of": self.of,
            "quantity": self.quantity,
            "remove": self.remove,
            "share": self.share,
            "fill": self.fill,
            "region_pixels": self.region_pixels,
            "context_pixels": self.context_pixels,
            "salient_pixels": self.salient_pixels,
            "removed_pixels": self.removed_pixels,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "bare": self.bare.to_dict(),
            "drop": self.drop,
            "p_value": self.p_value,
            "controls": self.controls.to_dict(),
            "said": self.said,
            "notes": list(self.notes),
            "provenance": dict(self.provenance),
        }

    def save(self, path: str | Path) -> Path:
        """Write to `path`: .png, .svg, .pdf draw the explanation and the segmentations before and after, .html has the
        numbers and a control too, .json all numbers, and .npz the explanation with all of this as extras, which
        `seglens.open` opens.

        Raises NameNotFoundError for another suffix, MissingExtraError.
        """
        path = Path(path)
        suffix = suffix_of(path, FORMATS)
        if suffix == "npz":
            self.as_explanation().save(path)
        elif suffix == "json":
            write_text(as_json(self.to_dict()) + "\n", path)
        elif suffix == "html":
            write_text(verification_page(self._content()), path)
        else:
            with drawing("drawing a verification"):
                from seglens.viz.verification.figure import verification_figure

            write_drawn(verification_figure(self._content()), path)
        return path

    def as_explanation(self) -> Explanation:
        """The explanation with what came out as extras: masks, picture and prediction without it, and the numbers."""
        extras: dict[str, NDArray[Any]] = {
            "salient": self.salient,
            "removed": self.removed,
            "picture-without": self.after.segmentation.image,
            "control-masks": self.controls.masks,
            "control-probabilities": self.controls.probabilities,
            "control-scores": self.controls.scores,
            "p-value": np.array(self.p_value),
        }
        for name, answer in (("before", self.before), ("without", self.after), ("bare", self.bare)):
            extras[f"probability-{name}"] = np.array(answer.probability)
            extras[f"score-{name}"] = np.array(answer.score)
            extras[f"region-{name}"] = answer.shares
        labels, masks = self.after.segmentation.labels, self.after.segmentation.masks
        extras |= {"prediction-without": labels} if labels is not None else {}
        extras |= {"masks-without": masks} if masks is not None else {}
        e = self.explanation
        return replace(e, extras={**e.extras, **extras}, notes=(*e.notes, *self.notes))

    def __str__(self) -> str:
        return " ".join(self.said)

    def _removed(self) -> str:
        before, after = self.before.probability, self.after.probability
        part = f"({_pixels(self.removed_pixels)}, {percent(self.removed_pixels / self.context_pixels)} of the context)"
        if self.salient_pixels:
            what = "the salient context" if self.remove == "salient" else "all context but the salient"
            head = f"removing {what} {part}"
        elif self.remove == "rest":
            head = f"the map marks no context, so all of it was removed {part}, which"
        else:
            return (
                f"The map marks no context, so nothing was removed: {self.quantity} over the region stays at "
                f"{chance(before)}."
            )
        head = head[0].upper() + head[1:]
        if not self.removed_pixels:
            return f"All context is salient, so nothing was removed: {self.quantity} stays at {chance(before)}."
        if chance(before) == chance(after):
            return f"{head} leaves {self.quantity} over the region at {chance(after)}."
        verb = "lowers" if after < before else "raises"
        return f"{head} {verb} {self.quantity} over the region from {chance(before)} to {chance(after)}."

    def _bare(self) -> list[str]:
        if self.removed_pixels == self.context_pixels:
            return []
        return [f"Without any context: {chance(self.bare.probability)}."]

    def _relabelled(self) -> str:
        was, now = (_listed(a.labelled()) for a in (self.before, self.after))
        return f"Labels of the region: {was}" + ("." if was == now else f"; then {now}.")

    def _content(self) -> Content:
        """What figures and pages show."""
        before, after = self.before.segmentation, self.after.segmentation
        c, name = self.label, before.classes.names[self.label]
        shares = np.stack([self.before.shares, self.after.shares, self.bare.shares], 1)
        order = [i for i in np.argsort(-shares.max(1), kind="stable") if shares[i].any()]
        return Content(
            explanation=self.explanation,
            labels=tuple(s.labels if s.labels is not None else np.where(s.mask(c), c, -1) for s in (before, after)),
            classes=before.classes,
            outside="no class" if before.labels is not None else f"not {name}",
            independent=before.labels is None,
            without=after.image,
            control=self.without(self._taken(0)) if len(self.controls) else None,
            changed="without the salient context" if self.remove == "salient" else "with the salient context alone",
            keeping=self.remove == "rest",
            said=tuple(self.said),
            quantity=self.quantity,
            probabilities=(self.before.probability, self.after.probability, self.bare.probability),
            scores=(self.before.score, self.after.score, self.bare.score),
            ious=(self.before.iou, self.after.iou, self.bare.iou),
            dices=(self.before.dice, self.after.dice, self.bare.dice),
            shares=tuple((int(i), (float(shares[i, 0]), float(shares[i, 1]), float(shares[i, 2]))) for i in order),
            draws=self.controls.probabilities,
            facts=(
                f"removed: {self.removed_pixels:,} of {_pixels(self.context_pixels)} of context",
                f"filled with: {self.fill}",
                before.network,
                before.name,
            ),
            notes=tuple(dict.fromkeys((*self.explanation.notes, *self.notes))),
            provenance=dict(self.provenance),
        )

    def _taken(self, i: int) -> NDArray[np.bool_]:
        """bool [*picture]: what the i-th control takes away."""
        part = self.controls.masks[i]
        return part if self.remove == "salient" else (self.removed | self.salient) & ~part


def chance(p: float) -> str:
    """A probability, or a difference of two, to two digits; neither nearly nothing nor nearly all is rounded away."""
    size = abs(p)
    text = "under 0.01" if 0 < size < 0.005 and p > 0 else "over 0.99" if 0.995 <= p < 1 - SAME else f"{p + 0.0:.2f}"
    return text.replace("-0.00", "0.00").replace("-", "−")


def composed(picture: NDArray[np.uint8], filled: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The picture with the pixels of a mask taken from another; in colour where either is."""
    if picture.ndim != filled.ndim:
        picture, filled = (p if p.ndim > mask.ndim else np.repeat(p[..., None], 3, -1) for p in (picture, filled))
    return np.where(mask[..., None] if picture.ndim > mask.ndim else mask, filled, picture)


def _listed(labelled: Sequence[tuple[str, float]]) -> str:
    """Such as '98 % rider, 2 % person'; what is under a hundredth is left out."""
    told = [f"{percent(share)} {name}" for name, share in labelled if share >= 0.01]
    return ", ".join(told[:_NAMED]) or "nothing"


def _pixels(n: int) -> str:
    return f"{n:,} pixel{'s' * (n != 1)}"
