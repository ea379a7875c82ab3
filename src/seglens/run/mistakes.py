"""find_errors(): where the network is wrong in one image, and each confused region as a Region to be explained."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.core.errors import ParameterError, missing_extra
from seglens.core.images import Source
from seglens.core.network import upsampled
from seglens.core.regions import component, confused
from seglens.run.error_map import ConfusedRegion, ErrorMap
from seglens.run.evaluate import check_segments, read_truth
from seglens.run.explain import provenance
from seglens.run.questions import NetworkSource, forward, make_case, noted, open_network, times
from seglens.run.segment import class_masks


def find_errors(
    network: NetworkSource,
    image: Source,
    truth: Source,
    *,
    least: int = 1,
    ignore: int | None = 255,
    device: str | torch.device | None = None,
) -> ErrorMap:
    """Where is the network wrong in this image, and what did it take for what?

    Every connected component (8 neighbours, 26 in a volume) of ``confused(truth=a, as_=b)``, a ≠ b, ranked by area.
    Each comes as a region to be asked about at once::

        worst = find_errors(net, image, truth).confusions[0]
        explain(net, image, target=Target(worst.predicted, worst.region), truth=truth)

    For independent labels, where a pixel may have several classes, b is any class predicted where the truth is a.
    least: pixels below which a component is not listed. ignore: the label that counts nowhere. Costs one pass.
    Raises ParameterError for a classifier or encoder, ImageError, ShapeError, MissingExtraError without scikit-image.
    """
    if least < 1:
        raise ParameterError(f"least counts pixels from 1, not {least}.")
    net = open_network(network, device)
    with noted() as notes:
        case = make_case(net, image)
        y = forward(net, case.x)
        check_segments(net, y)
        table, frame = net.class_table(y), case.frame
        labels = read_truth(truth, net, table, frame, ignore)
    said = list(dict.fromkeys((*case.notes, *map(str, notes))))
    if frame.resized != frame.original:
        said.append(
            f"The picture is {times(frame.original)}, the network sees {times(frame.resized)}: errors are found there, "
            "as regions are, so that a border may differ by a pixel of that grid from an evaluation's."
        )
    y = upsampled(net, y, frame.grid)
    flat = net.labels(y)
    inside = torch.stack(list(class_masks(net, y))).cpu()
    true = frame.to_grid(labels, 0 if ignore is None else ignore)
    known = frame.valid()
    known = known if ignore is None else known & (true != ignore)
    was = frame.labels_to_original(true).numpy()
    ids = _numbered(inside.numpy(), true.numpy(), known.numpy(), exclusive=flat is not None)
    shown = np.stack([frame.labels_to_original(torch.from_numpy(layer)).numpy() for layer in ids])
    predicted = torch.stack([frame.labels_to_original(m) for m in inside]).numpy()
    confusions, ranks = _ranked(shown, predicted, was, table, least)
    return ErrorMap(
        image=case.picture.display,
        predicted=predicted,
        prediction=None if flat is None else predicted.argmax(0),
        truth=was,
        known=frame.labels_to_original(known).numpy(),
        classes=table,
        confusions=confusions,
        wrong=int((shown > 0).sum()),
        unlisted=len(np.unique(shown[shown > 0])) - len(confusions),
        ranks=ranks,
        network=net.name,
        name=case.picture.name,
        notes=tuple(said),
        provenance=provenance(net, case),
    )


def _numbered(
    predicted: NDArray[np.bool_], truth: NDArray[np.int64], known: NDArray[np.bool_], *, exclusive: bool
) -> list[NDArray[np.int64]]:
    """Ids from 1 of the confused components on the grid, 0 elsewhere: one picture, or one for each predicted class
    where labels overlap."""
    try:
        from skimage.measure import label
    except ImportError as absent:
        raise missing_extra("scikit-image", "image", "finding connected confused regions") from absent
    k = len(predicted)
    if exclusive:
        said = predicted.argmax(0)
        # Every pair of classes has its own number, so that neighbours of different pairs stay apart.
        pairs = [np.where((said != truth) & known, truth * k + said + 1, 0)]
    else:
        pairs = [np.where(predicted[b] & (truth != b) & known, truth + 1, 0) for b in range(k)]
    found: list[NDArray[np.int64]] = []
    before = 0
    for pair in pairs:
        ids = np.asarray(label(pair, background=0, connectivity=pair.ndim), np.int64)
        found.append(np.where(ids > 0, ids + before, 0))
        before += int(ids.max(initial=0))
    return found


def _ranked(
    ids: NDArray[np.int64],
    predicted: NDArray[np.bool_],
    truth: NDArray[np.int64],
    table: ClassTable,
    least: int,
) -> tuple[tuple[ConfusedRegion, ...], NDArray[np.int32]]:
    """The components in order of area, and for each pixel [*picture] or [K *picture] the rank of its own."""
    sizes = np.bincount(ids.ravel())
    sizes[0] = 0
    order = [int(i) for i in np.argsort(-sizes, kind="stable") if sizes[i] >= least]
    wrong = max(int(sizes.sum()), 1)
    rank_of = np.zeros(len(sizes), np.int32)
    rank_of[order] = np.arange(1, len(order) + 1)
    ranks = rank_of[ids]
    boxes = _boxes(ids)
    found: list[ConfusedRegion] = []
    for rank, i in enumerate(order, start=1):
        layer, *box = boxes[i]
        at = _deepest(ids[(layer.start, *box)] == i, [s.start for s in box])
        a = table.names[int(truth[at])]
        b = table.names[int(predicted[:, *at].argmax()) if len(ids) == 1 else layer.start]
        found.append(
            ConfusedRegion(
                rank=rank,
                truth=a,
                predicted=b,
                pixels=int(sizes[i]),
                share=int(sizes[i]) / wrong,
                at=at,
                box=(*(s.start for s in box), *(s.stop for s in box)),
                region=component(confused(truth=a, as_=b), at=at),
            )
        )
    return tuple(found), ranks[0] if len(ids) == 1 else ranks


def _boxes(ids: NDArray[np.int64]) -> dict[int, tuple[slice, ...]]:
    """The bounding box of each id, first its layer."""
    from scipy.ndimage import find_objects

    return {i: box for i, box in enumerate(find_objects(ids), start=1) if box is not None}


def _deepest(inside: NDArray[np.bool_], start: Sequence[int]) -> tuple[int, ...]:
    """The pixel of a mask that lies farthest from its outside, the first of several; `start` is the mask's corner."""
    from scipy.ndimage import distance_transform_edt

    depth = np.asarray(distance_transform_edt(np.pad(inside, 1)))
    place = np.unravel_index(int(depth.argmax()), depth.shape)
    return tuple(int(p) - 1 + s for p, s in zip(place, start, strict=True))
