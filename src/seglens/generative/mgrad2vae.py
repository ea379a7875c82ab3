"""Mgrad2VAE (Abukmeil et al. 2021): a segmentation VAE whose attention comes from second derivatives of its encoder.

Where it departs from the paper's code, and why: see `Mgrad2VAE` and `seglens.generative.second_order`.
"""

import warnings
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from seglens.core.errors import NoCurvatureWarning, ParameterError
from seglens.core.parameters import Bounds
from seglens.generative.attention_branch import AttentionBranch
from seglens.generative.config import CLASSES, SIZE, WIDTHS, Activation, configured, divisible, settle
from seglens.generative.layers import (
    PIECEWISE_LINEAR,
    Pass,
    activation,
    check_image,
    check_latent,
    drawn,
    initialise,
    normal,
    posterior,
)
from seglens.generative.second_order import curvature, diag, diag_of_tail, gradients, hvp_ones
from seglens.generative.segmentation_vae import no_condition

__all__ = ["ATTENTION", "AttentionMaps", "Mgrad2VAE", "Mgrad2VAEConfig"]

Attention = Literal["hvp_ones", "diag", "curvature", "activations", "gradients", "noise", "none"]
ATTENTION: tuple[Attention, ...] = get_args(Attention)
"""What the attention branch can be fed: second derivatives, three controls, or nothing."""

_DIFFERENTIATED = ("hvp_ones", "diag", "curvature", "gradients")
_SEED = 0  # of what is drawn outside training


@dataclass(frozen=True, slots=True, kw_only=True)
class Mgrad2VAEConfig:
    """What an `Mgrad2VAE` is built from. The paper's: dense=1024, latent=256, activation='relu', of='sample'.

    channels, size: of the images; each side a multiple of 2^(scales − 1). classes: names, in the order of the
    output's channels. latent: units. widths: kernels of each encoder scale; all but the first halve the size.
    dense: units of the layer between the last map and the latent units.
    activation: smooth by default (see `Mgrad2VAE`). attention: what the branch is fed. of: whose derivatives, 'mu' or
    a 'sample' (for hvp_ones, diag and gradients). probes: random vectors of an estimate (diag, curvature).
    branch: channels of each scale in the branch.
    Raises ParameterError for a value out of range and for a size that the scales do not divide.
    """

    channels: Annotated[int, Bounds(ge=1)] = 3
    classes: Annotated[tuple[str, ...], CLASSES] = ("background", "object")
    size: Annotated[tuple[int, int], SIZE] = (128, 256)
    latent: Annotated[int, Bounds(ge=1)] = 64
    widths: Annotated[tuple[int, ...], WIDTHS] = (8, 16, 24, 32)
    dense: Annotated[int, Bounds(ge=1)] = 128
    activation: Activation = "silu"
    attention: Attention = "hvp_ones"
    of: Literal["mu", "sample"] = "mu"
    probes: Annotated[int, Bounds(ge=1)] = 1
    branch: Annotated[int, Bounds(ge=1)] = 8

    def __post_init__(self) -> None:
        settle(self)
        scales = len(self.widths)
        divisible("Mgrad2VAE", self.size, 2 ** (scales - 1), f"{scales} scales halve it {scales - 1} times")

    @property
    def end(self) -> tuple[int, int, int]:
        """[C h w] of the last map."""
        by = 2 ** (len(self.widths) - 1)
        return self.widths[-1], self.size[0] // by, self.size[1] // by


@dataclass(frozen=True, slots=True)
class AttentionMaps:
    """What the branch made of images, and of what.

    attention: class probabilities [B K H W] of the aggregated attention. scales: of each encoder scale, finest first.
    tensors: what the branch was fed, one [B C_i h_i w_i] for each scale, in its own units.
    """

    attention: Tensor
    scales: tuple[Tensor, ...]
    tensors: tuple[Tensor, ...]


