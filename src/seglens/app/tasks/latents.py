"""encode, decode, attend, between, units: an autoencoder's latent space."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seglens.app import python_line
from seglens.app.tasks import UNITS
from seglens.app.tasks.outcome import Outcome
from seglens.app.tasks.work import Work, coding_of, coloured, condition_for
from seglens.core.errors import NetworkError, ParameterError
from seglens.run.describe import colours_of
from seglens.run.latent.attention import latent_attention
from seglens.run.latent.coding import Coding, labels_of, table_for
from seglens.run.latent.generate import interpolate
from seglens.run.latent.seen import Seen
from seglens.run.latent.statistics import latent_statistics
from seglens.run.questions import make_case
from seglens.run.shipped import set_of, shipped_set

ENOUGH, SLOPES = 32, 16
"""Pictures from which a set tells of its units, and over how many the decoder's slopes are taken.

Over 32 pictures drawn from the built-in sets a unit's deviation, where its slider ends, is 9 % off that over 400 to
1,000 (median; over 8 it is 18 %), and the order of units has a rank correlation of 0.78 to 0.99 with theirs.
"""


def encode(work: Work, payload: Mapping[str, Any]) -> Outcome:
    """An image's posterior, unit by unit, and what the decoder makes of its mean."""
    given = work.picture(payload["image"])
    coding = _coding(work, payload)
    condition = condition_for(coding, given, payload.get("condition"))
    seen = Seen.of(coding.network, given.image, condition, None)
    mu, logvar = seen.mu[0].double().numpy(), seen.logvar[0].double().numpy()
    decoded = seen.coding.decode(seen.mu, seen.condition)[0].numpy()
    shown = seen.display()
    meta = {
        "mu": mu.tolist(),
        "sigma": np.exp(logvar / 2).tolist(),
        "kl": (0.5 * (mu**2 + np.exp(logvar) - 1 - logvar)).tolist(),
        "condition": condition or {},
    }
    return Outcome(
        meta=meta,
        arrays={"picture": _rgb(shown), **_decoded(coding, decoded, "reconstruction")},
        python=_seen_line(payload, condition),
    )


def decode(work: Work, payload: Mapping[str, Any]) -> Outcome:
    """A latent vector's picture, beside an image where the decoder is told more of one than its latent vector."""
    coding = _coding(work, payload)
    z = payload["z"]
    beside = ""
    if "image" in payload:
        coding = coding.beside(make_case(coding.network, work.picture(payload["image"]).image).x)
        image = python_line.image_text(payload["image"])
        beside = f".beside(make_case({python_line.network_text(payload['network'])}, {image}).x)"
    if len(z) != coding.latent:
        raise ParameterError(f"z has {len(z)} numbers, {coding.network.name} has {coding.latent} latent units.")
    began = time.monotonic()
    condition = coding.condition(condition_for(coding, None, payload.get("condition")))
    decoded = coding.decode(torch.tensor([z], dtype=torch.float32), condition)[0].numpy()
    network = python_line.network_text(payload["network"])
    told = _condition(payload.get("condition"))
    line = (
        "import torch\nfrom seglens.run.latent.coding import Coding\n"
        + ("from seglens.run.questions import make_case\n" if beside else "")
        + f"coding = Coding.of({network}){beside}\n"
        f"coding.decode(torch.tensor([{z!r}]), coding.condition({told or None}))"
    )
    line = f"import seglens as sl\n{line}" if "sl." in network else line
    return Outcome(meta={"seconds": time.monotonic() - began}, arrays=_decoded(coding, decoded, "picture"), python=line)


def attend(work: Work, payload: Mapping[str, Any]) -> Outcome:
    """Where in the image units look."""
    given = work.picture(payload["image"])
    coding = _coding(work, payload)
    condition = condition_for(coding, given, payload.get("condition"))
    found = latent_attention(coding.network, given.image, payload["units"], condition=condition)
    units = [
        {"unit": unit, "score": e.score, "greatest": float(np.nanmax(np.abs(e.map), initial=0.0))}
        for unit, e in zip(payload["units"], found, strict=True)
    ]
    return Outcome(
        meta={"units": units, "layer": found[0].layer},
        arrays={"maps": np.stack([e.map for e in found])},
        python=_line("latent_attention", payload, units=repr(payload["units"]), condition=_condition(condition)),
        formats=("png", "svg", "pdf", "html", "npz"),
        save=found.save,
    )


