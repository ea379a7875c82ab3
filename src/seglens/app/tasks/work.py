"""What tasks share in a worker: open networks, pictures, masks, and whether somebody wants it to end."""

import warnings
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seglens.app.faults import without_options
from seglens.app.pictures import opened
from seglens.app.store import Store
from seglens.core.errors import ImageError, NetworkError, SeglensWarning
from seglens.core.images import Source
from seglens.core.network import Network
from seglens.run.latent.attention import units_of
from seglens.run.latent.coding import Coding
from seglens.run.latent.fitting import own_condition
from seglens.run.questions import make_case
from seglens.run.redescribe import open_described
from seglens.run.shipped import shipped_picture

NETWORKS = 3
"""Networks that a worker holds; the longest unused goes."""

PIXELS = 2**26


class Cancelled(BaseException):
    """Raised by the progress listener; no handler of errors is to stop it."""


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A picture as `explain` takes it. attributes: what is known of it besides. text: how Python names it."""

    image: Source
    truth: Source | None
    attributes: dict[str, float]
    name: str
    id: str


class Work:
    """A worker's memory, and the store that it writes to."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._networks: OrderedDict[str, tuple[Network, tuple[str, ...]]] = OrderedDict()

    def network(self, spec: Mapping[str, Any]) -> Network:
        """The network of a spec, opened where it is not held yet."""
        return self._opened(spec)[0]

    def notes(self, spec: Mapping[str, Any]) -> tuple[str, ...]:
        """What was warned of when it was opened."""
        return self._opened(spec)[1]

    def _opened(self, spec: Mapping[str, Any]) -> tuple[Network, tuple[str, ...]]:
        id = spec["id"]
        if id not in self._networks:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                with without_options():
                    network = open_described(spec["load"], spec["description"])
            said = tuple(dict.fromkeys(str(w.message) for w in caught if isinstance(w.message, SeglensWarning)))
            self._networks[id] = network, said
        self._networks.move_to_end(id)
        while len(self._networks) > NETWORKS:
            self._networks.popitem(last=False)
        return self._networks[id]

    def forget(self) -> None:
        """Drop the networks, when memory ran out."""
        self._networks.clear()

    def picture(self, spec: Mapping[str, Any]) -> Given:
        """The picture of a spec."""
        if "index" in spec:
            made = shipped_picture(spec["set"], spec["index"])
            return Given(made.image, made.truth, made.attributes, spec["name"], spec["id"])
        path = Path(spec["path"])
        # Looked at first: the page's bound on pixels is lower than Pillow's, and its formats are fewer.
        with opened(path, path.name, PIXELS):
            pass
        truth = None if spec["truth"] is None else Path(spec["truth"])
        return Given(path, truth, {}, spec["name"], spec["id"])

    def mask(self, path: str) -> NDArray[np.bool_]:
        """A mask that was drawn. Raises ImageError."""
        try:
            return cast("NDArray[np.bool_]", np.load(path, allow_pickle=False))
        except (OSError, ValueError) as broken:
            raise ImageError(f"a drawn mask cannot be read any more: {broken}\n  Draw it again.") from broken


def ready(network: Network, given: Given | None = None) -> Network:
    """The network of units with a condition, where it takes one: the picture's own; 0 without a picture."""
    coding = None if network.link != "none" or network.extra else coding_of(network)
    condition = None if coding is None else condition_for(coding, given)
    return network if condition is None else units_of(network, condition=condition)


def condition_for(
    coding: Coding, given: Given | None, asked: Mapping[str, float] | None = None
) -> dict[str, float] | None:
    """An autoencoder's condition: values asked for, else known of the picture, else read off it, else 0.

    None where it has none.
    """
    names = coding.coder.conditions
    if not names:
        return dict(asked) if asked else None
    coding.check_names(asked or {})
    attributes = {} if given is None else given.attributes
    known = {n: v for n, v in {**attributes, **(asked or {})}.items() if n in names}
    if len(known) < len(names) and given is not None and coding.is_image:
        found, _ = own_condition(coding, make_case(coding.network, given.image).x, known)
        if found is not None:
            return dict(zip(names, found[0].tolist(), strict=True))
    return {name: float(known.get(name, 0.0)) for name in names}


def coding_of(network: Network) -> Coding | None:
    """The autoencoder behind a network, None where there is none."""
    try:
        return Coding.of(network)
    except NetworkError:
        return None


def coloured(labels: NDArray[np.integer], colours: list[tuple[int, int, int]]) -> NDArray[np.uint8]:
    """Labels [… H W] as RGB [… H W 3]."""
    return np.array(colours, np.uint8)[labels]


def written(image: Image.Image, path: Path) -> None:
    """A PNG, whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(part, "PNG", compress_level=1)
    part.replace(path)
