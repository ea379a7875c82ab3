"""The context-bias benchmark of the grid-saliency paper: which methods find the context that a network hangs on?"""

import platform
import time
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from seglens.core.errors import ParameterError, SeglensWarning
from seglens.run.bench.clock import Clock, Listener
from seglens.run.bench.pictures import Sources
from seglens.run.bench.pipeline import Pipeline
from seglens.run.bench.plan import Part, Plan
from seglens.run.bench.records import Record
from seglens.run.bench.result import ContextBias, fills_of
from seglens.run.bench.roster import ENTRIES, Entry
from seglens.run.bench.store import Store

STAGES = "stages"
"""The folder of finished stages, in that of the results."""


def context_bias(
    plan: Plan, out: Path, *, device: str | torch.device | None = None, listener: Listener | None = None
) -> ContextBias:
    """Train the networks of a plan, explain their pictures by every method, and measure CBD and CBL.

    out: where finished stages are kept, in `STAGES`. What is there of the same plan, or of another that shares stages
    with it, is not done again; a run that was killed goes on where it was. device: where networks run; the CPU by
    default. listener: told of each stage as it begins.

    The fill that methods with one fill take is the one with the largest mean P0 over networks and pictures that are in
    no result. A method that fails on a network is recorded with what it said, and tried again by the next run.
    Raises ImageError for folders without digits or textures, MissingExtraError without lightning where a network is to
    be trained.
    """
    entries = [ENTRIES[name] for name in plan.methods]
    start = time.perf_counter()
    with _noted() as notes:
        pipeline = opened(plan, out, device, _kinds(plan, entries), listener)
        fills = fills_of([(p.name, pipeline.sweep(pipeline.train(p))) for p in plan.parts if p.choosing])
        records = explained(pipeline, [p for p in plan.parts if not p.choosing], entries, fills.chosen)
    return ContextBias(
        plan=plan,
        sources=pipeline.sources,
        fills=fills,
        records=tuple(records),
        provenance=provenance(pipeline.device),
        seconds=time.perf_counter() - start,
        done=pipeline.done,
        reused=pipeline.reused,
        notes=tuple(notes),
    )


def opened(
    plan: Plan, out: Path, device: str | torch.device | None, kinds: Sequence[str], listener: Listener | None
) -> Pipeline:
    """The stages of a plan in a folder. kinds: of the stages that are to come, in their order.

    Raises ParameterError for a texture that is not there.
    """
    sources = Sources.of(plan.mnist, plan.texture_folder)
    if max(plan.textures) >= len(sources.textures):
        raise ParameterError(f"texture {max(plan.textures)}: there are {len(sources.textures)}, numbered from 0.")
    return Pipeline(
        plan=plan,
        sources=sources,
        store=Store(out / STAGES),
        clock=Clock(kinds, listener),
        device=torch.device(device or "cpu"),
    )


def explained(pipeline: Pipeline, parts: Sequence[Part], entries: Sequence[Entry], fill: str) -> list[Record]:
    """The records of networks, each explained by every entry. Unbiased ones come before what is compared with them."""
    bounded = {e.name for e in entries if e.bounded}
    fair: dict[int, Record] = {}
    records: list[Record] = []
    for part in parts:
        trained = pipeline.train(part)
        seen = pipeline.look(trained)
        told = {e.name: pipeline.explain(trained, seen, e, fill) for e in entries}
        record = Record.of(part, seen, fair.get(part.seed), trained.seconds, told, bounded)
        if part.plant is None:
            fair[part.seed] = record
        records.append(record)
    return records


def kinds_of(parts: Sequence[Part], entries: Sequence[Entry]) -> list[str]:
    """The kinds of all stages of networks and entries, in their order, for a clock."""
    return [kind for _ in parts for kind in ("train", "look", *(e.name for e in entries))]


def _kinds(plan: Plan, entries: Sequence[Entry]) -> list[str]:
    choosing = [p for p in plan.parts if p.choosing]
    return ["train", "fills"] * len(choosing) + kinds_of(plan.parts[len(choosing) :], entries)


def provenance(device: torch.device) -> dict[str, str]:
    """Versions, and what the networks ran on."""
    threads = torch.get_num_threads()
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "seglens": version("seglens"),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "device": f"{device} ({where}, {threads} thread{'s' * (threads > 1)})",
        "date": time.strftime("%Y-%m-%d"),
    }


@contextmanager
def _noted() -> Generator[list[str]]:
    """Note what seglens warns of outside methods, such as damaged files, while it is said as ever."""
    notes: list[str] = []
    with warnings.catch_warnings():
        said = warnings.showwarning

        def noting(message: Warning | str, category: type[Warning], *where: object, **more: object) -> None:
            if issubclass(category, SeglensWarning):
                notes.append(str(message))
            said(message, category, *where, **more)  # pyright: ignore[reportArgumentType]

        warnings.showwarning = noting  # pyright: ignore[reportAttributeAccessIssue]
        yield notes
