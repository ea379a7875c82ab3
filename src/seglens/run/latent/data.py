"""Pictures of a data set, of a folder or of a list, as an autoencoder takes them, with what is known of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seglens.core.errors import ParameterError, suggest
from seglens.core.images import Source
from seglens.core.progress import tell
from seglens.datasets.samples import DATASETS, Sample, SampleSet, Split, open_dataset
from seglens.metrics.factors import SYMMETRY
from seglens.run.latent.coding import Coding
from seglens.run.questions import make_case, read_many
from seglens.run.sets import names_set

DataSource = str | Path | SampleSet | Sequence[Source]
"""A data set by name ('sprites', 'faces', NAME:PATH), one that is open, a folder or a glob of pictures, or a list."""


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """N pictures. x: float32 [N C H W], the network's input, on the CPU. condition: [N c], each picture's own, where
    the network takes one. factors: [N F] with their names; none for pictures without. symmetry: turns of the shapes
    that the factor 'shape' numbers, None where unknown; see `metrics.factors`. said: what they are, in words.
    """

    x: Tensor
    condition: Tensor | None
    names: tuple[str, ...]
    factors: NDArray[np.float32] | None
    symmetry: tuple[int, ...] | None
    said: str

    def __len__(self) -> int:
        return len(self.x)


def gather(
    coding: Coding,
    data: DataSource,
    n: int,
    *,
    split: Split = "test",
    seed: int = 0,
    condition: Mapping[str, float] | None = None,
) -> Gathered:
    """At most `n` pictures: of an open set so many drawn by `seed`, none twice; of a named one its first of the split.

    condition: of all pictures, for sets without the attributes that the network is conditioned on. Raises
    ParameterError for no picture, and for attributes that the set lacks.
    """
    if n < 1:
        raise ParameterError(f"n = {n}: at least one picture.")
    if isinstance(data, str) and _names_set(data):
        size = coding.network.convention.size
        flat = (size[0], size[1]) if size is not None and len(size) == 2 else None
        opened = open_dataset(data, split, size=flat, length=n, seed=seed)
        return _samples(coding, opened, n, seed, condition, f"{data}, {split}")
    if isinstance(data, str | Path) or not _is_set(data):
        found = read_many(data)
        images = [data] if found is None else found
        return _images(coding, cast("Sequence[Source]", images)[:n], condition)
    return _samples(coding, cast("SampleSet", data), n, seed, condition, type(data).__name__)


def _names_set(text: str) -> bool:
    if names_set(text):
        return True
    name = text.partition(":")[0]
    if not Path(text).exists() and not any(c in text for c in "*?["):
        raise ParameterError(
            f"no data set, folder or picture {text!r}.{suggest(name, DATASETS)}\n"
            f"  Data sets: {', '.join(DATASETS)}; those on disk as NAME:PATH."
        )
    return False


def _is_set(data: object) -> bool:
    return all(hasattr(data, name) for name in ("factors", "attributes", "__getitem__", "__len__"))


def _samples(
    coding: Coding, data: SampleSet, n: int, seed: int, condition: Mapping[str, float] | None, said: str
) -> Gathered:
    total = len(data)
    if not total:
        raise ParameterError(f"{said}: no pictures.")
    order = np.arange(total)
    if total > n:
        order = np.sort(np.random.default_rng(seed).permutation(total)[:n])
    inputs: list[Tensor] = []
    attributes: list[NDArray[np.float32]] = []
    factors: list[NDArray[np.float32]] = []
    for done, index in enumerate(order.tolist()):
        tell("pictures", done, len(order))
        sample = data[index]
        inputs.append(_input(coding, sample))
        if sample.attributes is not None:
            attributes.append(sample.attributes)
        if sample.factors is not None:
            factors.append(sample.factors)
    x = torch.cat(inputs)
    table = np.stack(attributes) if len(attributes) == len(x) else None
    given = _conditions(coding, table, tuple(data.attributes), condition, len(x))
    known = np.stack(factors) if factors and len(factors) == len(x) else None
    names = tuple(data.factors) if known is not None else ()
    return Gathered(x, given, names, known, _symmetry(data, names), f"{len(x)} of {said}")


def _input(coding: Coding, sample: Sample) -> Tensor:
    pixels = torch.from_numpy(np.ascontiguousarray(sample.image)).permute(2, 0, 1).float() / 255
    return coding.network.convention.prepare(pixels)[0]


def _images(coding: Coding, images: Sequence[Source], condition: Mapping[str, float] | None) -> Gathered:
    if not images:
        raise ParameterError("no picture given.")
    cases = [make_case(coding.network, image) for image in images]
    if len({c.x.shape for c in cases}) > 1:
        raise ParameterError(
            "the pictures have different sizes, and the network states none of its own.\n"
            "  State it in its description: size = [H, W] under [input]."
        )
    x = torch.cat([c.x for c in cases])
    given = _conditions(coding, None, (), condition, len(x))
    return Gathered(x, given, (), None, None, f"{len(x)} picture{'s' * (len(x) != 1)}")


def _conditions(
    coding: Coding,
    table: NDArray[np.float32] | None,
    names: tuple[str, ...],
    condition: Mapping[str, float] | None,
    n: int,
) -> Tensor | None:
    wanted = coding.coder.conditions
    if not wanted:
        return coding.condition(condition, n)
    if condition is not None or table is None:
        return coding.condition(condition, n)
    absent = [name for name in wanted if name not in names]
    if absent:
        raise ParameterError(
            f"{coding.network.name} is conditioned on {', '.join(absent)}, which these pictures do not tell.\n"
            f"  They tell: {', '.join(names) or 'nothing'}. Or give one condition for all of them."
        )
    return coding.condition(table[:, [names.index(name) for name in wanted]], n)


def _symmetry(data: SampleSet, names: Sequence[str]) -> tuple[int, ...] | None:
    """Turns of the shapes, where the factor 'shape' numbers attributes, or classes behind a background, that are known
    by name."""
    if "shape" not in names:
        return None
    table = getattr(data, "classes", None)
    behind: tuple[Any, ...] = () if table is None else tuple(table.names[1:])
    for shapes in (tuple(data.attributes), behind):
        if shapes and all(shape in SYMMETRY for shape in shapes):
            return tuple(SYMMETRY[shape] for shape in shapes)
    return None
