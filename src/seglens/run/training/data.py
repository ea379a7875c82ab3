"""Samples to batches: pictures made by rule are made once and kept, those on disk are read as they are needed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from seglens.core.classes import ClassTable
from seglens.core.errors import ParameterError, suggest
from seglens.core.progress import tell
from seglens.datasets.samples import Sample, SampleSet, Split, open_dataset
from seglens.generative.losses import IGNORE as IGNORED
from seglens.generative.objective import IMAGE_LOSSES, MASK_LOSSES
from seglens.run.training.recipe import MASKED, DataRecipe, Recipe
from seglens.run.training.seeds import generator

KEPT = 2**30
"""Bytes: a split that takes no more is kept in memory as it was read or made, 8 bits a value."""

_COUNTED = 200


class Batch(NamedTuple):
    """Pictures of one step.

    image: uint8 [B C H W]. labels: uint8 [B H W], 255 where unknown. condition: float32 [B c]. What the set or the kind
    of network does not have is empty: [B 0].
    """

    image: Tensor
    labels: Tensor
    condition: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """What is trained on, what is looked at meanwhile, and what the figures at the end are of."""

    train: SampleSet
    validation: SampleSet
    test: SampleSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a set tells a network: channels and size (height, width) of its pictures, the table of its classes, names of
    the conditions, whether it is made by rule."""

    channels: int
    size: tuple[int, int]
    classes: ClassTable | None
    conditions: tuple[str, ...]
    built_in: bool


def open_splits(recipe: DataRecipe) -> Splits:
    """The three splits of the set that the recipe names. Raises what `open_dataset` raises."""

    def opened(split: Split, length: int | None) -> SampleSet:
        return open_dataset(recipe.name, split, size=recipe.size, length=length, seed=recipe.seed)

    return Splits(
        train=opened("train", recipe.train),
        validation=opened("val", recipe.validation),
        test=opened("test", recipe.test),
    )


def facts_of(splits: Splits, recipe: Recipe) -> Facts:
    """What the set tells, checked against what the kind of network needs.

    Raises ParameterError: no pictures, fewer than a batch; masks or attributes that are needed and not there; a loss
    that compares something else.
    """
    for name in ("train", "validation", "test"):
        if not len(getattr(splits, name)):
            raise ParameterError(f"{recipe.data.name} has no {name} pictures.")
    if len(splits.train) < recipe.batch:
        raise ParameterError(
            f"{recipe.data.name} has {len(splits.train)} training pictures, fewer than the {recipe.batch} of a batch.\n"
            "  Take more (data.train), or a smaller batch."
        )
    fitting = MASK_LOSSES if recipe.kind in MASKED else IMAGE_LOSSES
    for name in recipe.loss.reconstruction.split("+"):
        if name not in fitting:
            raise ParameterError(
                f"loss.reconstruction = {name!r} does not compare what a {recipe.kind} makes: "
                f"{'masks' if recipe.kind in MASKED else 'pictures'}.\n  Those that do: {', '.join(fitting)}."
            )
    own, first = splits.train, splits.train[0]
    if recipe.kind in MASKED and (first.labels is None or own.classes is None):
        raise ParameterError(
            f"a {recipe.kind} learns masks, and {recipe.data.name} has none.\n  Without masks: vae"
            + (", cvae." if own.attributes else ".")
        )
    conditions: tuple[str, ...] = ()
    if recipe.kind == "cvae":
        if not own.attributes:
            raise ParameterError(
                f"a cvae is given attributes, and {recipe.data.name} has none.\n  Without attributes: vae."
            )
        conditions = recipe.data.conditions or tuple(own.attributes)
        for name in conditions:
            if name not in own.attributes:
                raise ParameterError(
                    f"{recipe.data.name} has no attribute {name!r}.{suggest(name, own.attributes)}\n"
                    f"  All of them: {', '.join(own.attributes)}."
                )
    height, width, channels = first.image.shape
    return Facts(
        channels=channels,
        size=(height, width),
        classes=own.classes,
        conditions=conditions,
        built_in=own.built_in,
    )


