"""The layer tree and the default layer, on small networks of every kind."""

import json
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seglens.core.capture import capture
from seglens.core.errors import LayerNotFoundError
from seglens.core.network import Network
from seglens.networks.layers import default_layer, layer_tree


def tree(net: nn.Module, x: Tensor | None = None):
    x = torch.rand(1, 3, 64, 64) if x is None else x
    return layer_tree(lambda: net(x), net, x)


def by_path(layers):
    return {layer.path: layer for layer in layers}


def block(i: int, o: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([block(3, 8), block(8, 16, 2), block(16, 24, 2)])
        self.bottleneck = nn.Sequential(block(24, 32, 2), block(32, 32))
        self.up = nn.ModuleList([block(56, 24), block(40, 16), block(24, 8)])
        self.head = nn.Conv2d(8, 40, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for step in self.down:
            x = step(x)
            skips.append(x)
        x = self.bottleneck(x)
        for step in self.up:
            x = step(torch.cat([F.interpolate(x, scale_factor=2.0), skips.pop()], 1))
        return self.head(x)


class DeepLab(nn.Module):
    """A backbone of stride 8, ASPP with image pooling, and more classes than channels."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(block(3, 8, 2), block(8, 16, 2), block(16, 32, 2))
        self.rates = nn.ModuleList([nn.Conv2d(32, 16, 3, 1, d, d) for d in (1, 2, 4)])
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(32, 64, 1), nn.ReLU())
        self.project = nn.Conv2d(112, 16, 1)
        self.classifier = nn.Sequential(nn.ReLU(), nn.Conv2d(16, 150, 1))
        self.auxiliary = nn.Conv2d(32, 150, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        f = self.backbone(x)
        pooled = self.pool(f).expand(-1, -1, *f.shape[2:])
        out = self.classifier(self.project(torch.cat([*(r(f) for r in self.rates), pooled], 1)))
        aux = F.interpolate(self.auxiliary(f), x.shape[2:])
        return {"out": F.interpolate(out, x.shape[2:], mode="bilinear"), "aux": aux}


class Residual(nn.Module):
    """Squeeze and excitation on the residual; one ReLU used twice."""

    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(i, o, 3, 2, 1)
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(o, 4 * o, 1), nn.ReLU(), nn.Conv2d(4 * o, o, 1))
        self.down = nn.Conv2d(i, o, 1, 2)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.conv(x))
        y = y * self.squeeze(y).sigmoid()
        y += self.down(x)
        return self.relu(y)


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer1, self.layer2 = nn.Sequential(Residual(3, 8)), nn.Sequential(Residual(8, 16))
        self.layer3, self.layer4 = nn.Sequential(Residual(16, 32)), nn.Sequential(Residual(32, 64))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


class Encoder(nn.Module):
    """A latent head of two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(block(3, 8, 4), block(8, 16, 4))
        self.mean, self.log_variance = nn.Linear(256, 5), nn.Linear(256, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.features(x).flatten(1)
        return self.mean(h), self.log_variance(h)


def volume() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(1, 4, 3, 2, 1), nn.ReLU(), nn.Conv3d(4, 8, 3, 2, 1), nn.ReLU(),
        nn.Upsample(scale_factor=4.0), nn.Conv3d(8, 2, 1),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        (UNet(), "bottleneck"),
        (DeepLab(), "backbone"),
        (ResNet(), "layer4"),
        (Encoder(), "features"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 90, 1)), "1"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)), "1"),
    ],
    ids=lambda v: v if isinstance(v, str) else type(v).__name__,
)
def test_default_layer(net, expected):
    assert default_layer(tree(net)).path == expected


def test_default_layer_of_a_volume_network():
    x = torch.rand(1, 1, 16, 16, 16)
    layers = tree(volume(), x)
    assert default_layer(layers).path == "3"
    assert by_path(layers)["3"].field == (7, 7, 7)


def test_no_layer_before_the_head():
    with pytest.raises(LayerNotFoundError, match="before the network's last layer"):
        default_layer(tree(nn.Sequential(nn.Conv2d(3, 2, 1))))


def test_heads_and_all_after_them_are_known():
    after = {layer.path for layer in tree(DeepLab()) if layer.after_head}
    assert after == {"", "classifier", "classifier.1", "auxiliary"}


def test_fields_of_a_layer():
    net = ResNet()
    layers = by_path(tree(net))
    assert list(layers) == [path for path, _ in net.named_modules()]
    first = layers["layer1.0.conv"]
    assert (first.type, first.depth, first.shape) == ("Conv2d", 3, (1, 8, 32, 32))
    assert (first.field, first.stride, first.order, first.runs) == ((3, 3), (2, 2), 0, 1)
    assert layers["layer1.0.relu"].runs == 2
    assert layers["layer1"].tensor == layers["layer1.0"].tensor == layers["layer1.0.relu"].tensor
    assert layers["layer1"].tensor != first.tensor
    # squeeze and excitation looks at the whole image
    assert layers["layer1"].field == (None, None)
    assert layers["avgpool"].spatial
    assert not layers["fc"].spatial
    assert layers[""].parameters == sum(p.numel() for p in net.parameters())
    assert layers[""].order == max(layer.order for layer in layers.values())


def test_unused_reused_and_shared():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.twice = nn.Conv2d(3, 3, 3, padding=1)
            self.never = nn.Conv2d(3, 3, 1)
            self.tied = nn.Conv2d(3, 3, 3, padding=1)
            self.tied.weight = self.twice.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.tied(self.twice(self.twice(x)))

    layers = by_path(tree(Net()))
    assert (layers["twice"].runs, layers["twice"].field) == (2, (5, 5))
    assert (layers["never"].order, layers["never"].runs, layers["never"].shape) == (None, 0, None)
    assert layers[""].parameters == 84 + 12 + 3
    assert layers[""].field == (7, 7)


