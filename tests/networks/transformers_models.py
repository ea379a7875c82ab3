"""Tiny models of transformers, by family, each saved as its owners would: model and image processor in one folder."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch

from seglens.networks.transformers.library import library, quiet

NAMES = ("road", "car", "rider", "sky")
SIDE = 32


@dataclass(frozen=True)
class Family:
    """Configuration and model class by name; a layer of the encoder; the image processor, for pictures of side²."""

    config: Callable[[Any], Any]
    model: str
    layer: str
    processor: str = "SegformerImageProcessor"
    settings: dict[str, Any] = field(default_factory=dict)
    side: int = SIDE


def named() -> dict[str, Any]:
    return {"id2label": dict(enumerate(NAMES)), "label2id": {n: i for i, n in enumerate(NAMES)}}


def swin(**more: Any) -> dict[str, Any]:
    return {
        "image_size": 64,
        "embed_dim": 8,
        "depths": [1, 1, 1, 1],
        "num_heads": [1, 1, 2, 2],
        "window_size": 2,
    } | more


def swin_backbone() -> dict[str, Any]:
    return swin(out_features=["stage1", "stage2", "stage3", "stage4"])


def vit(**more: Any) -> dict[str, Any]:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return sizes | {"image_size": SIDE, "patch_size": 8} | more


def _segformer(t: Any) -> Any:
    return t.SegformerConfig(
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
        **named(),
    )


def _upernet(backbone: Any) -> dict[str, Any]:
    return {"backbone_config": backbone, "hidden_size": 16, "auxiliary_channels": 8, "pool_scales": [1, 2], **named()}


def _upernet_swin(t: Any) -> Any:
    return t.UperNetConfig(auxiliary_in_channels=32, **_upernet(t.SwinConfig(**swin_backbone())))


def _upernet_convnext(t: Any) -> Any:
    stages = ["stage1", "stage2", "stage3", "stage4"]
    backbone = t.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], out_features=stages)
    return t.UperNetConfig(auxiliary_in_channels=16, **_upernet(backbone))


def _dpt(t: Any) -> Any:
    neck = {"backbone_out_indices": [0, 1, 2, 3], "neck_hidden_sizes": [8, 8, 16, 16], "fusion_hidden_size": 16}
    return t.DPTConfig(**vit(num_hidden_layers=4), is_hybrid=False, **neck, **named())


def _beit(t: Any) -> Any:
    own = {"out_indices": [1, 2, 3, 4], "use_relative_position_bias": True, "pool_scales": [1, 2]}
    return t.BeitConfig(**vit(num_hidden_layers=4), **own, **named())


def _data2vec(t: Any) -> Any:
    own = {"out_indices": [0, 1, 2, 3], "use_relative_position_bias": True, "pool_scales": [1, 2]}
    return t.Data2VecVisionConfig(**vit(num_hidden_layers=4), **own, **named())


def _mobilenet(t: Any) -> Any:
    return t.MobileNetV2Config(image_size=SIDE, depth_multiplier=0.25, output_stride=16, **named())


def _mobilevit(t: Any) -> Any:
    own = {"hidden_sizes": [16, 16, 16], "neck_hidden_sizes": [8, 8, 16, 16, 16, 16, 32], "aspp_out_channels": 16}
    return t.MobileViTConfig(image_size=64, num_attention_heads=2, **own, **named())


def _mask2former(t: Any) -> Any:
    sizes = {"feature_size": 32, "mask_feature_size": 32, "hidden_dim": 32, "encoder_feedforward_dim": 32}
    depth = {"encoder_layers": 1, "decoder_layers": 2, "num_attention_heads": 2, "dim_feedforward": 32}
    return t.Mask2FormerConfig(
        backbone_config=t.SwinConfig(**swin_backbone()), num_queries=5, **sizes, **depth, **named()
    )


def _maskformer(t: Any) -> Any:
    decoder = t.DetrConfig(
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        num_queries=5,
    )
    sizes = {"fpn_feature_size": 32, "mask_feature_size": 32, "decoder_config": decoder}
    return t.MaskFormerConfig(backbone_config=t.SwinConfig(**swin_backbone()), **sizes, **named())


def _oneformer(t: Any) -> Any:
    sizes = {"hidden_dim": 32, "mask_dim": 32, "conv_dim": 32, "encoder_feedforward_dim": 32, "dim_feedforward": 32}
    depth = {"encoder_layers": 1, "decoder_layers": 2, "num_attention_heads": 2, "query_dec_layers": 1}
    text = {
        "text_encoder_width": 32,
        "text_encoder_vocab_size": 20,
        "text_encoder_context_length": 7,
        "task_seq_len": 7,
    }
    return t.OneFormerConfig(
        backbone_config=t.SwinConfig(**swin_backbone()), num_queries=5, **sizes, **depth, **text, **named()
    )


def _eomt(t: Any) -> Any:
    own = {"num_queries": 5, "num_blocks": 1, "num_upscale_blocks": 1, "num_hidden_layers": 3}
    return t.EomtConfig(hidden_size=16, num_attention_heads=2, image_size=SIDE, patch_size=8, **own, **named())


def _convnext(t: Any) -> Any:
    return t.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], **named())


def _resnet(t: Any) -> Any:
    return t.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1], layer_type="basic", **named()
    )


_BACKBONE = "model.pixel_level_module.encoder.swin.encoder.layers.3.blocks.0"
_WHOLE = {"do_center_crop": False}

FAMILIES = {
    "segformer": Family(_segformer, "SegformerForSemanticSegmentation", "segformer.stages.3.blocks.0"),
    "upernet-swin": Family(_upernet_swin, "UperNetForSemanticSegmentation", "backbone.swin.encoder.layers.3.blocks.0"),
    "upernet-convnext": Family(_upernet_convnext, "UperNetForSemanticSegmentation", "backbone.encoder.stages.3"),
    "dpt": Family(_dpt, "DPTForSemanticSegmentation", "dpt.encoder.layer.3", "DPTImageProcessor"),
    # Its decoder reads one block less than its configuration seems to say.
    "beit": Family(_beit, "BeitForSemanticSegmentation", "beit.layers.2", "BeitImageProcessor", _WHOLE),
    "data2vec": Family(
        _data2vec,
        "Data2VecVisionForSemanticSegmentation",
        "data2vec_vision.encoder.layer.1",
        "BeitImageProcessor",
        _WHOLE,
    ),
    "mobilenet": Family(
        _mobilenet, "MobileNetV2ForSemanticSegmentation", "mobilenet_v2.layer.15", "MobileNetV2ImageProcessor", _WHOLE
    ),
    "mobilevit": Family(
        _mobilevit,
        "MobileViTForSemanticSegmentation",
        "mobilevit.encoder.layer.4",
        "MobileViTImageProcessor",
        _WHOLE,
        side=64,
    ),
    "mask2former": Family(
        _mask2former, "Mask2FormerForUniversalSegmentation", _BACKBONE, "Mask2FormerImageProcessor", side=64
    ),
    "maskformer": Family(
        _maskformer,
        "MaskFormerForInstanceSegmentation",
        "model.pixel_level_module.encoder.model.encoder.layers.3.blocks.0",
        "MaskFormerImageProcessor",
        side=64,
    ),
    "oneformer": Family(_oneformer, "OneFormerForUniversalSegmentation", _BACKBONE, "OneFormerImageProcessor", side=64),
    "eomt": Family(
        _eomt,
        "EomtForUniversalSegmentation",
        "layers.1",
        "EomtImageProcessor",
        {"size": {"shortest_edge": 32, "longest_edge": 32}},
    ),
    "vit": Family(
        lambda t: t.ViTConfig(**vit(), **named()),
        "ViTForImageClassification",
        "vit.layers.1.layernorm_before",
        "ViTImageProcessor",
    ),
    "convnext": Family(
        _convnext,
        "ConvNextForImageClassification",
        "convnext.encoder.stages.3",
        "ConvNextImageProcessor",
        {"size": {"shortest_edge": 384}},
        side=384,
    ),
    "resnet": Family(_resnet, "ResNetForImageClassification", "resnet.encoder.stages.3", "ViTImageProcessor"),
    "swin": Family(
        lambda t: t.SwinConfig(**swin(), **named()),
        "SwinForImageClassification",
        "swin.encoder.layers.3.blocks.0",
        "ViTImageProcessor",
        side=64,
    ),
}
"""Every architecture that is promised, as small as it gets."""

SEGMENTERS = tuple(k for k, f in FAMILIES.items() if "Classification" not in f.model)
MASK_CLASSIFIERS = ("mask2former", "maskformer", "oneformer", "eomt")


@cache
def model_of(family: str, seed: int = 0) -> Any:
    """The model, with random weights that do not die out on the way, always the same."""
    f, t = FAMILIES[family], library()
    with quiet():
        torch.manual_seed(seed)
        model = getattr(t, f.model)(f.config(t)).eval()
        for p in model.parameters():
            if p.ndim > 1:
                # Initial weights of 0.02 make outputs in which rounding counts.
                torch.nn.init.normal_(p, std=p[0].numel() ** -0.5)
        _with_statistics(model, f.side)
    return model


def _with_statistics(model: Any, side: int) -> None:
    """Running statistics of real activations, so that signals neither die nor grow through the depth."""
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the plain mean over batches
        norm.reset_running_stats()
    if norms:
        with torch.no_grad():
            model.train()(pixel_values=torch.randn(4, 3, side, side))
        model.eval()


@cache
def processor_of(family: str) -> Any:
    """The image processor that works on arrays."""
    f, t = FAMILIES[family], library()
    maker = getattr(t, f.processor + "Pil", None) or getattr(t, f.processor)
    return maker(**{"size": {"height": f.side, "width": f.side}, **f.settings})


def save(family: str, folder: Path, **kwargs: Any) -> Path:
    """The family's folder, as `save_pretrained` writes it."""
    with quiet():
        model_of(family).save_pretrained(folder, **kwargs)
        processor_of(family).save_pretrained(folder)
    return folder