class _Encoder(nn.Module):
    """3×3 convolutions `stage1` (stride 1), `stage2`, … (stride 2), then `dense`, `mu` and `logvar`."""

    def __init__(self, c: Mgrad2VAEConfig) -> None:
        super().__init__()
        self._stages = len(c.widths)
        inputs = c.channels
        for number, outputs in enumerate(c.widths, 1):
            layers = nn.Sequential()
            layers.add_module("conv", nn.Conv2d(inputs, outputs, 3, 1 if number == 1 else 2, 1))
            layers.add_module("act", activation(c.activation))
            initialise(layers, c.activation)
            self.add_module(f"stage{number}", layers)
            inputs = outputs
        self.dense = nn.Sequential()
        self.dense.add_module("linear", nn.Linear(c.end[0] * c.end[1] * c.end[2], c.dense))
        self.dense.add_module("act", activation(c.activation))
        initialise(self.dense, c.activation)
        self.mu = nn.Linear(c.dense, c.latent)
        self.logvar = nn.Linear(c.dense, c.latent)
        initialise(self.mu, None)
        initialise(self.logvar, None, 0.1)

    def forward(self, x: Tensor, differentiated: bool = False) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """μ, log σ² and the maps of all scales; `differentiated`: they can be differentiated by the maps."""
        maps: list[Tensor] = []
        for number in range(1, self._stages + 1):
            x = self.get_submodule(f"stage{number}")(x)
            if differentiated and not x.requires_grad:
                x = x.detach().requires_grad_()  # neither weights nor image need gradients: this is where they begin
            maps.append(x)
        return *posterior(self.dense(x.flatten(1)), self.mu, self.logvar), tuple(maps)


class _Decoder(nn.Module):
    """The encoder mirrored; before its last layers come the branch's features and attention.

    `start` (latent to `dense` units to the last map's shape), `stage4` to `stage2` (3×3, each to the next finer
    scale's kernels, doubled), + features, `stage1` (3×3), + features + `blend` (1×1 of the attention's
    probabilities), `output` (1×1). Without the branch the sums are left out.
    """

    def __init__(self, c: Mgrad2VAEConfig) -> None:
        super().__init__()
        self._end = c.end
        self._stages = len(c.widths)
        self.start = nn.Sequential(
            nn.Linear(c.latent, c.dense),
            activation(c.activation),
            nn.Linear(c.dense, c.end[0] * c.end[1] * c.end[2]),
            activation(c.activation),
        )
        initialise(self.start, c.activation)
        for number in range(self._stages, 0, -1):
            layers = nn.Sequential()
            layers.add_module("conv", nn.Conv2d(c.widths[number - 1], c.widths[max(number - 2, 0)], 3, 1, 1))
            layers.add_module("act", activation(c.activation))
            if number > 1:
                layers.add_module("upsample", nn.Upsample(scale_factor=2, mode="nearest"))
            initialise(layers, c.activation)
            self.add_module(f"stage{number}", layers)
        self.blend = None if c.attention == "none" else nn.Conv2d(len(c.classes), c.widths[0], 1)
        if self.blend is not None:
            initialise(self.blend, None)
        self.output = nn.Conv2d(c.widths[0], len(c.classes), 1)
        initialise(self.output, None)

    def forward(self, z: Tensor, features: Tensor | None = None, attention: Tensor | None = None) -> Tensor:
        """Class logits; `features` and `attention` (logits) are the branch's."""
        y = self.start(z).unflatten(1, self._end)
        for number in range(self._stages, 1, -1):
            y = self.get_submodule(f"stage{number}")(y)
        if features is not None:
            y = y + features
        y = self.get_submodule("stage1")(y)
        if features is not None:
            y = y + features
        if self.blend is not None and attention is not None:
            y = y + self.blend(attention.softmax(1))
        return self.output(y)


