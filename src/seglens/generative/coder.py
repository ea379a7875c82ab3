"""Autoencoders as the rest sees them: an encoder and a decoder with a Gaussian latent space between."""

from dataclasses import replace
from typing import Annotated, Literal, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from seglens.core.errors import NetworkError, ParameterError
from seglens.core.network import Network

LatentOf = Literal["mu", "logvar", "sample"]
"""What of the posterior a unit of the latent space is read off: its mean, its log-variance, a draw from it."""

Gaussian = Annotated[tuple[Tensor, Tensor], "μ and log σ², each [B d]"]


@runtime_checkable
class Coder(Protocol):
    """A variational autoencoder: what a module must offer to be explained and explored by its latent units.

    latent: number of latent units d. conditions: names of the entries of the condition; none for an unconditional one.
    produces: what the decoder gives: 'image' (in the network's own input values, or logits of them) or 'masks' (class
    logits on the image's grid).
    """

    latent: int
    conditions: tuple[str, ...]
    produces: Literal["image", "masks"]

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Gaussian:
        """μ and log σ² [B d] of q(z|x) for images [B C H W] and conditions [B c]."""
        ...

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Raw output [B K H W] for latent vectors [B d] and conditions [B c]."""
        ...

    def picture(self, raw: Tensor) -> Tensor:
        """Raw output as what it shows: pixels in 0..1 of an image, class probabilities of masks."""
        ...


class Encoder(nn.Module):
    """The encoder of an autoencoder as a network with channels: [B C H W] to [B d].

    It has the autoencoder's own layers, under their own paths and not copied: what is done to one is done to both.
    A sample is μ + exp(log σ² / 2)·ε, with one ε for all images, drawn from `seed`.
    """

    def __init__(self, coder: nn.Module, of: LatentOf = "mu", seed: int = 0) -> None:
        super().__init__()
        self._modules = coder._modules  # pyright: ignore[reportPrivateUsage]
        self._parameters = coder._parameters  # pyright: ignore[reportPrivateUsage]
        self._buffers = coder._buffers  # pyright: ignore[reportPrivateUsage]
        self._coder = (coder,)  # in a tuple: as a child it would give every layer a second path
        self.of: LatentOf = of
        self.seed = seed

    @property
    def coder(self) -> Coder:
        """The autoencoder itself."""
        return cast("Coder", self._coder[0])

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """μ, log σ² or a sample [B d], as `of` says."""
        return self.read(*self.coder.encode(x, condition))

    def read(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """The same of a posterior [B d] at hand."""
        if self.of == "mu":
            return mu
        if self.of == "logvar":
            return logvar
        noise = torch.randn(mu.shape[1], generator=torch.Generator().manual_seed(self.seed))
        return mu + (logvar / 2).exp() * noise.to(mu)


def is_coder(module: object) -> bool:
    """Whether a module is an autoencoder, or the encoder of one."""
    return isinstance(module, Encoder | Coder)


def coder_of(network: Network) -> Coder:
    """The autoencoder behind a network, or behind the network of its latent units. Raises NetworkError."""
    module = network.module
    if isinstance(module, Encoder):
        return module.coder
    if isinstance(module, Coder):
        return module
    raise NetworkError(
        f"{network.name} is no autoencoder: it has no encode(x, condition) that gives μ and log σ², no decode(z, "
        "condition), or no latent, conditions, produces.\n"
        "  One that only returns its latent units is explained with output=… and link='none'."
    )


def latent_of(network: Network, of: LatentOf = "mu", seed: int = 0) -> Network:
    """The network of an autoencoder's latent units: [B C H W] to [B d], units that are no classes.

    Every method explains its units: a target is the number of one. Layers have the autoencoder's own paths.
    Raises NetworkError where the network is no autoencoder.
    """
    coder = coder_of(network)
    if of not in ("mu", "logvar", "sample"):
        raise ParameterError(f"of = {of!r}: a latent unit is read off 'mu', 'logvar' or a 'sample'.")
    module = Encoder(cast("nn.Module", coder), of, seed)
    return replace(network, module=module, link="none", classes=None, emits="logits", output=None)


def conditioned(network: Network, condition: Tensor) -> Network:
    """The network with that condition [B c] or [1 c] as its further input."""
    return replace(network, extra=(condition,))
