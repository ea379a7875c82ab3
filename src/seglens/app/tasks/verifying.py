"""verify: pixels taken away, those drawn or those that an explanation marks, and the picture looked at again."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seglens.app import python_line
from seglens.app.tasks.explaining import made_target, truth_for
from seglens.app.tasks.outcome import Outcome
from seglens.app.tasks.work import Given, Work
from seglens.core.errors import SeglensError
from seglens.core.explanation import Explanation
from seglens.core.network import Network
from seglens.run.describe import colours_of
from seglens.run.mask_removal import FORMATS, MaskRemoval, changes, remove_mask
from seglens.run.segment import Segmentation
from seglens.run.verification import Answer, Verification
from seglens.run.verify import verify as run


def verify(work: Work, payload: Mapping[str, Any]) -> Outcome:
    """What becomes of the prediction."""
    given = work.picture(payload["image"])
    network = work.network(payload["network"])
    fill = _fill(payload["fill"])
    if payload["what"] == "mask":
        text = f"np.load({payload['mask']!r})"
        return _without_mask(work, payload, network, given, fill, work.mask(payload["mask"]), text)
    e = _explanation(work, payload["explanation"])
    if e.region is None:
        # A classifier has no region with a context: what is taken away is what the map marks of the picture.
        text = f"{_python(work, payload['explanation'])}.strongest({payload['share']!r})"
        return _without_mask(work, payload, network, given, fill, e.strongest(payload["share"]), text)
    found = run(network, given.image, e, share=payload["share"], fill=fill, truth=truth_for(payload, given))
    meta = {
        "target": e.target,
        "quantity": found.quantity,
        "fill": found.fill,
        "removed": int(found.removed.sum()),
        "seen": found.removed_pixels,
        "before": _answer(found.before),
        "after": _answer(found.after),
        "bare": _answer(found.bare),
        **_chance(found),
        "change": _change(network, found.before, found.after, e.region),
        "notes": [*found.said, *found.notes],
    }
    text = _python(work, payload["explanation"])
    return Outcome(
        meta=meta,
        arrays={**_planes(found.before, found.after), "removed": found.removed},
        python=python_line.call(
            "verify",
            python_line.network_text(payload["network"]),
            python_line.image_text(payload["image"]),
            text,
            share=repr(payload["share"]),
            fill=repr(fill),
            **python_line.truth_text(payload),
        ),
        formats=("png", "svg", "pdf", "html", "npz", "json"),
        save=found.save,
    )


def _explanation(work: Work, key: str) -> Explanation:
    """The finished explanation of a result: kept, or asked again where it took a pass or two."""
    from seglens.app.tasks.again import made_again

    folder = work.store.at(key)
    e = None if folder is None else made_again(work, key, folder).made
    if not isinstance(e, Explanation):
        raise SeglensError("the explanation is not kept any more.\n  Explain again, then verify.")
    return e


def _python(work: Work, key: str) -> str:
    """The explanation in Python: the call that made it."""
    return str((work.store.result(key) or {}).get("python", "")).rpartition("\n")[2]


def _without_mask(
    work: Work,
    payload: Mapping[str, Any],
    network: Network,
    given: Given,
    fill: Any,
    mask: NDArray[np.bool_],
    mask_text: str,
) -> Outcome:
    """mask_text: the mask in Python."""
    target = made_target(work, payload)
    found = remove_mask(network, given.image, mask, target, fill=fill, truth=truth_for(payload, given))
    meta = {
        "target": found.target,
        "quantity": found.quantity,
        "fill": found.fill,
        "removed": int(found.removed.sum()),
        "seen": found.removed_pixels,
        "before": _answer(found.before),
        "after": _answer(found.after),
        "bare": None,
        **_chance(found),
        "change": _change(network, found.before, found.after, found.region),
        "notes": list(found.notes),
    }
    line = python_line.call(
        "remove_mask",
        python_line.network_text(payload["network"]),
        python_line.image_text(payload["image"]),
        mask_text,
        python_line.target_text(payload.get("target"), payload.get("masks", {})),
        fill=repr(fill),
        **python_line.truth_text(payload),
    )
    return Outcome(
        meta=meta,
        arrays={**_planes(found.before, found.after, labelled=not found.whole), "removed": found.removed},
        python=line,
        formats=FORMATS,
        save=found.save,
    )


def _fill(text: str) -> Any:
    """A fill by name, or a grey as a number."""
    try:
        return float(text)
    except ValueError:
        return text


def _chance(found: Verification | MaskRemoval) -> dict[str, Any]:
    """What random parts do."""
    c, p = found.controls, found.p_value
    return {
        "p_value": None if math.isnan(p) else p,
        "controls": {"n": len(c), "probabilities": c.probabilities.tolist()} if len(c) else None,
    }


def _answer(a: Answer) -> dict[str, Any]:
    said = a.labelled()
    return {"score": a.score, "probability": a.probability, "label": said[0][0] if said else None, "iou": a.iou}


def _planes(before: Answer, after: Answer, *, labelled: bool = True) -> dict[str, NDArray[Any]]:
    """The picture as it was seen without them; and the labels of its pixels before and after, where it has any."""
    seen = after.segmentation.image
    picture = seen if seen.ndim == 3 else np.repeat(seen[..., None], 3, -1)
    planes: dict[str, NDArray[Any]] = {"picture": np.ascontiguousarray(picture[..., :3])}
    for name, answer in (("before", before), ("after", after)) if labelled else ():
        s: Segmentation = answer.segmentation
        labels = s.labels if s.labels is not None else s.masks
        if labels is not None:
            planes[name] = labels
    return planes


def _change(network: Network, before: Answer, after: Answer, region: NDArray[np.bool_] | None) -> list[dict[str, Any]]:
    colours = colours_of(before.segmentation.classes.names, network)
    found = changes(before, after, region)
    found.sort(key=lambda c: (-abs(c["after"] - c["before"]), -abs(c["likely_after"] - c["likely_before"])))
    return [{**{k: v for k, v in c.items() if k != "index"}, "colour": list(colours[c["index"]])} for c in found]
