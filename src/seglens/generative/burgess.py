"""The VAE of Burgess et al. 2018, arXiv:1804.03599, which the literature on disentangling trains."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from seglens.core.errors import ParameterError
from seglens.core.parameters import Bounds
from seglens.generative.config import SIZE, configured, settle
from seglens.generative.layers import Pass, bounded, check_image, check_latent, drawn, normal
from seglens.generative.segmentation_vae import no_condition

__all__ = ["BurgessConfig", "BurgessVAE"]

_KERNELS = 32
_HIDDEN = 256
_END = (_KERNELS, 4, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class BurgessConfig:
    """What a `BurgessVAE` is built from: channels and size (32 x 32 or 64 x 64) of the images, and the latent units.

    Raises ParameterError for other sizes: the network is defined for these.
    """

    channels: Annotated[int, Bounds(ge=1)] = 1
    size: Annotated[tuple[int, int], SIZE] = (64, 64)
    latent: Annotated[int, Bounds(ge=1)] = 10

    def __post_init__(self) -> None:
        settle(self)
        if self.size not in ((32, 32), (64, 64)):
            raise ParameterError(f"BurgessVAE.size is to be (32, 32) or (64, 64), not {self.size}.")


class _Encoder(nn.Module):
    """Convolutions of 32 kernels 4×4 and stride 2 down to 4 × 4, two dense layers of 256, μ and log σ² interleaved."""

    def __init__(self, c: BurgessConfig) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c.channels, _KERNELS, 4, 2, 1)
        self.conv2 = nn.Conv2d(_KERNELS, _KERNELS, 4, 2, 1)
        self.conv3 = nn.Conv2d(_KERNELS, _KERNELS, 4, 2, 1)
        self.conv_64 = nn.Conv2d(_KERNELS, _KERNELS, 4, 2, 1) if c.size == (64, 64) else None
        self.lin1 = nn.Linear(_KERNELS * 16, _HIDDEN)
        self.lin2 = nn.Linear(_HIDDEN, _HIDDEN)
        self.mu_logvar_gen = nn.Linear(_HIDDEN, 2 * c.latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """μ and log σ² [B d]: the even and the odd entries of what the last layer gives."""
        for layer in _present(self.conv1, self.conv2, self.conv3, self.conv_64):
            x = layer(x).relu()
        h = self.lin2(self.lin1(x.flatten(1)).relu()).relu()
        mu, logvar = self.mu_logvar_gen(h).unflatten(1, (-1, 2)).unbind(-1)
        return mu, bounded(logvar)


class _Decoder(nn.Module):
    """The encoder mirrored, with transposed convolutions; gives logits."""

    def __init__(self, c: BurgessConfig) -> None:
        super().__init__()
        self.lin1 = nn.Linear(c.latent, _HIDDEN)
        self.lin2 = nn.Linear(_HIDDEN, _HIDDEN)
        self.lin3 = nn.Linear(_HIDDEN, _KERNELS * 16)
        self.convT_64 = nn.ConvTranspose2d(_KERNELS, _KERNELS, 4, 2, 1) if c.size == (64, 64) else None
        self.convT1 = nn.ConvTranspose2d(_KERNELS, _KERNELS, 4, 2, 1)
        self.convT2 = nn.ConvTranspose2d(_KERNELS, _KERNELS, 4, 2, 1)
        self.convT3 = nn.ConvTranspose2d(_KERNELS, c.channels, 4, 2, 1)

    def forward(self, z: Tensor) -> Tensor:
        """Logits [B C H W]."""
        for dense in (self.lin1, self.lin2, self.lin3):
            z = dense(z).relu()
        y = z.unflatten(1, _END)
        for layer in _present(self.convT_64, self.convT1, self.convT2):
            y = layer(y).relu()
        return self.convT3(y)


def _present(*layers: nn.Module | None) -> Iterator[nn.Module]:
    return (layer for layer in layers if layer is not None)


class BurgessVAE(nn.Module):
    """Images [B C H W] with pixels in 0..1 to images, through `latent` units; its layers and their names are those
    under which trained weights of it are published.

    Encoder: `encoder.conv1` to `conv3` (with `conv_64` behind them for 64 × 64), `lin1`, `lin2`, `mu_logvar_gen`;
    ReLU between. Decoder: `lin1` to `lin3`, (`convT_64`,) `convT1` to `convT3`, which gives logits. A published
    network with a sigmoid at its end has `picture` as its output.
    """

    produces: Literal["image"] = "image"

    def __init__(self, config: BurgessConfig | None = None, /, **fields: Any) -> None:
        super().__init__()
        self.config = c = configured(BurgessConfig, config, fields)
        self.latent = c.latent
        self.conditions: tuple[str, ...] = ()
        self.encoder = _Encoder(c)
        self.decoder = _Decoder(c)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """μ and log σ² [B d] of q(z|x). Raises ShapeError for images of another shape."""
        check_image("BurgessVAE", x, self.config.channels, self.config.size)
        no_condition("BurgessVAE", condition)
        return self.encoder(x)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Logits [B C H W]. Raises ShapeError for latent vectors of another length."""
        check_latent("BurgessVAE", z, self.latent)
        no_condition("BurgessVAE", condition)
        return self.decoder(z)

    def picture(self, raw: Tensor) -> Tensor:
        """Pixels in 0..1."""
        return raw.sigmoid()

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """The logits of the reconstruction from μ."""
        return self.decode(self.encode(x, condition)[0])

    def training_pass(
        self, x: Tensor, condition: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Pass:
        """A pass with one draw z = μ + σ·ε for each image; None draws from torch's own generator."""
        mu, logvar = self.encode(x, condition)
        return Pass(self.decode(drawn(mu, logvar, normal(mu.shape, mu, generator))), mu, logvar)
