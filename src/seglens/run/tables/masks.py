"""What the masks of a network score on a data set, and what its own attention maps score as masks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seglens.core.capture import capture
from seglens.core.errors import ParameterError
from seglens.core.network import Network, upsampled
from seglens.core.progress import tell
from seglens.datasets.samples import SampleSet
from seglens.generative.mgrad2vae import Mgrad2VAE
from seglens.metrics.roc import auc_roc, macro
from seglens.metrics.structure import ssim

IGNORE = 255
_AT_ONCE = 16
_SMOOTHING = 1e-5
_SMALLEST = 1e-30  # a probability of 0 has no logarithm


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskScores:
    """Scores of one network's maps of the classes, each over all pictures; NaN where undefined.

    ssim: mean over pictures (`metrics.ssim`). auc_roc: macro one-versus-rest over pixels. iou: mean of the classes'
    IoU, over all pixels. accuracy: share of pixels that are right. jaccard_loss: 1 − (Σyp + s)/(Σy + Σp − Σyp + s),
    s = 1e-5, of the probabilities p, over each picture and class that occurs in it, in 0..1; it is no 1 − IoU, since
    nothing is cut at half. cross_entropy: mean over pixels, in nats.
    """

    ssim: float
    auc_roc: float
    iou: float
    accuracy: float
    jaccard_loss: float
    cross_entropy: float


def mask_scores(network: Network, data: SampleSet) -> dict[str, MaskScores]:
    """Scores of the masks ('masks'), and of the attention maps ('attention') of a network that has such.

    Pictures pass the network's own convention; scores are read on the network's own grid, where truth is brought by
    nearest neighbour.
    Raises ParameterError for a set without labels.
    """
    if data.classes is None:
        raise ParameterError("the data have no labels, so masks cannot be scored.\n  Take a set with classes.")
    masks, maps, truths = [], [], []
    for start in range(0, len(data), _AT_ONCE):
        stop = min(start + _AT_ONCE, len(data))
        x, labels = _batch(network, data, range(start, stop))
        with capture(network), torch.no_grad():
            y = upsampled(network, network(x), tuple(x.shape[2:]))
            masks.append(network.scores(y, "log-probabilities").cpu().numpy().astype(np.float32))
            if (attention := attention_of(network.module, x.to(network.device))) is not None:
                maps.append(attention.float().clamp_min(_SMALLEST).log().cpu().numpy())
        truths.append(labels)
        tell("scoring", stop, len(data))
    truth = np.concatenate(truths)
    found = {"masks": _scored(np.concatenate(masks), truth)}
    if maps:
        found["attention"] = _scored(np.concatenate(maps), truth)
    return found


def attention_of(module: nn.Module, x: Tensor) -> Tensor | None:
    """A network's own attention maps as class probabilities [B K H W]; None for one that has none."""
    if isinstance(module, Mgrad2VAE) and module.branch is not None:
        return module.attention_maps(x).attention
    return None


def flat(scores: Mapping[str, MaskScores]) -> dict[str, float]:
    """The scores by 'masks.ssim' and so on."""
    names = MaskScores.__dataclass_fields__
    return {f"{of}.{name}": float(getattr(one, name)) for of, one in scores.items() for name in names}


def _batch(network: Network, data: SampleSet, indices: range) -> tuple[Tensor, NDArray[np.integer[Any]]]:
    xs: list[Tensor] = []
    truths: list[NDArray[Any]] = []
    for index in indices:
        sample = data[index]
        x, frame = network.convention.prepare(network.read(sample.image).pixels)
        labels = sample.labels
        if labels is None:
            raise ParameterError(f"sample {index} ({sample.name}) has no labels, so its masks cannot be scored.")
        xs.append(x)
        truths.append(frame.to_grid(torch.from_numpy(labels).long(), IGNORE).numpy())
    return torch.cat(xs), np.stack(truths)


def _scored(log_p: NDArray[np.float32], truth: NDArray[np.integer[Any]]) -> MaskScores:
    p = np.exp(log_p)
    known = truth != IGNORE
    said = log_p.argmax(1)
    classes = log_p.shape[1]
    cells = np.where(known, truth, 0) * classes + said
    counts = np.bincount(cells[known].ravel(), minlength=classes * classes).reshape(classes, classes)
    hit, union = np.diag(counts), counts.sum(0) + counts.sum(1) - np.diag(counts)
    ious = np.divide(hit, union, out=np.full(classes, np.nan), where=union > 0)
    picked = np.take_along_axis(log_p, np.where(known, truth, 0)[:, None], 1)[:, 0]
    return MaskScores(
        ssim=float(np.nanmean([ssim(one, labels) for one, labels in zip(p, truth, strict=True)])),
        auc_roc=macro(auc_roc(log_p, truth)),
        iou=float(np.nanmean(ious)),
        accuracy=float(hit.sum() / counts.sum()),
        jaccard_loss=_jaccard(p, truth, known),
        cross_entropy=float(-picked[known].mean()),
    )


def _jaccard(p: NDArray[np.float32], truth: NDArray[np.integer[Any]], known: NDArray[np.bool_]) -> float:
    found: list[float] = []
    for one, labels, here in zip(p, truth, known, strict=True):
        for k in np.unique(labels[here]):
            y, q = (labels == k)[here], one[k][here].astype(np.float64)
            both = float(q[y].sum())
            found.append(1 - (both + _SMOOTHING) / (y.sum() + q.sum() - both + _SMOOTHING))
    return float(np.mean(found)) if found else float("nan")
