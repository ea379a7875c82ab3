"""Attention of latent units along a way: on the pictures decoded, or on the image that the way starts from."""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seglens.core.batches import in_batches
from seglens.core.errors import ParameterError, SeglensWarning, ZeroMapWarning
from seglens.core.method import Method
from seglens.core.network import Network
from seglens.core.targets import Channel, Target, Targets
from seglens.generative.coder import conditioned, latent_of
from seglens.networks.layers import default_layer_of
from seglens.run.latent.coding import AT_ONCE, Coding
from seglens.run.latent.decodings import Attention, Explained
from seglens.run.questions import method_of, name_of_method

AtStep = str | Method | None
"""A method that explains a unit, by name or with parameters; None for no attention."""


def settled_on(coding: Coding, on: Explained | None) -> Explained:
    """Which picture is explained; None chooses. Raises ParameterError where decoded pictures cannot be encoded."""
    if on is None:
        return "decoded" if coding.is_image else "input"
    if on == "decoded" and not coding.is_image:
        raise ParameterError(
            f"{coding.network.name} decodes to masks, which it cannot encode again, so there is no attention on them.\n"
            "  Take attention on the input: on='input'."
        )
    if on not in ("decoded", "input"):
        raise ParameterError(f"attention is on the 'decoded' picture or on the 'input', not {on!r}.")
    return on


def attention_of_steps(
    coding: Coding,
    method: str | Method,
    directions: Sequence[Mapping[int, float]],
    pictures: Tensor,
    x: Tensor,
    condition: Tensor | None,
    on: Explained,
) -> Attention:
    """Maps of R directions at C steps: pictures [R C K H W] as decoded, x [1 C H W] the image as the network takes it.

    A direction of several units is explained as that combination of them.
    """
    chosen = method_of(method)
    rows, columns = pictures.shape[:2]
    targets = [target_of(direction) for direction in directions]
    maps: list[NDArray[np.float32]] = []
    scores: list[NDArray[np.float32]] = []
    layer: str | None = None
    if on == "input":
        values, score, layer = explained(coding, chosen, x, targets, condition)
        maps = [np.repeat(values[0, r][None], columns, 0) for r in range(rows)]
        scores = [np.repeat(score[0, r], columns) for r in range(rows)]
    else:
        for r in range(rows):
            seen = coding.network.convention.normalise(pictures[r])
            values, score, layer = explained(coding, chosen, seen, [targets[r]], condition)
            maps.append(values[:, 0])
            scores.append(score[:, 0])
    return Attention(np.stack(maps), np.stack(scores), on, name_of_method(chosen), layer)


def explained(
    coding: Coding, method: Method, x: Tensor, targets: Sequence[Target], condition: Tensor | None
) -> tuple[NDArray[np.float32], NDArray[np.float32], str | None]:
    """Maps [B T H W], scores [B T] and the layer read, for inputs x [B C H W]; a map of zeros is no warning here.

    condition: [1 c] for all, or [B c].
    """
    network = latent_of(coding.network)
    layer: str | None = None

    def some(start: int, stop: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        nonlocal network, layer
        given = _with_condition(network, condition, start, stop)
        if given.default_layer is None and getattr(method, "layer", "") is None:
            found = default_layer_of(given, x[start:stop])
            network, given = replace(network, default_layer=found), replace(given, default_layer=found)
        with quiet_about(ZeroMapWarning):
            maps = method(given, x[start:stop], Targets.of(list(targets)))
        layer = maps.layer
        return maps.values.cpu().numpy(), maps.score.cpu().numpy()

    parts = list(in_batches(len(x), min(AT_ONCE // 4, coding.network.batch or AT_ONCE), some, "attention"))
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), layer


def target_of(direction: Mapping[int, float]) -> Target:
    """A unit, or a combination of units, as what is explained."""
    if len(direction) == 1 and next(iter(direction.values())) == 1:
        return Target(next(iter(direction)))
    return Target(Channel(tuple((unit, float(weight)) for unit, weight in direction.items())))


def _with_condition(network: Network, condition: Tensor | None, start: int, stop: int) -> Network:
    if condition is None:
        return network
    part = condition if len(condition) == 1 else condition[start:stop]
    return conditioned(network, part.expand(stop - start, -1))


@contextmanager
def quiet_about(kind: type[SeglensWarning]):
    """A step at which nothing speaks for the unit is a dark picture among others, not a fault to be told of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kind)
        yield
