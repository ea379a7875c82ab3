"""Make the pictures of data sets and latent units again: python docs/make_latent_pictures.py

They come from the built-in sets and the networks that ship, take a minute, and go to docs/pictures/.
"""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import seglens as sl
from seglens.datasets.faces import PART_COLOURS, Face, Faces, draw_face
from seglens.datasets.samples import open_dataset
from seglens.datasets.sprites import Sprites
from seglens.viz.display import painted, show

HERE = Path(__file__).parent / "pictures"
SIZE = (112, 112)


def keep(tiles: list[list[np.ndarray]], name: str) -> None:
    """Rows of pictures, side by side, as a small PNG."""
    sheet = Image.fromarray(np.vstack([np.hstack(row) for row in tiles]))
    path = HERE / name
    # A palette: finer steps nobody sees at this size, and the files are half as large.
    sheet.quantize(200, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(HERE.parent)}: {sheet.width} × {sheet.height}, {path.stat().st_size / 1000:.0f} kB")


def faces() -> None:
    """Eight faces, their parts, and one face with one factor changed at a time."""
    drawn = Faces(40, seed=7)
    chosen = [draw_face(drawn.face(index), SIZE) for index in (0, 3, 10, 12, 22, 34, 36, 39)]
    palette = np.array(PART_COLOURS, np.uint8)
    plain = Face(hair_length=0.3, skin=0.2, light=0.4, background=0.7)
    changes = ("smile", "mouth_open", "yaw", "glasses", "hat", "beard", "hair_length")
    edited = [plain, *(replace(plain, **{name: 0.9}) for name in changes)]
    rows = [picture for picture, _ in chosen], [palette[labels] for _, labels in chosen]
    keep([*rows, [draw_face(face, SIZE)[0] for face in edited]], "faces.png")


def sprites() -> None:
    """Two rows of sprites, with a thin frame each."""
    drawn = Sprites(24, seed=5)
    tiles = [np.pad(drawn[index].image[..., 0], 1, constant_values=90) for index in range(24)]
    keep([tiles[:12], tiles[12:]], "sprites.png")


def grown(picture: np.ndarray, times: int = 2) -> np.ndarray:
    """uint8 RGB, each pixel a square, with a thin white frame."""
    rgb = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, 2)
    return np.pad(rgb.repeat(times, 0).repeat(times, 1), ((1, 1), (1, 1), (0, 0)), constant_values=255)


def shown(picture: np.ndarray) -> np.ndarray:
    """Decoded pixels [3 H W] in 0..1 as uint8."""
    return np.rint(255 * picture.clip(0, 1)).astype(np.uint8).transpose(1, 2, 0)


def units() -> None:
    """Three faces, each with its reconstruction, the mean attention, and that of five units.

    Of the units whose map is empty on none of the three, those that tell most.
    """
    network, drawn = sl.load("faces-vae"), Faces(40, seed=2024)
    images = [drawn[index].image for index in (8, 0, 7)]
    maps = [sl.latent_attention(network, image) for image in images]
    telling = [u.unit for u in sl.latent_statistics(network, "faces", 100, maps=0).units]
    best = [unit for unit in telling if all(each[unit].map.any() for each in maps)][:5]
    rows: list[list[np.ndarray]] = []
    for image in images:
        decoded = sl.traverse(network, image, [0], [0.0], attention=None).reconstruction
        (mean,) = sl.latent_attention(network, image, average=True)
        each = sl.latent_attention(network, image, best)
        rows.append([grown(p) for p in (image, shown(decoded), *(painted(show(e)) for e in (mean, *each)))])
    keep(rows, "faces-units.png")


def moved() -> None:
    """The three units that tell most, moved from -3 to 3."""
    network, image = sl.load("faces-vae"), Faces(40, seed=2024)[8].image
    best = [u.unit for u in sl.latent_statistics(network, "faces", 100, maps=0).units[:3]]
    found = sl.traverse(network, image, best, attention=None)
    keep([[grown(shown(p), 1) for p in row] for row in found.pictures], "faces-moved.png")


def edited() -> None:
    """A face, decoded as it is, and with one attribute at 0 and at 1."""
    network, drawn = sl.load("faces-cvae"), Faces(40, seed=2024)
    face = drawn[8]
    own = dict(zip(drawn.attributes, map(float, face.attributes), strict=True))
    changes = {name: [0, 1] for name in ("mouth_open", "wearing_hat", "beard", "dark_skin")}
    found = sl.edit(network, face.image, changes, condition=own)
    tiles = [face.image, shown(found.pictures[0, 0])]
    tiles += [shown(found.pictures[row, column]) for row in range(len(changes)) for column in (1, 2)]
    keep([[grown(tile) for tile in tiles]], "faces-edited.png")


def mgrad2vae() -> None:
    """Streets, labels, masks, attention, and the attention of each scale, finest first."""
    network = sl.load("streets-mgrad2vae")
    streets = open_dataset("streets", "test", size=(64, 128), length=4)
    colours = np.array(network.classes.colours, np.uint8)
    rows: list[list[np.ndarray]] = []
    for index in range(4):
        sample = streets[index]
        x, _ = network.convention.prepare(network.read(sample.image).pixels)
        with torch.no_grad():
            masks, maps = network.module(x), network.module.attention_maps(x)
        labels = [masks.argmax(1)[0], maps.attention.argmax(1)[0], *(m.argmax(1)[0] for m in maps.scales)]
        rows.append([grown(p, 1) for p in (sample.image, colours[sample.labels], *(colours[y] for y in labels))])
    keep(rows, "mgrad2vae.png")


if __name__ == "__main__":
    warnings.simplefilter("ignore", sl.SeglensWarning)
    faces()
    sprites()
    units()
    moved()
    edited()
    mgrad2vae()
