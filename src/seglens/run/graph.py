"""The dataflow graph of a network, from one pass on an image, and its files."""

import torch

from seglens.core.images import Source
from seglens.networks.graph import GRAPH_WRITERS, Graph, graph_of
from seglens.run.layers import grey
from seglens.run.questions import NetworkSource, make_case, open_network
from seglens.viz.graph import write_svg

if "svg" not in GRAPH_WRITERS:
    GRAPH_WRITERS.add("svg", write_svg)


def formats() -> list[str]:
    """Suffixes that a graph can be saved with."""
    return ["json", *GRAPH_WRITERS]


def network_graph(
    network: NetworkSource,
    image: Source | None = None,
    *,
    size: tuple[int, ...] | None = None,
    device: str | torch.device | None = None,
) -> Graph:
    """The layers and operations of a network and what flows between them, from one pass on an image.

    Without an image, on a grey one of `size`, by default the convention's size or 128 × 128 (made to fit its divisor).
    The graph is whole; `collapsed` makes modules one node each, and `save` draws it.
    """
    net = open_network(network, device)
    return graph_of(net, grey(net, size) if image is None else make_case(net, image).x)
