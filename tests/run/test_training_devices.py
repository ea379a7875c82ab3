"""Several processes train one network: each has its share of every batch, and figures are of all pictures."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import seglens as sl
from seglens.datasets.samples import open_dataset

# A segmenter with batch norms; five held-out pictures do not go round evenly.
COMMAND = (
    *("train", "segmenter", "streets", "--out", "two", "--quiet", "--size", "16x32", "--steps", "6", "--batch", "4"),
    *("--set", "data.train=16", "--set", "data.validation=5", "--set", "data.test=2"),
    *("--set", "model.widths=[4,4,4,4]", "--set", "model.bottleneck=4"),
    *("--device", "cpu", "--devices", "2", "--strategy", "ddp"),
)


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch cannot train on several devices")
def test_two_processes_train_one_network_and_judge_it_on_all_pictures(tmp_path: Path) -> None:
    # Lightning starts the second process by the command line of the first.
    script = Path(sys.executable).with_name("seglens")
    done = subprocess.run([script, *COMMAND], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "two" / "metrics.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["4", "6"]
    best = max(rows, key=lambda row: float(row["val_mean_iou"]))

    network = sl.load(tmp_path / "two" / "network.safetensors")
    held_out = open_dataset("streets", "val", size=(16, 32), length=5)
    right = known = 0
    for sample in held_out:
        found = sl.segment(network, sample.image).labels
        right += int((found == sample.labels).sum())
        known += int(np.not_equal(sample.labels, 255).sum())
    assert float(best["val_pixel_accuracy"]) == pytest.approx(right / known, abs=1e-5)
