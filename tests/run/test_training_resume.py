"""A training that was killed, stopped or broken goes on where it was, and ends where it would have ended."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_toys import Shapes, run

from seglens.core.errors import NonFiniteError
from seglens.core.progress import watching
from seglens.networks.zoos.repair import mend_torchvision
from seglens.run.training.data import Splits
from seglens.run.training.folder import Folder, Ledger


def state(out):
    """Everything a training carries: weights, moments of the optimiser, place in the schedule, what was judged."""
    folder = Folder(out)
    latest = folder.latest()
    kept = torch.load(latest, weights_only=True)
    ledger = Ledger.read(latest.with_suffix(".json"))
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in ledger.rows]
    judged = (ledger.step, ledger.best, ledger.best_step, ledger.waited, ledger.stopped)
    return kept["state_dict"], kept["optimizer_states"], kept["lr_schedulers"], rows, judged


def assert_same(one, other):
    for a, b in zip(state(one)[:1], state(other)[:1], strict=True):
        assert all(torch.equal(a[k], b[k]) for k in a)
    moments = [s[1][0]["state"] for s in (state(one), state(other))]
    assert all(torch.equal(moments[0][p][k], moments[1][p][k]) for p in moments[0] for k in moments[0][p])
    assert state(one)[2:] == state(other)[2:]
    weights = [load_file(Folder(out).network) for out in (one, other)]
    assert all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0])


class Broken(Exception):
    pass


def broken_at(*steps):
    """A listener that raises at those steps, each once."""
    left = list(steps)

    def listen(what, done, total):
        if what.startswith("epoch ") and left and done == left[0]:
            left.pop(0)
            raise Broken

    return listen


def test_killed_by_the_system_in_mid_epoch_it_ends_in_the_same_weights(tmp_path: Path):
    # A batch norm's running statistics, mirrored pictures and a one-cycle schedule all have to be taken up.
    script = f"""
        import os, signal, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from training_toys import run

        from seglens.core.progress import watching

        def kill(what, done, total):
            if what.startswith("epoch ") and done == 5:
                os.kill(os.getpid(), signal.SIGKILL)

        with watching(kill):
            run("segmenter", "killed")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGKILL
    kept = Folder(tmp_path / "killed").ledger()
    assert kept.step == 4
    assert kept.counted == 1  # of the second epoch
    assert not Folder(tmp_path / "killed").result.exists()
    resumed = run("segmenter", tmp_path / "killed")
    assert resumed.resumed == 4
    whole = run("segmenter", tmp_path / "whole")
    assert_same(tmp_path / "killed", tmp_path / "whole")
    assert resumed.figures == whole.figures


@pytest.mark.parametrize("kind", ["vae", "mgrad2vae"])
def test_broken_off_at_any_step_it_ends_in_the_same_weights(tmp_path: Path, kind):
    # Behind a checkpoint, at one, in the first epoch, at an epoch's end, and before anything was kept.
    listener = broken_at(1, 2, 3, 4, 5, 6)
    with watching(listener):
        for _ in range(6):
            with pytest.raises(Broken):
                run(kind, tmp_path / "broken")
        resumed = run(kind, tmp_path / "broken")
    run(kind, tmp_path / "whole")
    assert_same(tmp_path / "broken", tmp_path / "whole")
    assert resumed.resumed == 4


def test_the_test_above_can_fail(tmp_path: Path):
    run("vae", tmp_path / "one")
    run("vae", tmp_path / "other", seed=1)
    with pytest.raises(AssertionError):
        assert_same(tmp_path / "one", tmp_path / "other")


def test_dropout_goes_on_as_it_would_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import seglens.networks.builtin as builtin

    class Dropping(builtin.UNet):
        def forward(self, x):
            return super().forward(torch.nn.functional.dropout(x, 0.3, self.training))

    monkeypatch.setattr(builtin, "UNet", Dropping)
    with watching(broken_at(5)), pytest.raises(Broken):
        run("segmenter", tmp_path / "broken")
    run("segmenter", tmp_path / "broken")
    run("segmenter", tmp_path / "whole")
    assert_same(tmp_path / "broken", tmp_path / "whole")


def test_ctrl_c_keeps_the_step_under_way(tmp_path: Path):
    def press(what, done, total):
        if what.startswith("epoch ") and done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    # A program that was started in the background is deaf to Ctrl-C, and so would this one be.
    ears = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with watching(press), pytest.raises(KeyboardInterrupt):
            run("vae", tmp_path / "stopped", every=1000)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, ears)
    assert Folder(tmp_path / "stopped").ledger().step == 2
    run("vae", tmp_path / "stopped")
    run("vae", tmp_path / "whole")
    assert_same(tmp_path / "stopped", tmp_path / "whole")


