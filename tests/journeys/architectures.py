"""Networks of many libraries, small and with random weights, each saved as its library saves it and loaded in one line.

What is asked of all of them is in test_any_network.py; nothing there knows where a network comes from.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

import seglens as sl
from seglens.core.network import Network
from seglens.networks.builtin import DilatedNet, UNet

SIDE = 64
"""Side of the pictures, which all of them take."""


@dataclass(frozen=True)
class Architecture:
    """load: saves the network under a folder and loads it from there. package: what it needs.

    classifies: it gives one answer for the whole picture. layer: a layer that it must have under that name.
    """

    load: Callable[[Path], Network]
    package: str | None
    layer: str
    classifies: bool = False


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build().eval()
        for norm in module.modules():
            # As trained ones have: at the means and variances that they start with, deep random networks fade out.
            if isinstance(norm, nn.BatchNorm2d):
                nn.init.uniform_(norm.weight, 0.8, 1.6)
                nn.init.normal_(norm.bias, 0.0, 0.2)
        return module


def in_memory(build: Callable[[], nn.Module]) -> Callable[[Path], Network]:
    def load(folder: Path) -> Network:
        return sl.load(seeded(build), convention={"mean": [0.5] * 3, "std": [0.25] * 3})

    return load


def zoo(constructor: str, **arguments: Any) -> Callable[[Path], Network]:
    """Weights of `torch.save`, and the zoo's name of what they belong to."""

    def load(folder: Path) -> Network:
        from seglens.networks.loaded import ZOOS

        kind, _, name = constructor.partition(":")
        module = seeded(lambda: ZOOS[kind](name, arguments, False).module)
        torch.save(module.state_dict(), folder / "weights.pth")
        return sl.load(
            folder / "weights.pth", constructor=constructor, arguments=arguments, convention={"mean": 0.5, "std": 0.25}
        )

    return load


def exported(build: Callable[[], nn.Module]) -> Callable[[Path], Network]:
    def load(folder: Path) -> Network:
        program = torch.export.export(seeded(build), (torch.rand(1, 3, SIDE, SIDE),))
        torch.export.save(program, folder / "net.pt2")
        return sl.load(folder / "net.pt2", convention={"mean": 0.5, "std": 0.25})

    return load


def onnx(build: Callable[[], nn.Module]) -> Callable[[Path], Network]:
    def load(folder: Path) -> Network:
        example = torch.rand(1, 3, SIDE, SIDE)
        torch.onnx.export(seeded(build), (example,), folder / "net.onnx", dynamo=True, verbose=False)
        return sl.load(folder / "net.onnx", convention={"mean": 0.5, "std": 0.25})

    return load


def keras(build: Callable[[Any], Any], suffix: str = ".keras") -> Callable[[Path], Network]:
    def load(folder: Path) -> Network:
        from seglens.networks.keras import keras as library_on_torch

        library = library_on_torch()
        library.utils.set_random_seed(0)
        build(library).save(folder / f"net{suffix}")
        return sl.load(folder / f"net{suffix}", convention={"range": [0.0, 1.0], "mean": 0.5, "std": 0.25})

    return load


def transformers(model: str, settings: Callable[[Any], Any]) -> Callable[[Path], Network]:
    """A folder of `save_pretrained`, with an image processor's settings beside the weights."""

    def load(folder: Path) -> Network:
        import transformers as library

        module = seeded(lambda: getattr(library, model)(settings(library)))
        module.save_pretrained(folder / "net")  # type: ignore[operator]
        library.ViTImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder / "net")
        return sl.load(folder / "net")

    return load


def _segformer(t: Any) -> Any:
    return t.SegformerConfig(
        hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 2, 4], decoder_hidden_size=16,
        num_labels=4,
    )  # fmt: skip


def _swin(t: Any, **more: Any) -> Any:
    return t.SwinConfig(
        image_size=SIDE, embed_dim=16, depths=[1, 1, 2, 1], num_heads=[1, 2, 2, 4], window_size=2, **more
    )


def _upernet(t: Any) -> Any:
    stages = ["stage1", "stage2", "stage3", "stage4"]
    return t.UperNetConfig(
        backbone_config=_swin(t, out_features=stages), hidden_size=16, num_labels=4, use_auxiliary_head=False,
        pool_scales=[1, 2],
    )  # fmt: skip


def _vit(t: Any) -> dict[str, Any]:
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
    return {**sizes, "image_size": SIDE}


def _dpt(t: Any) -> Any:
    return t.DPTConfig(
        **{**_vit(t), "num_hidden_layers": 4}, patch_size=8, backbone_out_indices=[0, 1, 2, 3], num_labels=4,
        neck_hidden_sizes=[8, 8, 16, 16], fusion_hidden_size=16, use_auxiliary_head=False, is_hybrid=False,
    )  # fmt: skip


def _maskformer(t: Any) -> Any:
    decoder = t.DetrConfig(
        d_model=32, decoder_layers=2, decoder_attention_heads=2, decoder_ffn_dim=32, encoder_layers=0, num_queries=8
    )
    backbone = _swin(t, out_features=["stage1", "stage2", "stage3", "stage4"])
    return t.MaskFormerConfig(
        backbone_config=backbone, decoder_config=decoder, fpn_feature_size=32, mask_feature_size=32, num_labels=4
    )


def _mask2former(t: Any) -> Any:
    backbone = _swin(t, out_features=["stage1", "stage2", "stage3", "stage4"])
    return t.Mask2FormerConfig(
        backbone_config=backbone, feature_size=32, mask_feature_size=32, hidden_dim=32, encoder_feedforward_dim=32,
        dim_feedforward=32, encoder_layers=1, decoder_layers=2, num_attention_heads=2, num_queries=8, num_labels=4,
    )  # fmt: skip


