"""latent_sweep(): networks of several latent sizes, trained and measured, and the size that serves."""

import json
import platform
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from seglens.core.errors import ParameterError, SeglensError
from seglens.core.saving import as_json, write_text
from seglens.datasets.samples import SampleSet, open_dataset
from seglens.metrics.latent import ACTIVE, activity
from seglens.run.latent.coding import Coding
from seglens.run.latent.data import gather
from seglens.run.latent.factors import factors_found
from seglens.run.latent.statistics import statistics_of
from seglens.run.latent.step_attention import AtStep
from seglens.run.latent.sweep_table import TOLERANCE, Run, RunFailure, Sweep, sorted_runs, words_of_variant
from seglens.run.results import slug

if TYPE_CHECKING:
    from seglens.run.training.recipe import Kind, Recipe
    from seglens.run.training.result import Trained

KINDS: "tuple[Kind, ...]" = ("vae", "cvae", "seg-vae", "mgrad2vae")
"""Kinds of networks with a latent space."""

MEASURED = "latent.json"
"""Beside each network: what was measured of it, so that it is measured once."""

_FORMAT = 1


def latent_sweep(
    kind: "Kind",
    data: str,
    latents: Sequence[int],
    out: str | Path,
    *,
    seeds: int = 3,
    vary: Mapping[str, Sequence[Any]] | None = None,
    recipe: "Recipe | None" = None,
    changes: Mapping[str, Any] | None = None,
    n: int = 2000,
    attention: AtStep = "grad-cam",
    tolerance: float = TOLERANCE,
    device: str = "auto",
    step: Callable[[str], None] | None = None,
) -> Sweep:
    """Train a network for each latent size, seed and variant, measure all on held-out pictures, and recommend a size.

    kind: 'vae', 'cvae', 'seg-vae' or 'mgrad2vae'. data: as `train` takes it. latents: sizes. seeds: networks of each,
    by the seeds 0, 1, …; their spread is the standard error of the rule. vary: values of further lines of the recipe,
    all combined, such as {'loss.beta': [1, 4]} or {'loss.reconstruction': ['bce', 'mse']}: the effect of the loss.
    recipe, changes: of all networks, as `train` takes them. n: test pictures on which units are measured. tolerance:
    see `sweep_table.RULE`. step: told what begins.

    Errors and KL are those of the training's test figures, so that losses compare: squared error of pixels, or 1 − mean
    IoU of masks, whatever was made small. Networks stay in `out`, and the same call goes on where it was stopped.
    Raises ParameterError; where every network fails, the first one's error. `latent_sweep_each` hands over what there
    is after each network.
    """
    steps = latent_sweep_each(
        kind,
        data,
        latents,
        out,
        seeds=seeds,
        vary=vary,
        recipe=recipe,
        changes=changes,
        n=n,
        attention=attention,
        tolerance=tolerance,
        device=device,
        step=step,
    )
    return deque(steps, maxlen=1).pop()


def latent_sweep_each(
    kind: "Kind",
    data: str,
    latents: Sequence[int],
    out: str | Path,
    *,
    seeds: int = 3,
    vary: Mapping[str, Sequence[Any]] | None = None,
    recipe: "Recipe | None" = None,
    changes: Mapping[str, Any] | None = None,
    n: int = 2000,
    attention: AtStep = "grad-cam",
    tolerance: float = TOLERANCE,
    device: str = "auto",
    step: Callable[[str], None] | None = None,
) -> Iterator[Sweep]:
    """As `latent_sweep`, which is the last of these: what is known after each network, seed by seed."""
    sizes, variants = _checked(kind, latents, seeds, vary, n, tolerance)
    folder = Path(out)
    runs: list[Run] = []
    failures: list[RunFailure] = []
    errors: list[SeglensError] = []
    total = seeds * len(variants) * len(sizes)
    # All sizes of the first seed first: what is stopped early has a whole curve.
    for seed, variant, latent in product(range(seeds), variants, sizes):
        name = words_of_variant(variant)
        if step is not None:
            step(f"{latent} units{', ' * bool(name)}{name}, seed {seed}")
        at = folder / f"{f'{slug(name)}-' if name else ''}latent{latent}-seed{seed}"
        wanted = {**(changes or {}), **variant, "model.latent": latent, "seed": seed}
        try:
            trained = _trained(kind, data, at, recipe, wanted, device)
            runs.append(_measured(trained, name, latent, seed, n, attention, device))
        except SeglensError as failed:
            failures.append(RunFailure(name, latent, seed, str(failed)))
            errors.append(failed)
        if runs:
            yield Sweep(
                kind=kind,
                data=data,
                runs=sorted_runs(runs),
                total=total,
                produces="image" if kind in ("vae", "cvae") else "masks",
                tolerance=tolerance,
                failures=tuple(failures),
                provenance={
                    "pictures": str(n),
                    "device": device,
                    "seglens": version("seglens"),
                    "torch": torch.__version__,
                    "python": platform.python_version(),
                },
            )
    if not runs:
        raise errors[0]


