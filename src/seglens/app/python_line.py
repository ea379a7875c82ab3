"""Python that gives the same as a task did: what a person copies to go on without the page."""

import re
from collections.abc import Mapping
from typing import Any

from seglens.app.images import BUILTIN


def network_text(spec: Mapping[str, Any]) -> str:
    """The network as `explain` takes it, loaded with what was stated on the page."""
    stated = dict(spec["description"] or {})
    if not stated:
        return repr(spec["load"])
    convention, classes = stated.pop("input", None), stated.pop("classes", None)
    colours, task = stated.pop("colours", None), stated.pop("task", None)
    if task == "encode":
        stated.setdefault("link", "none")
    said = [f"{k}={v!r}" for k, v in stated.items()]
    if classes:
        table = f"sl.ClassTable({tuple(classes)!r}, {tuple(map(tuple, colours))!r})" if colours else repr(classes)
        said.append(f"classes={table}")
    said += [f"convention={convention!r}"] if convention else []
    return f"sl.load({', '.join([repr(spec['load']), *said])})"


def image_text(spec: Mapping[str, Any], what: str = "image") -> str:
    """The picture, or its truth."""
    if "index" in spec:
        count, width, height = BUILTIN[spec["set"]]
        made = f"sl.open_dataset({spec['set']!r}, 'test', size=({height}, {width}), length={count})"
        return f"{made}[{spec['index']}].{'image' if what == 'image' else 'labels'}"
    return repr(spec["path"] if what == "image" else spec["truth"])


def has_truth(spec: Mapping[str, Any]) -> bool:
    """Whether the picture has true labels."""
    return "index" in spec or spec["truth"] is not None


def needs_truth(target: Mapping[str, Any] | None) -> bool:
    """Whether a target's region speaks of true labels."""
    return re.search(r"\b(truth|confused)\b", (target or {}).get("region") or "") is not None


def truth_text(payload: Mapping[str, Any]) -> dict[str, str]:
    """`truth=…`, where the question needs it and the picture has it."""
    image = payload["image"]
    asked = needs_truth(payload.get("target")) and has_truth(image)
    return {"truth": image_text(image, "truth")} if asked else {}


def target_text(target: Mapping[str, Any] | None, masks: Mapping[str, str]) -> str:
    """A target as `sl.Target(…)` or a bare class; 'None' where nothing is asked."""
    if target is None or target.get("channel") is None:
        return "None"
    channel, against = target["channel"], target.get("against")
    asked = repr(channel) if against is None else f"sl.channel({channel!r}) - sl.channel({against!r})"
    region, of, reduce = target.get("region"), target.get("of"), target.get("reduce", "mean")
    if region is None and of is None and reduce == "mean":
        return asked
    where = region_text(region, masks) if region is not None else f"sl.predicted({channel!r})"
    more = (f", of={of!r}" if of else "") + (f", reduce={reduce!r}" if reduce != "mean" else "")
    return f"sl.Target({asked}, {where}{more})"


def region_text(region: str, masks: Mapping[str, str]) -> str:
    """A region; drawn masks are read from where the page keeps them."""
    for id, path in masks.items():
        region = region.replace(id, path)
    read = ", lambda p: np.load(p)" if masks else ""
    return f"sl.parse_region({region!r}{read})"


def call(name: str, *args: str, **more: str) -> str:
    """`import` and the call."""
    text = f"sl.{name}({', '.join([*args, *(f'{k}={v}' for k, v in more.items())])})"
    return f"import seglens as sl\n{'import numpy as np' + chr(10) if 'np.load' in text else ''}{text}"
