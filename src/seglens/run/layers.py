"""The layers of a network, and one question put to all of them."""

from collections.abc import Sequence

import torch

from seglens.core.errors import ParameterError
from seglens.core.explanation import Explanations
from seglens.core.images import Source
from seglens.core.network import Network
from seglens.core.targets import Channel, Target
from seglens.methods.grad_cam import GradCAM, grad_cam_at_layers
from seglens.networks.layers import Layer, layers_of
from seglens.run.explain import as_explanations
from seglens.run.questions import NetworkSource, make_case, noted, open_network, targets_for


def layer_tree(
    network: NetworkSource,
    image: Source | None = None,
    *,
    size: tuple[int, ...] | None = None,
    device: str | torch.device | None = None,
) -> list[Layer]:
    """Every layer with type, shape, parameters and receptive field, from one pass on an image.

    Without an image, a grey one of `size`, by default the convention's size or 128 × 128 (made to fit its divisor).
    """
    net = open_network(network, device)
    if image is not None:
        return layers_of(net, make_case(net, image).x)
    return layers_of(net, grey(net, size))


def explain_layers(
    network: NetworkSource,
    image: Source,
    target: Target | Channel | str | int | None = None,
    layers: Sequence[str] | None = None,
    *,
    method: GradCAM | None = None,
    truth: Source | None = None,
    instances: Source | None = None,
    ignore: int | None = 255,
    device: str | torch.device | None = None,
) -> Explanations:
    """Grad-CAM of one target over the layers from input to output: one forward and one reverse pass for all.

    layers: by default the network's blocks (see `blocks`), in the order in which they run.
    """
    net = open_network(network, device)
    case = make_case(net, image, truth=truth, instances=instances, ignore=ignore)
    chosen = list(layers) if layers else names_of_blocks(layers_of(net, case.x))
    if not chosen:
        raise ParameterError(f"{net.name} has no layer with space to explain.")
    method = method or GradCAM()
    with noted() as notes:
        targets = targets_for(target, [case], net, ignore)
        found = grad_cam_at_layers(net, case.x, targets, chosen, method)
    return Explanations(
        [
            as_explanations(net, case, method, m, 0, [str(n) for n in notes if n.concerns(0, m.layer)], None)[0]
            for m in found
        ]
    )


def blocks(layers: Sequence[Layer]) -> list[Layer]:
    """The layers worth a panel: those with space that hold no other such layer but plain ones, and run, in order.

    A block is a module whose children with space have no children themselves; in a network without blocks, every
    plain layer. Of several that hand on the same tensor one stands for all, and the last block of a stage for the
    stage; scores themselves are left out.
    """
    spatial = [a for a in layers if a.path and a.spatial and a.order is not None and not a.after_head]
    parents = {a.path.rpartition(".")[0] for a in layers if a.path}
    chosen = [a for a in spatial if a.path in parents and not _holds_block(a, spatial, parents)]
    chosen += [a for a in spatial if a.path not in parents and not any(_inside(a, b) for b in chosen)]
    named = {a.path: a for a in spatial}
    distinct: dict[int | None, Layer] = {}
    for a in sorted(chosen, key=lambda a: a.depth):
        # The last block of a stage goes by the stage's name, which is the one that people know.
        stage = named.get(a.path.rpartition(".")[0])
        whole = stage is not None and stage.tensor == a.tensor and stage.order == (a.order or 0) + 1
        distinct.setdefault(a.tensor, stage if stage is not None and whole else a)
    return sorted(distinct.values(), key=lambda a: a.order or 0)


def names_of_blocks(layers: Sequence[Layer]) -> list[str]:
    """The blocks by name; one that runs several times with its last call, which is the one in the tree."""
    return [f"{a.path}#{a.runs - 1}" if a.runs > 1 else a.path for a in blocks(layers)]


def _holds_block(a: Layer, spatial: Sequence[Layer], parents: set[str]) -> bool:
    return any(_inside(b, a) and b.path in parents for b in spatial)


def _inside(a: Layer, b: Layer) -> bool:
    return a.path.startswith(f"{b.path}.")


def grey(network: Network, size: tuple[int, ...] | None) -> torch.Tensor:
    """An input [1 C *size] of one grey, for a pass that asks nothing of a picture.

    size: by default the convention's, or 128 pixels a side; made to fit its divisor.
    """
    convention = network.convention
    first = next((p for n, p in network.module.named_parameters() if n.endswith("weight") and p.ndim > 2), None)
    # 64³ voxels are as many as 512² pixels.
    size = size or convention.size or ((128,) * network.dims if network.dims < 3 else (64,) * network.dims)
    pixels = torch.full((convention.channels or (3 if first is None else first.shape[1]), *size), 0.5)
    return convention.prepare(pixels)[0]
