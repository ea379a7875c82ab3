"""The end of the encoder of a model of transformers: which of its layers is explained where none is named."""

from typing import Any, cast

from torch import nn

_LISTS = ("stages", "layers", "layer", "blocks")
"""What the library calls the sequence of an encoder's stages or blocks."""

_BY_CLASS_TOKEN = ("ViTForImageClassification", "DeiTFor", "ViTMSNFor")
"""Classifiers that read the class token alone at the end."""

_NORMS = ("layernorm_before", "norm1", "layer_norm1")


def encoder_end(model: Any) -> str | None:
    """The last block of the encoder that the score hangs on through its output; None where the model has no such list.

    The whole encoder will not do: its output holds several maps, of which a decoder reads others than the first. Of a
    stage that hands on a map for the next stage and another for the decoder, it is the last block. Of a decoder that
    reads chosen blocks, it is the last chosen. Where a class token is all that is read in the end, the patches of the
    last block's output count for nothing: there it is the normalisation at its beginning.
    """
    name = type(model).__name__
    found = _sequence(model)
    if found is None:
        return None
    path, blocks = found
    last = min(_last_read(name, model.config, len(blocks)), len(blocks)) - 1
    path, block = f"{path}.{last}", blocks[last]
    parts = dict(block.named_children())
    if name.startswith(_BY_CLASS_TOKEN):
        return next((f"{path}.{n}" for n in _NORMS if n in parts), None)
    inner = parts.get("blocks")
    if "Swin" in type(block).__name__ and isinstance(inner, nn.ModuleList):
        return f"{path}.blocks.{len(inner) - 1}"
    return path


def _sequence(model: nn.Module) -> tuple[str, list[nn.Module]] | None:
    """The first list of stages or blocks in the order of definition, which is the encoder's."""
    for path, module in model.named_modules():
        if path.rpartition(".")[2] in _LISTS and isinstance(module, nn.ModuleList) and len(module):
            return path, list(module)
    return None


def _last_read(name: str, config: Any, count: int) -> int:
    """How many blocks it takes to the last map that the decoder reads."""
    if name.endswith("ForSemanticSegmentation"):
        if name.startswith(("Beit", "Data2VecVision")):
            # Its indices count from 1 where maps are counted from the embedding, which is the first.
            return max(cast("list[int]", config.out_indices)) - 1
        if name.startswith("DPT") and (read := getattr(config, "backbone_out_indices", None)):
            return max(cast("list[int]", read)) + 1
    return count
