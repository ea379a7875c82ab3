"""open and describe: what a network is; receive: what it makes of a picture before its first layer."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seglens.app import python_line
from seglens.app.faults import fault_of
from seglens.app.tasks.outcome import Outcome
from seglens.app.tasks.work import Work, coding_of, ready
from seglens.core.errors import SeglensError
from seglens.core.network import Network
from seglens.run.describe import colours_of, default_of
from seglens.run.layers import grey, layer_tree
from seglens.run.questions import forward, make_case, table_of
from seglens.run.redescribe import in_force, open_described, save_described


def open_network(work: Work, payload: Mapping[str, Any]) -> Outcome:
    """What is known of a network, from a pass on a grey picture."""
    return _info(work, payload["network"])


def describe(work: Work, payload: Mapping[str, Any]) -> Outcome:
    """The same under another description, written beside the file where that is asked for."""
    found = _info(work, payload["network"])
    if payload["save"]:
        spec = payload["network"]
        save_described(work.network(spec), spec["load"], found.meta["task"])
        found = replace(found, meta={**found.meta, "description_path": _beside(spec)})
    return found


def _info(work: Work, spec: Mapping[str, Any]) -> Outcome:
    network, notes = ready(work.network(spec)), list(work.notes(spec))
    y = forward(network, grey(network, None))
    table = table_of(network, y)
    names = [] if table is None else list(table.names)
    task = "encode" if table is None else "classify" if y.ndim == 2 else "segment"
    layer = network.default_layer
    if layer is None:
        try:
            layer = default_of(network, layer_tree(network))
        except SeglensError as failed:
            notes.append(f"No default layer was found: {failed}")
    colours = colours_of(names, network) if names else []
    latent, size = coding_of(network), network.convention.size or tuple(grey(network, None).shape[2:])
    meta = {
        "id": spec["id"],
        "name": network.name,
        "source": spec["source"],
        "type": type(network.module).__name__ if latent is None else type(latent.coder).__name__,
        "task": task,
        "parameters": sum(p.numel() for p in network.module.parameters()),
        "classes": [{"name": n, "colour": list(c)} for n, c in zip(names, colours, strict=True)],
        "exclusive": table is not None and (network.link_for(y) == "softmax" or network.is_binary(y)),
        "default_layer": layer,
        "description": in_force(network, task).to_dict(),
        "description_path": _beside(spec),
        "latent": None
        if latent is None
        else {
            "units": latent.latent,
            "produces": latent.coder.produces,
            "conditions": list(latent.coder.conditions),
            "size": list(size),
        },
        "notes": notes,
    }
    loaded = python_line.network_text(spec)
    line = loaded if spec["description"] else f"sl.load({loaded})"
    return Outcome(meta=meta, python=f"import seglens as sl\n{line}")


def _beside(spec: Mapping[str, Any]) -> str | None:
    path = Path(spec["load"])
    beside = (path.with_suffix(s) for s in (".toml", ".json"))
    return next((p.name for p in beside if spec["file"] and p.is_file() and p != path), None)


def receive(work: Work, payload: Mapping[str, Any]) -> Outcome:
    """What reaches the first layer; a convention that does not fit is told as a problem, with what there is."""
    spec = payload["network"]
    meta: dict[str, Any] = {"shape": [], "channels": [], "output": None, "notes": [], "problem": None}
    arrays: dict[str, NDArray[Any]] = {}
    try:
        given = work.picture(payload["image"])
        stated = payload.get("description")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = work.network(spec) if stated is None else open_described(spec["load"], stated)
        network = ready(network, given)
        case = make_case(network, given.image)
        meta["shape"], meta["notes"] = list(case.x.shape), list(case.notes)
        flat = case.x[0].flatten(1).double()
        columns = (flat.amin(1), flat.amax(1), flat.mean(1), flat.std(1, correction=0))
        names = ("minimum", "maximum", "mean", "deviation")
        rows = zip(*(c.tolist() for c in columns), strict=True)
        meta["channels"] = [dict(zip(names, row, strict=True)) for row in rows]
        arrays["input"] = _seen(network, case.x)
        meta["output"] = list(forward(network, case.x).shape)
    except SeglensError as wrong:
        meta["problem"] = fault_of(wrong).to_dict()
    return Outcome(meta=meta, arrays=arrays, python=python_line.call("describe", python_line.network_text(spec)))


def _seen(network: Network, x: Tensor) -> NDArray[np.uint8]:
    """Input values [1 C H W] as a picture, uint8 [H W 3], each channel from its black to its white; where that is lost,
    all stretched to their range. In the order in which they are received, so that BGR shows red things blue."""
    pixels = network.convention.denormalise(x)
    if pixels is not None and network.convention.order == "BGR" and pixels.shape[1] == 3:
        pixels = pixels.flip(1)
    if pixels is None:
        low, high = x.amin(), x.amax()
        pixels = (x - low) / (high - low).clamp_min(1e-8)
    shown = np.rint(pixels[0].clamp(0, 1).cpu().numpy() * 255).astype(np.uint8)
    shown = shown[:3] if len(shown) >= 3 else np.repeat(shown[:1], 3, 0)
    return np.ascontiguousarray(np.moveaxis(shown, 0, -1))
