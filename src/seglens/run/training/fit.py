"""train(): a network of one's own, from a data set's name to a folder that `seglens.load` opens."""

import logging
import math
import os
import platform
import signal
import time
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from seglens.core.errors import NameNotFoundError, ParameterError, suggest
from seglens.core.progress import tell
from seglens.core.saving import write_text
from seglens.networks.zoos.repair import library
from seglens.run.training.building import Built, build, read_weights, write_network
from seglens.run.training.card import card
from seglens.run.training.data import Facts, InTurn, Pictures, Splits, facts_of, loader, open_splits
from seglens.run.training.folder import Folder, Ledger
from seglens.run.training.presets import preset
from seglens.run.training.recipe import KINDS, MASKED, Kind, Recipe
from seglens.run.training.result import Trained
from seglens.run.training.seeds import generator

if TYPE_CHECKING:
    from lightning.pytorch import Trainer


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """On what a network is trained, as Lightning's Trainer takes it. None of it is part of the recipe.

    device: 'cpu', 'cuda', 'mps', 'auto', or one of several, 'cuda:1'. devices: how many of each machine. nodes:
    machines. strategy: Lightning's name, such as 'ddp' or 'fsdp'. workers: processes that read pictures from disk.
    """

    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    workers: int = 2


def train(
    kind: Kind,
    data: str,
    out: str | Path,
    *,
    recipe: Recipe | None = None,
    changes: Mapping[str, Any] | None = None,
    resume: bool = True,
    where: Where | None = None,
    every: int = 100,
    keep: int = 0,
    splits: Splits | None = None,
) -> Trained:
    """Train a network, or go on where an earlier call with the same arguments was stopped, killed or cut off.

    kind: 'vae', 'cvae', 'seg-vae', 'mgrad2vae' or 'segmenter'. data: 'streets', 'faces', 'sprites', or NAME:PATH of a
    set on disk. out: a folder, made here. recipe: None takes the preset of kind and data; one of another set is used
    on `data`. changes: other values by dotted names, such as {'model.latent': 10, 'epochs': 5}. resume: False begins
    anew, and removes what an earlier training left in the folder. where: device, and how many. every: steps between
    checkpoints, which are also written after each epoch; a killed training loses no more than these, and ends on a
    CPU in the same weights, to the last bit, as if it had not been killed. keep: snapshots of the weights every so
    many epochs, and before the first; 0 for none. splits: your own sets in the place of those that `data` names.

    The folder holds recipe.toml; network.safetensors with its description network.toml, for `seglens.load`; card.md;
    metrics.csv; events/ for TensorBoard; checkpoints/; result.json. The network has the weights with the best held-out
    figure: mean IoU of masks, else the loss. Progress is told to `seglens.core.progress` listeners. The first Ctrl-C
    stops behind the step under way. Global random states stay as they were.
    Raises MissingExtraError without lightning or tensorboard; ParameterError for data that the kind cannot learn, an
    unknown key, a folder that holds something else or a training by another recipe, a device that is not there;
    NonFiniteError where the loss or the weights stop being numbers, which the last checkpoint survives.
    """
    recipe = settled(kind, data, recipe, changes)
    folder = Folder(Path(out))
    folder.check(recipe, fresh=not resume)
    if resume and folder.result.exists():
        return Trained.read(folder)
    where = where or Where()
    for package in ("lightning", "tensorboard"):
        library(package, "train", f"training a {kind}")
    own = splits or open_splits(recipe.data)
    facts = facts_of(own, recipe)
    built = build(recipe, facts)
    with _silent():
        _trainer(where, logger=False)  # says now what cannot be had, not after minutes of making pictures
    if is_first():
        folder.prepare(recipe, fresh=not resume)
    masks = recipe.kind in MASKED
    shown = Pictures(own.train, facts, "training pictures", masks)
    seen = Pictures(own.validation, facts, "validation pictures", masks)
    # Others than the first may be here before it has cleared the folder.
    ledger = folder.ledger() if resume or is_first() else Ledger()
    total = steps_of(recipe, len(shown))
    job = _Job(folder, recipe, facts, built, own, shown, seen, total, where, every, keep)
    resumed = ledger.step
    with _silent(), _own_randomness():
        trainer = _fitted(job, ledger)
        trained = _finished(job, trainer) if trainer.is_global_zero else None
        trainer.strategy.barrier("seglens: finished")
    return replace(trained or Trained.read(folder), resumed=resumed, already=False)


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """All that a training is about, settled before its first step."""

    folder: Folder
    recipe: Recipe
    facts: Facts
    built: Built
    own: Splits
    shown: Pictures
    seen: Pictures
    total: int
    where: Where
    every: int
    keep: int


