"""explain(): from a network, images, a method and targets to explanations."""

import platform
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from seglens.core.batches import in_batches, out_of_memory
from seglens.core.cost import Cost, Meter, measured
from seglens.core.errors import SeglensError
from seglens.core.explanation import Explanation, Explanations
from seglens.core.images import Source, name_of
from seglens.core.maps import Maps
from seglens.core.method import Method, in_full, takes_target
from seglens.core.network import Network, is_out_of_memory, upsampled
from seglens.core.nifti import voxel_size
from seglens.core.rasters import placed
from seglens.core.targets import Target, empty_region
from seglens.networks.layers import default_layer_of
from seglens.networks.tiled import tiling_of
from seglens.run.pairs import one_for_each
from seglens.run.questions import (
    Asked,
    Case,
    NetworkSource,
    forward,
    images_at_once,
    make_case,
    method_of,
    name_of_method,
    noted,
    open_network,
    read_many,
    table_of,
    targets_for,
    times,
)

Precision = Literal["float16", "bfloat16"]

UNITS = {"logits": "logit", "probabilities": "probability", "log-probabilities": "log-probability"}


@dataclass(frozen=True, slots=True)
class Failure:
    """An image that could not be explained, and why."""

    image: str
    error: SeglensError


def explain(
    network: NetworkSource,
    image: Source | Sequence[Source],
    method: str | Method = "grad-cam",
    target: Asked = None,
    *,
    truth: Source | Sequence[Source] | None = None,
    instances: Source | Sequence[Source] | None = None,
    ignore: int | None = 255,
    precision: Precision | None = None,
    cost: bool = False,
    device: str | torch.device | None = None,
) -> Explanation | Explanations:
    """Why did the network say so? One map for each image and target.

    network: what `seglens.load` takes. image: a path, PIL image, array or tensor; a folder, a glob or a list of them.
    method: a registry name, or a method with parameters such as ``GradCAM("encoder.block4")``.
    target: a class (asked where it is predicted), a Target, several of them, or None for the class that covers most.
    Methods that take no target (`fusion-map`) show the network once, whatever is asked.
    truth, instances: true labels and instance ids of the image's own size, for regions that need them; of several
    images a list of them in the same order, or a folder of files with the images' stems.
    precision: run the network under autocast of that type; maps stay float32.
    cost: count floating-point operations and time of the method (one more forward pass, and the one that finds a
    default layer, are not counted).

    One Explanation for one image and one target, else Explanations: all targets of the first image, then of the next.
    Raises SeglensError (EmptyRegionError, ImageError, …) where any image cannot be explained; `explain_each` goes on.
    """
    net = open_network(network, device)
    many = read_many(image)
    images: list[Source] = [image] if many is None else many  # pyright: ignore[reportAssignmentType]
    found: list[Explanation] = []
    for outcome in explain_each(
        net,
        images,
        method,
        target,
        truths=one_for_each(images, truth, "truth"),
        instances=one_for_each(images, instances, "instance ids"),
        ignore=ignore,
        precision=precision,
        cost=cost,
    ):
        if isinstance(outcome, Failure):
            raise outcome.error
        found += outcome
    one = len(found) == 1 and many is None and (target is None or not isinstance(target, list | tuple))
    return found[0] if one else Explanations(found)


def explain_each(
    network: Network,
    images: Sequence[Source],
    method: str | Method = "grad-cam",
    target: Asked = None,
    *,
    truths: Sequence[Source | None] | None = None,
    instances: Sequence[Source | None] | None = None,
    ignore: int | None = 255,
    precision: Precision | None = None,
    cost: bool = False,
) -> Iterator[list[Explanation] | Failure]:
    """Explain image after image: for each, in order, its explanations (one a target) or its Failure.

    Images that follow each other and have one size go through the network together; where memory runs out, fewer.
    What fails concerns its own image only.
    """
    chosen = method_of(method)
    if not takes_target(chosen):
        target = Target(None)
    waiting: list[Case] = []
    settled = network

    def flush() -> Iterator[list[Explanation] | Failure]:
        nonlocal settled
        cases, waiting[:] = list(waiting), []
        if cases:
            # Found with the first image, for all of them.
            settled = _with_default_layer(settled, cases[0], chosen)
            yield from _explain_cases(settled, cases, chosen, target, ignore, precision, cost)

    for i, image in enumerate(images):
        try:
            case = make_case(
                network,
                image,
                truth=truths[i] if truths else None,
                instances=instances[i] if instances else None,
                ignore=ignore,
            )
        except SeglensError as failed:
            yield from flush()
            yield Failure(name_of(image), failed)
            continue
        # A target of None is each image's own class; extra inputs belong to their own batch.
        alone = target is None or bool(network.extra)
        if waiting and (alone or not _alike(waiting[-1], case) or len(waiting) == images_at_once(network, case)):
            yield from flush()
        waiting.append(case)
    yield from flush()


def _with_default_layer(network: Network, case: Case, method: Method) -> Network:
    """The network with its default layer found, where the method reads a layer and nobody named one."""
    if network.default_layer is not None or getattr(method, "layer", "") is not None:
        return network
    try:
        return network.with_(default_layer=default_layer_of(network, case.x))
    except (SeglensError, RuntimeError, MemoryError) as failed:
        if not isinstance(failed, SeglensError) and not is_out_of_memory(failed):
            raise
        # The method meets the same fault on each image, and says it there.
        return network


def _alike(a: Case, b: Case) -> bool:
    given = [(c.truth is None, c.instances is None) for c in (a, b)]
    return a.x.shape == b.x.shape and given[0] == given[1]


