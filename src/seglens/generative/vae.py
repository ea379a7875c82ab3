"""The variational autoencoder of images, plain (VAE) and conditional (CVAE).

Kingma and Welling 2014, arXiv:1312.6114; Sohn et al. 2015. Architecture after Panday et al.: eight convolutions each
way in four pooled stages of two, with 32 to 256 kernels.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from seglens.core.errors import ParameterError
from seglens.core.parameters import Bounds, check_parameters
from seglens.generative.config import (
    NAMES,
    SIZE,
    WIDTHS,
    Activation,
    Likelihood,
    Pooling,
    configured,
    divisible,
    settle,
)
from seglens.generative.layers import (
    Pass,
    Planes,
    activation,
    as_condition,
    check_image,
    check_latent,
    drawn,
    initialise,
    normal,
    posterior,
    stage,
)

__all__ = ["CVAE", "VAE", "ConvDecoder", "ConvEncoder", "VAEConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VAEConfig:
    """What a `VAE` is built from.

    channels, size: of the images [B channels *size]; each side a multiple of 2 to the number of stages.
    latent: units of the latent space. widths: kernels of each stage's convolutions. convolutions: in a stage.
    activation: 'relu', or a smooth one where second derivatives of the latent units are to mean something.
    pooling: how a stage halves: 'max', 'average', or by the 'stride' of its last convolution.
    conditions: names of the condition's entries; none for an unconditional one. planes: into how many planes the
    encoder embeds a condition, at most. likelihood: 'bernoulli' (the decoder gives logits of pixels in 0..1) or
    'gaussian' (it gives the pixels).
    Raises ParameterError for a value out of range and for a size that the stages do not divide.
    """

    channels: Annotated[int, Bounds(ge=1)] = 3
    size: Annotated[tuple[int, int], SIZE] = (64, 64)
    latent: Annotated[int, Bounds(ge=1)] = 32
    widths: Annotated[tuple[int, ...], WIDTHS] = (32, 64, 128, 256)
    convolutions: Annotated[int, Bounds(ge=1)] = 2
    activation: Activation = "relu"
    pooling: Pooling = "max"
    conditions: Annotated[tuple[str, ...], NAMES] = ()
    planes: Annotated[int, Bounds(ge=1)] = 8
    likelihood: Likelihood = "bernoulli"

    def __post_init__(self) -> None:
        settle(self)
        stages = len(self.widths)
        divisible("VAE", self.size, 2**stages, f"{stages} stages halve it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """The convolutional part that encoder and decoder mirror."""

    size: tuple[int, int]
    latent: int
    widths: tuple[int, ...]
    convolutions: Annotated[int, Bounds(ge=1)]
    activation: Activation
    pooling: Pooling
    conditions: int = 0
    planes: int = 0

    def __post_init__(self) -> None:
        check_parameters(self)

    @property
    def end(self) -> tuple[int, int, int]:
        """[C h w] of the last map."""
        by = 2 ** len(self.widths)
        return self.widths[-1], self.size[0] // by, self.size[1] // by


class ConvEncoder(nn.Module):
    """Images to μ and log σ² [B d]: `stage1` to the last (the end of the encoder), then `mu` and `logvar`.

    The heads are linear in the flattened last map, so that derivatives of all units by it are the heads' weights.
    """

    def __init__(self, channels: int, trunk: Trunk) -> None:
        super().__init__()
        planes = min(trunk.conditions, trunk.planes)
        self.condition = Planes(trunk.conditions, planes) if planes else None
        inputs = channels + planes
        self._stages = len(trunk.widths)
        for number, outputs in enumerate(trunk.widths, 1):
            layers = stage(inputs, outputs, trunk.convolutions, trunk.activation, trunk.pooling)
            self.add_module(f"stage{number}", layers)
            inputs = outputs
        flat = trunk.end[0] * trunk.end[1] * trunk.end[2]
        self.mu = nn.Linear(flat, trunk.latent)
        self.logvar = nn.Linear(flat, trunk.latent)
        initialise(self.mu, None)
        initialise(self.logvar, None, 0.1)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """μ and log σ²."""
        if self.condition is not None and condition is not None:
            x = self.condition(x, condition)
        for number in range(1, self._stages + 1):
            x = self.get_submodule(f"stage{number}")(x)
        return posterior(x.flatten(1), self.mu, self.logvar)


class ConvDecoder(nn.Module):
    """Latent vectors (a condition beside them) to [B outputs H W], the encoder mirrored.

    `start` (linear), then from the last stage to `stage1`: doubling by nearest neighbour and convolutions; the last
    convolution is `output`, which has no activation.
    """

    def __init__(self, outputs: int, trunk: Trunk) -> None:
        super().__init__()
        self._end = trunk.end
        flat = trunk.end[0] * trunk.end[1] * trunk.end[2]
        self.start = nn.Sequential(nn.Linear(trunk.latent + trunk.conditions, flat), activation(trunk.activation))
        initialise(self.start, trunk.activation)
        self._stages = len(trunk.widths)
        last = 0
        for number in range(self._stages, 0, -1):
            width = trunk.widths[number - 1]
            after = trunk.widths[number - 2] if number > 1 else width
            layers = nn.Sequential()
            layers.add_module("upsample", nn.Upsample(scale_factor=2, mode="nearest"))
            # Of the finest stage's convolutions the last is `output`.
            for place in range(1, trunk.convolutions + (number > 1)):
                to = after if place == trunk.convolutions else width
                layers.add_module(f"conv{place}", nn.Conv2d(width, to, 3, padding=1))
                layers.add_module(f"act{place}", activation(trunk.activation))
            initialise(layers, trunk.activation)
            self.add_module(f"stage{number}", layers)
            last = after
        self.output = nn.Conv2d(last, outputs, 3, padding=1)
        initialise(self.output, None)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Raw output."""
        if condition is not None:
            z = torch.cat([z, condition], 1)
        y = self.start(z).unflatten(1, self._end)
        for number in range(self._stages, 0, -1):
            y = self.get_submodule(f"stage{number}")(y)
        return self.output(y)


