"""SegFormer written down from its paper (Xie et al. 2021) in plain torch, on maps [B C H W] throughout."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate


class ChannelNorm(nn.Module):
    """Normalises over the channels of each pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        scaled = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
        return scaled * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); 1×1 convolutions stand for linear layers."""

    def __init__(self, c: int, heads: int, ratio: int, wider: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = ChannelNorm(c), ChannelNorm(c)
        self.q, self.k, self.v, self.o = (nn.Conv2d(c, c, 1) for _ in range(4))
        self.reduce = nn.Sequential(nn.Conv2d(c, c, ratio, ratio), ChannelNorm(c)) if ratio > 1 else nn.Identity()
        self.up, self.down = nn.Conv2d(c, wider, 1), nn.Conv2d(wider, c, 1)
        self.mix = nn.Conv2d(wider, wider, 3, padding=1, groups=wider)

    def attention(self, x: Tensor) -> Tensor:
        few = self.reduce(x)
        q, k, v = (m.flatten(2).unflatten(1, (self.heads, -1)) for m in (self.q(x), self.k(few), self.v(few)))
        weights = (torch.einsum("bhcn,bhcm->bhnm", q, k) * q.shape[2] ** -0.5).softmax(-1)
        return self.o(torch.einsum("bhnm,bhcm->bhcn", weights, v).reshape(x.shape))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.down(gelu(self.mix(self.up(self.norm2(x)))))


class PlainSegFormer(nn.Module):
    """Four stages of one block, and the all-MLP decoder: logits [B K H/4 W/4]."""

    def __init__(self, widths: list[int], heads: list[int], decoder: int, classes: int) -> None:
        super().__init__()
        before = [3, *widths[:-1]]
        sizes = ((7, 4), (3, 2), (3, 2), (3, 2))
        self.embed = nn.ModuleList(
            nn.Sequential(nn.Conv2d(b, w, k, s, k // 2), ChannelNorm(w))
            for b, w, (k, s) in zip(before, widths, sizes, strict=True)
        )
        self.blocks = nn.ModuleList(Block(w, h, r, 4 * w) for w, h, r in zip(widths, heads, (8, 4, 2, 1), strict=True))
        self.norms = nn.ModuleList(ChannelNorm(w) for w in widths)
        self.project = nn.ModuleList(nn.Conv2d(w, decoder, 1) for w in widths)
        self.fuse, self.norm = nn.Conv2d(4 * decoder, decoder, 1, bias=False), nn.BatchNorm2d(decoder)
        self.head = nn.Conv2d(decoder, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        scales: list[Tensor] = []
        for embed, block, norm in zip(self.embed, self.blocks, self.norms, strict=True):
            x = norm(block(embed(x)))
            scales.append(x)
        size = scales[0].shape[2:]
        parts = (
            interpolate(p(s), size=size, mode="bilinear", align_corners=False)
            for p, s in zip(self.project, scales, strict=True)
        )
        # The coarsest scale comes first.
        joined = torch.cat(list(parts)[::-1], 1)
        return self.head(torch.relu(self.norm(self.fuse(joined))))


_RENAMED = {
    "patch_embeddings.proj": "embed.{i}.0",
    "patch_embeddings.layer_norm": "embed.{i}.1",
    "blocks.0.layernorm_before": "blocks.{i}.norm1",
    "blocks.0.layernorm_after": "blocks.{i}.norm2",
    "blocks.0.attention.q_proj": "blocks.{i}.q",
    "blocks.0.attention.k_proj": "blocks.{i}.k",
    "blocks.0.attention.v_proj": "blocks.{i}.v",
    "blocks.0.attention.o_proj": "blocks.{i}.o",
    "blocks.0.attention.sequence_reduction.sequence_reduction": "blocks.{i}.reduce.0",
    "blocks.0.attention.sequence_reduction.layer_norm": "blocks.{i}.reduce.1",
    "blocks.0.mlp.fc1": "blocks.{i}.up",
    "blocks.0.mlp.dwconv.dwconv": "blocks.{i}.mix",
    "blocks.0.mlp.fc2": "blocks.{i}.down",
    "layer_norm": "norms.{i}",
}
_HEAD = {"linear_fuse": "fuse", "batch_norm": "norm", "classifier": "head"}


def plain_copy(model: Any) -> PlainSegFormer:
    """The plain network with the weights of the library's."""
    config = model.config
    plain = PlainSegFormer(
        list(config.hidden_sizes), list(config.num_attention_heads), config.decoder_hidden_size, config.num_labels
    )
    own = plain.state_dict()
    state: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        part, _, kind = name.rpartition(".")
        if part.startswith("segformer.stages."):
            _, _, i, inner = part.split(".", 3)
            new = _RENAMED[inner].format(i=i)
        elif "linear_projections" in part:
            new = f"project.{part.split('.')[2]}"
        else:
            new = _HEAD[part.removeprefix("decode_head.")]
        state[f"{new}.{kind}"] = value.reshape(own[f"{new}.{kind}"].shape)
    plain.load_state_dict(state)
    return plain.eval()
