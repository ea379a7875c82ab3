"""evaluate: scores over a set, and which pictures are behind each confusion."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from seglens.app import python_line
from seglens.app.tasks.outcome import Outcome
from seglens.app.tasks.work import Work, ready
from seglens.core.errors import ImageError
from seglens.run.image_cells import evaluate_images

BEHIND = 1000
"""Pictures that are named for one cell, those with the most such pixels; of the others it is known how many."""


def evaluate(work: Work, payload: Mapping[str, Any]) -> Outcome:
    """Pictures without a truth are left out. Raises ImageError where none has one."""
    specs = [s for s in payload["images"] if python_line.has_truth(s)]
    if not specs:
        raise ImageError(
            "no picture of this set has true labels, so nothing can be scored.\n"
            "  Put label images of the same names into a folder beside it, called labels, or give them one by one."
        )
    given = [work.picture(s) for s in specs]
    network = ready(work.network(payload["network"]))
    found = evaluate_images(network, [g.image for g in given], [g.truth for g in given if g.truth is not None])
    whole = found.whole
    keys = ("name", "pixels", "predicted", "iou", "dice", "precision", "recall", "boundary_f")
    images: list[dict[str, Any]] = []
    for one, scores in zip(given, found.each, strict=True):
        if scores is not None:
            t = scores.tallies
            told = {"mean_iou": float(t.mean_iou), "pixel_accuracy": float(t.pixel_accuracy)}
            # Of independent labels every pixel that is missed or made up in a class counts.
            missed = int((t.false_positive + t.false_negative).sum())
            wrong = missed // 2 if whole.confusion is not None else missed
            images.append({"id": one.id, "name": one.name, **told, "wrong": wrong})
    meta = {
        "overall": whole.overall,
        "classes": [{k: v for k, v in asdict(c).items() if k in keys} for c in whole.per_class],
        "confusion": None if whole.confusion is None else whole.confusion.counts.tolist(),
        "cells": {
            f"{a}:{b}": [[given[i].id, n, asked] for i, n, asked in behind[:BEHIND]]
            for (a, b), behind in found.cells.items()
        },
        "behind": {f"{a}:{b}": len(behind) for (a, b), behind in found.cells.items()},
        "images": images,
        "failures": [{"image": f.image, "error": str(f.error)} for f in whole.failures],
    }
    return Outcome(
        meta=meta,
        python=_python(payload, specs),
        formats=("png", "svg", "pdf", "html", "csv", "json")
        if whole.confusion is not None
        else ("html", "csv", "json"),
        save=whole.save,
    )


def _python(payload: Mapping[str, Any], specs: list[Mapping[str, Any]]) -> str:
    network = python_line.network_text(payload["network"])
    if "index" in specs[0]:
        all_of = python_line.image_text(specs[0]).rpartition("[")[0]
        images, truths = (f"[s.{what} for s in samples]" for what in ("image", "labels"))
        return f"import seglens as sl\nsamples = {all_of}\nsl.evaluate({network}, {images}, {truths})"
    images = [s["path"] for s in specs]
    truths = [s["truth"] for s in specs]
    return f"import seglens as sl\nsl.evaluate({network}, {images!r}, {truths!r})"
