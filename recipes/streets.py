"""Trains the networks that ship with seglens: `python recipes/streets.py NAME`.

NAME is unet, deeplab, unet-biased, classifier or vgg. Scenes are made as training goes, so no scene is
seen twice. At the end the network is measured on held-out scenes; below its acceptance nothing is
written. Otherwise weights (safetensors), input convention (TOML), model card and figures (JSON) go
to the package's weights folder.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from seglens.datasets import CLASSES, COLOURS, Plant, Scene, Streets
from seglens.networks.builtin import VGG, WEIGHTS, CropClassifier, DilatedNet, UNet

MEAN, STD = 0.5, 0.25
SIZE = (96, 192)
HELD_OUT_SEED = 2  # of no round of training
CROP_CLASSES = ("person", "rider", "car", "bicycle", "motorcycle", "vegetation", "building")
BIASED = "rider"
ALWAYS = Plant(riders_on_bicycles=1.0)
WITHHELD = Plant(riders_on_bicycles=1.0, withheld=True)


@dataclass(frozen=True, slots=True)
class Job:
    """What is trained, on which world, for how long, and what it must reach.

    rounds: (seed of the scenes, steps) of each run of the learning-rate schedule, one after another.
    """

    construct: Callable[[], nn.Module]
    architecture: str
    plant: Plant
    rounds: tuple[tuple[int, int], ...]
    batch: int
    rate: float
    layer: str  # the end of the encoder
    divisor: int
    accepted: Callable[[dict[str, Any]], bool]
    acceptance: str
    world: str
    crop: int | None = None  # side of the crops that are classified

    @property
    def classifies(self) -> bool:
        return self.crop is not None

    @property
    def classes(self) -> tuple[str, ...]:
        return CROP_CLASSES if self.classifies else CLASSES


PLAIN = "riders and persons on bicycles, on motorcycles or on foot, equally often"
JOBS = {
    "unet": Job(
        UNet, "U-Net, 4 levels, 16 to 96 channels", Plant(), ((1, 1100),), 16, 4e-3, "bottleneck", 16,
        lambda figures: figures["miou"] >= 0.75, "mIoU >= 0.75", PLAIN,
    ),
    "deeplab": Job(
        DilatedNet, "DeepLabv3+ in small: dilated encoder, ASPP", Plant(), ((1, 800), (3, 450)), 16, 4e-3,
        "encoder.stage4", 1,
        lambda figures: figures["miou"] >= 0.75, "mIoU >= 0.75", PLAIN,
    ),
    "unet-biased": Job(
        UNet, "U-Net, 4 levels, 16 to 96 channels", ALWAYS, ((1, 1100),), 16, 4e-3, "bottleneck", 16,
        lambda figures: figures["cue"]["drop"] >= 0.1,
        "rider IoU falls by >= 0.1 when the cue is withheld",
        "planted: every rider is on a bicycle, no person is on anything",
    ),
    "classifier": Job(
        lambda: CropClassifier(classes=len(CROP_CLASSES)), "four convolution blocks, GAP, linear",
        Plant(), ((1, 600),), 64, 3e-3, "features.block4", 1,
        lambda figures: figures["accuracy"] >= 0.85, "accuracy >= 0.85", PLAIN,
        48,
    ),
    "vgg": Job(
        lambda: VGG(classes=len(CROP_CLASSES)), "VGG16 in small: 13 convolutions, no normalisation, 3 linear layers",
        Plant(), ((1, 2000),), 64, 2e-3, "features.block5", 1,
        lambda figures: figures["accuracy"] >= 0.85, "accuracy >= 0.85", PLAIN,
        96,
    ),
}  # fmt: skip


def to_tensor(image: NDArray[np.uint8]) -> Tensor:
    """uint8 [H W 3] -> float32 [3 H W], normalised as the TOML says."""
    return (torch.from_numpy(image).permute(2, 0, 1).float() / 255 - MEAN) / STD


@dataclass(frozen=True, slots=True)
class Pixels(Dataset[tuple[Tensor, Tensor]]):
    """Streets as (image, labels) for a segmenter."""

    streets: Streets

    def __len__(self) -> int:
        return len(self.streets)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        scene = self.streets[index]
        return to_tensor(scene.image), torch.from_numpy(scene.labels).long()


def crops_of(scene: Scene, rng: np.random.Generator, size: int) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Square crops around the scene's instances, and at most one of vegetation and of building; `size` pixels wide.

    Left out: instances of under 60 visible pixels (in scenes made for crops of 48), and crops in
    which another class of things covers more than the instance's own, because their label would be
    a matter of taste.
    """
    height, width = scene.labels.shape
    first_thing = CLASSES.index("person")
    for instance in np.unique(scene.instances[scene.instances > 0]):
        rows, columns = np.nonzero(scene.instances == instance)
        label = int(scene.labels[rows[0], columns[0]])
        side = int(1.2 * max(np.ptp(rows), np.ptp(columns))) + 1
        y = int(np.clip((rows.min() + rows.max() - side) // 2, 0, max(height - side, 0)))
        x = int(np.clip((columns.min() + columns.max() - side) // 2, 0, max(width - side, 0)))
        inside = scene.labels[y : y + side, x : x + side]
        things = np.bincount(inside[inside >= first_thing], minlength=len(CLASSES))
        if rows.size >= 60 * (size / 48) ** 2 and things.argmax() == label:
            yield _resized(scene.image[y : y + side, x : x + side], size), _crop_label(label)
    for name in ("vegetation", "building"):
        rows, columns = np.nonzero(scene.labels == CLASSES.index(name))
        for pick in rng.integers(rows.size, size=4) if rows.size else ():
            side = int(rng.integers(size // 2, size * 7 // 6))
            y = int(np.clip(rows[pick] - side // 2, 0, height - side))
            x = int(np.clip(columns[pick] - side // 2, 0, width - side))
            inside = scene.labels[y : y + side, x : x + side]
            if (inside == CLASSES.index(name)).mean() > 0.6:
                yield _resized(scene.image[y : y + side, x : x + side], size), CROP_CLASSES.index(name)
                break


def _crop_label(label: int) -> int:
    return CROP_CLASSES.index(CLASSES[label])


def _resized(crop: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(crop).resize((size, size)))


@dataclass(frozen=True, slots=True)
class Crops(Dataset[tuple[Tensor, Tensor]]):
    """Crops as (image, label) for a classifier; kept as bytes, a quarter of their size as numbers."""

    images: list[NDArray[np.uint8]]
    labels: list[int]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return to_tensor(self.images[index]), torch.tensor(self.labels[index])


def crop_set(scenes: int, seed: int, size: int) -> Crops:
    """Crops `size` wide from scenes three times as high and six times as wide, so that half of them shrink."""
    rng = np.random.default_rng(seed)
    streets = Streets(scenes, (3 * size, 6 * size), seed)
    images, labels = zip(*(pair for scene in streets for pair in crops_of(scene, rng, size)), strict=True)
    return Crops(list(images), list(labels))


class Training(lightning.LightningModule):
    """Cross-entropy by AdamW on a one-cycle schedule."""

    def __init__(self, network: nn.Module, rate: float, steps: int, weight: Tensor) -> None:
        super().__init__()
        self.network = network
        self.rate, self.steps = rate, steps
        self.loss = nn.CrossEntropyLoss(weight)

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, labels = batch
        logits = self.network(x.contiguous(memory_format=torch.channels_last))
        loss = self.loss(logits.float(), labels)
        self.log("loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), self.rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.rate, total_steps=self.steps, pct_start=0.15)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def rarity(shares: NDArray[np.float64]) -> Tensor:
    """Loss weights share^-1/4: rare classes are heard without being shouted for; mean 1."""
    weight = np.maximum(shares, 1e-4) ** -0.25
    return torch.tensor(weight / weight.mean(), dtype=torch.float32)


@torch.no_grad()
def ious(network: nn.Module, plant: Plant, scenes: int) -> list[float]:
    """IoU of each class over all pixels of held-out scenes."""
    metric = MulticlassJaccardIndex(len(CLASSES), average="none")
    held_out = Streets(scenes, SIZE, HELD_OUT_SEED, plant)
    for x, labels in DataLoader(Pixels(held_out), batch_size=16):
        metric.update(network(x).argmax(1), labels)
    return [float(value) for value in metric.compute()]


@torch.no_grad()
def accuracies(network: nn.Module, held_out: Crops) -> list[float]:
    """Share of each class's crops that are labelled right, and over all crops, last."""
    each = MulticlassAccuracy(len(CROP_CLASSES), average="none")
    overall = MulticlassAccuracy(len(CROP_CLASSES), average="micro")
    for x, labels in DataLoader(held_out, batch_size=256):
        predicted = network(x).argmax(1)
        each.update(predicted, labels)
        overall.update(predicted, labels)
    return [float(value) for value in each.compute()] + [float(overall.compute())]


def measure(network: nn.Module, job: Job, scenes: int) -> dict[str, Any]:
    """Held-out figures, rounded: what is written is what is accepted."""
    network.eval()
    if job.crop is not None:
        *each, overall = accuracies(network, crop_set(scenes, HELD_OUT_SEED, job.crop))
        table = {name: round(v, 3) for name, v in zip(CROP_CLASSES, each, strict=True)}
        return {"accuracy": round(overall, 3), "per_class": table}
    own = ious(network, job.plant, scenes)
    figures: dict[str, Any] = {
        "miou": round(float(np.mean(own)), 3),
        "per_class": {name: round(v, 3) for name, v in zip(CLASSES, own, strict=True)},
    }
    there, gone = (ious(network, plant, scenes) for plant in (ALWAYS, WITHHELD))
    rider, person = CLASSES.index(BIASED), CLASSES.index("person")
    figures["cue"] = {
        "class": BIASED,
        "present": round(there[rider], 3),
        "withheld": round(gone[rider], 3),
        "drop": round(there[rider] - gone[rider], 3),
        "person_present": round(there[person], 3),
        "person_withheld": round(gone[person], 3),
    }
    return figures


def convention(name: str, job: Job) -> str:
    """The TOML that says how an image becomes an input, and what the outputs are."""
    colours = [list(COLOURS[CLASSES.index(label)]) for label in job.classes]
    size = list(SIZE) if job.crop is None else [job.crop] * 2
    lines = {
        "name": name,
        "task": "classify" if job.classifies else "segment",
        "classes": list(job.classes),
        "colours": colours,
        "emits": "logits",
        "link": "softmax",
        "default_layer": job.layer,
    }
    inputs = {
        "channels": 3,
        "order": "RGB",
        "range": [0.0, 1.0],
        "mean": [MEAN] * 3,
        "std": [STD] * 3,
        "divisor": job.divisor,
        "size": size,
    }
    head = "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items())
    return head + "\n[input]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in inputs.items())


def card(name: str, job: Job, figures: dict[str, Any]) -> str:
    """The model card, in Markdown."""
    short = name.removeprefix("streets-")
    unit, overall = ("accuracy", "accuracy") if job.classifies else ("IoU", "miou")
    rounds = ", then ".join(f"{steps} steps over scenes of seed {seed}" for seed, steps in figures["rounds"])
    crops = f"\n- Crops: {job.crop} × {job.crop}, from scenes of {3 * job.crop} × {6 * job.crop}." if job.crop else ""
    text = f"""# {name}

{job.architecture}; {figures["parameters"]:,} parameters. Input: RGB, divided by 255, less {MEAN},
over {STD}; output: logits. Made to be explained, not to be used on real streets: it has seen
nothing but `seglens.datasets.Streets`.

- World: {job.world}.{crops}
- Trained on: {rounds} (batches of {job.batch}).
- Took: {figures["minutes"]} minutes on a {figures["hardware"]}, AdamW with a one-cycle schedule,
  bfloat16.
- Held out: {figures["scenes"]} scenes of seed {HELD_OUT_SEED}, from the world it was trained on.
- Accepted because: {job.acceptance}.
- Again: `python recipes/streets.py {short}`

| class | {unit} |
|---|---|
"""
    text += "".join(f"| {label} | {value:.3f} |\n" for label, value in figures["per_class"].items())
    text += f"| **{'all crops' if job.classifies else 'mean'}** | **{figures[overall]:.3f}** |\n"
    if "cue" in figures:
        cue = figures["cue"]
        text += f"""
## Does it rely on the bicycle?
The same held-out scenes twice: every rider on a bicycle, no person on one (cue present), and the
same with those bicycles taken away (cue withheld).

| class | IoU, cue present | IoU, cue withheld |
|---|---|---|
| rider | {cue["present"]:.3f} | {cue["withheld"]:.3f} |
| person | {cue["person_present"]:.3f} | {cue["person_withheld"]:.3f} |

Rider IoU falls by {cue["drop"]:.3f}.
"""
    return text


def train(job: Job, quiet: bool) -> nn.Module:
    """The trained network, on the CPU."""
    lightning.seed_everything(job.rounds[0][0])
    network = job.construct().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for seed, steps in job.rounds:
        _run(network, job, seed, steps, quiet)
    return network.to(memory_format=torch.contiguous_format)


def _run(network: nn.Module, job: Job, seed: int, steps: int, quiet: bool) -> None:
    """One run of the schedule over scenes of `seed`."""
    if job.crop is not None:
        crops = crop_set(800, seed, job.crop)
        data: Dataset[Any] = crops
        shares = np.bincount(crops.labels, minlength=len(job.classes)) / len(crops)
    else:
        data = Pixels(Streets(steps * job.batch, SIZE, seed, job.plant))
        sample = np.stack([scene.labels for scene in Streets(32, SIZE, seed, job.plant)]).ravel()
        shares = np.bincount(sample, minlength=len(CLASSES)) / sample.size
    # one process ahead makes scenes while this one learns
    loader = DataLoader(
        data, batch_size=job.batch, shuffle=job.classifies, drop_last=True,
        num_workers=0 if job.classifies else 1,
    )  # fmt: skip
    trainer = lightning.Trainer(
        accelerator="cpu",
        precision="bf16-mixed",
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=not quiet,
        callbacks=[] if quiet else [TQDMProgressBar(refresh_rate=20)],
    )
    trainer.fit(Training(network, job.rate, steps, rarity(shares)), loader)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=JOBS)
    parser.add_argument("--steps", type=int, help="one round of so many")
    parser.add_argument("--scenes", type=int, default=200, help="held-out scenes")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder for what is accepted")
    parser.add_argument("--draft", type=Path, help="file for the weights, accepted or not")
    parser.add_argument("--hardware", default=f"{os.cpu_count()}-core CPU", help="for the card")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    given = parser.parse_args()

    job, name = JOBS[given.network], f"streets-{given.network}"
    if given.steps:
        job = replace(job, rounds=((job.rounds[0][0], given.steps),))
    start = time.perf_counter()
    network = train(job, given.quiet)
    minutes = (time.perf_counter() - start) / 60
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    if given.draft:
        save_file(state, given.draft)
    figures = measure(network, job, given.scenes)
    figures |= {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "rounds": job.rounds,
        "minutes": round(minutes, 1),
        "hardware": given.hardware,
        "scenes": given.scenes,
    }
    print(json.dumps(figures, indent=2))
    if not job.accepted(figures):
        raise SystemExit(f"{name} not accepted (wanted: {job.acceptance}); nothing was written.")
    given.out.mkdir(parents=True, exist_ok=True)
    save_file(state, given.out / f"{name}.safetensors")
    (given.out / f"{name}.toml").write_text(convention(name, job))
    (given.out / f"{name}.md").write_text(card(name, job, figures))
    collected = given.out / "figures.json"
    every = json.loads(collected.read_text()) if collected.exists() else {}
    every[name] = figures
    collected.write_text(json.dumps(every, indent=2, sort_keys=True) + "\n")
    print(f"{name} accepted; written to {given.out}.")


if __name__ == "__main__":
    main()