def is_first() -> bool:
    """Whether this is the first of the processes that train together; the others are started by it, or by a cluster.

    Told by the environment, as Lightning, torchrun and SLURM set it, before the processes know of each other.
    """
    names = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "NODE_RANK", "GROUP_RANK")
    return all(os.environ.get(name, "0") == "0" for name in names)


def settled(kind: Kind, data: str, recipe: Recipe | None, changes: Mapping[str, Any] | None) -> Recipe:
    """The recipe in force. Raises NameNotFoundError, ParameterError."""
    if kind not in KINDS:
        raise NameNotFoundError(
            f"no kind of network {kind!r} to be trained.{suggest(kind, KINDS)}\n  All of them: {', '.join(KINDS)}."
        )
    if recipe is not None and recipe.kind != kind:
        raise ParameterError(f"the recipe trains a {recipe.kind}, and a {kind} is asked for.")
    return (recipe or preset(kind, data)).with_({"data.name": data, **(changes or {})})


def steps_of(recipe: Recipe, n: int) -> int:
    """Steps of the whole training, with n training pictures."""
    return recipe.steps if recipe.steps is not None else (recipe.epochs or 0) * (n // recipe.batch)


def _fitted(job: _Job, ledger: Ledger) -> "Trainer":
    """The trainer, after all steps that were left."""
    from seglens.run.training.events import Events
    from seglens.run.training.keeper import Interrupted, Keeper
    from seglens.run.training.module import Learner

    masks = job.recipe.kind in MASKED
    keeper = Keeper(
        job.folder,
        ledger,
        job.built,
        job.recipe,
        job.facts,
        lambda: Events(job.folder.events, ledger.step, job.facts.classes),
        monitored="mean_iou" if masks else "loss",
        larger=masks,
        often=job.every,
        keep=job.keep,
    )
    trainer = _trainer(
        job.where,
        precision=job.recipe.precision,
        max_epochs=-1,
        max_steps=job.total - ledger.step,
        callbacks=[keeper],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        gradient_clip_val=job.recipe.optimiser.clip or None,
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
        # torch has it on CUDA only; elsewhere each process normalises over its own share of a batch.
        sync_batchnorm=job.where.nodes * job.where.devices > 1 and _on_cuda(job.where.device),
        inference_mode=False,
        default_root_dir=job.folder.path,
    )
    if ledger.stopped or ledger.step >= job.total:
        return trainer
    learner = Learner(job.built, job.recipe, job.shown, job.seen, job.total, job.where.workers)
    latest = job.folder.latest() if ledger.step else None
    handler = signal.getsignal(signal.SIGINT)
    try:
        with keeper.listening():
            trainer.fit(learner, ckpt_path=latest, weights_only=True)
    except Interrupted:
        raise KeyboardInterrupt from None
    except SystemExit:
        # Lightning's answer to Ctrl-C is to leave the program, deaf to further ones.
        if not keeper.interrupted:
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None
    return trainer


def _trainer(where: Where, **settings: Any) -> "Trainer":
    """Lightning's, on these devices. Raises ParameterError where it says that they cannot be had."""
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch import Trainer

    accelerator, _, index = where.device.partition(":")
    devices: int | list[int] = where.devices
    if index:
        if not index.isdigit() or where.devices != 1:
            raise ParameterError(
                f"device = {where.device!r} with {where.devices} devices: name one, such as 'cuda:1', or a kind of "
                "them and how many (--device cuda --devices 2)."
            )
        devices = [int(index)]
    try:
        return Trainer(
            accelerator=accelerator, devices=devices, num_nodes=where.nodes, strategy=where.strategy, **settings
        )
    except (MisconfigurationException, ValueError, RuntimeError, ImportError) as refused:
        raise ParameterError(
            f"no training on {where.devices} × {where.device} with strategy {where.strategy!r}: {refused}\n"
            "  --device cpu always can; --device auto takes what there is."
        ) from refused


def _on_cuda(device: str) -> bool:
    return device.startswith(("cuda", "gpu")) or (device == "auto" and torch.cuda.is_available())


def _finished(job: _Job, trainer: "Trainer") -> Trained:
    """The best weights as the network of the folder, their figures on test pictures, and the card."""
    from seglens.run.training.held_out import HeldOut
    from seglens.run.training.module import Learner

    folder, recipe, facts, built = job.folder, job.recipe, job.facts, job.built
    ledger, device = folder.ledger(), trainer.strategy.root_device
    test = Pictures(job.own.test, facts, "test pictures", job.shown.masks)
    read_weights(built.module, folder.best)
    learner = Learner(built, recipe, job.shown, test, job.total, job.where.workers).to(device).eval()
    held_out, order = HeldOut(), InTurn(len(test), recipe.batch)
    with torch.no_grad():
        for index, batch in enumerate(loader(test, order, job.where.workers)):
            tell("figures on test pictures", index, len(order))
            draws = generator(recipe.seed, "held out", index, device=device)
            learner.measure(held_out, type(batch)(*(part.to(device) for part in batch)), draws)
    built.module.cpu()
    write_network(built.module.state_dict(), built, recipe, facts, folder.network)
    per_class = held_out.per_class(facts.classes) if job.shown.masks and facts.classes is not None else {}
    trained = Trained(
        folder=folder.path,
        figures=held_out.figures(),
        per_class={name: value if math.isfinite(value) else None for name, value in per_class.items()},
        parameters=built.parameters,
        steps=ledger.step,
        epochs=len(ledger.rows),
        best_step=ledger.best_step,
        early=ledger.stopped and ledger.step < job.total,
        seconds=ledger.seconds,
        built_in=facts.built_in,
        provenance=_provenance(device, job.where),
    )
    counts = (len(job.own.train), len(job.own.validation), len(job.own.test))
    write_text(card(trained, built, recipe, facts, counts), folder.card)
    folder.write_result(trained.facts())
    return trained


def _provenance(device: torch.device, where: Where) -> dict[str, str]:
    threads, count = torch.get_num_threads(), where.devices * where.nodes
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    several = f"{count} × " if count > 1 else ""
    return {
        "device": f"{several}{device.type} ({name}, {threads} thread{'s' * (threads > 1)})",
        "date": time.strftime("%Y-%m-%d"),
        "seglens": version("seglens"),
        "torch": torch.__version__,
        "lightning": version("lightning"),
        "python": platform.python_version(),
    }


@contextmanager
def _own_randomness() -> Generator[None]:
    """Torch's global random states, on all devices, are afterwards as they were."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        yield


_NOISE: Mapping[str, type[Warning]] = {
    ".*does not have many workers.*": UserWarning,
    ".*available but not used.*": UserWarning,
    ".*`srun` command is available.*": UserWarning,
    ".*isinstance.treespec, LeafSpec.*": FutureWarning,
}
"""What Lightning warns of where we decided on purpose, and what torch tells Lightning."""


@contextmanager
def _silent() -> Generator[None]:
    """Lightning's loggers say warnings only, and of those not what we decided on purpose."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message, category in _NOISE.items():
                warnings.filterwarnings("ignore", message, category)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