class VAE(nn.Module):
    """Images [B C H W] with pixels in 0..1, through a Gaussian latent space, to images.

    Built from a `VAEConfig` or from its fields: VAE(latent=10, size=(32, 32)). Layers: `encoder.stage1` to
    `encoder.stage4` (strides 2 to 16; the last is the end of the encoder), `encoder.mu`, `encoder.logvar`,
    `decoder.start`, `decoder.stage4` to `decoder.stage1`, `decoder.output`.
    A condition [B c] enters the encoder as planes of its linear embedding beside the image, and the decoder beside z.
    Methods raise ShapeError for images or latent vectors of another shape, ParameterError for a missing or uncalled
    for condition.
    """

    produces: Literal["image"] = "image"

    def __init__(self, config: VAEConfig | None = None, /, **fields: Any) -> None:
        super().__init__()
        self.config = c = configured(VAEConfig, config, fields)
        self.latent = c.latent
        self.conditions = c.conditions
        trunk = Trunk(
            size=c.size,
            latent=c.latent,
            widths=c.widths,
            convolutions=c.convolutions,
            activation=c.activation,
            pooling=c.pooling,
            conditions=len(c.conditions),
            planes=c.planes,
        )
        self.encoder = ConvEncoder(c.channels, trunk)
        self.decoder = ConvDecoder(c.channels, trunk)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """μ and log σ² [B d] of q(z|x)."""
        check_image(type(self).__name__, x, self.config.channels, self.config.size)
        return self.encoder(x, as_condition(type(self).__name__, condition, self.conditions, x))

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Raw images [B C H W]: logits for a Bernoulli likelihood, pixels for a Gaussian one."""
        check_latent(type(self).__name__, z, self.latent)
        return self.decoder(z, as_condition(type(self).__name__, condition, self.conditions, z))

    def picture(self, raw: Tensor) -> Tensor:
        """Pixels in 0..1."""
        return raw.sigmoid() if self.config.likelihood == "bernoulli" else raw.clamp(0, 1)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """The raw reconstruction from μ."""
        return self.decode(self.encode(x, condition)[0], condition)

    def training_pass(
        self, x: Tensor, condition: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Pass:
        """A pass with one draw z = μ + σ·ε for each image; None draws from torch's own generator."""
        mu, logvar = self.encode(x, condition)
        z = drawn(mu, logvar, normal(mu.shape, mu, generator))
        return Pass(self.decode(z, condition), mu, logvar)


class CVAE(VAE):
    """A `VAE` with a condition: attributes [B c], or classes as whole numbers [B]; `conditions` names them."""

    def __init__(self, config: VAEConfig | None = None, /, **fields: Any) -> None:
        super().__init__(config, **fields)
        if not self.conditions:
            raise ParameterError("CVAE.conditions is to name what it is conditioned on; without, it is a VAE.")
