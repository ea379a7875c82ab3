"""What ships, for shells to offer before anybody has brought anything: networks, pictures, colours."""

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seglens.core.errors import NameNotFoundError, suggest
from seglens.datasets.samples import SampleSet, open_dataset
from seglens.networks import BUILTIN
from seglens.networks.description import read_description
from seglens.viz.colours import table

SETS: dict[str, tuple[int, tuple[int, int]]] = {"streets": (64, (192, 384)), "faces": (64, (64, 64))}
"""Built-in sets of pictures by name: how many are offered, and their size (height, width). Of the split 'test'."""


@dataclass(frozen=True, slots=True)
class ShippedNetwork:
    """A built-in network. task: 'segment', 'classify' or 'encode'. summary: what it is, and what it has seen."""

    name: str
    task: str
    summary: str


@dataclass(frozen=True, slots=True, eq=False)
class ShippedPicture:
    """image: RGB, with a file name, as `explain` takes it. truth: labels uint8 [H W]. attributes: by name, or none."""

    image: Image.Image
    truth: NDArray[np.uint8] | None
    attributes: dict[str, float]


@lru_cache(maxsize=1)
def shipped_networks() -> tuple[ShippedNetwork, ...]:
    """All built-in networks, in the order of `BUILTIN`."""
    found: list[ShippedNetwork] = []
    weights = files("seglens.networks") / "weights"
    for name in BUILTIN:
        card = (weights / f"{name}.md").read_text(encoding="utf-8")
        described = read_description(weights / f"{name}.toml")  # pyright: ignore[reportArgumentType]
        found.append(ShippedNetwork(name, described.task or "segment", _summary(card)))
    return tuple(found)


def _summary(card: str) -> str:
    """Of a network's card the sentence on what it is, and the world that it was trained in, where the card tells."""
    body = " ".join(card.partition("\n")[2].strip().partition("\n\n")[0].split())
    world = re.search(r"^- World: (.+(?:\n  .+)*)", card, re.MULTILINE)
    seen = " ".join(world[1].split()) if world else ""
    return f"{body.partition(' Input:')[0]} {seen[:1].upper()}{seen[1:]}".strip()


def shipped_set(name: str) -> SampleSet:
    """A built-in set, as `seglens.open_dataset` gives it. Raises NameNotFoundError."""
    if name not in SETS:
        raise NameNotFoundError(f"no built-in set {name!r}.{suggest(name, SETS)}\n  All of them: {', '.join(SETS)}.")
    length, size = SETS[name]
    return open_dataset(name, "test", size=size, length=length)


def set_of(network: str) -> str | None:
    """The built-in set that a built-in network was made with, which its name begins with; None for another network."""
    name = network.partition("-")[0]
    return name if network in BUILTIN and name in SETS else None


def shipped_picture(name: str, index: int) -> ShippedPicture:
    """The picture of that number in a built-in set. Raises NameNotFoundError, also for a number that is not there."""
    found = shipped_set(name)
    if not 0 <= index < len(found):
        raise NameNotFoundError(f"no picture {index} in {name}: there are {len(found)}, numbered from 0.")
    sample = found[index]
    image = Image.fromarray(sample.image)
    # Named, so that explanations say which picture it was.
    image.filename = f"{name}-{index}.png"  # pyright: ignore[reportAttributeAccessIssue]
    attributes = (
        {} if sample.attributes is None else dict(zip(found.attributes, sample.attributes.tolist(), strict=True))
    )
    return ShippedPicture(image, sample.labels, attributes)


def colour_tables() -> dict[str, list[list[int]]]:
    """The 256 colours of the maps that figures use, 8-bit RGB, by kind: 'sequential' and 'diverging'."""
    kinds = ("sequential", "diverging")
    return {kind: np.rint(table(kind) * 255).astype(int).tolist() for kind in kinds}
