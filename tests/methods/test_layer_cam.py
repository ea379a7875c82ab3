"""LayerCAM: each place of each channel under its own positive gradient."""

import pytest
import torch
from plain import asked, gradient, pictures, relu_net, score
from torch.nn.functional import interpolate

from seglens.methods import LayerCAM


@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_equals_the_dense_formula(layer):
    net, x = relu_net(), pictures()
    a = net.module[: layer + 1](x).detach()
    found = LayerCAM(str(layer))(net, x, [asked(0), asked(2, reduce="sum")])
    for t, (c, size) in enumerate(((0, 1), (2, 25))):
        g = size * gradient(lambda v, c=c: score(net.module[layer + 1 :](v), c), a)
        assert bool((g < 0).any())
        expected = sum(g[:, k].clamp(min=0) * a[:, k] for k in range(a.shape[1])).clamp(min=0)
        torch.testing.assert_close(found.extras["coarse"][:, t], expected, rtol=1e-10, atol=1e-13)
        full = interpolate(expected[:, None], size=(8, 8), mode="bilinear", align_corners=False)[:, 0]
        torch.testing.assert_close(found.values[:, t], full.float())
    assert not found.signed
