"""Second-order attention: second derivatives of scores by the output of a layer."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Annotated, Literal, cast

import torch
from torch import Tensor, nn

from seglens.core.capture import capture, own
from seglens.core.dense import ARRANGING, MIXING, POINTWISE, SELECTING, DenseReader, chain, dense_readers
from seglens.core.errors import CaptureError, NoCurvatureWarning, ParameterError, SamplingNoiseWarning
from seglens.core.frame import resize
from seglens.core.maps import Maps, finish
from seglens.core.method import METHODS
from seglens.core.network import Network, Of
from seglens.core.parameters import Bounds, Help, check_parameters
from seglens.core.targets import Scores, Targets
from seglens.generative.coder import Encoder
from seglens.generative.layers import signs
from seglens.generative.second_order import curvature, diag, gradients, hvp_ones
from seglens.methods._cam import check_space
from seglens.networks.layers import default_layer_of

PER_SQUARE = "{score} per squared unit of the layer"
EXACT = 1024
"""Numbers of a layer's output up to which a diagonal is worked out exactly by as many products."""
PROBES = 64
"""Random vectors where it is estimated and nobody said by how many."""

Variant = Literal["hvp_ones", "diag", "curvature"]


@dataclass(frozen=True, slots=True)
class _Filters:
    """Second derivatives [B K *layer grid] of one target, and where they are estimated the standard error of the map
    that they are aggregated to, [B *layer grid]."""

    values: Tensor
    error: Tensor | None = None
    probes: int | None = None