class Pictures(Dataset[Batch]):
    """A split as batches. keep: whether all of it is made or read now, which is told as progress, and kept."""

    def __init__(self, own: SampleSet, facts: Facts, what: str, masks: bool, keep: bool | None = None) -> None:
        self._own, self._facts, self.masks = own, facts, masks
        self._chosen = [tuple(own.attributes).index(name) for name in facts.conditions]
        height, width = facts.size
        if keep is None:
            keep = len(own) * height * width * (facts.channels + masks) <= KEPT
        self._kept: Batch | None = None
        if keep:
            parts: list[Batch] = []
            for index in range(len(own)):
                parts.append(self._read([index]))
                tell(what, index + 1, len(own))
            self._kept = Batch(*(torch.cat(p) for p in zip(*parts, strict=True)))

    @property
    def kept(self) -> bool:
        """Whether all pictures are in memory."""
        return self._kept is not None

    def __len__(self) -> int:
        return len(self._own)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """The pictures of these places as one batch."""
        if self._kept is None:
            return self._read(indices)
        chosen = torch.as_tensor(indices)
        return Batch(*(part[chosen] for part in self._kept))

    def shares(self) -> Tensor:
        """Shares of the classes [K] among the known pixels of the first pictures, 200 at most."""
        labels = self.__getitems__(range(min(_COUNTED, len(self)))).labels
        known = labels[labels != IGNORED].long()
        k = len(self._facts.classes or ())
        return torch.bincount(known, minlength=k).double() / max(known.numel(), 1)

    def _read(self, indices: Sequence[int]) -> Batch:
        samples = [self._own[index] for index in indices]
        return Batch(
            torch.from_numpy(np.stack([self._image(s) for s in samples])),
            torch.from_numpy(np.stack([self._labels(s) for s in samples])),
            torch.from_numpy(np.stack([self._condition(s) for s in samples])),
        )

    def _image(self, sample: Sample) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
        wanted = (*self._facts.size, self._facts.channels)
        if sample.image.shape != wanted:
            raise ParameterError(
                f"{sample.name or 'a picture'} is {list(sample.image.shape)}, others of the set {list(wanted)}: "
                "all are to be of one size.\n  Give the size to which they are brought: data.size, or --size."
            )
        return np.ascontiguousarray(sample.image.transpose(2, 0, 1))

    def _labels(self, sample: Sample) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
        if not self.masks:
            return np.empty(0, np.uint8)
        if sample.labels is None:
            raise ParameterError(f"{sample.name or 'a picture'} has no labels, and others of its set do.")
        return np.ascontiguousarray(sample.labels)

    def _condition(self, sample: Sample) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
        if not self._chosen:
            return np.empty(0, np.float32)
        if sample.attributes is None:
            raise ParameterError(f"{sample.name or 'a picture'} has no attributes, and others of its set do.")
        return sample.attributes[self._chosen].astype(np.float32)


class Order(Sampler[list[int]]):
    """Which pictures each step shows: each epoch a permutation of its own, cut into whole batches.

    Steps `first` to `last` − 1 of a training, counted from 0 over all epochs: a pure function of the seed. Of several
    processes each takes every `world`-th picture of a batch from its `rank` on.
    """

    def __init__(self, n: int, batch: int, seed: int, first: int, last: int, rank: int = 0, world: int = 1) -> None:
        self.n, self.batch, self.seed = n, batch, seed
        self.first, self.last, self.rank, self.world = first, last, rank, world

    def __len__(self) -> int:
        return self.last - self.first

    def __iter__(self) -> Iterator[list[int]]:
        a_round = self.n // self.batch
        epoch, order = -1, torch.empty(0)
        for step in range(self.first, self.last):
            now, place = divmod(step, a_round)
            if now != epoch:
                epoch, order = now, torch.randperm(self.n, generator=generator(self.seed, "order", now))
            yield order[place * self.batch : (place + 1) * self.batch][self.rank :: self.world].tolist()


class InTurn(Sampler[list[int]]):
    """All pictures once, in their own order, in batches; of several processes each takes every `world`-th picture."""

    def __init__(self, n: int, batch: int, rank: int = 0, world: int = 1) -> None:
        own = range(rank, n, world)
        self._batches = [list(own[start : start + batch]) for start in range(0, len(own), batch)]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._batches)


def loader(pictures: Pictures, order: Sampler[list[int]], workers: int, pin: bool = False) -> DataLoader[Batch]:
    """Batches in that order; made by `workers` processes ahead of their use, by none where all is in memory."""
    return DataLoader(
        pictures,
        batch_sampler=order,
        collate_fn=_as_it_is,
        num_workers=0 if pictures.kept else workers,
        pin_memory=pin,
        # Without a generator of its own, a loader draws from the global one.
        generator=torch.Generator().manual_seed(0),
    )


def _as_it_is(batch: Any) -> Any:
    return batch
