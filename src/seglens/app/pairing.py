"""Which label image belongs to which picture of a folder, by the names that data sets give them."""

import os
import re
from pathlib import Path

from seglens.app.paths import IMAGES, Roots

_BESIDE = ("truth", "truths", "labels", "label", "masks", "mask", "annotations", "gt", "ground_truth", "segmentation")
_SWAPS = (
    ("images", "labels"),
    ("images", "masks"),
    ("images", "annotations"),
    ("image", "label"),
    ("img", "ann"),
    ("JPEGImages", "SegmentationClass"),
    ("leftImg8bit", "gtFine"),
)
_ENDINGS = ("_truth", "-truth", ".truth", "_labels", "_label", "_mask", "_gt", "_labelIds", "_labelTrainIds")
_TOLD = re.compile(r"(_leftImg8bit|_image|_img|_rgb)$")


def is_truth(stem: str, stems: set[str]) -> bool:
    """Whether a file of a folder of pictures is the truth of another file in it, by its ending."""
    return any(stem.endswith(e) and stem.removesuffix(e) in stems for e in _ENDINGS)


def truth_folders(folder: Path, roots: Roots) -> list[Path]:
    """Folders in which the truth of a folder's pictures may lie: beside it or in it, by usual names."""
    found = [base / name for base in (folder.parent, folder) for name in _BESIDE]
    parts = folder.parts
    for one, other in _SWAPS:
        if one in parts:
            # The last of that name: /data/images/set/images/val has its labels in /data/images/set/labels/val.
            at = len(parts) - 1 - parts[::-1].index(one)
            found.append(Path(*parts[:at], other, *parts[at + 1 :]))
    own = os.path.realpath(folder)
    real = dict.fromkeys(os.path.realpath(p) for p in found if p.is_dir())
    return [Path(p) for p in real if p != own and roots.place(Path(p)) is not None]


def by_stem(folder: Path, others: list[Path]) -> dict[str, Path]:
    """Stem of a picture to its truth; label images end in .png, .tif, .bmp or .gif, never in what loses values."""
    found: dict[str, Path] = {}
    for place in (folder, *others):
        with os.scandir(place) as scan:
            files = sorted(e.name for e in scan if e.is_file())
        for name in files:
            path = place / name
            if path.suffix.lower() not in IMAGES or path.suffix.lower() in (".jpg", ".jpeg", ".webp"):
                continue
            stem = path.stem
            for ending in _ENDINGS:
                if stem.endswith(ending):
                    found.setdefault(stem.removesuffix(ending), path)
            if place != folder:
                found.setdefault(stem, path)
    return found


def partner(stem: str, truths: dict[str, Path]) -> Path | None:
    """The truth of a picture of that stem, with or without the ending that says that it is a picture."""
    return truths.get(stem) or truths.get(_TOLD.sub("", stem))