@METHODS.register("second-order")
@dataclass(frozen=True, slots=True)
class SecondOrder:
    """Second derivatives of S by the output A of `layer`, aggregated over its channels.

    Source: Abukmeil et al. 2021, "Towards explainable semantic segmentation for autonomous driving systems by
    multi-scale variational attention", whose text has ∂²z/∂A², whose code H·1. With H the Hessian of S by A:
    hvp_ones: H·1, the row sums. diag: the diagonal of H. curvature, of the latent units z = μ + σε of an autoencoder:
    ¼ Σ_i |w_i| σ_i (∂ℓ_i/∂A)² for S = Σ_i w_i z_i, with σ = e^{ℓ/2}: how large each unit's diagonal is over the noise
    (RMS), of a sample whose μ and ℓ are piecewise linear.

    Where S is piecewise linear in A (ReLU, LeakyReLU, max pooling and linear layers behind it) hvp_ones and diag are
    zero almost everywhere: NoCurvatureWarning. Those of a sample (`latent_of(network, 'sample')`) are then ¼ σ ε g gᵀ,
    g = ∂ℓ/∂A: they carry the sign of the noise (SamplingNoiseWarning). Smooth activations have second derivatives.

    A diagonal is exact for layers of up to 1024 numbers, and at any where a dense layer reads all of A and one function
    of single numbers lies behind it: (W∘W)ᵀ(φ″∘u). Else, and wherever `probes` is given, it is the mean of v∘Hv over
    Rademacher vectors v, shared by the images: unbiased, with a large error (of the order of 0.5 of the map with 64).
    Extras: 'filters' [B T K *layer grid] before aggregation, 'coarse' [B T *layer grid] after it; of estimates
    'standard-error' [B T *layer grid] of 'coarse' (not for l2 and absolute, which are no means) and 'relative-error'
    [B T], ‖error‖/‖coarse‖. Map in units of score per squared unit of the layer.

    In the network's own precision under autocast: differences of halves hold no second derivative.
    Cost for T targets: F + T(3 to 4)τ F for hvp_ones; each probe and each number of an exact diagonal another 2 to 3 τ;
    curvature F and d passes of τ F, for d units, or one for each probe.
    """

    layer: Annotated[str | None, Help("the layer to read; by default the end of the encoder")] = None
    variant: Annotated[Variant, Help("row sums of the Hessian, its diagonal, or the size of a sample's")] = "hvp_ones"
    channels: Annotated[
        Literal["mean", "sum", "l2", "absolute"], Help("how channels become one map; absolute: mean size")
    ] = "mean"
    probes: Annotated[
        int | None, Bounds(ge=2, le=1_000_000), Help("random vectors of an estimate; by default exact where cheap")
    ] = None
    seed: Annotated[int | None, Bounds(ge=0, le=2**31 - 1), Help("of the random vectors; by default 0")] = None

    def __post_init__(self) -> None:
        check_parameters(self)

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] to maps [B T *grid]. Raises LayerNotFoundError, ShapeError, EmptyRegionError; ParameterError
        for curvature of what has no log-variance."""
        asked = network if self.variant != "curvature" else _with_logvar(network)
        layer = self.layer or default_layer_of(network, x)
        targets = Targets.of(targets)
        halves_off = torch.autocast(network.device.type, enabled=False)
        with halves_off, capture(asked, [layer], head=True, twice=True) as taps:
            y = asked(own(network, x))
            a = taps[layer]
            check_space(network, layer, a, x)
            logvar = None
            if self.variant == "curvature":
                y, logvar = y.chunk(2, 1)
            if not y.requires_grad:
                raise CaptureError(
                    f"the score of {network.name} does not depend on layer {layer!r}, or the network cuts the gradient "
                    "(detach, argmax, no_grad): there is nothing to differentiate."
                )
            scores = targets.bind(network, x, y)
            readers = dense_readers(taps.dense, a)
            read: dict[Of, Tensor] = {}
            found: list[_Filters] = []
            flat = True
            for t in range(len(scores.items)):
                s = scores.one(y, t, read)
                linear = scores.masks is None and network.emits == "logits" and scores.items[t].of == "logits"
                exact = _by_squared_weights(s, y, a, readers) if linear and self.probes is None else None
                found.append(self._filters(s, logvar, a, scores.terms[t], exact))
                if not found[-1].values.any() and gradients(s, [a])[0].any():
                    continue
                flat = False
            values = scores(y.detach())
        if flat and found and self.variant != "curvature":
            _warn_of_flatness(network, layer)
        elif isinstance(network.module, Encoder) and network.module.of == "sample" and self.variant != "curvature":
            _warn_of_noise(layer)
        return self._finished(found, scores, values, y, layer, tuple(x.shape[2:]))

    def _filters(
        self, s: Tensor, logvar: Tensor | None, a: Tensor, terms: dict[int, float], diagonal: Tensor | None
    ) -> _Filters:
        """Second derivatives of the score s [B] by a; `diagonal`: theirs, where it has a closed form."""
        if logvar is not None:
            ell = _weighted(logvar, terms)
            if self.probes is None:
                return _Filters(curvature(ell, [a]).values[0])
            return self._averaged(lambda g: curvature(ell, [a], probes=1, generator=g).values[0], self.probes)
        if self.variant == "hvp_ones":
            return _Filters(hvp_ones(s, [a])[0])
        probes = self.probes
        if probes is None:
            if diagonal is not None:
                return _Filters(diagonal)
            if prod(a.shape[1:]) <= EXACT:
                return _Filters(diag(s, [a]).values[0])
            probes = PROBES
        slope = gradients(s, [a], create_graph=True)[0]

        def draw(generator: torch.Generator) -> Tensor:
            v = signs((1, *a.shape[1:]), a, generator)
            return v * gradients(slope * v, [a])[0]

        return self._averaged(draw, probes)

    def _averaged(self, draw: Callable[[torch.Generator], Tensor], probes: int) -> _Filters:
        """The mean over draws, and the standard error of the aggregated mean from their spread (Welford)."""
        generator = torch.Generator().manual_seed(self.seed or 0)
        mean = draw(generator)
        coarse = self._aggregated(mean)
        squares = torch.zeros_like(coarse)
        for n in range(2, probes + 1):
            one = draw(generator)
            mean = mean + (one - mean) / n
            off = self._aggregated(one) - coarse
            coarse = coarse + off / n
            squares = squares + off * (self._aggregated(one) - coarse)
        averages = self.channels in ("mean", "sum")
        return _Filters(mean, (squares / (probes - 1) / probes).sqrt() if averages else None, probes)

    def _aggregated(self, filters: Tensor) -> Tensor:
        """[B K *layer grid] to [B *layer grid]."""
        if self.channels == "l2":
            return filters.square().sum(1).sqrt()
        if self.channels == "sum":
            return filters.sum(1)
        return (filters.abs() if self.channels == "absolute" else filters).mean(1)

    def _finished(
        self, found: list[_Filters], scores: Scores, values: Tensor, y: Tensor, layer: str, grid: tuple[int, ...]
    ) -> Maps:
        filters = torch.stack([f.values.detach() for f in found], 1)
        coarse = torch.stack([self._aggregated(f.values.detach()) for f in found], 1)
        extras = {"coarse": coarse, "filters": filters}
        errors = [f.error.detach() for f in found if f.error is not None]
        if len(errors) == len(found):
            extras["standard-error"] = torch.stack(errors, 1)
            norms = (e.flatten(2).norm(dim=2) for e in (extras["standard-error"], coarse))
            extras["relative-error"] = next(norms) / next(norms)
        if found[0].probes is not None:
            extras["probes"] = torch.full(coarse.shape[:2], found[0].probes)
        return finish(
            resize(coarse.float(), grid),
            scores,
            values,
            y,
            layer=layer,
            signed=self.channels in ("mean", "sum") and self.variant != "curvature",
            unit=PER_SQUARE,
            extras=extras,
            blank="so there is no curvature to show",
        )


class _Posterior(Encoder):
    """μ (or a sample) and log σ² side by side, [B 2d], from one pass."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """[B 2d]."""
        mu, logvar = self.coder.encode(x, condition)
        return torch.cat([self.read(mu, logvar), logvar], 1)


def _with_logvar(network: Network) -> Network:
    module = network.module
    if not isinstance(module, Encoder) or module.of == "logvar":
        what = "log σ² itself" if isinstance(module, Encoder) else "no latent units with a log-variance"
        raise ParameterError(
            "SecondOrder.variant is 'curvature', which is made of the log-variance of latent units, and "
            f"{network.name} gives {what}.\n  Give latent_of(network) of an autoencoder, or choose hvp_ones or diag."
        )
    return network.with_(module=_Posterior(cast("nn.Module", module.coder), module.of, module.seed))


def _weighted(logvar: Tensor, terms: dict[int, float]) -> Tensor:
    """ℓ of the target's units, with |w|σ in the place of σ: ∂ℓ is the same."""
    used = {i: abs(w) for i, w in terms.items() if w}
    scale = logvar.new_tensor(list(used.values())).log() * 2
    return logvar[:, list(used)] + scale


