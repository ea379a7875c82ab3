"""explain_parts(): the rightly and the wrongly labelled part of one object, each explained for the class it got."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seglens.core.classes import ClassTable
from seglens.core.errors import EmptyRegionError, ParameterError, RegionError
from seglens.core.explanation import Explanation, Explanations
from seglens.core.frame import Frame
from seglens.core.images import Source
from seglens.core.masks import components
from seglens.core.method import Method, takes_target
from seglens.core.network import Network, upsampled
from seglens.core.regions import instance, predicted
from seglens.core.targets import Target
from seglens.core.view import Region
from seglens.metrics.agreement import agreement
from seglens.run.compare import favouring
from seglens.run.context import context_statistics
from seglens.run.evaluate import check_segments, read_truth
from seglens.run.explain import explain, provenance
from seglens.run.object_parts import ObjectParts, Part
from seglens.run.questions import (
    NetworkSource,
    forward,
    make_case,
    method_of,
    name_of_method,
    noted,
    open_network,
    times,
)
from seglens.run.segment import class_masks

METHOD = "context-saliency"
"""How the parts are explained where nobody says how."""

LEAST = 625 / (1024 * 2048)
"""The smallest part that is looked at, as a share of the picture: 625 pixels of Cityscapes (Hoyer et al. 2019)."""

_Place = tuple[int, ...]


def explain_parts(
    network: NetworkSource,
    image: Source,
    truth: Source,
    *,
    instances: Source | None = None,
    at: _Place | None = None,
    label: str | int | None = None,
    method: str | Method = METHOD,
    least: int | None = None,
    ignore: int | None = 255,
    device: str | torch.device | None = None,
) -> ObjectParts:
    """Why did the network label this part of an object rightly, and that part wrongly?

    An object is a connected component of the true labels of one class (8 neighbours, 26 in a volume), or, where
    `instances` are given, the pixels of one class with one id. Its right part is where that class is predicted too, a
    wrong part where another one is. Each is explained for the class that it was *given*; all that lies outside the
    part is context to it, the other parts of the same object too.
    Source: Hoyer et al. 2019, figures 1 and 5, arXiv:1907.13054.

    at: a pixel (row, column) of the object; label: its true class. Without `at`, the object with the largest wrong part
    among those that have a right part as well. least: pixels of the picture below which a part is left out; by default
    0.03 % of it, the paper's 625 at 1024 × 2048. ignore: the label that belongs to no object.

    Of independent labels, which overlap, a pixel may lie in several parts. Costs a pass besides those of the method.
    Raises EmptyRegionError where no object is labelled wrongly in part, RegionError where no object is at a pixel,
    ParameterError for a classifier or a method without a question, ShapeError for a truth of another size.
    """
    chosen = method_of(method)
    if not takes_target(chosen):
        raise ParameterError(
            f"{name_of_method(chosen)} shows the network without a question, so it is the same for all parts.\n"
            "  Take a method that explains a score."
        )
    if least is not None and least < 1:
        raise ParameterError(f"least counts pixels from 1, not {least}.")
    if at is not None and any(int(i) != i for i in at):
        raise RegionError(f"at is a pixel, (row, column) in whole numbers, not {tuple(at)}.")
    at = None if at is None else tuple(int(i) for i in at)
    net = open_network(network, device)
    with noted() as notes:
        case = make_case(net, image, instances=instances)
        y = forward(net, case.x)
        check_segments(net, y)
        labels = read_truth(truth, net, net.class_table(y), case.frame, ignore)
    least = max(1, round(LEAST * labels.numel())) if least is None else least
    scene = _Scene.of(net, y, case.frame, labels, case.instances, ignore, at, label)
    said: list[str] = []
    if at is None:
        number, rivals = scene.largest_mistake(least)
        if rivals > 1:
            said.append(f"Of {rivals} objects with a right and a wrong part, the one with the largest wrong part.")
    else:
        number = scene.object_at(at)
    name, inside = scene.name(number), scene.shown == number
    place = at or _middle(inside)
    order = scene.parts_of(number, least, place)
    regions = [instance(name, at=place, of="truth") & predicted(scene.table.names[k]) for k in order]
    found = explain(
        net,
        image,
        chosen,
        [Target(scene.table.names[k], region) for k, region in zip(order, regions, strict=True)],
        truth=labels.numpy(),
        instances=instances,
        ignore=ignore,
    )
    explanations = found if isinstance(found, Explanations) else Explanations([found])
    said.append("To each part, the other parts of the object are context too.")
    if order[0] != scene.classes[number]:
        said.append(f"No part of at least {least} pixels is labelled {name}.")
    if case.frame.resized != case.frame.original:
        sizes = times(case.frame.original), times(case.frame.resized)
        said.append(f"The picture is {sizes[0]}, the network sees {sizes[1]}: parts are found there, as regions are.")
    return ObjectParts(
        truth=name,
        at=place,
        pixels=int(inside.sum()),
        mask=inside,
        parts=tuple(scene.part(number, k, r, e) for k, r, e in zip(order, regions, explanations, strict=True)),
        agreement=agreement([favouring(e) for e in explanations], ~inside),
        least=least,
        network=net.name,
        name=case.picture.name,
        notes=tuple(dict.fromkeys((*said, *case.notes, *map(str, notes)))),
        provenance=provenance(net, case),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """The objects of one picture, and what is predicted of them.

    numbers: [*grid], which object a pixel belongs to, from 1, 0 for none; shown: the same on the picture. classes: the
    true class of each number. predicted: bool [K *picture]. areas: [K objects + 1], pixels of the picture by predicted
    class and number. truth: [*picture]; ignore: the label in it that is none. asked: the class that was asked for.
    """

    table: ClassTable
    frame: Frame
    truth: NDArray[np.int64]
    ignore: int | None
    numbers: NDArray[np.int64]
    shown: NDArray[np.int64]
    classes: list[int]
    predicted: NDArray[np.bool_]
    areas: NDArray[np.int64]
    asked: str | None

    @classmethod
    def of(
        cls,
        network: Network,
        y: Tensor,
        frame: Frame,
        labels: Tensor,
        instances: Tensor | None,
        ignore: int | None,
        at: _Place | None,
        label: str | int | None,
    ) -> "_Scene":
        """From raw output y [1 K *space'] and true labels [*picture]: the objects of one class, where `at` or `label`
        say of which, else all.

        Raises ClassNotFoundError, EmptyRegionError for a class that the truth lacks, RegionError for a pixel outside.
        """
        y, table = upsampled(network, y, frame.grid), network.class_table(y)
        true = frame.to_grid(labels, 0 if ignore is None else ignore).numpy()
        inside = frame.valid().numpy() if ignore is None else frame.valid().numpy() & (true != ignore)
        wanted = [int(c) for c in np.unique(true[inside])]
        asked = None
        if label is not None:
            asked = table.names[table.index(label)]
            if table.index(label) not in wanted:
                raise EmptyRegionError(
                    f"no pixel of the truth is {asked}, so there is no such object.\n"
                    f"  There are: {', '.join(table.names[c] for c in wanted)}."
                )
            wanted = [table.index(label)]
        if at is not None:
            wanted = [c for c in wanted if c == true[frame.place(at)]]
        ids = None if instances is None else instances.numpy()
        numbers, classes = np.zeros(frame.grid, np.int64), [-1]
        for c in wanted:
            own = _numbered(inside & (true == c), ids)
            numbers += np.where(own > 0, own + len(classes) - 1, 0)
            classes += [c] * int(own.max(initial=0))
        shown = frame.labels_to_original(torch.from_numpy(numbers)).numpy()
        said = [frame.labels_to_original(m.cpu()).numpy() for m in class_masks(network, y)]
        return cls(
            table=table,
            frame=frame,
            truth=labels.numpy(),
            ignore=ignore,
            numbers=numbers,
            shown=shown,
            classes=classes,
            predicted=np.stack(said),
            areas=np.stack([np.bincount(shown[m], minlength=len(classes)) for m in said]),
            asked=asked,
        )

    def name(self, number: int) -> str:
        """The true class of an object."""
        return self.table.names[self.classes[number]]

    def largest_mistake(self, least: int) -> tuple[int, int]:
        """The object with the largest wrong part among those that have a right one, and how many these are.

        Raises EmptyRegionError for none, with what comes nearest.
        """
        objects = np.arange(1, len(self.classes))
        right = self.areas[self.classes[1:], objects]
        wrong = self.areas[:, 1:].copy()
        wrong[self.classes[1:], objects - 1] = 0
        largest = wrong.max(0, initial=0)
        both = (largest >= least) & (right >= least)
        if both.any():
            return int(objects[np.where(both, largest, 0).argmax()]), int(both.sum())
        kind = self.asked or "object"
        text = f"no {kind} has a right and a wrong part of at least {least} pixel{'s' * (least > 1)} each."
        if not largest.any():
            text += "\n  All of it is labelled rightly."
        if (largest >= least).any():
            number = int(objects[largest.argmax()])
            place = _middle(self.shown == number)
            text += (
                f"\n  The largest mistake without a right part: {largest.max():,} pixels of the {self.name(number)} at "
                f"{place} are labelled {self.table.names[int(wrong[:, number - 1].argmax())]}. Ask for it: at={place}."
            )
        if (smaller := int(np.minimum(largest, right).max(initial=0))) > 0:
            text += f"\n  There are smaller parts: least={smaller}."
        raise EmptyRegionError(text)

    def object_at(self, at: _Place) -> int:
        """The object at a pixel of the picture. Raises RegionError for none."""
        number = int(self.numbers[self.frame.place(at)])
        if number == 0:
            true = int(self.truth[at])
            why = (
                "the truth is to be ignored there"
                if true == self.ignore
                else f"the truth says {self.table.names[true]} there"
                if self.asked is not None and self.table.names[true] != self.asked
                else f"the {self.table.names[true]} there has the instance id 0, which is no object"
            )
            raise RegionError(f"no {self.asked or 'object'} at {at}: {why}.\n  Name a pixel of one, or no pixel.")
        return number

    def parts_of(self, number: int, least: int, at: _Place) -> list[int]:
        """What an object is predicted as: its own class first, then the wrong ones by area.

        Raises EmptyRegionError where there is no wrong one.
        """
        c, own = self.classes[number], self.areas[:, number]
        wrong = [int(k) for k in np.argsort(-own, kind="stable") if k != c and own[k] >= least]
        if wrong:
            return [c] * bool(own[c] >= least) + wrong
        largest = int(np.delete(own, c).max(initial=0))
        raise EmptyRegionError(
            f"the {self.name(number)} at {at} has no wrong part of at least {least} pixels: {own[c]:,} of its "
            f"{int((self.shown == number).sum()):,} pixels are labelled {self.name(number)}."
            + (f"\n  There is a smaller one: least={largest}." if largest else "")
        )

    def part(self, number: int, k: int, region: Region, explanation: Explanation) -> Part:
        """The part of an object that is predicted as class k, with what its context consists of."""
        whole = self.shown == number
        inside = whole & self.predicted[k]
        statistics = context_statistics(explanation, ignore=self.ignore)
        on_rest = float(np.nansum(favouring(explanation)[whole & ~inside], dtype=np.float64))
        total = float(statistics.tally.saliency.sum())
        return Part(
            label=self.table.names[k],
            correct=k == self.classes[number],
            pixels=int(inside.sum()),
            share=float(inside.sum() / whole.sum()),
            mask=inside,
            region=region,
            statistics=statistics,
            rest=on_rest / total if total > 0 else float("nan"),
        )


def _numbered(inside: NDArray[np.bool_], instances: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Objects of one class, bool [*grid], from 1: by their ids where these are given, else by what is connected."""
    if instances is None:
        return np.asarray(components(inside), np.int64)
    ids = instances * inside
    return np.searchsorted(np.union1d([0], ids), ids)


def _middle(inside: NDArray[np.bool_]) -> _Place:
    """The pixel of a mask that lies nearest to its centre of mass, the first of several."""
    pixels = np.argwhere(inside)
    return tuple(int(i) for i in pixels[((pixels - pixels.mean(0)) ** 2).sum(1).argmin()])
