"""The stages of the context-bias benchmark: train, look what is predicted, sweep fills, explain and measure."""

import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from seglens.core.cost import measured
from seglens.core.errors import MaskSearchWarning, SeglensError, SeglensWarning
from seglens.core.network import Network
from seglens.networks.digits_unet import DigitsUNet
from seglens.perturb import Fill
from seglens.run.bench.clock import Clock
from seglens.run.bench.fills import removed
from seglens.run.bench.measuring import Measures, found, measure
from seglens.run.bench.pictures import Scenes, Sources
from seglens.run.bench.plan import CHOICES, Part, Plan
from seglens.run.bench.roster import CELLS, Entry
from seglens.run.bench.store import Store, key_of
from seglens.run.bench.training import as_network, ious, train
from seglens.run.questions import forward

FORMAT = 1
"""Of the stored stages: raised when a stage of the same key would come out otherwise."""

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """One network, and the key that says what determined it. seconds: its training took. flops: of one pass over one
    picture."""

    part: Part
    network: Network
    key: str
    seconds: float
    flops: int


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a network predicts. own, unbiased: IoU of each class [11] on pictures like those that it was trained on, and
    on unbiased ones. scenes: the pictures to be explained. asked: [n], those whose digit is predicted anywhere."""

    own: NDArray[np.float64]
    unbiased: NDArray[np.float64]
    scenes: Scenes
    asked: NDArray[np.bool_]
    key: str


@dataclass(frozen=True, slots=True)
class Told:
    """One method on one network. seconds, passes: per picture; passes are forward passes of this network. dead: masks
    of which the method says that their search failed. failure: why there are no measures, in words."""

    measures: Measures | None
    seconds: float = float("nan")
    passes: float = float("nan")
    dead: int = 0
    failure: str = ""


@dataclass(slots=True, eq=False)
class Pipeline:
    """Carries out stages, or finds them done in the folder. done, reused: how many ran, and how many were there."""

    plan: Plan
    sources: Sources
    store: Store
    clock: Clock
    device: torch.device
    done: int = 0
    reused: int = 0

    def train(self, part: Part) -> Trained:
        """The network of a part, from the store, else trained and stored."""
        recipe = replace(self.plan.recipe, seed=part.stream("train"))
        data = self.sources.data(self.plan.training, recipe.seed, part.plant, "train")
        of = {"recipe": asdict(recipe), "data": self.sources.digest(data, "train")}
        key = key_of("train", FORMAT, of)
        self.clock.begin(part.short)
        kept, seconds = self._kept(part.name, key), None
        if kept is None:
            start = time.perf_counter()
            trained = train(recipe, data, device=str(self.device), quiet=False)
            seconds = time.perf_counter() - start
            self.store.keep_network(part.name, key, trained, {**self.facts, "seconds": seconds, "of": of})
            # As a later run will find it, so that both give the same to the last bit.
            kept = self._kept(part.name, key)
        if kept is None:
            raise SeglensError(f"{part.name} was trained, but cannot be read back from {self.store.folder}.")
        self._end(seconds)
        module, facts = kept
        network = as_network(module.to(self.device)).with_(name=part.name)
        return Trained(part, network, key, float(facts["seconds"]), _flops(network))

    def look(self, trained: Trained) -> Seen:
        """IoU with and without the bias, and which pictures can be explained."""
        part, plan = trained.part, self.plan
        chosen = part.pictures(plan.images)
        own = self.sources.data(max(plan.scored, chosen[-1] + 1), part.stream("test"), part.plant, "test")
        fair = self.sources.data(plan.scored, part.stream("test"), None, "test")
        digests = [self.sources.digest(data, "test") for data in (own, fair)]
        key = key_of("predictions", FORMAT, trained.key, digests, chosen)
        scenes = Scenes.of(own, chosen)

        def made() -> Arrays:
            return {
                "own": ious(trained.network, own),
                "unbiased": ious(trained.network, fair),
                "asked": found(trained.network, scenes),
            }

        arrays = self._arrays("predictions", part.name, key, f"IoU, {part.short}", made)
        return Seen(arrays["own"], arrays["unbiased"], scenes, arrays["asked"], key)

    def sweep(self, trained: Trained) -> dict[str, float]:
        """Mean P0 of each fill on a network for choosing: on pictures for choosing, of shapes for training."""
        part = trained.part
        chosen = part.pictures(self.plan.images)
        data = self.sources.data(chosen[-1] + 1, part.stream("test"), part.plant, "train")
        key = key_of("fills", FORMAT, trained.key, self.sources.digest(data, "train"), chosen, CHOICES)

        def made() -> Arrays:
            scenes = Scenes.of(data, chosen)
            asked = found(trained.network, scenes)
            return {"removed": np.array([removed(trained.network, scenes, asked, fill) for fill in CHOICES])}

        lost = self._arrays("fills", part.name, key, f"fills, {part.short}", made)["removed"]
        return dict(zip(CHOICES, lost.tolist(), strict=True))

    def explain(self, trained: Trained, seen: Seen, entry: Entry, fill: Fill) -> Told:
        """One method on one network; what the method raises becomes the failure, which is not stored."""
        name = f"{trained.part.name}.{entry.method}"
        key = key_of("maps", FORMAT, seen.key, entry.method, entry.settings(fill), entry.of, CELLS)
        self.clock.begin(f"{entry.name}, {trained.part.short}")
        kept = self.store.arrays("maps", name, key)
        if kept is not None:
            arrays, about = kept
            self._end(None)
            return Told(Measures(**arrays), _number(about["seconds"]), _number(about["passes"]), int(about["dead"]))
        start = time.perf_counter()
        try:
            with _counted() as dead, measured(self.device) as meter:
                measures = measure(trained.network, entry, seen.scenes, seen.asked, fill)
        except Exception as failed:  # noqa: BLE001 - the other methods and networks go on, whatever this one meets
            self._end(time.perf_counter() - start)
            return Told(None, failure=f"{type(failed).__name__}: {failed}")
        n = len(measures)
        seconds = meter.seconds / n if n else None
        passes = meter.flops / trained.flops / n if n and trained.flops else None
        facts = {**self.facts, "method": entry.name, "seconds": seconds, "passes": passes, "dead": len(dead)}
        arrays = {f.name: getattr(measures, f.name) for f in fields(measures)}
        self.store.keep_arrays("maps", name, key, arrays, facts)
        self._end(meter.seconds)
        return Told(measures, _number(seconds), _number(passes), len(dead))

    def _kept(self, name: str, key: str) -> tuple[nn.Module, dict[str, Any]] | None:
        recipe = self.plan.recipe
        return self.store.network(name, key, lambda: DigitsUNet(encoder=recipe.encoder, width=recipe.width))

    @property
    def facts(self) -> dict[str, str]:
        """What is written beside each stage without determining it."""
        return {"seglens": version("seglens"), "torch": torch.__version__, "device": str(self.device)}

    def _arrays(self, kind: str, name: str, key: str, what: str, make: Callable[[], Arrays]) -> Arrays:
        """Arrays from the store, else made and stored."""
        self.clock.begin(what)
        kept = self.store.arrays(kind, name, key)
        if kept is not None:
            self._end(None)
            return kept[0]
        start = time.perf_counter()
        arrays = make()
        self.store.keep_arrays(kind, name, key, arrays, self.facts)
        self._end(time.perf_counter() - start)
        return arrays

    def _end(self, seconds: float | None) -> None:
        """A stage ends that took so many seconds, or was there before."""
        self.done += seconds is not None
        self.reused += seconds is None
        self.clock.end(seconds)


def _flops(network: Network) -> int:
    """Floating-point operations of one pass over one picture."""
    with measured() as meter:
        forward(network, torch.zeros(1, 1, 64, 64))
    return meter.flops


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


@contextmanager
def _counted() -> Generator[list[MaskSearchWarning]]:
    """The warnings of failed searches. Empty masks and the like are counted with the maps, not said one by one."""
    dead: list[MaskSearchWarning] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield dead
    for w in caught:
        if isinstance(w.message, MaskSearchWarning):
            dead.append(w.message)
        elif not isinstance(w.message, SeglensWarning):
            warnings.warn_explicit(w.message, w.category, w.filename, w.lineno)