def _by_squared_weights(s: Tensor, y: Tensor, a: Tensor, readers: list[DenseReader]) -> Tensor | None:
    """The exact diagonal (W∘W)ᵀ(φ″∘u) where one function of single numbers lies behind a dense layer that reads A.

    For scores s that are linear in the output y.
    """
    if len(readers) != 1 or readers[0].slope is not None:
        return None
    h = readers[0].head.output
    kinds = chain(y, h)
    if kinds is None:
        return None
    # From h on: functions of single numbers, and then what is linear.
    onwards = kinds[::-1]
    first = next((i for i, kind in enumerate(onwards) if kind not in (*ARRANGING, *POINTWISE)), len(onwards))
    if not set(onwards[first:]) <= {*SELECTING, *MIXING}:
        return None
    bend = hvp_ones(s, [h])[0]
    return (bend @ readers[0].head.weight.square().to(bend.dtype)).reshape(a.shape)


def _warn_of_flatness(network: Network, layer: str) -> None:
    units = isinstance(network.module, Encoder)
    choose = "variant='curvature', which takes first derivatives" if units else "probabilities, which bend"
    message = (
        f"the score of {network.name} is piecewise linear in what {layer!r} gives (nothing but ReLU, max pooling and "
        "linear layers lies behind it): its second derivatives are zero wherever they exist. A map of zeros is right, "
        "and says nothing of the image.\n  Choose a layer with smooth activations (SiLU, softplus) behind it, in a "
        f"network that has them, or {choose}."
    )
    warnings.warn(NoCurvatureWarning(message, layer=layer), stacklevel=3)


def _warn_of_noise(layer: str) -> None:
    message = (
        "second derivatives of a sampled latent unit hold a term ¼ σ ε g gᵀ, whose sign is that of the drawn noise ε; "
        "of ReLU encoders it is all there is: another seed turns the map round, and its mean over draws is zero. "
        "Explain μ, or choose variant='curvature', which is the size of that term."
    )
    warnings.warn(SamplingNoiseWarning(message, layer=layer), stacklevel=3)
