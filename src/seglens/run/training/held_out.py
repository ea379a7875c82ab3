"""Figures of a network on pictures that it does not learn from, as sums that add over batches and processes."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from seglens.core.classes import ClassTable
from seglens.run.training.data import IGNORED

ACTIVE = 0.01
"""A latent unit is active where the variance of its mean over the data is above this (Burda et al. 2016,
arXiv:1509.00519)."""


@dataclass(slots=True)
class HeldOut:
    """Sums in float64, each of one shape whatever the batch."""

    sums: dict[str, Tensor] = field(default_factory=dict[str, Tensor])

    def add(self, name: str, value: Tensor) -> None:
        """Add to the sum of that name."""
        value = value.detach().cpu().double()  # on the CPU: not every device has float64
        self.sums[name] = self.sums[name] + value if name in self.sums else value

    def add_means(self, n: int, means: dict[str, Tensor]) -> None:
        """Add means over n pictures, weighted by n."""
        self.add("pictures", torch.tensor(n))
        for name, value in means.items():
            self.add(f"mean {name}", value * n)

    def add_posterior(self, mu: Tensor, logvar: Tensor) -> None:
        """Add posteriors [B d]: their divergence unit by unit, and the first two moments of μ."""
        mu, logvar = mu.detach().cpu().double(), logvar.detach().cpu().double()
        self.add("kl", (0.5 * (mu**2 + logvar.exp() - 1 - logvar)).sum(0))
        self.add("mu", mu.sum(0))
        self.add("mu2", (mu**2).sum(0))

    def add_labels(self, name: str, logits: Tensor, labels: Tensor) -> None:
        """Count pixels of each class [B H W] by the class of the greatest logit [B K H W], but for those unknown."""
        k = logits.shape[1]
        said, known = logits.detach().argmax(1), labels != IGNORED
        cells = labels[known].long() * k + said[known]
        self.add(f"confusion {name}", torch.bincount(cells, minlength=k * k).reshape(k, k))

    def vector(self) -> Tensor:
        """All sums in one float64 vector, in the order of their names."""
        return torch.cat([self.sums[name].reshape(-1) for name in sorted(self.sums)])

    def from_vector(self, vector: Tensor) -> None:
        """Sums from such a vector."""
        place = 0
        for name in sorted(self.sums):
            old = self.sums[name]
            self.sums[name] = vector[place : place + old.numel()].reshape(old.shape)
            place += old.numel()

    def figures(self) -> dict[str, float]:
        """Figures by name.

        loss and its parts: means over pictures. kl: nats a picture, without free bits. active_units: see `ACTIVE`.
        mean_iou, pixel_accuracy, mean_accuracy in 0..1, more is better, over classes that occur; attention_… likewise
        for the classes of the attention maps.
        """
        n = float(self.sums["pictures"])
        found = {name.removeprefix("mean "): float(v) / n for name, v in self.sums.items() if name.startswith("mean ")}
        if "kl" in self.sums:
            variance = self.sums["mu2"] / n - (self.sums["mu"] / n) ** 2
            found["kl"] = float(self.sums["kl"].sum()) / n
            found["active_units"] = float((variance > ACTIVE).sum())
        for name, counts in self.sums.items():
            if name.startswith("confusion "):
                before = "" if name == "confusion masks" else name.removeprefix("confusion ") + "_"
                found |= {before + key: value for key, value in _scores(counts).items()}
        return found

    def per_class(self, classes: ClassTable) -> dict[str, float]:
        """IoU of the masks of each class; NaN for one that neither occurs nor is predicted."""
        counts = self.sums["confusion masks"]
        return dict(zip(classes.names, _ious(counts).tolist(), strict=True))


def _ious(counts: Tensor) -> Tensor:
    right = counts.diagonal()
    return right / (counts.sum(0) + counts.sum(1) - right)  # 0 / 0 is NaN: neither there nor said


def _scores(counts: Tensor) -> dict[str, float]:
    right, there = counts.diagonal(), counts.sum(1)
    return {
        "mean_iou": float(_ious(counts).nanmean()),
        "pixel_accuracy": float(right.sum() / counts.sum()),
        "mean_accuracy": float((right / there).nanmean()),
    }
