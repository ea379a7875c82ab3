"""Trains the autoencoders that ship, and lays weights, description and card where they ship from.

    python recipes/coders.py faces-vae --out trained

trains one into trained/faces-vae, or takes what an earlier call trained there, and writes three files into --weights.
Weights are kept in half precision: the figures in the card are of full precision, from which they differ in the fourth
digit. Each takes ten to thirty minutes on one core of a CPU.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

import seglens as sl

WEIGHTS = Path(__file__).parents[1] / "src" / "seglens" / "networks" / "weights"

# SiLU and average pooling: at the same steps the error is half of that with rectifiers and maxima.
_SMOOTH: dict[str, Any] = {"model.activation": "silu", "model.pooling": "average", "model.widths": [12, 24, 48, 64]}
_FACES: dict[str, Any] = {**_SMOOTH, "data.train": 12_000, "loss.warmup": 300, "optimiser.rate": 0.004}

RECIPES: dict[str, tuple[str, str, dict[str, Any]]] = {
    # The divergence weighs less than one: at one, most of what a face is told by is cheaper to leave out.
    "faces-vae": ("vae", "faces", {**_FACES, "model.latent": 32, "loss.beta": 0.1, "epochs": 16}),
    "faces-cvae": ("cvae", "faces", {**_FACES, "model.latent": 16, "loss.beta": 0.3, "epochs": 16}),
    "faces-seg-vae": (
        "seg-vae",
        "faces",
        {"data.train": 6000, "model.width": 12, "model.activation": "silu", "loss.beta": 0.2, "epochs": 3},
    ),
    "streets-mgrad2vae": ("mgrad2vae", "streets", {}),
}


def main() -> None:
    """Train one, and write what ships of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--out", type=Path, default=Path("trained"))
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    given = parser.parse_args()
    kind, data, changes = RECIPES[given.name]
    trained = sl.train(kind, data, given.out / given.name, changes=changes)
    ship(given.name, trained.folder, given.weights)
    print(*(f"{name} {value:.4g}" for name, value in trained.figures.items()), sep="\n")


def ship(name: str, folder: Path, weights: Path) -> None:
    """Weights in half precision, the description under the name that it ships by, and the card."""
    state = {k: v.to(torch.float16).contiguous() for k, v in load_file(folder / "network.safetensors").items()}
    save_file(state, weights / f"{name}.safetensors")
    told = (folder / "network.toml").read_text()
    lines = [f'name = "{name}"' if line.startswith("name = ") else line for line in told.splitlines()]
    (weights / f"{name}.toml").write_text("\n".join(lines) + "\n")
    shutil.copyfile(folder / "card.md", weights / f"{name}.md")
    (weights / f"{name}.md").chmod(0o644)


if __name__ == "__main__":
    main()
