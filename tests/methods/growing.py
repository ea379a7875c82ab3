"""Region growth as the text says it, word by word and slowly; and a scene with a network to grow on."""

import numpy as np
import torch
from torch import nn

from seglens.core.network import Network
from seglens.datasets import Streets
from seglens.perturb.segments import SCALES, felzenszwalb_labels

SCENE = torch.from_numpy(Streets(1, (48, 96), seed=3)[0].image.copy()).permute(2, 0, 1)[None].double() / 255
EVERYWHERE = np.ones((48, 96), dtype=bool)


def slowly(attribution, masks, shown, least=1):
    """The text, word by word: attribution [H W], masks [S H W], shown [H W]."""
    result = np.zeros(attribution.shape)
    left = shown.copy()
    dropped = set()
    while True:
        means = {}
        for s, mask in enumerate(masks):
            new = mask & left
            if new.sum() < max(least, 1):
                dropped.add(s)
            if s not in dropped:
                means[s] = attribution[new].sum() / new.sum()
        if not means:
            break
        best = max(means, key=lambda s: (means[s], -s))
        new = masks[best] & left
        result[new] = means[best]
        left &= ~new
        dropped.add(best)
    if left.any():
        result[left] = attribution[left].sum() / left.sum()
    return result


def segmenter(classes=4, link=None):
    """Scores of colours, on half the size, each 0 on average."""
    generator = torch.Generator().manual_seed(0)
    conv = nn.Conv2d(3, classes, 3, stride=2, padding=1).double()
    with torch.no_grad():
        conv.weight.copy_(torch.randn(conv.weight.shape, generator=generator))
        conv.bias -= conv(SCENE).mean((0, 2, 3))
    return Network(module=conv, link=link)


def felzenszwalb_masks(net, x):
    """Every segment of every scale, pixel by pixel, of the first picture."""
    found = [felzenszwalb_labels(net, x, None, scale=s)[0] for s in SCALES]
    return torch.cat([torch.stack([one == k for k in range(int(one.max()) + 1)]) for one in found])