def _keras_unet(k: Any) -> Any:
    image = k.Input((SIDE, SIDE, 3))
    first = k.layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(image)
    x = k.layers.MaxPooling2D(2)(first)
    x = k.layers.Conv2D(16, 3, padding="same", use_bias=False, name="middle")(x)
    x = k.layers.ReLU(name="middle_relu")(k.layers.BatchNormalization(name="middle_norm")(x))
    x = k.layers.Conv2DTranspose(8, 2, strides=2, activation="relu", name="up")(x)
    x = k.layers.Concatenate(name="skip")([x, first])
    x = k.layers.Conv2D(8, 3, padding="same", activation="relu", name="last")(x)
    return k.Model(image, k.layers.Conv2D(4, 1, activation="softmax", name="scores")(x))


def _keras_mobilenet(k: Any) -> Any:
    return k.applications.MobileNetV2((SIDE, SIDE, 3), alpha=0.35, weights=None, classes=5)


def _smp(name: str, **arguments: Any) -> Callable[[], nn.Module]:
    return lambda: _zoo_module("smp", name, {"encoder_name": "resnet18", "classes": 4, **arguments})


def _zoo_module(kind: str, name: str, arguments: dict[str, Any]) -> nn.Module:
    from seglens.networks.loaded import ZOOS

    return ZOOS[kind](name, arguments, False).module


TIMM, SMP, VISION, MONAI, HUB = "timm", "segmentation_models_pytorch", "torchvision", "monai", "transformers"

ARCHITECTURES: dict[str, Architecture] = {
    # in memory
    "U-Net, a module": Architecture(in_memory(lambda: UNet(classes=4)), None, "encoder.block4"),
    # weights, and the name of what they belong to
    "smp: U-Net": Architecture(zoo("smp:Unet", encoder_name="resnet18", classes=4), SMP, "encoder.layer4"),
    "smp: FPN": Architecture(zoo("smp:FPN", encoder_name="mobilenet_v2", classes=4), SMP, "encoder.features.17"),
    "smp: SegFormer": Architecture(zoo("smp:Segformer", encoder_name="mit_b0", classes=4), SMP, "encoder.block4"),
    "torchvision: DeepLabV3": Architecture(
        zoo("torchvision:deeplabv3_mobilenet_v3_large", num_classes=4), VISION, "backbone.16"
    ),
    "torchvision: LR-ASPP": Architecture(
        zoo("torchvision:lraspp_mobilenet_v3_large", num_classes=4), VISION, "backbone.16"
    ),
    "torchvision: Swin": Architecture(zoo("torchvision:swin_t", num_classes=4), VISION, "features.7", classifies=True),
    "monai: U-Net": Architecture(
        zoo("monai:UNet", spatial_dims=2, in_channels=3, out_channels=4, channels=[8, 16, 32], strides=[2, 2]),
        MONAI, "model.1.submodule.1",
    ),
    "timm: ResNet": Architecture(zoo("timm:resnet10t", num_classes=4), TIMM, "layer4", classifies=True),
    "timm: ConvNeXt": Architecture(zoo("timm:convnext_atto", num_classes=4), TIMM, "stages.3", classifies=True),
    "timm: ViT": Architecture(
        zoo("timm:vit_tiny_patch16_224", num_classes=4, img_size=SIDE), TIMM, "blocks.10", classifies=True
    ),
    # a program or a graph of operators
    "exported: DilatedNet": Architecture(exported(lambda: DilatedNet(classes=4)), None, "encoder.stage4"),
    "exported: PSPNet of smp": Architecture(exported(_smp("PSPNet")), SMP, "encoder.layer2"),
    "ONNX: DeepLabV3+ of smp": Architecture(onnx(_smp("DeepLabV3Plus")), SMP, ""),
    "ONNX: U-Net": Architecture(onnx(lambda: UNet(classes=4)), "onnx", ""),
    # Keras
    "Keras: U-Net": Architecture(keras(_keras_unet), "keras", "middle_relu"),
    "Keras: U-Net, .h5": Architecture(keras(_keras_unet, ".h5"), "keras", "middle_relu"),
    "Keras: MobileNetV2": Architecture(keras(_keras_mobilenet), "keras", "out_relu", classifies=True),
    # folders of transformers
    "transformers: SegFormer": Architecture(
        transformers("SegformerForSemanticSegmentation", _segformer), HUB, "segformer.stages.3"
    ),
    "transformers: UPerNet on Swin": Architecture(transformers("UperNetForSemanticSegmentation", _upernet), HUB, ""),
    "transformers: DPT": Architecture(transformers("DPTForSemanticSegmentation", _dpt), HUB, ""),
    "transformers: MaskFormer": Architecture(transformers("MaskFormerForInstanceSegmentation", _maskformer), HUB, ""),
    "transformers: Mask2Former": Architecture(
        transformers("Mask2FormerForUniversalSegmentation", _mask2former), HUB, ""
    ),
    "transformers: ViT": Architecture(
        transformers("ViTForImageClassification", lambda t: t.ViTConfig(**_vit(t), patch_size=8, num_labels=4)),
        HUB, "", classifies=True,
    ),
    "transformers: Swin": Architecture(
        transformers("SwinForImageClassification", lambda t: _swin(t, num_labels=4)), HUB, "", classifies=True
    ),
}  # fmt: skip