def _explain_cases(
    network: Network,
    cases: list[Case],
    method: Method,
    target: Asked,
    ignore: int | None,
    precision: Precision | None,
    cost: bool,
) -> Iterator[list[Explanation] | Failure]:
    def work(start: int, stop: int) -> list[list[Explanation] | Failure]:
        part = cases[start:stop]
        try:
            return list(_explain_batch(network, part, method, target, ignore, precision, cost))
        except SeglensError as failed:
            if len(part) == 1:
                return [Failure(part[0].picture.name, failed)]
            # One by one, so that the error meets the image that caused it.
            return [outcome for i in range(start, stop) for outcome in work(i, i + 1)]
        except (RuntimeError, MemoryError) as failed:
            if len(part) > 1 or not is_out_of_memory(failed):
                raise
            return [Failure(part[0].picture.name, out_of_memory(failed))]

    if cases:
        for outcomes in in_batches(len(cases), len(cases), work):
            yield from outcomes


def _explain_batch(
    network: Network,
    cases: list[Case],
    method: Method,
    target: Asked,
    ignore: int | None,
    precision: Precision | None,
    cost: bool,
) -> list[list[Explanation] | Failure]:
    x = torch.cat([c.x for c in cases])
    price: Cost | None = None
    with noted() as notes:
        targets = targets_for(target, cases, network, ignore)
        meter: AbstractContextManager[Meter | None] = measured(network.device) if cost else nullcontext()
        with _autocast(network, precision), meter as measure:
            maps = method(network, x, targets)
        if measure is not None:
            with measured(network.device) as once:
                forward(network, x)
            price = Cost(measure.flops, once.flops, measure.seconds, measure.peak_bytes)
    found: list[list[Explanation] | Failure] = []
    for b, case in enumerate(cases):
        if maps.scores.empty is not None and bool(maps.scores.empty[b].all()):
            # Alone this image would have been refused: the company it comes in makes no difference.
            found.append(Failure(case.picture.name, empty_region(maps.scores.items)))
            continue
        own = [str(note) for note in notes if note.concerns(b, maps.layer)]
        found.append(as_explanations(network, case, method, maps, b, own, price))
    return found


def _autocast(network: Network, precision: Precision | None) -> AbstractContextManager[Any]:
    if precision is None:
        return nullcontext()
    return torch.autocast(network.device.type, dtype=getattr(torch, precision))


def as_explanations(
    network: Network,
    case: Case,
    method: Method,
    maps: Maps,
    b: int,
    notes: Sequence[str],
    price: Cost | None,
) -> list[Explanation]:
    """The explanations of one image of a batch, back on the picture's own grid."""
    frame = case.frame
    y = maps.output[b : b + 1]
    space = y.ndim > 2
    labels = network.labels(upsampled(network, y, frame.grid)) if space else None
    on_picture = frame.to_original(maps.values[b].cpu())
    truth = _numpy(case.labels) if case.labels is not None else None
    pictures = {
        name: frame.to_original(v[b].cpu())
        if v.is_floating_point()
        else torch.stack([frame.labels_to_original(one) for one in v[b].cpu()])
        for name, v in maps.pictures.items()
    }
    found: list[Explanation] = []
    for t, target in enumerate(maps.scores.items):
        mask = maps.scores.masks[b, t] if maps.scores.masks is not None else None
        # Without a question, everything is shown, and nothing need be outlined.
        asked = target.channel is not None or target.region is not None
        first = next(iter(maps.scores.terms[t]), None)
        of = target.of or "logits"
        unit = UNITS[of] if network.link_for(y) != "none" else "unit of the output"
        found.append(
            Explanation(
                map=on_picture[t].numpy(),
                image=case.picture.display,
                affine=case.picture.affine,
                method=name_of_method(method),
                parameters=_plain(asdict(in_full(method))),  # pyright: ignore[reportArgumentType]
                target=str(target),
                channel=str(target.terms),
                score=float(maps.score[b, t]),
                of=of,
                unit=maps.unit.replace("{score}", unit),
                network=network.name,
                layer=maps.layer,
                region=_numpy(frame.labels_to_original(mask)) if asked and mask is not None else None,
                prediction=_numpy(frame.labels_to_original(labels[0])) if labels is not None else None,
                truth=truth,
                label=first if network.link_for(y) != "none" else None,
                signed=maps.signed,
                classes=table_of(network, y),
                notes=(*case.notes, *notes),
                cost=price,
                extras={name: _numpy(value[b, t]) for name, value in maps.extras.items()}
                | {name: _numpy(value[t]) for name, value in pictures.items()},
                names=maps.names,
                provenance=provenance(network, case),
            )
        )
    return found


def provenance(network: Network, case: Case) -> dict[str, str]:
    """Where an explanation comes from: image, source of the network, versions, device."""
    return {
        "image": case.picture.name,
        "image size": times(case.frame.original),
        **({} if case.picture.affine is None else {"voxel size": voxel_size(case.picture.affine)}),
        **placed(case.picture.georeference),
        "network input": times(case.frame.grid),
        "network source": network.source,
        **tiling_of(network),
        "device": str(network.device),
        "seglens": version("seglens"),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _numpy(values: Tensor) -> np.ndarray[Any, Any]:
    return values.detach().cpu().numpy()


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Values as files hold them: what is none of those in words, an array by its size."""
    arrays = np.ndarray | Tensor
    return {
        k: v
        if isinstance(v, bool | int | float | str | None)
        else f"array {times(tuple(v.shape))}"
        if isinstance(v, arrays)
        else str(v)
        for k, v in values.items()
    }
