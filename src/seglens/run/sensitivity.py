"""sensitivity(): what becomes of a method's maps where one of its fields has another value."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seglens.core.errors import ParameterError, SeglensError, suggest
from seglens.core.explanation import Explanation
from seglens.core.images import Source, name_of
from seglens.core.method import Method, in_full, takes_target
from seglens.core.parameters import parameters
from seglens.core.progress import tell
from seglens.core.targets import Target, Targets
from seglens.metrics.agreement import ranks
from seglens.run.compare import favouring
from seglens.run.explain import Failure, explain_each
from seglens.run.pairs import one_for_each
from seglens.run.questions import (
    Asked,
    NetworkSource,
    make_case,
    method_of,
    most_frequent,
    name_of_method,
    open_network,
    read_many,
)
from seglens.run.sensitivity_table import MapNumbers, Sensitivity, Setting, SettingFailure
from seglens.run.several import EVERY_IMAGE

METHOD = "context-saliency"
"""The method that is looked at where nobody names one."""

TOP = 0.1
"""The share of the picture whose pixels are a map's top, where nobody says how much."""

_Values = NDArray[np.floating[Any]]


def sensitivity(
    network: NetworkSource,
    images: Source | Sequence[Source],
    method: str | Method = METHOD,
    target: Asked = None,
    *,
    vary: Mapping[str, Sequence[Any]],
    truth: Source | Sequence[Source] | None = None,
    instances: Source | Sequence[Source] | None = None,
    ignore: int | None = 255,
    top: float = TOP,
    device: str | torch.device | None = None,
    step: Callable[[str], None] | None = None,
) -> Sensitivity:
    """How far do a method's maps hang on its settings? The same images and targets, with other values of its fields.

    ``sensitivity(net, "street.png", "occlusion", "rider", vary={"size": [8, 16], "fill": ["black", "blur"]})``

    One field at a time has another value, all else is as in the method that was given, which is the default that the
    maps are compared to; its own value among those of a field costs nothing and gives the default's maps.
    network, images, target, truth, instances, ignore: as `explain` takes them. method: a name, or a method with
    parameters. target None: the class that covers most of the first image, asked of all. vary: values by field.
    top: the share of the picture whose pixels `overlap` speaks of. step: told what begins, for progress.

    An image that gives no map with the default is a failure and counts nowhere; one that fails with another value is
    missing there. A map that is undefined (an empty region, say) counts among the maps, and in no mean.
    Raises ParameterError for a field that the method lacks or a value that it refuses, before anything is computed;
    where every image fails, the first one's error. `sensitivity_each` hands over what there is after each setting.
    """
    steps = sensitivity_each(
        network,
        images,
        method,
        target,
        vary=vary,
        truth=truth,
        instances=instances,
        ignore=ignore,
        top=top,
        device=device,
        step=step,
    )
    return deque(steps, maxlen=1).pop()


def sensitivity_each(
    network: NetworkSource,
    images: Source | Sequence[Source],
    method: str | Method = METHOD,
    target: Asked = None,
    *,
    vary: Mapping[str, Sequence[Any]],
    truth: Source | Sequence[Source] | None = None,
    instances: Source | Sequence[Source] | None = None,
    ignore: int | None = 255,
    top: float = TOP,
    device: str | torch.device | None = None,
    step: Callable[[str], None] | None = None,
) -> Iterator[Sensitivity]:
    """As `sensitivity`, which is the last of these: what is known after each image and setting, all settings of the
    first image first. Whoever stops in between keeps what was handed over.
    """
    if not 0 < top < 1:
        raise ParameterError(f"top is a share of the picture above 0 and below 1, not {top}.")
    chosen = method_of(method)
    if not takes_target(chosen):
        raise ParameterError(
            f"{name_of_method(chosen)} shows the network without a question, so there is no target to ask about.\n"
            "  Take a method that explains a score."
        )
    runs = _runs(chosen, vary)
    net = open_network(network, device)
    many = read_many(images)
    sources: list[Source] = [images] if many is None else many  # pyright: ignore[reportAssignmentType]
    if not sources:
        raise ParameterError("no image given.")
    truths = one_for_each(sources, truth, "truth")
    ids = one_for_each(sources, instances, "instance ids")
    asked = Targets.of(most_frequent(net, make_case(net, sources[0])) if target is None else target).items
    state = _State(net.name, asked, len(sources), top, runs)
    for i, image in enumerate(sources):
        base: list[Explanation] | None = None
        for k, run in enumerate(runs):
            tell("settings", i * len(runs) + k, len(sources) * len(runs))
            if step is not None:
                step(f"{name_of(image)} · {run.setting.name}")
            if run.method is None and base is not None:
                state.add(run, base, base)
                yield state.so_far()
                continue
            (outcome,) = explain_each(
                net,
                [image],
                run.method or chosen,
                list(asked),
                truths=truths and [truths[i]],
                instances=ids and [ids[i]],
                ignore=ignore,
            )
            if isinstance(outcome, Failure):
                if base is None and isinstance(outcome.error, EVERY_IMAGE):
                    raise outcome.error
                state.fail(run, outcome)
                if base is None:
                    break
            else:
                base = outcome if base is None else base
                state.add(run, outcome, base)
            if state.images:
                yield state.so_far()
    tell("settings", len(sources) * len(runs), len(sources) * len(runs))
    state.check()


@dataclass(slots=True)
class _Run:
    """One setting at work. method: None where it is the default's. maps, shown: what came of it until now."""

    setting: Setting
    method: Method | None
    maps: list[MapNumbers] = field(default_factory=list[MapNumbers])
    shown: Explanation | None = None

    def so_far(self) -> Setting:
        return replace(self.setting, maps=tuple(self.maps), shown=self.shown)


