"""Make the pictures of the page on data sets again: python docs/make_latent_pictures.py

They come from the built-in sets alone, take some seconds, and go to docs/pictures/.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from seglens.datasets.faces import PART_COLOURS, Face, Faces, draw_face
from seglens.datasets.sprites import Sprites

HERE = Path(__file__).parent / "pictures"
SIZE = (112, 112)


def keep(tiles: list[list[np.ndarray]], name: str) -> None:
    """Rows of pictures, side by side, as a small PNG."""
    sheet = Image.fromarray(np.vstack([np.hstack(row) for row in tiles]))
    path = HERE / name
    # Multiples of 5: finer steps nobody sees, and the files shrink.
    sheet.point(lambda value: round(value / 5) * 5).save(path, optimize=True)
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


if __name__ == "__main__":
    faces()
    sprites()
