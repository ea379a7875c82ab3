"""What happens around the steps: checkpoints, curves, pictures, progress, stopping early, stopping when asked."""

import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from seglens.core.errors import NonFiniteError
from seglens.core.progress import tell
from seglens.run.training.building import Built, write_network
from seglens.run.training.data import Facts
from seglens.run.training.events import Events
from seglens.run.training.folder import Folder, Ledger
from seglens.run.training.module import Learner
from seglens.run.training.recipe import Recipe


class Interrupted(Exception):
    """The training was asked to stop, and stopped behind a step that was kept."""


class Keeper(Callback):
    """Keeps what a training needs to go on, at every `often`-th step and at the end of each epoch.

    keep: weights of every so many epochs are kept as snapshots; 0 for none. larger: whether the monitored figure is
    better when larger. In several processes the first alone writes, but for checkpoints, to which all contribute.
    """

    def __init__(
        self,
        folder: Folder,
        ledger: Ledger,
        built: Built,
        recipe: Recipe,
        facts: Facts,
        events: Callable[[], Events],
        *,
        monitored: str,
        larger: bool,
        often: int,
        keep: int,
    ) -> None:
        self.folder, self.ledger, self.built, self.recipe, self.facts = folder, ledger, built, recipe, facts
        self.monitored, self.larger, self.often, self.keep = monitored, larger, often, keep
        self._make_events = events
        self._events: Events | None = None
        self._asked = False
        self.interrupted = False
        self._since = time.perf_counter()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on from the ledger's step."""
        _learner(pl_module).step = self.ledger.step
        if trainer.is_global_zero:
            self._events = self._make_events()
        if self.ledger.step == 0 and self.keep:
            self._snapshot(trainer, 0)
        self._since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A step is done."""
        learner = _learner(pl_module)
        learner.step += 1
        self.ledger.step = learner.step
        self.ledger.count(learner.told)
        epochs = -(-learner.total // learner.a_round)
        tell(
            f"epoch {(learner.step - 1) // learner.a_round + 1}/{epochs}, loss {learner.told['loss']:.4g}",
            learner.step,
            learner.total,
        )
        if self._events is not None:
            self._events.step(learner.told, learner.step)
        at_end = learner.step == learner.total or learner.step % learner.a_round == 0
        # At the end of an epoch only after its held-out figures: a run never begins between the two.
        if not at_end and (self._asked or learner.step % self.often == 0):
            self._save(trainer)
            if self._asked:
                raise Interrupted

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """An epoch is over."""
        learner, ledger = _learner(pl_module), self.ledger
        epoch = -(-learner.step // learner.a_round)
        row = ledger.close(
            {
                "epoch": epoch,
                "step": learner.step,
                "seconds": self._spent(),
                "rate": float(trainer.optimizers[0].param_groups[0]["lr"]),
            }
        )
        row |= {f"val_{name}": value for name, value in learner.figures.items()}
        better = ledger.judge(learner.figures[self.monitored], self.larger, self.recipe.patience)
        if better:
            self._write(trainer, self.folder.best)
        if self.keep and (epoch % self.keep == 0 or learner.step == learner.total):
            self._snapshot(trainer, epoch)
        self._save(trainer)
        if trainer.is_global_zero:
            self.folder.write_curves(ledger.rows)
            if self._events is not None:
                self._events.epoch(row, learner)
        trainer.should_stop = trainer.should_stop or ledger.stopped
        if self._asked and not ledger.stopped and learner.step < learner.total:
            raise Interrupted

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Note that it was Ctrl-C: Lightning turns it into something else."""
        self.interrupted = isinstance(exception, KeyboardInterrupt)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Close what was opened, also after an error."""
        if self._events is not None:
            self._events.close()
            self._events = None

    @contextmanager
    def listening(self) -> Generator[None]:
        """While the block runs, the first Ctrl-C stops behind a step that is kept; the second at once.

        Only in the main thread, and where nobody else listens.
        """
        if (
            threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        ):
            yield
            return

        def ask(*_: Any) -> None:
            if self._asked:
                raise KeyboardInterrupt
            self._asked = True

        signal.signal(signal.SIGINT, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _spent(self) -> float:
        """Seconds up to now, which are entered in the ledger."""
        now = time.perf_counter()
        self.ledger.seconds += now - self._since
        self._since = now
        return self.ledger.seconds

    def _save(self, trainer: Trainer) -> None:
        learner = _learner(trainer.lightning_module)
        if not all(bool(torch.isfinite(p).all()) for p in learner.network.parameters()):
            raise NonFiniteError(
                f"the weights became infinite or undefined by step {learner.step}.\n"
                "  The checkpoint before is kept. Begin anew (--fresh) with a smaller rate (--rate), or clipped "
                "gradients (--set optimiser.clip=1.0)."
            )
        self._spent()
        part = self.folder.checkpoints / "next.part"
        trainer.save_checkpoint(part)
        if trainer.is_global_zero:
            self.folder.settle(part, self.ledger)

    def _snapshot(self, trainer: Trainer, epoch: int) -> None:
        self._write(trainer, self.folder.snapshot(epoch))

    def _write(self, trainer: Trainer, path: Path) -> None:
        state = network_state(trainer)
        if trainer.is_global_zero:
            write_network(state, self.built, self.recipe, self.facts, path)


def network_state(trainer: Trainer) -> dict[str, Tensor]:
    """The network's weights, gathered where they are spread over devices."""
    whole = trainer.strategy.lightning_module_state_dict()
    return {name.removeprefix("network."): value for name, value in whole.items() if name.startswith("network.")}


def _learner(module: LightningModule) -> Learner:
    if not isinstance(module, Learner):
        raise TypeError(f"a Keeper watches a Learner, not a {type(module).__name__}")
    return module