def between(work: Work, payload: Mapping[str, Any]) -> Outcome:
    """The way from one image to another."""
    a, b = work.picture(payload["a"]), work.picture(payload["b"])
    coding = _coding(work, payload)
    own, other = condition_for(coding, a), condition_for(coding, b)
    steps, path = payload["steps"], payload["path"]
    found = interpolate(coding.network, a.image, b.image, steps, path, condition=own, to=other)
    pictures = [_decoded(coding, p, "picture")["picture"] for p in found.pictures[0]]
    told = _condition(own), _condition(other)
    conditions = f", condition={told[0]}, to={told[1]}" if told[0] else ""
    texts = [python_line.network_text(payload["network"]), *(python_line.image_text(payload[x]) for x in "ab")]
    return Outcome(
        meta={"z": found.z[0].tolist(), "shares": np.linspace(0, 1, steps).tolist()},
        arrays={"pictures": np.stack(pictures)},
        python=f"import seglens as sl\nsl.interpolate({', '.join(texts)}, {steps}, {path!r}{conditions})",
        formats=("png", "svg", "pdf", "gif", "webp", "html", "npz", "json"),
        save=found.save,
    )


def units(work: Work, payload: Mapping[str, Any]) -> Outcome:
    """Which units matter: over a set that has enough pictures, else over the one that a built-in network was made with.

    A network of somebody's own has no such set: its pictures count, however few. Raises ParameterError without any.
    """
    coding = _coding(work, payload)
    specs = payload.get("images") or []
    home = set_of(payload["network"]["load"])
    instead = home if len(specs) < ENOUGH else None
    data: Any
    told: tuple[str, ...] = ()
    if instead is not None:
        data, said = instead, repr(instead)
        told = tuple(shipped_set(instead).attributes)
    elif not specs:
        raise ParameterError(f"units are measured over pictures, and none is there.\n  Open a set of {ENOUGH} or more.")
    elif "index" in specs[0]:
        data, said = shipped_set(specs[0]["set"]), python_line.image_text(specs[0]).rpartition("[")[0]
        told = tuple(data.attributes)
    else:
        data = [work.picture(s).image for s in specs]
        said = repr([s["path"] for s in specs])
    wanted = coding.coder.conditions
    condition = None if set(wanted) <= set(told) else dict.fromkeys(wanted, 0.0)
    found = latent_statistics(coding.network, data, UNITS, attention=None, slopes=SLOPES, condition=condition)
    rows = [
        {
            "unit": u.unit,
            "kl": u.kl,
            "active": bool(u.active),
            "sensitivity": u.sensitivity,
            "deviation": u.variance**0.5,
        }
        for u in found.ranked
    ]
    network = python_line.network_text(payload["network"])
    given = f", condition={condition!r}" if condition else ""
    call = f"sl.latent_statistics({network}, {said}, {UNITS}, attention=None, slopes={SLOPES}{given})"
    return Outcome(
        meta={"units": rows, "images": found.images, "instead": instead, "enough": ENOUGH},
        python=f"import seglens as sl\n{call}",
        formats=("png", "svg", "pdf", "csv", "json"),
        save=found.save,
    )


def _coding(work: Work, payload: Mapping[str, Any]) -> Coding:
    network = work.network(payload["network"])
    found = coding_of(network)
    if found is None:
        raise NetworkError(f"{network.name} is no autoencoder, so it has no latent units to be moved.")
    return found


def _decoded(coding: Coding, values: NDArray[np.float32], name: str) -> dict[str, NDArray[Any]]:
    """Decoded [K H W] as a picture uint8 [H W 3], and labels [H W] where masks are decoded."""
    if coding.is_image:
        shown = np.rint(values.clip(0, 1) * 255).astype(np.uint8)
        return {name: _rgb(shown[0] if len(shown) != 3 else np.moveaxis(shown, 0, -1))}
    labels = labels_of(values)
    table = table_for(coding, len(values))
    return {name: coloured(labels, colours_of(table.names, coding.network)), "labels": labels}


def _rgb(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, -1))


def _condition(condition: Mapping[str, float] | None) -> str:
    return repr(dict(condition)) if condition else ""


def _seen_line(payload: Mapping[str, Any], condition: Mapping[str, float] | None) -> str:
    """What the command line has no word for: the image as the autoencoder has it."""
    texts = python_line.network_text(payload["network"]), python_line.image_text(payload["image"])
    call = f"Seen.of({', '.join(texts)}, {_condition(condition) or None}, None)"
    head = "import seglens as sl\n" if "sl." in call else ""
    line = "seen.mu, seen.coding.decode(seen.mu, seen.condition)"
    return f"{head}from seglens.run.latent.seen import Seen\nseen = {call}\n{line}"


def _line(name: str, payload: Mapping[str, Any], **more: str) -> str:
    texts = python_line.network_text(payload["network"]), python_line.image_text(payload["image"])
    return python_line.call(name, *texts, **{k: v for k, v in more.items() if v})