@dataclass(slots=True)
class _State:
    """All that is known until now."""

    network: str
    asked: Sequence[Target]
    total: int
    top: float
    runs: Sequence[_Run]
    first: Explanation | None = None
    images: list[str] = field(default_factory=list[str])
    failures: list[SettingFailure] = field(default_factory=list[SettingFailure])
    errors: list[SeglensError] = field(default_factory=list[SeglensError])

    def add(self, run: _Run, found: Sequence[Explanation], base: Sequence[Explanation]) -> None:
        """The maps of one image, and those of the default; the default's come first."""
        name = base[0].provenance["image"]
        if run is self.runs[0]:
            self.first = self.first or base[0]
            self.images.append(name)
        if len(self.images) == 1:
            run.shown = found[0]
        run.maps += [MapNumbers(name, e.target, _numbers(e, d, self.top)) for e, d in zip(found, base, strict=True)]

    def fail(self, run: _Run, failure: Failure) -> None:
        """An image that gave no map."""
        name = run.setting.name if run.setting.field else ""
        self.failures.append(SettingFailure(failure.image, name, str(failure.error)))
        self.errors.append(failure.error)

    def check(self) -> None:
        """Raise the first error where no image gave a map."""
        if not self.images:
            raise self.errors[0]

    def so_far(self) -> Sensitivity:
        """What is known, where any image gave a map."""
        first = self.first
        if first is None:
            raise ParameterError("there is no map yet of which anything could be said.")
        return Sensitivity(
            network=self.network,
            method=first.method,
            parameters=first.parameters,
            unit=first.unit,
            top=self.top,
            targets=tuple(str(t) for t in self.asked),
            images=tuple(self.images),
            total=self.total,
            default=self.runs[0].so_far(),
            settings=tuple(r.so_far() for r in self.runs[1:]),
            failures=tuple(self.failures),
            provenance={k: v for k, v in first.provenance.items() if not k.startswith(("image", "network input"))},
        )


def _runs(method: Method, vary: Mapping[str, Sequence[Any]]) -> list[_Run]:
    """The default, then every value of every field. Raises ParameterError as the method does."""
    name, own = name_of_method(method), [p.name for p in parameters(type(method))]
    listed = f"  Fields of {name}: {', '.join(own) or 'none'}."
    if not vary:
        raise ParameterError(f"nothing to vary: name fields and the values that they are to have.\n{listed}")
    found = [_Run(Setting(field="", value=None, text="default"), None)]
    for key, values in vary.items():
        if key not in own:
            raise ParameterError(f"{name} has no field {key!r}.{suggest(key, own)}\n{listed}")
        if isinstance(values, str) or not hasattr(values, "__len__"):
            raise ParameterError(f"{key}: a list of values, such as [{values!r}], not {values!r}.")
        if not len(values):
            raise ParameterError(f"{key}: no value given.")
        for value in values:
            changed: Method = replace(method, **{key: value})  # pyright: ignore
            same = _same(in_full(changed), in_full(method), own)
            found.append(_Run(Setting(field=key, value=value, text=_in_words(value)), None if same else changed))
    return found


def _same(a: Method, b: Method, names: Sequence[str]) -> bool:
    """Whether all fields are equal; arrays and pictures only where they are one object."""
    plain = (bool, int, float, str, tuple, type(None))
    pairs = [(getattr(a, n), getattr(b, n)) for n in names]
    return all(v is w or (isinstance(v, plain) and isinstance(w, plain) and v == w) for v, w in pairs)


def _in_words(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:g}"
    if isinstance(value, tuple | list):
        return ",".join(map(_in_words, value))  # pyright: ignore[reportUnknownArgumentType]
    return str(value) if isinstance(value, str | int | np.integer) else name_of(value)


def _numbers(e: Explanation, default: Explanation, top: float) -> dict[str, float]:
    """What is measured of one map: see `Sensitivity`."""
    a, b = favouring(default), favouring(e)
    known = b[np.isfinite(b)].astype(np.float64)
    greatest = float(known.max(initial=0.0))
    told = {name: np.asarray(v) for name, v in e.extras.items() if np.shape(v) != e.map.shape}
    return {
        "correlation": _correlation(a, b),
        "overlap": _overlap(a, b, top),
        "mean": float(known.mean()) if known.size else float("nan"),
        "area": float((known >= greatest / 2).mean()) if greatest > 0 else float("nan"),
        **{n: float(v.item()) for n, v in told.items() if v.size == 1 and v.dtype.kind in "biuf"},
    }


def _correlation(a: _Values, b: _Values) -> float:
    """Spearman's, over the pixels where both are defined; NaN where one is the same everywhere."""
    both = np.isfinite(a) & np.isfinite(b)
    one, two = ranks(a, both)[both], ranks(b, both)[both]
    if one.size < 2 or np.isnan(one).any() or np.isnan(two).any():
        return float("nan")
    return float(np.corrcoef(one, two)[0, 1].clip(-1, 1))


def _overlap(a: _Values, b: _Values, top: float) -> float:
    """|A ∩ B| / |A ∪ B| of the pixels in the top share of either; NaN where both have none."""
    one, two = _top(a, top), _top(b, top)
    either = int((one | two).sum())
    return float((one & two).sum()) / either if either else float("nan")


def _top(values: _Values, share: float) -> NDArray[np.bool_]:
    """The share of pixels with the greatest values, those above 0; with ties more, where they would be cut apart."""
    known = np.nan_to_num(values, nan=0.0, posinf=0.0)
    n = max(1, round(share * known.size))
    least = np.partition(known.ravel(), -n)[-n]
    return (known >= least) & (known > 0)
