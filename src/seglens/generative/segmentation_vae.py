"""The segmentation VAE: an image through a latent bottleneck to class logits of its pixels (Panday et al.)."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from seglens.core.errors import ParameterError
from seglens.core.parameters import Bounds
from seglens.generative.config import CLASSES, SIZE, Activation, Pooling, configured, divisible, settle
from seglens.generative.layers import Pass, check_image, check_latent, drawn, normal
from seglens.generative.vae import ConvDecoder, ConvEncoder, Trunk

__all__ = ["SegmentationVAE", "SegmentationVAEConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationVAEConfig:
    """What a `SegmentationVAE` is built from.

    channels, size: of the images; each side a multiple of 2^stages (the paper: 64, 128 and 256 pixels).
    classes: names, in the order of the output's channels. latent: units (the paper: 5, 15, 50, 100). stages: pooled
    stages (the paper: 3 to 5), of `convolutions` each. width: kernels of the first stage; they double from stage to
    stage, up to eight times as many.
    Raises ParameterError for a value out of range and for a size that the stages do not divide.
    """

    channels: Annotated[int, Bounds(ge=1)] = 3
    classes: Annotated[tuple[str, ...], CLASSES] = ("background", "object")
    size: Annotated[tuple[int, int], SIZE] = (64, 64)
    latent: Annotated[int, Bounds(ge=1)] = 15
    stages: Annotated[int, Bounds(ge=1, le=8)] = 4
    width: Annotated[int, Bounds(ge=1)] = 32
    convolutions: Annotated[int, Bounds(ge=1)] = 1
    activation: Activation = "relu"
    pooling: Pooling = "max"

    def __post_init__(self) -> None:
        settle(self)
        divisible("SegmentationVAE", self.size, 2**self.stages, f"{self.stages} stages halve it")

    @property
    def widths(self) -> tuple[int, ...]:
        """Kernels of each stage."""
        return tuple(self.width * min(2**number, 8) for number in range(self.stages))


class SegmentationVAE(nn.Module):
    """Images [B C H W] to class logits [B K H W]: all that the decoder knows of the image is its latent vector.

    Built from a `SegmentationVAEConfig` or from its fields. Layers as in `VAE`: `encoder.stage1` to the last stage,
    `encoder.mu`, `encoder.logvar`, `decoder.start`, `decoder.stage…`, `decoder.output`.
    """

    produces: Literal["masks"] = "masks"

    def __init__(self, config: SegmentationVAEConfig | None = None, /, **fields: Any) -> None:
        super().__init__()
        self.config = c = configured(SegmentationVAEConfig, config, fields)
        self.latent = c.latent
        self.conditions: tuple[str, ...] = ()
        self.classes = c.classes
        trunk = Trunk(
            size=c.size,
            latent=c.latent,
            widths=c.widths,
            convolutions=c.convolutions,
            activation=c.activation,
            pooling=c.pooling,
        )
        self.encoder = ConvEncoder(c.channels, trunk)
        self.decoder = ConvDecoder(len(c.classes), trunk)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """μ and log σ² [B d] of q(z|x). Raises ShapeError for images of another shape."""
        check_image("SegmentationVAE", x, self.config.channels, self.config.size)
        no_condition("SegmentationVAE", condition)
        return self.encoder(x)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Class logits [B K H W]. Raises ShapeError for latent vectors of another length."""
        check_latent("SegmentationVAE", z, self.latent)
        no_condition("SegmentationVAE", condition)
        return self.decoder(z)

    def picture(self, raw: Tensor) -> Tensor:
        """Class probabilities."""
        return raw.softmax(1)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Class logits from μ."""
        return self.decode(self.encode(x, condition)[0])

    def training_pass(
        self, x: Tensor, condition: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Pass:
        """A pass with one draw z = μ + σ·ε for each image; None draws from torch's own generator."""
        mu, logvar = self.encode(x, condition)
        return Pass(self.decode(drawn(mu, logvar, normal(mu.shape, mu, generator))), mu, logvar)


def no_condition(owner: str, condition: Tensor | None) -> None:
    """Raise ParameterError where a condition is given to a model that has none."""
    if condition is not None and condition.numel():
        raise ParameterError(f"{owner} takes no condition.")
