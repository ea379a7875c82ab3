"""segment(): the predicted segmentation of one picture, to be kept as a label map that others can read."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seglens.core.classes import ClassTable
from seglens.core.errors import ParameterError
from seglens.core.images import Source
from seglens.core.network import Network, upsampled
from seglens.core.nifti import write_volume
from seglens.core.saving import suffix_of, whole, write_arrays
from seglens.run.explain import provenance
from seglens.run.questions import Case, NetworkSource, forward, make_case, noted, open_network
from seglens.viz.colours import class_colours

FORMATS = ("png", "npz", "nii", "nii.gz")
"""Suffixes that a segmentation can be saved with."""

_PALETTE, _GREY = 256, 65536  # values of a pixel in a PNG with a palette, and in one of 16 bits


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segmentation:
    """What a network labels each pixel of one picture as.

    Read off the upsampled output on the network's input grid, where regions live, and carried to the picture's grid by
    nearest neighbour, confidence too, so that each value belongs to its label: the prediction of an `Explanation`, and
    the areas of `find_classes`. (`evaluate` resizes the output once more, to the picture's own grid, so that where the
    two grids differ a border may differ by a pixel of the coarser one.)

    labels: int64 [*picture], index of the predicted class; None where labels are independent, so that a pixel may
    have several or none. masks: bool [K *picture], where each of the K independent labels is predicted; None where
    there are `labels`. Exactly one of the two is there; `mask` reads either.
    confidence: float32 in 0..1, [*picture] the probability of the predicted class, or [K *picture] that of each
    independent label, predicted or not.
    image: uint8, for display. network, name: of the network and of the picture. notes: what was warned of.
    affine: float64 [4 4], from voxel indices to millimetres, of a volume that came as NIfTI; else None.
    """

    labels: NDArray[np.int64] | None
    masks: NDArray[np.bool_] | None
    confidence: NDArray[np.float32]
    classes: ClassTable
    image: NDArray[np.uint8]
    network: str
    name: str
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])
    affine: NDArray[np.float64] | None = None

    def mask(self, label: str | int) -> NDArray[np.bool_]:
        """bool [*picture]: where a class is predicted. Raises ClassNotFoundError."""
        c = self.classes.index(label)
        return self.masks[c] if self.masks is not None else self.labels == c

    def save(self, path: str | Path) -> Path:
        """Write to `path`: .png is a label map, .nii and .nii.gz a volume's, .npz holds every raw value.

        The value of a PNG's pixel is the index of its class, drawn in the colour of that class by the palette; of more
        than 256 classes it is 16-bit grey. `seglens.read_labels` reads both back.
        Raises NameNotFoundError for another suffix; ParameterError for what one PNG cannot hold: independent labels,
        which overlap, a volume, or more than 65536 classes; or NIfTI: independent labels, or an image.
        """
        path = Path(path)
        suffix = suffix_of(path, FORMATS)
        if suffix == "npz":
            write_arrays(self._arrays(), path)
            return path
        if suffix != "png":
            write_volume(self._volume(), self.affine, path, "seglens labels")
            return path
        picture = self._picture()
        with whole(path) as file:
            picture.save(file, "PNG")
        return path

    def _volume(self) -> NDArray[np.integer]:
        if self.labels is None or self.labels.ndim != 3:
            why = "its labels are independent" if self.labels is None else "it is an image"
            raise ParameterError(
                f"the segmentation of {self.name} cannot be one NIfTI: {why}.\n"
                "  Save it as .npz, which holds all of it."
            )
        return self.labels.astype(np.uint8 if len(self.classes) <= _PALETTE else np.int32)

    def _picture(self) -> Image.Image:
        why = (
            "its labels are independent, and a pixel may have several"
            if self.labels is None
            else f"it is a volume of {len(self.labels)} slices"
            if self.labels.ndim != 2
            else f"it has {len(self.classes)} classes, more than {_GREY}"
            if len(self.classes) > _GREY
            else ""
        )
        if why or self.labels is None:
            raise ParameterError(
                f"the segmentation of {self.name} cannot be one PNG: {why}.\n  Save it as .npz, which holds all of it."
            )
        if len(self.classes) > _PALETTE:
            return Image.fromarray(self.labels.astype(np.uint16))
        picture = Image.fromarray(self.labels.astype(np.uint8))
        picture.putpalette(class_colours(self.classes).tobytes())
        return picture

    def _arrays(self) -> dict[str, NDArray[Any]]:
        head = {
            "network": self.network,
            "name": self.name,
            "classes": self.classes.to_dict(),
            "notes": list(self.notes),
            "provenance": dict(self.provenance),
        }
        kept = {"labels": self.labels, "masks": self.masks, "confidence": self.confidence, "image": self.image}
        return {"head": np.array(json.dumps(head)), **{k: v for k, v in kept.items() if v is not None}}


def segment(network: NetworkSource, image: Source, *, device: str | torch.device | None = None) -> Segmentation:
    """What does the network label each pixel as, and how sure is it? Costs one pass.

    Raises ParameterError for a classifier, which labels the picture and not its pixels (`find_classes` has its scores),
    and for an encoder, whose units are no classes; ImageError, NetworkError, NonFiniteError.
    """
    net = open_network(network, device)
    with noted() as notes:
        case = make_case(net, image)
        y = forward(net, case.x)
    if net.link_for(y) == "none":
        raise ParameterError(f"the units of {net.name} are no classes, so it labels no pixels.")
    if y.ndim == 2:
        raise ParameterError(
            f"{net.name} is a classifier: it labels the picture as a whole, and not its pixels.\n"
            "  The scores of its classes: seglens.find_classes(network, image), or seglens classes NETWORK IMAGE"
            " without --out."
        )
    y = upsampled(net, y, case.frame.grid)
    return segmented(net, case, y, case.picture.display, tuple(dict.fromkeys((*case.notes, *map(str, notes)))))


def segmented(
    network: Network, case: Case, y: Tensor, picture: NDArray[np.uint8], notes: tuple[str, ...] = ()
) -> Segmentation:
    """What raw output y [1 K *grid], upsampled, labels each pixel of a case as, of whatever picture of it was seen."""
    frame, flat = case.frame, network.labels(y)
    p = network.scores(y, "probabilities")[0]
    if flat is not None:
        labels, masks = frame.labels_to_original(flat[0]).cpu().numpy(), None
        confidence = frame.labels_to_original(p.gather(0, flat)[0])
    else:
        labels, masks = None, _carried(frame.labels_to_original(m) for m in class_masks(network, y)).numpy()
        confidence = _carried(frame.labels_to_original(one) for one in p)
    return Segmentation(
        labels=labels,
        masks=masks,
        confidence=confidence.float().cpu().numpy(),
        classes=network.class_table(y),
        image=picture,
        network=network.name,
        name=case.picture.name,
        notes=notes,
        provenance=provenance(network, case),
        affine=case.picture.affine,
    )


def class_masks(network: Network, y: Tensor) -> Iterator[Tensor]:
    """bool [*grid] for each class in order: where raw output y [1 K *grid] of one image has it predicted.

    Read off the labels where each pixel has one: `Network.members` would look for the largest score once a class.
    """
    flat = network.labels(y)
    for c in range(len(network.class_table(y))):
        yield (network.members(y, c) if flat is None else flat == c)[0]


def _carried(pictures: Iterator[Tensor]) -> Tensor:
    return torch.stack([one.cpu() for one in pictures])
