"""The segmentation VAE over picture sizes, latent sizes and losses, beside a U-Net of the same budget.

Gradient-weighted maps of such networks were read in 'Interpretation of Activation Maps in Generative Models', whose
figure 8 shows three of them (64 px, 5 latent units, 5 stages; 128 px, 15, 4; 256 px, 100, 3), and whose text calls them
comparable with a U-Net.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from seglens.core.errors import ParameterError
from seglens.datasets.samples import open_dataset
from seglens.networks import load
from seglens.run.bench.clock import Listener
from seglens.run.tables.jobs import Job, run_jobs
from seglens.run.tables.masks import flat, mask_scores
from seglens.run.tables.table import Table
from seglens.run.training.presets import preset
from seglens.run.training.recipe import Recipe

COLUMNS = ("masks.iou", "masks.jaccard_loss", "masks.cross_entropy", "masks.ssim", "masks.auc_roc")

UNET = "xception-unet"


@dataclass(frozen=True, slots=True)
class Variant:
    """One network of the table: side of the square picture, latent units, stages of the encoder, loss."""

    side: int
    latent: int
    stages: int = 4
    loss: str = "jaccard"

    @property
    def row(self) -> str:
        """As '64 px, d = 15, 4 stages, jaccard'."""
        return f"{self.side} px, d = {self.latent}, {self.stages} stages, {self.loss}"


PUBLISHED = (Variant(64, 5, 5), Variant(128, 15, 4), Variant(256, 100, 3))
"""Those of the paper's figure 8."""

LATENTS = tuple(Variant(64, latent) for latent in (5, 15, 50, 100))
"""Every latent size of the paper at one picture size."""

LOSSES = tuple(Variant(64, 15, loss=loss) for loss in ("bce", "dice", "cross-entropy"))
"""Other losses at one size."""

USUAL = (*LATENTS, *LOSSES, *PUBLISHED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which networks are trained, each with `seeds` seeds and as many steps as the recipe says.

    A U-Net is trained beside them at every picture size, for the same steps on the same pictures.
    """

    recipe: Recipe
    variants: tuple[Variant, ...] = USUAL
    seeds: int = 3

    def jobs(self) -> list[Job]:
        """Seed by seed, so that an interrupted table has whole seeds."""
        found: list[Job] = []
        for seed in range(self.recipe.seed, self.recipe.seed + self.seeds):
            found += [Job(v.row, self._recipe(v, seed)) for v in self.variants]
            found += [Job(f"{side} px, {UNET}", self._unet(side, seed)) for side in self.sides]
        return found

    @property
    def sides(self) -> tuple[int, ...]:
        """Picture sizes, smallest first."""
        return tuple(sorted({v.side for v in self.variants}))

    def _recipe(self, v: Variant, seed: int) -> Recipe:
        return self.recipe.with_(
            {
                "seed": seed,
                "data.size": [v.side, v.side],
                "model.latent": v.latent,
                "model.stages": v.stages,
                "loss.reconstruction": v.loss,
            }
        )

    def _unet(self, side: int, seed: int) -> Recipe:
        plain = self.recipe.to_dict()
        plain = {k: v for k, v in plain.items() if k not in ("model", "architecture", "loss")}
        loss = {"reconstruction": "cross-entropy", "beta": 0.0}
        data = {**plain["data"], "size": [side, side]}
        changed = {"kind": "segmenter", "architecture": "XceptionUNet", "seed": seed, "data": data, "loss": loss}
        return Recipe.from_dict({**plain, **changed})


_SMALL: Mapping[str, Any] = MappingProxyType(
    {"data.train": 1000, "data.validation": 100, "data.test": 200, "steps": 400}
)


def plan_for(
    data: str = "faces",
    *,
    seeds: int = 3,
    sides: Sequence[int] = (),
    quick: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> Plan:
    """The plan for a data set; changes of the recipe by dotted names; quick: two small networks alone.

    sides: picture sizes to take, of 64, 128 and 256; none stands for all. By default pictures and steps are what a
    processor core does in a quarter of an hour for one seed at 64 and 128 px.
    Raises ParameterError for a size that no variant has.
    """
    known = {v.side for v in USUAL}
    if not set(sides) <= known:
        raise ParameterError(f"sides are some of {', '.join(map(str, sorted(known)))} px, not {list(sides)}.")
    recipe = preset("seg-vae", data).with_({**_SMALL, **(changes or {})})
    chosen = LATENTS[:2] if quick else tuple(v for v in USUAL if not sides or v.side in sides)
    return Plan(recipe=recipe, seeds=seeds, variants=chosen)


def segmentation_vae_table(
    plan: Plan, out: Path, *, device: str | None = None, listener: Listener | None = None
) -> Table:
    """Train what is missing in `out`, score it on the test split of its own picture size, and give the table.

    Scores as in `tables.masks.MaskScores`: IoU, Jaccard loss and cross-entropy apart, over all classes. The paper's own
    figures (Jaccard loss 0.5044 beside IoU 0.76) are of one united class, on another data set.
    """
    data = plan.recipe.data
    jobs = plan.jobs()
    sets = {
        side: open_dataset(data.name, "test", size=(side, side), length=data.test, seed=data.seed)
        for side in plan.sides
    }

    def score(folder: Path) -> Mapping[str, float]:
        network = load(folder / "network.safetensors")
        side = (network.convention.size or (0,))[0]
        return flat(mask_scores(network, sets[side]))

    runs = run_jobs(jobs, out, score, device=device, listener=listener)
    test = next(iter(sets.values()))
    made = "built-in data made by rule" if test.built_in else "the user's own copy of the data"
    long = f"{plan.recipe.steps} steps" if plan.recipe.steps else f"{plan.recipe.epochs} epochs"
    about = f"{data.name} ({made}), {len(test)} test pictures; {long} of {plan.recipe.batch} each"
    lower = frozenset(("masks.jaccard_loss", "masks.cross_entropy"))
    return Table(title="Segmentation VAE", about=about, columns=COLUMNS, runs=runs, lower=lower)