@dataclass
class Output:
    logits: Tensor


@pytest.mark.parametrize("pack", [tuple, list, "dict", "dataclass", "nested"])
def test_outputs_of_every_form(pack):
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Conv2d(3, 4, 3, 2)

        def forward(self, x: Tensor):
            y = self.body(x)
            if pack == "dict":
                return {"note": "text", "out": y}
            if pack == "dataclass":
                return Output(y)
            return [None, {"out": (y,)}] if pack == "nested" else pack([y])

    layers = by_path(tree(Net()))
    assert layers[""].shape == (1, 4, 31, 31)
    assert layers[""].tensor == layers["body"].tensor


def test_json_is_stable():
    layers = tree(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Upsample(scale_factor=2.0)))
    last = json.loads(json.dumps([layer.to_dict() for layer in layers]))[-1]
    assert last == {
        "path": "1", "depth": 1, "type": "Upsample", "parameters": 0, "order": 1, "runs": 1,
        "shape": [1, 4, 124, 124], "spatial": True, "map_shape": [1, 4, 124, 124], "layout": None, "heard": True,
        "field": [3, 3], "stride": [0.5, 0.5],
        "tensor": 1, "after_head": True, "hooked": True,
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_torchscript_is_listed_without_shapes():
    net = nn.Sequential(block(3, 4), torch.jit.script(block(4, 5)))
    layers = by_path(tree(net))
    assert (layers["1"].hooked, layers["1"].shape, layers["1"].type) == (False, None, "Sequential")
    assert layers["0"].hooked
    assert layers[""].field == (5, 5)  # followed through it all the same
    frozen = torch.jit.freeze(torch.jit.script(block(3, 4).eval()))
    assert not tree(frozen)[0].hooked
    with pytest.raises(LayerNotFoundError, match="compiled TorchScript, which takes no hooks"):
        default_layer(tree(torch.jit.script(nn.Sequential(block(3, 4), block(4, 5)))))


def state(net):
    return [(m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in net.modules()] + [
        p.requires_grad for p in net.parameters()
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_network_is_left_as_it_was(fails):
    net = UNet().train()
    net.bottleneck.eval()
    norms = {k: v.clone() for k, v in net.state_dict().items()}
    before = state(net)
    if fails:
        with pytest.raises(RuntimeError, match="channels"):
            tree(net, torch.rand(1, 2, 64, 64))
    else:
        tree(net)
    assert state(net) == before
    assert torch.is_grad_enabled()
    assert all(torch.equal(v, norms[k]) for k, v in net.state_dict().items())


def test_a_module_that_refuses_hooks_leaves_none_on_others():
    class Refuses(nn.Module):
        def register_forward_hook(self, *args, **kwargs):
            raise RuntimeError("no hooks here")

        def forward(self, x: Tensor) -> Tensor:
            return x

    net = nn.Sequential(nn.Conv2d(3, 3, 1), Refuses()).train()
    before = state(net)
    with pytest.raises(RuntimeError, match="no hooks here"):
        tree(net)
    assert state(net) == before


class Attention(nn.Module):
    """One block of a transformer before norms, by its parts."""

    def __init__(self, c):
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(c), nn.Linear(c, 3 * c), nn.Linear(c, c)
        self.mlp = nn.Sequential(nn.Linear(c, 2 * c), nn.GELU(), nn.Linear(2 * c, c))

    def forward(self, t):
        b, n, c = t.shape
        q, k, v = self.qkv(self.norm(t)).view(b, n, 3, 2, c // 2).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v)
        t = t + self.out(a.transpose(1, 2).reshape(b, n, c))
        return t + self.mlp(t)


class Transformer(nn.Module):
    """read: 'token' asks the class token alone, 'mean' all places."""

    def __init__(self, read):
        super().__init__()
        torch.manual_seed(0)
        self.read = read
        self.patch = nn.Conv2d(3, 8, 16, stride=16)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.blocks = nn.Sequential(Attention(8), Attention(8), Attention(8))
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        t = self.patch(x).flatten(2).transpose(1, 2)
        t = torch.cat([self.token.expand(len(x), -1, -1), t], 1)
        t = self.norm(self.blocks(t))
        return self.head(t[:, 0] if self.read == "token" else t[:, 1:].mean(1))


def test_tokens_are_listed_with_their_map():
    layers = by_path(tree(Transformer("mean")))
    block = layers["blocks.1"]
    assert block.spatial
    assert block.shape == (1, 17, 8)
    assert block.map_shape == (1, 8, 4, 4)
    assert block.layout == "tokens 4×4 + 1"
    assert layers["patch"].layout is None
    assert layers["patch"].map_shape == layers["patch"].shape
    assert layers["head"].map_shape is None


def test_places_that_the_output_does_not_hear():
    """Checked by gradients: the places of a layer are heard where the output has a derivative by them."""
    net, x = Transformer("token").eval(), torch.rand(1, 3, 64, 64)
    found = by_path(tree(net))
    for path in ("patch", "blocks.0", "blocks.1", "blocks.2.norm", "blocks.2.qkv", "blocks.2", "blocks.2.mlp", "norm"):
        with capture(Network(module=net), [path]) as taps:
            by = torch.autograd.grad(net(x).pow(2).sum(), taps[path], allow_unused=True, materialize_grads=True)[0]
        assert found[path].heard == bool(by.any()), path
    assert not found["norm"].heard
    assert all(layer.heard for layer in tree(Transformer("mean")))


@pytest.mark.parametrize(("read", "expected"), [("token", "blocks.1"), ("mean", "norm")])
def test_default_layer_of_a_transformer(read, expected):
    assert default_layer(tree(Transformer(read))).path == expected
