"""From what a person gives (paths, arrays, names) to what a method takes: input, targets, geometry."""

import os
import warnings
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seglens.core.batches import rows_at_once
from seglens.core.capture import capture
from seglens.core.classes import ClassTable
from seglens.core.errors import DegenerateImageWarning, MissingExtraError, ParameterError, SeglensWarning
from seglens.core.frame import Frame
from seglens.core.images import Picture, Source, expand_paths
from seglens.core.labels import read_labels
from seglens.core.method import METHODS, Method
from seglens.core.network import Network, upsampled
from seglens.core.parameters import parameters
from seglens.core.targets import Channel, Target, Targets
from seglens.networks import load

Asked = Target | Channel | str | int | Iterable[Target | Channel | str | int] | None


NetworkSource = object
"""A file, a folder, a name, a module or another library's object in memory, or a network that is loaded already."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One image, ready for the network: picture, input [1 C *grid], geometry, the truth on the grid and as given, and
    what was warned of on the way."""

    picture: Picture
    x: Tensor
    frame: Frame
    truth: Tensor | None = None
    instances: Tensor | None = None
    labels: Tensor | None = None
    notes: tuple[str, ...] = ()


def open_network(source: NetworkSource, device: str | torch.device | None = None) -> Network:
    """A network from whatever `seglens.load` takes; one that is loaded already is taken as it is."""
    if isinstance(source, Network) and device is None:
        return source
    return load(source, device=device)


def method_of(method: str | Method) -> Method:
    """A method, made with its default parameters where given by name. Raises NameNotFoundError."""
    return METHODS[method]() if isinstance(method, str) else method


def name_of_method(method: Method) -> str:
    """Its registry name; the class name for a method that is not registered."""
    return METHODS.name_of(type(method)) or type(method).__name__


def at_layer(method: Method, layer: str) -> Method:
    """The same method reading another layer. Raises ParameterError for a method that reads none."""
    if all(p.name != "layer" for p in parameters(type(method))):
        raise ParameterError(
            f"{name_of_method(method)} reads no layer, so none can be chosen for it.\n"
            "  Methods that do: " + ", ".join(n for n in METHODS if _reads_layer(n)) + "."
        )
    return replace(method, layer=layer)  # pyright: ignore[reportCallIssue]


def make_case(
    network: Network,
    image: Source,
    *,
    truth: Source | None = None,
    instances: Source | None = None,
    ignore: int | None = 255,
) -> Case:
    """Read one image, with its true labels and instance ids where given, and prepare it for the network.

    Raises ImageError and ShapeError for what cannot be read or does not fit.
    """
    with noted() as notes:
        picture = network.read(image)
        x, frame = network.convention.prepare(picture.pixels)
        if min(frame.resized) < network.convention.divisor:
            warnings.warn(
                f"{picture.name} is {times(frame.resized)}, less than the network's stride of "
                f"{network.convention.divisor}: padded to {times(frame.grid)}, most of what it sees is padding.",
                DegenerateImageWarning,
                stacklevel=3,
            )
        labels = gridded = ids = None
        if truth is not None:
            labels = read_labels(truth, network.classes, ignore)
            gridded = frame.to_grid(labels, 0 if ignore is None else ignore)
        if instances is not None:
            ids = frame.to_grid(read_labels(instances, None, None), 0)
    return Case(picture, x, frame, gridded, ids, labels, (*picture.notes, *map(str, notes)))


@contextmanager
def noted() -> Generator[list[SeglensWarning]]:
    """Note the warnings of seglens, each once, and pass all warnings on at the end."""
    notes: list[SeglensWarning] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield notes
    for w in caught:
        if isinstance(w.message, SeglensWarning) and str(w.message) not in map(str, notes):
            notes.append(w.message)
    for w in caught:
        warnings.warn_explicit(w.message, w.category, w.filename, w.lineno)


def targets_for(asked: Asked, cases: list[Case], network: Network, ignore: int | None) -> Targets:
    """The targets of a batch of cases; None asks for the class that covers most of the first image."""
    chosen = Targets.of(most_frequent(network, cases[0]) if asked is None else asked)
    truths = [c.truth for c in cases]
    ids = [c.instances for c in cases]
    return replace(
        chosen,
        truth=torch.stack([t for t in truths if t is not None]) if None not in truths else None,
        instances=torch.stack([t for t in ids if t is not None]) if None not in ids else None,
        frames=tuple(c.frame for c in cases),
        ignore=ignore,
    )


def most_frequent(network: Network, case: Case) -> str | int:
    """The class predicted for most pixels, or the classifier's first; unit 0 of an encoder. Costs one pass."""
    y = forward(network, case.x)
    if network.link_for(y) == "none":
        return 0
    table = network.class_table(y)
    if y.ndim == 2:
        return table.names[int(network.scores(y, "logits")[0].argmax())]
    y = upsampled(network, y, tuple(case.x.shape[2:]))
    inside = case.frame.valid(y.device)
    areas = [int((network.members(y, c)[0] & inside).sum()) for c in range(len(table))]
    return table.names[max(range(len(areas)), key=areas.__getitem__)]


def forward(network: Network, x: Tensor) -> Tensor:
    """Raw output without gradients, the network left as it was. Raises NonFiniteError."""
    with capture(network), torch.no_grad():
        y = network(x)
    network.check_finite(y)
    return y


def classed_output(network: Network, case: Case) -> Tensor:
    """Raw output for the picture. Raises ParameterError where its units are no classes."""
    y = forward(network, case.x)
    if network.link_for(y) == "none":
        raise ParameterError(f"the units of {network.name} are no classes, so there is no answer to be held against.")
    return y


def images_at_once(network: Network, case: Case) -> int:
    """How many images of this size go through the network together."""
    return rows_at_once(case.x.to(network.device), min(16, network.batch or 16))


def read_many(given: object) -> list[Source] | None:
    """The images behind a folder, a glob or a list; None where `given` is one image."""
    if isinstance(given, list | tuple):
        many: list[Source] = []
        for one in given:
            many += read_many(one) or [one]
        return many
    if isinstance(given, str | os.PathLike):
        text = os.fspath(given)
        if os.path.isdir(text) or (any(c in text for c in "*?[") and not os.path.exists(text)):
            return list(expand_paths(text))
    return None


def table_of(network: Network, y: Tensor) -> ClassTable | None:
    """The class table, None for units that are no classes."""
    return None if network.link_for(y) == "none" else network.class_table(y)


def times(size: tuple[int, ...]) -> str:
    """A size in words, such as '96 × 192'."""
    return " × ".join(map(str, size))


def _reads_layer(name: str) -> bool:
    try:
        return any(p.name == "layer" for p in parameters(METHODS[name]))
    except (ImportError, MissingExtraError):
        return False
