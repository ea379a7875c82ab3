"""The inspections of Neuroscope's paper for one picture, written out in plain torch, numpy and scikit-image."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.segmentation import felzenszwalb
from torch import Tensor, nn
from torch.nn.functional import interpolate


class Guided(torch.autograd.Function):
    @staticmethod
    def forward(ctx, v: Tensor) -> Tensor:
        ctx.save_for_backward(v)
        return v.clamp(min=0)

    @staticmethod
    def backward(ctx, g: Tensor) -> Tensor:
        (v,) = ctx.saved_tensors
        return g * (g > 0) * (v > 0)


class GuidedReLU(nn.Module):
    def forward(self, v: Tensor) -> Tensor:
        return Guided.apply(v)


@dataclass
class ByHand:
    """The quantities of the paper's sections 2.5 to 2.14 for one picture, without seglens but for the module."""

    module: nn.Module
    image: NDArray[np.uint8]
    label: int
    layer: str

    def __post_init__(self) -> None:
        pixels = torch.from_numpy(self.image.copy()).permute(2, 0, 1)[None].float()
        self.x = (pixels / 255 - 0.5) / 0.25
        with torch.no_grad():
            self.y = self.module(self.x)
        self.p = self.y.softmax(1)[0].numpy()
        self.inside = self.y.argmax(1) == self.label

    @property
    def size(self) -> int:
        return int(self.inside.sum())

    def score(self, y: Tensor) -> Tensor:
        return y[:, self.label].sum() if y.ndim == 2 else y[:, self.label][self.inside].sum() / self.size

    def slope(self, module: nn.Module) -> Tensor:
        x = self.x.clone().requires_grad_()
        return torch.autograd.grad(self.score(module(x)), x)[0][0]

    def at_layer(self) -> tuple[Tensor, Tensor]:
        """(A, ∂S/∂A) [K h w]."""
        kept: list[Tensor] = []
        handle = self.module.get_submodule(self.layer).register_forward_hook(lambda _m, _i, out: kept.append(out))
        y = self.module(self.x)
        handle.remove()
        return kept[-1].detach()[0], torch.autograd.grad(self.score(y), kept[-1])[0][0]

    def enlarged(self, coarse: Tensor) -> NDArray[np.float32]:
        size = self.image.shape[:2]
        return interpolate(coarse[None, None], size=size, mode="bilinear", align_corners=False)[0, 0].detach().numpy()

    def saliency(self) -> NDArray[np.float32]:
        return self.slope(self.module).abs().sum(0).numpy()

    def guided_backprop(self) -> NDArray[np.float32]:
        twin = copy.deepcopy(self.module)
        for owner in list(twin.modules()):
            for name, child in list(owner.named_children()):
                if isinstance(child, nn.ReLU):
                    setattr(owner, name, GuidedReLU())
        return self.slope(twin).abs().sum(0).numpy()

    def grad_cam(self) -> NDArray[np.float32]:
        a, g = self.at_layer()
        return self.enlarged((g.mean((1, 2))[:, None, None] * a).sum(0).relu())

    def guided_grad_cam(self) -> NDArray[np.float32]:
        return self.guided_backprop() * self.grad_cam()

    def grad_cam_plus_plus(self) -> NDArray[np.float32]:
        """On the sum over the region, then divided by its size; of a classifier both are the logit."""
        a, g = self.at_layer()
        n = self.size if self.y.ndim > 2 else 1
        g = g * n
        alpha = (g**2 / (2 * g**2 + a.sum((1, 2), keepdim=True) * g**3)).nan_to_num()
        return self.enlarged(((alpha * g.relu()).sum((1, 2))[:, None, None] * a).sum(0).relu()) / n

    def score_map(self) -> NDArray[np.float32]:
        p = self.p[self.label]
        return p if p.ndim else np.full(self.image.shape[:2], p)

    def similarity_map(self) -> NDArray[np.float32]:
        labels, s = self.p.argmax(0), self.score_map()
        return np.array([s[labels == c].mean() if (labels == c).any() else 0 for c in range(len(self.p))])[labels]

    def fusion_map(self) -> NDArray[np.float32]:
        return self.p.max(0)

    def guided_segments(self, masks: list[NDArray[np.bool_]]) -> NDArray[np.float64]:
        """XRAI's growth, slowly: whichever segment's new pixels have the highest mean comes next, and gets it."""
        s = self.score_map().astype(np.float64)
        found, free, waiting = np.zeros_like(s), np.ones(s.shape, bool), list(masks)
        while free.any():
            means = [s[m & free].mean() if (m & free).any() else -np.inf for m in waiting]
            best = waiting.pop(int(np.argmax(means)))
            found[best & free] = max(means)
            free &= ~best
        return found

    def segments(self) -> list[NDArray[np.bool_]]:
        """Felzenszwalb's at the six published scales, of the picture stretched to −1…1; the least size as of 224²."""
        low, high = self.image.min(), self.image.max()
        stretched = (self.image.astype(np.float64) - low) / (high - low) * 2 - 1
        least = round(150 * stretched[..., 0].size / 224**2)
        masks: list[NDArray[np.bool_]] = []
        for scale in (50, 100, 150, 250, 500, 1200):
            parts = felzenszwalb(stretched, scale=scale, sigma=0.8, min_size=least)
            masks += [parts == k for k in np.unique(parts)]
        return masks
