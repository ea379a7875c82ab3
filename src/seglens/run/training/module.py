"""The training step as Lightning runs it."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.utils.data import DataLoader

from seglens.core.errors import NonFiniteError, ParameterError
from seglens.generative.coder import Coder
from seglens.run.training.building import Built
from seglens.run.training.data import Batch, InTurn, Order, Pictures, loader
from seglens.run.training.held_out import HeldOut
from seglens.run.training.objective import Shown, class_weights, losses
from seglens.run.training.recipe import Recipe
from seglens.run.training.schedule import factor, optimiser
from seglens.run.training.seeds import generator, seed_of


class Learner(LightningModule):
    """A network with its recipe. One epoch of Lightning is one of ours, or what is left of it after a resumption.

    step: steps done, over all runs; everything random in a step is seeded by it. total: at the end.
    """

    def __init__(
        self, built: Built, recipe: Recipe, train: Pictures, validation: Pictures, total: int, workers: int
    ) -> None:
        super().__init__()
        self.network = built.module
        self.recipe, self.convention, self.total, self.workers = recipe, built.convention, total, workers
        self.pictures, self.held_out_pictures = train, validation
        self.weights = class_weights(train.shares(), recipe.balance) if recipe.balance else None
        self.step = 0
        self.told: dict[str, float] = {}
        self.held_out = HeldOut()
        self.figures: dict[str, float] = {}

    @property
    def a_round(self) -> int:
        """Steps of an epoch."""
        return len(self.pictures) // self.recipe.batch

    @property
    def epoch_end(self) -> int:
        """The step at which the epoch under way ends."""
        return min((self.step // self.a_round + 1) * self.a_round, self.total)

    def train_dataloader(self) -> DataLoader[Batch]:
        """What is left of the epoch."""
        world = self.trainer.world_size
        if self.recipe.batch % world:
            raise ParameterError(
                f"a batch of {self.recipe.batch} is not shared out evenly among {world} devices.\n"
                f"  Take a multiple of {world}: --batch."
            )
        order = Order(
            len(self.pictures),
            self.recipe.batch,
            self.recipe.seed,
            self.step,
            self.epoch_end,
            self.trainer.global_rank,
            world,
        )
        return loader(self.pictures, order, self.workers, self._pinned)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Held-out pictures, shared out among the processes."""
        order = InTurn(
            len(self.held_out_pictures), self.recipe.batch, self.trainer.global_rank, self.trainer.world_size
        )
        return loader(self.held_out_pictures, order, self.workers, self._pinned)

    def configure_optimizers(self) -> Any:
        """The optimiser, and the rate as a function of the step."""
        made = optimiser(self.recipe.optimiser, self.network.parameters())
        rate = torch.optim.lr_scheduler.LambdaLR(made, lambda step: factor(self.recipe.optimiser, step, self.total))
        return {"optimizer": made, "lr_scheduler": {"scheduler": rate, "interval": "step"}}

    def training_step(self, batch: Batch) -> Tensor:
        """The loss of a batch. Raises NonFiniteError where it is none."""
        seed, rank = self.recipe.seed, self.trainer.global_rank
        # For what draws from torch's own generator, such as dropout.
        torch.manual_seed(seed_of(seed, "step", self.step, rank))
        shown = self.shown(batch)
        if self.recipe.data.flip:
            mirrored = torch.rand(len(batch.image), generator=generator(seed, "mirror", self.step, rank)) < 0.5
            shown = shown.mirrored(mirrored.to(self.device))
        draws = generator(seed, "posterior", self.step, rank, device=self.device)
        parts, _seen = losses(self.network, self.recipe, shown, draws, self.step, self.weights)
        self.told = {name: float(value.detach()) for name, value in parts.items()}
        if not all(value == value and abs(value) != float("inf") for value in self.told.values()):
            raise NonFiniteError(_diverged(self.told, self.step, self.a_round))
        return parts["loss"]

    def on_validation_epoch_start(self) -> None:
        """Sums from 0 on."""
        self.held_out = HeldOut()

    def validation_step(self, batch: Batch, index: int) -> None:
        """Add a batch to the held-out figures. The same draws in every epoch, so that figures compare."""
        rank, world = self.trainer.global_rank, self.trainer.world_size
        draws = generator(self.recipe.seed, "held out", index * world + rank, device=self.device)
        self.measure(self.held_out, batch, draws)

    def on_validation_epoch_end(self) -> None:
        """Figures over all processes."""
        if self.trainer.world_size > 1:
            place = self.device if self.device.type != "mps" else torch.device("cpu")
            vector = self.held_out.vector().to(place)
            self.held_out.from_vector(self.trainer.strategy.reduce(vector, reduce_op="sum").cpu())
        self.figures = self.held_out.figures()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's own counters stay at 0: the run begins at our step, with the epochs that are left."""
        checkpoint.pop("loops", None)

    def shown(self, batch: Batch) -> Shown:
        """A batch as the network and the loss take it."""
        pixels = batch.image.float() / 255
        return Shown(
            # Channels last: a third less time for the derivatives of convolutions on a CPU, and what GPUs like.
            self.convention.normalise(pixels)
            .to(next(self.network.parameters()).dtype)
            .contiguous(memory_format=torch.channels_last),
            pixels,
            batch.labels.long() if batch.labels.numel() else None,
            batch.condition if batch.condition.numel() else None,
        )

    def measure(self, held_out: HeldOut, batch: Batch, draws: torch.Generator) -> None:
        """Add the figures of a batch: losses of a draw from the posterior, masks and pictures of its mean."""
        network, shown = self.network, self.shown(batch)
        parts, seen = losses(network, self.recipe, shown, draws, None, self.weights)
        raw = network(shown.x) if shown.condition is None else network(shown.x, shown.condition)
        if shown.labels is not None:
            held_out.add_labels("masks", raw, shown.labels)
            if seen.attention is not None:
                held_out.add_labels("attention", seen.attention, shown.labels)
        else:
            picture = cast("Coder", network).picture(raw)
            parts["squared_error"] = ((picture - shown.pixels) ** 2).mean()
        if seen.mu.shape[1]:
            held_out.add_posterior(seen.mu, seen.logvar)
        held_out.add_means(len(shown.pixels), {name: value for name, value in parts.items() if name != "kl"})

    @property
    def _pinned(self) -> bool:
        return self.trainer.strategy.root_device.type == "cuda"


def _diverged(told: Mapping[str, float], step: int, a_round: int) -> str:
    said = ", ".join(f"{name} {value:.4g}" for name, value in told.items())
    return (
        f"the training diverged at step {step} (epoch {step // a_round + 1}): {said}.\n"
        "  What was reached before is kept. Begin anew (--fresh) with a smaller rate (--rate), clipped gradients "
        "(--set optimiser.clip=1.0), or precision 32-true."
    )
