"""The attention branch of Mgrad2VAE: a tensor from each encoder scale to class logits on the image's grid."""

import torch
from torch import Tensor, nn

from seglens.generative.config import Activation
from seglens.generative.layers import activation, initialise

_TINY = 1e-18  # its square is still a normal number in single precision


def levelled(t: Tensor) -> Tensor:
    """r / (1 + r²)^¼ with r = t / RMS, the root mean square of each image's entries: a tensor [B …] without its scale.

    Second derivatives are small (1e-3 and less), of another size at each scale, change by orders of magnitude during
    training, and have heavy tails: nothing that a convolution could be trained on as it is. Divided by its RMS every
    scale weighs the same in every image, whatever its units; the rest keeps the sign, is r where |r| is small and
    ±√|r| in the tails. It has no parameters and does not mix images. Its derivatives are taken once, of a norm that
    is no module's, so what torch does wrongly in third derivatives of norms is not met; and a tensor that is zero
    stays zero, with gradient zero.
    """
    entries = t[0].numel()
    rms = torch.linalg.vector_norm(t, dim=tuple(range(1, t.ndim)), keepdim=True) / entries**0.5
    r = t / (rms + _TINY)
    return r * (1 + r * r).sqrt().rsqrt()


class AttentionBranch(nn.Module):
    """Tensors [B C_i H/2^i W/2^i] of the scales i = 0, 1, … to features, attention and every scale's own attention.

    `scale1`, …: LeakyReLU(0.3), then transposed convolutions of stride 2 to full size (`width` channels; the first
    scale has a 3×3 convolution). `head1`, …: 1×1 to class logits. `fuse`: 3×3 over all scales' channels, `fused`
    features. `attention`: 1×1 of them to class logits.
    """

    def __init__(self, widths: tuple[int, ...], width: int, fused: int, classes: int, act: Activation) -> None:
        super().__init__()
        self._scales = len(widths)
        for number, channels in enumerate(widths, 1):
            layers = nn.Sequential()
            layers.add_module("rectify", nn.LeakyReLU(0.3))
            inputs = channels
            for step in range(1, max(2, number)):
                # A kernel of 4 covers every pixel equally often at stride 2: no checkerboard.
                doubling = nn.ConvTranspose2d(inputs, width, 4, 2, 1)
                layers.add_module(f"conv{step}", nn.Conv2d(inputs, width, 3, 1, 1) if number == 1 else doubling)
                layers.add_module(f"act{step}", activation(act))
                inputs = width
            initialise(layers, act)
            self.add_module(f"scale{number}", layers)
            head = nn.Conv2d(width, classes, 1)
            initialise(head, None)
            self.add_module(f"head{number}", head)
        self.fuse = nn.Sequential(nn.Conv2d(width * self._scales, fused, 3, 1, 1), activation(act))
        initialise(self.fuse, act)
        self.attention = nn.Conv2d(fused, classes, 1)
        initialise(self.attention, None)

    def forward(self, tensors: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Features [B F H W], attention [B K H W] and the scales' attention, as logits."""
        grown: list[Tensor] = []
        heads: list[Tensor] = []
        for number, t in enumerate(tensors, 1):
            full = self.get_submodule(f"scale{number}")(levelled(t))
            grown.append(full)
            heads.append(self.get_submodule(f"head{number}")(full))
        features = self.fuse(torch.cat(grown, 1))
        return features, self.attention(features), tuple(heads)
