"""explain: a method put to a target; step by step where the method searches."""

import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from seglens.app import python_line
from seglens.app.tasks import FAST
from seglens.app.tasks.outcome import Glimpse, Outcome, Steps
from seglens.app.tasks.work import Given, Work, ready
from seglens.core.errors import ParameterError, suggest
from seglens.core.explanation import Explanation, Explanations, open_explanations
from seglens.core.images import Source
from seglens.core.method import METHODS, Method, takes_target
from seglens.core.region_text import parse_region
from seglens.core.targets import Target
from seglens.run.explain import explain as run
from seglens.run.several import Question
from seglens.run.stepwise import Step, explain_steps, is_iterative

FORMATS = ("png", "svg", "pdf", "html", "npz")

CURVES = ("loss",)
"""Extras that go step by step; other lists are weights of channels and the like."""

KEPT = "explanation.npz"
"""In a result's folder: the explanation with every raw value."""


def explain(work: Work, payload: Mapping[str, Any]) -> Outcome | Steps:
    """One explanation, or the steps to it."""
    given = work.picture(payload["image"])
    network = ready(work.network(payload["network"]), given)
    method = made_method(payload["method"], payload["parameters"])
    target = made_target(work, payload) if takes_target(method) else None
    began = time.monotonic()
    if is_iterative(method):
        steps = explain_steps(network, given.image, method, target, truth=truth_for(payload, given))
        return (_glimpse(step, payload, began) for step in steps)
    found = run(network, given.image, method, target, truth=truth_for(payload, given))
    return explained(found[0] if isinstance(found, Explanations) else found, payload, time.monotonic() - began)


def truth_for(payload: Mapping[str, Any], given: Given) -> Source | None:
    """The true labels where the region speaks of them: those of another numbering hinder no other question."""
    return given.truth if python_line.needs_truth(payload.get("target")) else None


def made_method(name: str, settings: Mapping[str, Any]) -> Method:
    """A method with its parameters. Raises NameNotFoundError, ParameterError."""
    kind = METHODS[name]
    known = [f.name for f in fields(kind)]  # pyright: ignore[reportArgumentType]
    for key in settings:
        if key not in known:
            raise ParameterError(f"{name} has no parameter {key!r}.{suggest(key, known)}")
    return kind(**settings)


def made_target(work: Work, payload: Mapping[str, Any]) -> Target | None:
    """The target in words, worked out; None asks for what covers most."""
    asked = payload.get("target")
    if asked is None or asked.get("channel") is None:
        return None
    masks: Mapping[str, str] = payload.get("masks", {})

    def read(path: Path) -> Any:
        return work.mask(masks[str(path)])

    region = None if asked.get("region") is None else parse_region(asked["region"], read)
    against = asked.get("against")
    question = Question(None, None if against is None else str(against), region, asked.get("of"), asked["reduce"])
    return question.target(asked["channel"])


def _glimpse(step: Step, payload: Mapping[str, Any], began: float) -> Glimpse:
    def make(stopped: bool) -> Outcome:
        seconds = time.monotonic() - began
        return explained(step.explanation(), payload, seconds, step.step if stopped else None)

    return Glimpse(step.step, step.total, make)


def explained(e: Explanation, payload: Mapping[str, Any], seconds: float, stopped: int | None = None) -> Outcome:
    """An explanation as the page takes it."""
    values = e.map[np.isfinite(e.map)]
    curves = {name: np.asarray(a) for name, a in e.extras.items()}
    planes = {"map": e.map} | ({} if e.region is None else {"region": e.region})
    cells = curves.get("mask")
    if cells is not None and cells.ndim == 2:
        planes["mask"] = cells
    meta = {
        "method": e.method,
        "target": e.target,
        "layer": e.layer,
        "score": e.score,
        "of": e.of,
        "unit": e.unit,
        "signed": e.signed,
        "minimum": float(values.min()) if values.size else None,
        "maximum": float(values.max()) if values.size else None,
        "greatest": float(np.abs(values).max()) if values.size else None,
        "zero": not values.any(),
        "notes": list(e.notes),
        "numbers": e.numbers,
        "curves": {name: a.astype(float).tolist() for name, a in curves.items() if name in CURVES and a.ndim == 1},
        "parameters": dict(e.parameters),
        "provenance": dict(e.provenance),
        "seconds": seconds,
        "stopped": stopped,
    }
    return Outcome(
        meta=meta,
        arrays=planes,
        python=_python(payload),
        formats=FORMATS,
        save=e.save,
        # What took a pass or two is asked again rather than packed each time: its maps follow the pointer.
        keep=None if e.method in FAST else lambda folder: e.save(folder / KEPT),
        whole=stopped is None,
        made=e,
    )


def _python(payload: Mapping[str, Any]) -> str:
    network, image = payload["network"], payload["image"]
    kind = METHODS[payload["method"]]
    settings = ", ".join(f"{k}={v!r}" for k, v in payload["parameters"].items())
    plugin = not kind.__module__.startswith("seglens.")
    method = f"sl.METHODS[{payload['method']!r}]({settings})" if plugin else f"sl.{kind.__name__}({settings})"
    return python_line.call(
        "explain",
        python_line.network_text(network),
        python_line.image_text(image),
        method,
        python_line.target_text(payload.get("target"), payload.get("masks", {})),
        **python_line.truth_text(payload),
    )


def reopened(path: Path) -> Outcome:
    """An explanation that was kept, to be saved in another form."""
    found = open_explanations(path)
    e = found[0] if isinstance(found, Explanations) else found
    return Outcome(meta={}, formats=FORMATS, save=e.save, made=e)
