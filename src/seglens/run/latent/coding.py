"""An autoencoder at work: images to latent vectors, latent vectors to pictures, and how these change with a unit."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seglens.core.batches import in_batches
from seglens.core.capture import capture
from seglens.core.classes import ClassTable
from seglens.core.errors import NetworkError, NonFiniteError, ParameterError, ShapeError, suggest
from seglens.core.network import Network, is_out_of_memory
from seglens.generative.coder import Coder, coder_of
from seglens.run.questions import NetworkSource, open_network

Condition = Mapping[str, float] | Sequence[float] | NDArray[np.floating] | Tensor | None
"""Values of the entries of a condition, by name, or in the autoencoder's own order."""

AT_ONCE = 64
"""Latent vectors that are decoded together."""

_STEP = 1e-2  # of a central difference, where a decoder has no forward derivative


@dataclass(frozen=True, slots=True, eq=False)
class Coding:
    """An autoencoder with what must be known to feed it. network: of the autoencoder itself, not of its units.

    image: [1 C H W], for a decoder that is told more of an image than its latent vector: a module with a method
    decode_beside(z, x), which Mgrad2VAE's branch calls for; its reconstructions are decoded so. None: by z alone.
    """

    network: Network
    coder: Coder
    image: Tensor | None = None

    def beside(self, x: Tensor) -> "Coding":
        """The same with the decoder told of one image [1 C H W], where it can be told anything."""
        return replace(self, image=x) if hasattr(self.coder, "decode_beside") else self

    @classmethod
    def of(cls, source: NetworkSource, device: str | torch.device | None = None) -> "Coding":
        """From whatever `seglens.load` takes, or the network of its latent units. Raises NetworkError."""
        network = open_network(source, device)
        coder = coder_of(network)
        module = cast("nn.Module", coder)
        if network.module is not module:
            network = replace(network, module=module, link=None)
        return cls(network, coder)

    @property
    def latent(self) -> int:
        """Number of latent units d."""
        return self.coder.latent

    @property
    def is_image(self) -> bool:
        """Whether the decoder gives an image, rather than masks."""
        return self.coder.produces == "image"

    def unit(self, number: int) -> int:
        """The number of a latent unit, if there is such. Raises ParameterError."""
        if not 0 <= number < self.latent:
            raise ParameterError(f"no unit {number}: {self.network.name} has {self.latent}, numbered from 0.")
        return int(number)

    def condition(self, given: Condition, n: int = 1) -> Tensor | None:
        """The condition [n c] for n inputs; None for an autoencoder without.

        given: by name (every entry is then named), in the autoencoder's order, [c] or [n c]; None takes the network's
        own further input. Raises ParameterError for names or numbers that do not fit, or where one is needed.
        """
        names = self.coder.conditions
        if not names:
            if given is not None:
                raise ParameterError(f"{self.network.name} takes no condition, so none can be given.")
            return None
        if given is None:
            if not self.network.extra:
                raise ParameterError(
                    f"{self.network.name} is conditioned on {_listed(names)}: say on what values.\n"
                    f"  condition={{{names[0]!r}: 1, …}}, or --condition {names[0]}=1."
                )
            values = self.network.extra[0]
        elif isinstance(given, Mapping):
            self.check_names(given)
            absent = [name for name in names if name not in given]
            if absent:
                raise ParameterError(f"the condition has no value for {_listed(absent)}: give one for each entry.")
            values = torch.tensor([float(given[name]) for name in names])
        else:
            values = torch.as_tensor(np.asarray(given, np.float32) if not isinstance(given, Tensor) else given)
        values = torch.atleast_2d(values.detach().float())
        if values.ndim != 2 or values.shape[1] != len(names) or values.shape[0] not in (1, n):
            raise ShapeError(
                f"a condition of {self.network.name} is [{len(names)}] or [{n}, {len(names)}], not "
                f"{list(values.shape)}.\n  Its entries: {_listed(names)}.",
                tuple(values.shape),
            )
        return values.expand(n, -1).to(self.network.device)

    def check_names(self, given: Mapping[str, float]) -> None:
        """Raise ParameterError for a name that is no entry of the condition, with the nearest."""
        names = self.coder.conditions
        for name in given:
            if name not in names:
                there = f"Its entries: {_listed(names)}." if names else "It is not conditional at all."
                raise ParameterError(
                    f"{self.network.name} is not conditioned on {name!r}.{suggest(name, names)}\n  {there}"
                )

    def encode(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """μ and log σ² [B d], float32 on the CPU, of input x [B C H W]. Raises NonFiniteError, NetworkError."""

        def some(start: int, stop: int) -> tuple[Tensor, Tensor]:
            given = None if condition is None else condition[start:stop]
            mu, logvar = self.coder.encode(self._own(x[start:stop]), given)
            return mu.float().cpu(), logvar.float().cpu()

        with capture(self.network), torch.no_grad():
            pairs = list(in_batches(len(x), self._at_once(x), some, "encoding"))
        mu, logvar = torch.cat([m for m, _ in pairs]), torch.cat([v for _, v in pairs])
        if mu.ndim != 2 or mu.shape[1] != self.latent or logvar.shape != mu.shape:
            raise NetworkError(
                f"{self.network.name} says that it has {self.latent} latent units, but encodes to {list(mu.shape)} and "
                f"{list(logvar.shape)}; expected two of [B, {self.latent}]."
            )
        self._check(mu, "μ")
        self._check(logvar, "log σ²")
        return mu, logvar

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """What latent vectors z [N d] show, float32 [N K H W] on the CPU: pixels in 0..1, or class probabilities.

        condition: [N c] or [1 c]. Raises NonFiniteError.
        """

        def some(start: int, stop: int) -> Tensor:
            part = self._own(z[start:stop])
            return self._picture(part, self._part(condition, start, stop)).cpu()

        with capture(self.network), torch.no_grad():
            shown = torch.cat(list(in_batches(len(z), AT_ONCE, some, "decoding")))
        self._check(shown, "what it decoded")
        return shown

    def slopes(self, z: Tensor, units: Sequence[int], condition: Tensor | None = None) -> Iterator[Tensor]:
        """∂x̂/∂z_i at z [N d] for each unit: float32 [N K H W] on the CPU, in what `decode` gives per unit of z.

        By forward derivatives; by central differences for a decoder with an operation that has none.
        """
        tangents = torch.eye(self.latent)[list(units)]
        yield from self.along(z, tangents, condition)

    def along(self, z: Tensor, directions: Tensor, condition: Tensor | None = None) -> Iterator[Tensor]:
        """The same along directions [U d]: the derivative of x̂(z + t·v) by t at 0."""
        for v in directions:
            with capture(self.network):
                parts = list(in_batches(len(z), AT_ONCE // 2, self._work(z, v, condition)))
            yield torch.cat(parts)

    def _work(self, z: Tensor, v: Tensor, condition: Tensor | None):
        def some(start: int, stop: int) -> Tensor:
            part, given = self._own(z[start:stop]), self._part(condition, start, stop)
            move = self._own(v).expand_as(part).contiguous()
            with torch.no_grad():
                return self._derivative(part, move, given).float().cpu()

        return some

    def _derivative(self, z: Tensor, move: Tensor, condition: Tensor | None) -> Tensor:
        try:
            with warnings.catch_warnings():
                # Of torch's own scripted formulas, which it compiles when the first forward derivative is taken.
                warnings.simplefilter("ignore", DeprecationWarning)
                found = torch.func.jvp(lambda moved: self._picture(moved, condition), (z,), (move,))[1]
        except (NotImplementedError, RuntimeError) as failed:
            if is_out_of_memory(failed):
                raise
            # A decoder that fails in any other way fails here once more, and says why.
            there, back = (self._picture(z + s * _STEP * move, condition) for s in (1, -1))
            return (there - back) / (2 * _STEP)
        return cast("Tensor", found)

    def _picture(self, z: Tensor, condition: Tensor | None) -> Tensor:
        if self.image is not None:
            told: Any = self.coder
            return self.coder.picture(told.decode_beside(z, self._own(self.image))).float()
        return self.coder.picture(self.coder.decode(z, condition)).float()

    def _own(self, values: Tensor) -> Tensor:
        return values.detach().to(self.network.device, self.network.dtype)

    def _part(self, condition: Tensor | None, start: int, stop: int) -> Tensor | None:
        if condition is None:
            return None
        return condition.expand(stop - start, -1) if len(condition) == 1 else condition[start:stop]

    def _at_once(self, x: Tensor) -> int:
        return min(AT_ONCE, self.network.batch or AT_ONCE)

    def _check(self, values: Tensor, what: str) -> None:
        if not bool(torch.isfinite(values).all()):
            raise NonFiniteError(
                f"{self.network.name}: {what} holds NaN or infinity.\n"
                "  Look at its weights, at the range of its input, and at how far from 0 the latent values are."
            )


def change_of(slope: Tensor, is_image: bool) -> Tensor:
    """[N H W] of ∂x̂/∂z [N K H W]: mean over channels of its size for images; for masks ½ Σ_k |∂p_k/∂z|, the
    probability that changes its class per unit of z (|∂p/∂z| where one channel stands for two classes)."""
    size = slope.abs()
    if is_image:
        return size.mean(1)
    return size[:, 0] if slope.shape[1] == 1 else size.sum(1) / 2


def labels_of(probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Labels [… H W] of class probabilities [… K H W]: the likeliest; of one channel class 1 where p > ½."""
    if probabilities.shape[-3] == 1:
        return (probabilities[..., 0, :, :] > 0.5).astype(np.uint8)
    return probabilities.argmax(-3).astype(np.uint8)


def table_for(coding: Coding, channels: int) -> ClassTable:
    """The class table of decoded masks with that many channels: the network's, else the autoencoder's own names;
    numbered where nobody named the classes."""
    n = 2 if channels == 1 else channels
    table = coding.network.classes
    if table is not None and len(table) == n:
        return table
    names: object = getattr(coding.coder, "classes", None)
    if isinstance(names, tuple) and len(cast("tuple[object, ...]", names)) == n:
        return ClassTable.of(cast("tuple[str, ...]", names))
    return ClassTable(("background", "foreground")) if channels == 1 else ClassTable.numbered(n)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
