"""segment, layer, graph, mistakes: what the network makes of a picture, without a question."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seglens.app import python_line
from seglens.app.tasks.outcome import Outcome
from seglens.app.tasks.work import Work, ready, written
from seglens.core.errors import ImageError
from seglens.core.labels import read_labels
from seglens.core.network import Network
from seglens.run.activations import activations
from seglens.run.describe import colours_of
from seglens.run.found import Found, find_classes
from seglens.run.graph import network_graph
from seglens.run.mistakes import find_errors
from seglens.run.segment import Segmentation, segment
from seglens.run.shipped import shipped_picture

SHOWN = 24
"""Channels of a layer that are sent."""


def segmented(work: Work, payload: Mapping[str, Any]) -> Outcome:
    """The prediction, class by class; of a classifier and of units their numbers alone."""
    given = work.picture(payload["image"])
    network = ready(work.network(payload["network"]), given)
    found = find_classes(network, given.image)
    texts = python_line.network_text(payload["network"]), python_line.image_text(payload["image"])
    if any(f.pixels is not None for f in found):
        s = segment(network, given.image)
        return Outcome(
            meta=_classes(network, found, s.image.shape, s.notes),
            arrays=_planes(s),
            python=python_line.call("segment", *texts),
            formats=("png", "npz") if s.labels is not None else ("npz",),
            save=s.save,
        )
    size = network.read(given.image).size
    return Outcome(meta=_classes(network, found, size, ()), python=python_line.call("find_classes", *texts))


def _classes(network: Network, found: list[Found], size: tuple[int, ...], notes: tuple[str, ...]) -> dict[str, Any]:
    colours = colours_of([f.name for f in sorted(found, key=lambda f: f.index)], network)
    classes = [{**f.to_dict(), "colour": list(colours[f.index])} for f in found]
    return {"classes": classes, "height": size[0], "width": size[1], "notes": list(notes)}


def _planes(s: Segmentation) -> dict[str, NDArray[Any]]:
    name, said = ("labels", s.labels) if s.labels is not None else ("masks", s.masks)
    return {} if said is None else {name: said, "confidence": s.confidence}


def layer(work: Work, payload: Mapping[str, Any]) -> Outcome:
    """The channels of a layer that are greatest on this picture."""
    given = work.picture(payload["image"])
    network = ready(work.network(payload["network"]), given)
    found = activations(network, given.image, payload["layer"], strongest=SHOWN, order="size")
    meta = {
        "layer": found.layer,
        "total": found.total,
        "silent": found.silent,
        "channels": [
            {"index": c.index, "minimum": c.minimum, "maximum": c.maximum, "mean": c.mean} for c in found.channels
        ],
    }
    shown = found.maps[(slice(None), *(slice(0, n) for n in found.cells))]
    return Outcome(
        meta=meta,
        arrays={"maps": shown},
        python=python_line.call(
            "activations",
            python_line.network_text(payload["network"]),
            python_line.image_text(payload["image"]),
            repr(payload["layer"]),
            strongest=str(SHOWN),
            order="'size'",
        ),
        formats=("html", "pdf", "npz"),
        save=found.save,
    )


def graph(work: Work, payload: Mapping[str, Any]) -> Outcome:
    """The dataflow graph, whole."""
    network = work.network(payload["network"])
    texts = [python_line.network_text(payload["network"])]
    if "image" in payload:
        given = work.picture(payload["image"])
        found = network_graph(ready(network, given), given.image)
        texts.append(python_line.image_text(payload["image"]))
    else:
        found = network_graph(ready(network))
    return Outcome(
        meta=found.to_dict(),
        python=python_line.call("network_graph", *texts),
        formats=("svg", "json"),
        save=found.save,
    )


def mistakes(work: Work, payload: Mapping[str, Any]) -> Outcome:
    """Where the prediction is not the truth, region by region. Raises ImageError without a truth."""
    given = work.picture(payload["image"])
    if given.truth is None:
        raise ImageError(f"{given.name} has no true labels, so nothing can be called wrong.\n  Give it a label image.")
    found = find_errors(work.network(payload["network"]), given.image, given.truth)
    k = len(found.classes)
    in_truth = np.take_along_axis(found.predicted, found.truth.clip(0, k - 1)[None], 0)[0]
    # Of independent labels a pixel is right where its true one is predicted and no other.
    status = np.where(in_truth & (found.predicted.sum(0) == 1), 0, 1).astype(np.uint8)
    status[~found.known] = 2
    meta = {
        "wrong": int((status == 1).sum()),
        "pixels": int(found.known.sum()),
        "regions": [c.to_dict() for c in found.confusions],
    }
    truth = np.where(found.known, found.truth, 255 if k < 256 else 65535)
    return Outcome(
        meta=meta,
        arrays={"status": status, "truth": truth.astype(np.uint8 if k < 256 else np.uint16)},
        python=python_line.call(
            "find_errors",
            python_line.network_text(payload["network"]),
            python_line.image_text(payload["image"]),
            python_line.image_text(payload["image"], "truth"),
        ),
        formats=("png", "svg", "pdf", "json"),
        save=found.save,
    )


def shipped(work: Work, payload: Mapping[str, Any]) -> None:
    """Write a built-in picture and its labels where the server looks for them."""
    made = shipped_picture(payload["set"], payload["index"])
    if made.truth is not None:
        written(Image.fromarray(made.truth), Path(payload["truth"]))
    written(made.image, Path(payload["path"]))


def labels(work: Work, payload: Mapping[str, Any]) -> None:
    """Write a truth that is given as colours as a label image, read by the network's class table."""
    read = read_labels(Path(payload["truth"]), work.network(payload["network"]).classes).numpy()
    written(Image.fromarray(read.astype(np.uint8 if read.max() < 256 else np.uint16)), Path(payload["path"]))