def _checked(
    kind: str, latents: Sequence[int], seeds: int, vary: Mapping[str, Sequence[Any]] | None, n: int, tolerance: float
) -> tuple[list[int], list[dict[str, Any]]]:
    if kind not in KINDS:
        raise ParameterError(f"a {kind} has no latent space to choose the size of: one of {', '.join(KINDS)}.")
    if not latents or min(latents) < 1:
        raise ParameterError(f"latent sizes are whole numbers from 1, at least one, not {list(latents)}.")
    if seeds < 1 or n < 2 or tolerance < 0:
        raise ParameterError(f"{seeds=}, {n=}, {tolerance=}: at least one seed, two pictures, and a tolerance from 0.")
    for name, values in (vary or {}).items():
        if name in ("model.latent", "seed"):
            raise ParameterError(f"{name} is varied by itself: give latents and seeds.")
        if isinstance(values, str) or not values:
            raise ParameterError(f"{name}: a list of values, at least one, not {values!r}.")
    named = dict(vary or {})
    return sorted(set(latents)), [dict(zip(named, chosen, strict=True)) for chosen in product(*named.values())]


def _trained(
    kind: "Kind", data: str, at: Path, recipe: "Recipe | None", changes: Mapping[str, Any], device: str
) -> "Trained":
    # Here, not above: training brings its own libraries, which nothing else in this room needs.
    from seglens.run.training.fit import Where, train

    return train(kind, data, at, recipe=recipe, changes=changes, where=Where(device=device))


def _measured(trained: "Trained", variant: str, latent: int, seed: int, n: int, attention: AtStep, device: str) -> Run:
    """What is known of a trained network; read from beside it where it was measured so before."""
    kept = Path(trained.folder) / MEASURED
    asked = {"format": _FORMAT, "n": n, "attention": repr(attention)}
    found = _kept(kept, asked)
    if found is None:
        found = _measure(trained, n, attention, device)
        write_text(as_json({**asked, "found": found}) + "\n", kept)
    figures = trained.figures
    error = figures["squared_error"] if "squared_error" in figures else 1 - figures.get("mean_iou", float("nan"))
    return Run(
        variant=variant,
        latent=latent,
        seed=seed,
        error=error,
        kl=figures.get("kl", float("nan")),
        seconds=round(trained.seconds, 1),
        parameters=trained.parameters,
        folder=Path(trained.folder).name,
        **{name: float("nan") if value is None else value for name, value in found.items()},
    )


def _kept(path: Path, asked: Mapping[str, Any]) -> dict[str, float | None] | None:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        return plain["found"] if all(plain[key] == value for key, value in asked.items()) else None
    except (OSError, ValueError, KeyError):  # never measured, or by a version that kept something else
        return None


def _measure(trained: "Trained", n: int, attention: AtStep, device: str) -> dict[str, float]:
    recipe = trained.recipe
    coding = Coding.of(trained.network, None if device == "auto" else device)
    data: SampleSet = open_dataset(recipe.data.name, "test", size=recipe.data.size, length=n, seed=recipe.data.seed)
    gathered = gather(coding, data, n)
    mu, logvar = coding.encode(gathered.x, gathered.condition)
    means = mu.numpy().astype(np.float64)
    living = activity(means) > ACTIVE
    found = {"active": float(living.sum())}
    if attention is not None:
        told = statistics_of(
            coding,
            gathered,
            means,
            logvar.numpy().astype(np.float64),
            attention=attention,
            maps=48,
            slopes=1,
            seed=0,
        )
        excess = np.array([u.consistency - u.consistency_others for u in told.units])[living]
        known = excess[np.isfinite(excess)]
        found["attention"] = float(known.mean()) if known.size else float("nan")
    if gathered.factors is not None:
        factors = factors_found(coding, gathered, mu, logvar, kinds=None, moved=0, predict=True, seed=0)
        found["mig"] = factors.mig
        found["disentanglement"] = float("nan") if factors.dci is None else factors.dci.disentanglement
    return found