def test_a_listener_that_interrupts_ends_it_at_once_and_leaves_the_program_its_ears(tmp_path: Path):
    def stop(what, done, total):
        if what.startswith("epoch ") and done == 5:
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    with watching(stop), pytest.raises(KeyboardInterrupt):
        run("vae", tmp_path / "stopped")
    assert signal.getsignal(signal.SIGINT) is before
    assert Folder(tmp_path / "stopped").ledger().step == 4


def test_half_a_checkpoint_is_no_checkpoint(tmp_path: Path):
    with watching(broken_at(5)), pytest.raises(Broken):
        run("vae", tmp_path / "a")
    folder = Folder(tmp_path / "a")
    (folder.checkpoints / "next.part").write_bytes(b"half")
    # Killed between the ledger and the checkpoint of a step, or the other way round.
    (folder.checkpoints / "step-00000005.json").write_text("{}")
    (folder.checkpoints / "step-00000006.ckpt").write_bytes(b"half")
    assert folder.ledger().step == 4
    run("vae", tmp_path / "a")
    run("vae", tmp_path / "whole")
    assert_same(tmp_path / "a", tmp_path / "whole")
    assert not list(folder.checkpoints.glob("*.part"))


def test_a_loss_that_is_no_number_stops_with_its_step_and_what_was_kept(tmp_path: Path):
    with pytest.raises(NonFiniteError, match=r"(?s)diverged at step \d+ \(epoch \d\): loss .*--rate"):
        run("vae", tmp_path / "a", every=1, epochs=20, **{"optimiser.rate": 1e30, "optimiser.clip": 0.0})
    folder = Folder(tmp_path / "a")
    latest = folder.latest()
    if latest is not None:
        kept = torch.load(latest, weights_only=True)["state_dict"]
        assert all(bool(torch.isfinite(v).all()) for v in kept.values())


def test_weights_that_are_no_numbers_are_never_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    mend_torchvision()  # which Lightning imports where it is installed
    from seglens.run.training.module import Learner

    real = Learner.training_step

    def poisoned(self, batch):
        loss = real(self, batch)
        if self.step == 3:
            # The gradient is undefined, the loss that is looked at is not.
            return loss * torch.sqrt((loss - loss).abs()) + loss
        return loss

    monkeypatch.setattr(Learner, "training_step", poisoned)
    with pytest.raises(NonFiniteError, match=r"weights became infinite or undefined by step 4"):
        run("vae", tmp_path / "a", every=1, **{"optimiser.clip": 0.0})
    assert Folder(tmp_path / "a").ledger().step == 3


def test_it_stops_early_where_nothing_gets_better_and_keeps_the_best(tmp_path: Path):
    # What is held out has nothing to do with what is learned: sooner or later it gets worse.
    odd = Splits(train=Shapes(13), validation=Shapes(6, 9, masks=True), test=Shapes(5, 2))
    trained = run("segmenter", tmp_path / "a", odd, epochs=40, patience=2, **{"optimiser.rate": 1e-7})
    ledger = Folder(tmp_path / "a").ledger()
    assert trained.early
    assert ledger.stopped
    assert trained.epochs < 40
    figures = [row["val_mean_iou"] for row in ledger.rows]
    best = figures.index(max(figures))
    assert len(figures) == best + 1 + 2
    assert trained.best_step == ledger.rows[best]["step"]
    assert "stopped early" in (tmp_path / "a" / "card.md").read_text()


def test_broken_off_while_it_waits_it_stops_at_the_same_epoch(tmp_path: Path):
    whole = run("segmenter", tmp_path / "whole", epochs=40, patience=2, **{"optimiser.rate": 1e-7})
    with watching(broken_at(whole.steps - 1)), pytest.raises(Broken):
        run("segmenter", tmp_path / "broken", epochs=40, patience=2, **{"optimiser.rate": 1e-7})
    resumed = run("segmenter", tmp_path / "broken", epochs=40, patience=2, **{"optimiser.rate": 1e-7})
    assert resumed.steps == whole.steps
    assert_same(tmp_path / "broken", tmp_path / "whole")


def test_cut_off_before_the_figures_it_only_does_what_is_left(tmp_path: Path):
    run("vae", tmp_path / "a")
    folder = Folder(tmp_path / "a")
    figures, weights = folder.result.read_bytes(), folder.network.read_bytes()
    for path in (folder.result, folder.network, folder.card):
        path.unlink()
    said = []
    with watching(lambda what, done, total: said.append(what)):
        run("vae", tmp_path / "a")
    assert not any(what.startswith("epoch ") for what in said)
    assert folder.network.read_bytes() == weights
    assert folder.result.read_bytes() == figures


def test_what_a_killed_run_told_tensorboard_beyond_its_checkpoint_is_void(tmp_path: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with watching(broken_at(4)), pytest.raises(Broken):
        run("vae", tmp_path / "a", every=2)
    run("vae", tmp_path / "a", every=2)
    events = EventAccumulator(str(Folder(tmp_path / "a").events)).Reload()
    # Files of one second are read in no particular order.
    assert sorted(e.step for e in events.Scalars("step/loss")) == [1, 2, 3, 4, 5, 6]
