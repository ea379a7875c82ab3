"""What a network reveals by itself, found by looking at it and by running it on noise."""

import warnings
from collections.abc import Iterable
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from seglens.core.capture import capture
from seglens.core.errors import GuessWarning, NetworkError
from seglens.core.network import Network
from seglens.networks.description import Description, Task
from seglens.networks.module import first_channels, first_convolution

DIVISORS = (1, 2, 4, 8, 16, 32, 64)
"""Divisors of the sides that are tried."""

_SIDES = (128, 256, 224, 512, 384, 64, 32, 1024)
"""Sides tried, in this order, where nobody gave an example; all but 224 and 384 are multiples of any divisor."""


def describe(network: Network, example: Tensor | None = None) -> Description:
    """A description of a network from its structure and from a few forward passes on noise.

    example: an input [B C *space] that it takes, for networks that take only certain sizes. Found:
    input channels (first convolution), channels of the output, the divisor of the sides (a side of
    128 + d is tried for d = 1, 2, 4, …), or the only size that it takes. Guessed, each with a
    GuessWarning that names the guess and how to state another: what the output is, whether it holds
    logits or probabilities, softmax or sigmoid, class names, mean and std, and the order of
    colours.
    Raises NetworkError where it runs on no input that was tried.
    """
    guesses: list[str] = []
    with capture(network, ()), torch.no_grad():
        x, sides_free = _working_input(network, example)
        y = _output(network, x)
        outputs = [y, *(network(v).float() for v in (torch.zeros_like(x), 1 - x, 3 * x - 1))]
        channels = x.shape[1]
        found: dict[str, Any] = {"channels": channels}
        if sides_free:
            found["divisor"] = _divisor(network, x)
        if network.convention.size is not None:
            found |= {"size": list(network.convention.size), "fit": network.convention.fit}
        elif not sides_free and x.ndim > 2:
            found["size"] = list(x.shape[2:])
            _guess(
                guesses,
                f"{network.name} takes images of {_times(x.shape[2:])} only",
                "size = [height, width] under [input]",
            )
    convention = network.convention
    for key in ("order", "range", "mean", "std", "per_image"):
        value: Any = getattr(convention, key)
        found[key] = list(value) if isinstance(value, tuple) else value
    if convention.mean == (0.0,) and convention.std == (1.0,) and not convention.per_image:
        lo, hi = convention.range
        _guess(
            guesses,
            f"the input of {network.name} is {convention.order} in {lo:g} to {hi:g}, mean 0, std 1",
            "order, range, mean and std under [input], as in its training",
        )
    task = _task(network, y, guesses)
    emits, link = ("logits", "none") if task == "encode" else _scores(network, outputs, guesses)
    classes = None
    if task != "encode":
        classes = network.class_table(y)
        if network.classes is None:
            _guess(
                guesses,
                f"the {len(classes)} classes are called {classes.names[0]!r}, …",
                "classes = [names]",
            )
    for guess in guesses:
        warnings.warn(guess, GuessWarning, stacklevel=2)
    return Description(
        name=network.name,
        task=task,
        classes=classes,
        emits=emits,
        link=link,
        output=network.output,
        default_layer=network.default_layer,
        input=found,
    )


def _guess(guesses: list[str], what: str, how: str) -> None:
    guesses.append(f"guessed: {what}. State it with {how}.")


def _working_input(network: Network, example: Tensor | None) -> tuple[Tensor, bool]:
    """An input that the network takes, and whether others near its size do too."""
    if example is not None:
        _output(network, example)
        x = example[:1]
        return x, x.ndim > 2 and _runs(network, _enlarged(x, 64))
    layer = first_convolution(network.module)
    dims = cast(nn.Conv2d, layer).weight.ndim - 2 if layer is not None else 2
    channels = first_channels(network.module) or network.convention.channels or 3
    stated = network.convention.size
    failure: Exception | None = None
    for sides in [stated] if stated else [(s,) * dims for s in (_SIDES if dims == 2 else (64, 32))]:
        x = _noise((1, channels, *sides), network)
        try:
            _output(network, x)
        except Exception as failed:  # noqa: BLE001 - a network may fail on a wrong size in any way
            failure = failure or failed
        else:
            return x, _runs(network, _enlarged(x, 64))
    raise NetworkError(
        f"{network.name} ran on none of the inputs tried ({channels} channel(s), sides {_SIDES[0]} "
        "and others).\n"
        f"  Give an example input that it takes. The first failure: {failure}"
    )


def _divisor(network: Network, x: Tensor) -> int:
    """The least of DIVISORS such that sides of a multiple of 64, plus it, run."""
    base = torch.zeros((1, x.shape[1], *(max(64, -(-n // 64) * 64) for n in x.shape[2:])))
    return next((d for d in DIVISORS if _runs(network, _enlarged(base, d))), DIVISORS[-1])


def _enlarged(x: Tensor, by: int) -> Tensor:
    return torch.zeros((1, x.shape[1], *(n + by for n in x.shape[2:])))


def _noise(shape: tuple[int, ...], network: Network) -> Tensor:
    pixels = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    lo, hi = network.convention.range
    return pixels * (hi - lo) + lo


def _runs(network: Network, x: Tensor) -> bool:
    try:
        _output(network, x)
    except Exception:  # noqa: BLE001 - a network may fail on a wrong size in any way
        return False
    return True


def _output(network: Network, x: Tensor) -> Tensor:
    y = network(x)
    network.check_finite(y)
    return y.float()


def _task(network: Network, y: Tensor, guesses: list[str]) -> Task:
    if network.link == "none":
        return "encode"
    if y.ndim > 2:
        return "segment"
    _guess(
        guesses,
        f"the {y.shape[1]} outputs of {network.name} are scores of classes, not a code",
        "task = 'classify' (or 'encode')",
    )
    return "classify"


def _scores(
    network: Network, outputs: Iterable[Tensor], guesses: list[str]
) -> tuple[Literal["logits", "probabilities"], Literal["softmax", "sigmoid"]]:
    """Whether the outputs are probabilities, and whether those of one place sum to 1."""
    values = list(outputs)
    within = all(float(y.min()) >= 0 and float(y.max()) <= 1 for y in values)
    one = values[0].shape[1] == 1
    if within and not one and all(bool(((y.sum(1) - 1).abs() < 1e-3).all()) for y in values):
        # Sums of 1 for every input are no accident: this is found, not guessed.
        return "probabilities", "softmax"
    emits = "probabilities" if within else "logits"
    link = network.link
    if link not in ("softmax", "sigmoid"):
        link = "sigmoid" if one or within else "softmax"
    if network.link is None or emits != network.emits:
        labels = "one class a place" if link == "softmax" else "independent labels"
        _guess(guesses, f"{network.name} gives {emits} of {labels} ({link})", "emits and link")
    return emits, link


def _times(sides: Iterable[int]) -> str:
    return " × ".join(str(n) for n in sides)