class Mgrad2VAE(nn.Module):
    """Images [B C H W] to class logits [B K H W], with attention from second derivatives of its own encoder.

    Built from an `Mgrad2VAEConfig` or from its fields. At every encoder scale a tensor of that layer's shape is taken
    (`attention`), freed of its scale, brought to full size and to class logits; all of them together give the
    aggregated attention, and with their features they enter the decoder before its last layers.

    attention: 'hvp_ones', H·1 with H the Hessian of Σ_j μ_j by the layer's map: the published computation.
    'diag', the diagonal of H: exact at the last scale for `of='mu'` (one nonlinearity lies behind), elsewhere
    Hutchinson's estimate with `probes` vectors, which with few is mostly noise. 'curvature': ¼ Σ_j σ_j (∂ℓ_j)²,
    estimated with `probes` vectors. Controls on the same budget of layers, without which a table proves nothing
    (an attention pulled to the mask is a second decoder): the map itself ('activations'), ∇Σ_j μ_j ('gradients'),
    standard normal draws ('noise'); and 'none', a deep VAE of the same encoder and decoder, without a branch.

    The activation is smooth by default. With ReLU or LeakyReLU μ is piecewise linear, its second derivatives are zero
    almost everywhere, and those of a sample are ¼ σ ε g gᵀ: the paper's setting (activation='relu', of='sample')
    feeds its branch the sign of the sampling noise. It can be had, and warns (NoCurvatureWarning); of='mu' then
    feeds zeros.

    What is drawn is drawn anew for every step of training, shared by the images of a batch but for z itself, and
    outside of training from a fixed seed. No layer normalises: torch's third derivatives of several norms are wrong.
    The encoder computes in its weights' precision under autocast. Derivatives are taken under no_grad and
    inference_mode too, and then leave no graph; with gradients enabled the output depends on the maps through them,
    so that methods see all of it, also where the weights are frozen.
    A step of training takes at most 5.2 times the floating-point operations of attention='none' with widths 8 to 32 on
    64 × 128 pixels with 9 classes, 4.1 times with 16 to 64; fed by the maps themselves 3.2 and 2.1 times, which is what
    the branch costs without derivatives.
    Layers: `encoder.stage1` to `encoder.stage4` (the end of the encoder), `encoder.dense`, `encoder.mu`,
    `encoder.logvar`, `branch.scale1` …, `branch.fuse`, `branch.attention`, `decoder.start`, `decoder.stage4` …,
    `decoder.output`.
    """

    produces: Literal["masks"] = "masks"

    def __init__(self, config: Mgrad2VAEConfig | None = None, /, **fields: Any) -> None:
        super().__init__()
        self.config = c = configured(Mgrad2VAEConfig, config, fields)
        if c.activation in PIECEWISE_LINEAR and c.attention in ("hvp_ones", "diag"):
            warnings.warn(_no_curvature(c), NoCurvatureWarning, stacklevel=2)
        self.latent = c.latent
        self.conditions: tuple[str, ...] = ()
        self.classes = c.classes
        self.encoder = _Encoder(c)
        self.branch = (
            None
            if c.attention == "none"
            else AttentionBranch(c.widths, c.branch, c.widths[0], len(c.classes), c.activation)
        )
        self.decoder = _Decoder(c)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """μ and log σ² [B d] of q(z|x). Raises ShapeError for images of another shape."""
        check_image("Mgrad2VAE", x, self.config.channels, self.config.size)
        no_condition("Mgrad2VAE", condition)
        mu, logvar, _ = self.encoder(x)
        return mu, logvar

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Class logits [B K H W] of latent vectors alone: no image, so nothing comes from the branch."""
        check_latent("Mgrad2VAE", z, self.latent)
        no_condition("Mgrad2VAE", condition)
        return self.decoder(z)

    def decode_beside(self, z: Tensor, x: Tensor) -> Tensor:
        """Class logits [N K H W] of latent vectors [N d], with what the branch makes of one image x [1 C H W]."""
        check_latent("Mgrad2VAE", z, self.latent)
        if self.branch is None:
            return self.decode(z)
        _, _, tensors = self._encoded(x, None, None)
        features, attention, _ = self.branch(tensors)
        return self.decoder(z, *(t.expand(len(z), -1, -1, -1) for t in (features, attention)))

    def picture(self, raw: Tensor) -> Tensor:
        """Class probabilities."""
        return raw.softmax(1)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Class logits from μ and the branch; the same for the same image, in training mode too."""
        no_condition("Mgrad2VAE", condition)
        return self._run(x, None).raw

    def training_pass(
        self, x: Tensor, condition: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Pass:
        """A pass with one draw z = μ + σ·ε for each image; None draws from torch's own generator."""
        no_condition("Mgrad2VAE", condition)
        noise = normal((x.shape[0], self.latent), x, generator)
        return self._run(x, noise, generator)

    def attention_maps(self, x: Tensor) -> AttentionMaps:
        """The attention of images, aggregated and of each scale, as class probabilities, and what it was made of.

        Raises ParameterError for a model built with attention='none'.
        """
        check_image("Mgrad2VAE", x, self.config.channels, self.config.size)
        if self.branch is None:
            raise ParameterError("this Mgrad2VAE was built with attention='none': it has no attention maps.")
        _, _, tensors = self._encoded(x, None, None)
        _, attention, scales = self.branch(tensors)
        return AttentionMaps(self.picture(attention), tuple(map(self.picture, scales)), tensors)

    def _run(self, x: Tensor, noise: Tensor | None, generator: torch.Generator | None = None) -> Pass:
        mu, logvar, tensors = self._encoded(x, noise, generator)
        z = mu if noise is None else drawn(mu, logvar, noise.to(mu))
        if self.branch is None:
            return Pass(self.decoder(z), mu, logvar)
        features, attention, scales = self.branch(tensors)
        return Pass(self.decoder(z, features, attention), mu, logvar, attention, scales)

    def _encoded(
        self, x: Tensor, noise: Tensor | None, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """μ, log σ² and what the branch is fed; `noise` is z's, None outside of training."""
        check_image("Mgrad2VAE", x, self.config.channels, self.config.size)
        kind = self.config.attention
        if noise is None:
            generator = torch.Generator().manual_seed(_SEED)
        if kind not in _DIFFERENTIATED:
            mu, logvar, maps = self.encoder(x)
            if kind == "noise":
                maps = tuple(normal((1, *m.shape[1:]), m, generator).expand_as(m) for m in maps)
            return mu, logvar, maps
        keeps = torch.is_grad_enabled()
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast(x.device.type, enabled=False):
            # A tensor made in inference mode cannot be recorded; a copy made outside of it can.
            image = (x.clone() if x.is_inference() else x).to(self.encoder.mu.weight.dtype)
            mu, logvar, maps = self.encoder(image, differentiated=True)
            epsilon = normal((1, self.latent), mu, generator) if noise is None else noise.to(mu)
            tensors = self._tensors(mu, logvar, epsilon, maps, generator, keeps)
        if keeps:
            return mu, logvar, tensors
        return mu.detach(), logvar.detach(), tuple(t.detach() for t in tensors)

    def _tensors(
        self,
        mu: Tensor,
        logvar: Tensor,
        noise: Tensor,
        maps: tuple[Tensor, ...],
        generator: torch.Generator | None,
        create_graph: bool,
    ) -> tuple[Tensor, ...]:
        """Derivatives of the latent units by the maps, one tensor of each map's shape."""
        c = self.config
        if c.attention == "curvature":
            return curvature(logvar, maps, probes=c.probes, generator=generator, create_graph=create_graph).values
        z = mu if c.of == "mu" else drawn(mu, logvar, noise)
        if c.attention == "gradients":
            return gradients(z, maps, create_graph=create_graph)
        if c.attention == "hvp_ones":
            return hvp_ones(z, maps, create_graph=create_graph)
        if c.of == "sample":
            return diag(z, maps, probes=c.probes, generator=generator, create_graph=create_graph).values
        estimates = diag(z, maps[:-1], probes=c.probes, generator=generator, create_graph=create_graph).values
        linear = self.encoder.dense.get_submodule("linear")
        act = self.encoder.dense.get_submodule("act")
        weight = cast("Tensor", linear.weight)
        last = diag_of_tail(
            linear(maps[-1].flatten(1)), act, weight, self.encoder.mu.weight.sum(0), create_graph=create_graph
        )
        return *estimates, last.view_as(maps[-1])


def _no_curvature(c: Mgrad2VAEConfig) -> str:
    what = (
        "the branch is fed zeros"
        if c.of == "mu"
        else "what a sample's have is the sign of its noise, and averages to nothing"
    )
    return (
        f"activation={c.activation!r} makes μ piecewise linear: its second derivatives are zero almost everywhere, and "
        f"{what}.\n  activation='silu' with of='mu' (the defaults) has curvature; attention='curvature' measures the "
        "size of the noisy term without its sign."
    )
