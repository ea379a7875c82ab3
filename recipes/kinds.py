"""Trains one small network of each kind that seglens opens, on its own scenes, and saves it as its library does:
`python recipes/kinds.py FOLDER [KIND …]`.

For the pictures of docs/reference/kinds-of-networks.md: trained just enough that a map shows something. Nothing of this
ships with the package.
"""

# torchvision is mended before what imports it.
# ruff: noqa: E402
import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seglens.networks.zoos.repair import mend_torchvision

mend_torchvision()

import lightning
import numpy as np
from streets import CROP_CLASSES, MEAN, SIZE, STD, Pixels, Training, crop_set, rarity
from torch.utils.data import DataLoader

from seglens.datasets import CLASSES, Streets

SIDE = 64
"""Side of the crops that are classified."""

SCENES = 800
"""Scenes that are learned from, again and again."""


class Scores(nn.Module):
    """A network's class scores alone, of whatever it returns, at the size of the picture."""

    def __init__(self, network: nn.Module, pick: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.network = network
        self.pick = pick

    def forward(self, x: Tensor) -> Tensor:
        y = self.pick(self.network(x))
        if y.ndim == 4 and y.shape[2:] != x.shape[2:]:
            y = nn.functional.interpolate(y, x.shape[2:], mode="bilinear", align_corners=False)
        return y


@dataclass(frozen=True, slots=True)
class Kind:
    """What is built, how its scores are picked, how it is saved.

    crops: it classifies crops instead of pixels. matched: it classifies masks, and is trained so.
    """

    build: Callable[[], nn.Module]
    save: Callable[[nn.Module, Path], None]
    pick: Callable[[Any], Tensor] = lambda y: y
    crops: bool = False
    matched: bool = False
    steps: int = 400
    rate: float = 2e-3
    batch: int = 8


def _weights(
    module: nn.Module, path: Path, constructor: str, arguments: dict[str, Any], classes: tuple[str, ...]
) -> None:
    """A state dict with a description beside it."""
    torch.save(module.state_dict(), path)
    size = [SIDE, SIDE] if classes is CROP_CLASSES else list(SIZE)
    lines = [
        f'constructor = "{constructor}"',
        f"classes = {json.dumps(list(classes))}",
        "[constructor_arguments]",
        *(f"{k} = {json.dumps(v)}" for k, v in arguments.items()),
        "[input]",
        f"mean = {[MEAN] * 3}",
        f"std = {[STD] * 3}",
        f"size = {size}",
    ]
    path.with_suffix(".toml").write_text("\n".join(lines) + "\n")


def _keras_unet() -> nn.Module:
    import keras
    from keras import layers

    def block(x: Any, width: int, name: str) -> Any:
        for i in (1, 2):
            x = layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"{name}_conv{i}")(x)
            x = layers.BatchNormalization(name=f"{name}_norm{i}")(x)
            x = layers.ReLU(name=f"{name}_relu{i}")(x)
        return x

    image = keras.Input((*SIZE, 3), name="image")
    x, skips = layers.Rescaling(1 / (255 * STD), -MEAN / STD, name="rescaling")(image), []
    for level, width in enumerate((16, 32, 48), start=1):
        skips.append(block(x, width, f"down{level}"))
        x = layers.MaxPooling2D(2, name=f"pool{level}")(skips[-1])
    x = block(x, 64, "middle")
    for level, width in ((3, 48), (2, 32), (1, 16)):
        x = layers.UpSampling2D(2, interpolation="bilinear", name=f"larger{level}")(x)
        x = layers.Concatenate(name=f"skip{level}")([x, skips[level - 1]])
        x = block(x, width, f"up{level}")
    return keras.Model(image, layers.Conv2D(len(CLASSES), 1, activation="softmax", name="classes")(x))


class _Keras(nn.Module):
    """A channels-last network of probabilities for pixels of 0 to 255, fed as the others are."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        pixels = (x * STD + MEAN) * 255
        return self.model(pixels.permute(0, 2, 3, 1), training=self.training).permute(0, 3, 1, 2).clamp_min(1e-7).log()


def _segformer() -> nn.Module:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    return SegformerForSemanticSegmentation(
        SegformerConfig(
            hidden_sizes=[16, 32, 64, 96],
            depths=[1, 1, 1, 1],
            num_attention_heads=[1, 2, 2, 4],
            decoder_hidden_size=64,
            id2label=dict(enumerate(CLASSES)),
        )
    )


def _maskformer() -> nn.Module:
    from transformers import DetrConfig, MaskFormerConfig, MaskFormerForInstanceSegmentation, ResNetConfig

    backbone = ResNetConfig(
        embedding_size=24, hidden_sizes=[24, 48, 64, 96], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    decoder = DetrConfig(
        d_model=64, decoder_layers=2, decoder_attention_heads=4, decoder_ffn_dim=128, encoder_layers=0,
        num_queries=20, dropout=0.0,
    )  # fmt: skip
    config = MaskFormerConfig(
        backbone_config=backbone, decoder_config=decoder, fpn_feature_size=64, mask_feature_size=64
    )
    config.id2label = dict(enumerate(CLASSES))
    return MaskFormerForInstanceSegmentation(config)


def _composed(y: Any) -> Tensor:
    """log Σ_q softmax(class_q)[c] σ(mask_q): what pixels are labelled by."""
    classes = y.class_queries_logits.softmax(-1)[..., :-1]
    return torch.einsum("bqc,bqhw->bchw", classes, y.masks_queries_logits.sigmoid()).clamp_min(1e-6).log()


class Matching(Training):
    """Queries matched to the masks of the classes in each scene, by the library's own loss."""

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, labels = batch
        coarse = labels[:, ::4, ::4]  # where the network's masks are
        classes = [one.unique() for one in coarse]
        masks = [torch.stack([(one == c).float() for c in found]) for one, found in zip(coarse, classes, strict=True)]
        return self.network.network(pixel_values=x, mask_labels=masks, class_labels=classes).loss


def _vit() -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    return ViTForImageClassification(
        ViTConfig(
            hidden_size=96, num_hidden_layers=5, num_attention_heads=4, intermediate_size=192, image_size=SIDE,
            patch_size=8, hidden_dropout_prob=0.0, id2label=dict(enumerate(CROP_CLASSES)),
        )
    )  # fmt: skip


def _save_folder(size: tuple[int, int], processor: str) -> Callable[[nn.Module, Path], None]:
    def save(module: nn.Module, path: Path) -> None:
        import transformers

        module.save_pretrained(path)  # type: ignore[operator]
        height, width = size
        getattr(transformers, processor)(
            size={"height": height, "width": width}, image_mean=[MEAN] * 3, image_std=[STD] * 3
        ).save_pretrained(path)

    return save


def _named(constructor: str, names: tuple[str, ...] = CLASSES, /, **arguments: Any) -> dict[str, Any]:
    """A model of a zoo, with its weights and a description that names it."""
    from seglens.networks.loaded import ZOOS

    zoo, _, name = constructor.partition(":")
    return {
        "build": lambda: ZOOS[zoo](name, arguments, False).module,
        "save": lambda m, p: _weights(m, p.with_suffix(".pth"), constructor, arguments, names),
        "crops": names is CROP_CLASSES,
    }


def _export_onnx(module: nn.Module, path: Path) -> None:
    example = torch.rand(1, 3, *SIZE)
    torch.onnx.export(module.eval(), (example,), path.with_suffix(".onnx"), dynamo=True, input_names=["image"])
    path.with_suffix(".toml").write_text(
        f"classes = {json.dumps(list(CLASSES))}\n[input]\nmean = {[MEAN] * 3}\nstd = {[STD] * 3}\nsize = {list(SIZE)}\n"
    )


KINDS: dict[str, Kind] = {
    "keras": Kind(_keras_unet, lambda m, p: m.save(p.with_suffix(".keras")), steps=250),  # type: ignore[operator]
    "onnx": Kind(
        _named("smp:FPN", encoder_name="mobilenet_v2", decoder_segmentation_channels=32, classes=11)["build"],
        _export_onnx, steps=300,
    ),
    "segformer": Kind(_segformer, _save_folder(SIZE, "SegformerImageProcessor"), lambda y: y.logits, steps=500),
    "maskformer": Kind(
        _maskformer, _save_folder(SIZE, "MaskFormerImageProcessor"), _composed, matched=True, steps=1500, rate=1e-3
    ),
    "vit": Kind(
        _vit, _save_folder((SIDE, SIDE), "ViTImageProcessor"), lambda y: y.logits, True, steps=700, rate=1e-3, batch=64
    ),
    "smp": Kind(
        **_named("smp:Unet", encoder_name="resnet18", decoder_channels=[64, 48, 32, 24, 16], classes=11), steps=250
    ),
    "torchvision": Kind(
        **_named("torchvision:lraspp_mobilenet_v3_large", num_classes=11), pick=lambda y: y["out"], steps=500
    ),
    "monai": Kind(
        **_named(
            "monai:UNet", spatial_dims=2, in_channels=3, out_channels=11, channels=[16, 32, 64, 96],
            strides=[2, 2, 2], num_res_units=2,
        )
    ),
    "timm": Kind(**_named("timm:resnet10t", CROP_CLASSES, num_classes=7), steps=250, batch=32),
}  # fmt: skip


@cache
def pixels(scenes: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Scenes with their labels, made once for all kinds that segment."""
    return list(Pixels(Streets(scenes, SIZE, seed)))


@cache
def crops(scenes: int, seed: int) -> Any:
    """Crops with their labels, made once for all kinds that classify."""
    return crop_set(scenes, seed, SIDE)


def train(kind: Kind) -> tuple[nn.Module, float]:
    """The trained network, and its share of right pixels or crops on held-out scenes."""
    lightning.seed_everything(1, verbose=False)
    network = kind.build()
    scores = _Keras(network) if kind.build is _keras_unet else Scores(network, kind.pick)
    if kind.crops:
        data, held_out = crops(800, 1), crops(40, 2)
        shares = np.bincount(data.labels, minlength=len(CROP_CLASSES)) / len(data)
    else:
        data, held_out = pixels(SCENES, 1), pixels(32, 2)
        labels = torch.stack([labels for _, labels in data]).flatten()
        shares = np.bincount(labels.numpy(), minlength=len(CLASSES)) / labels.numel()
    loader = DataLoader(data, batch_size=kind.batch, shuffle=True, drop_last=True)
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_steps=kind.steps,
        gradient_clip_val=1.0 if kind.matched else None,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    training = Matching if kind.matched else Training
    trainer.fit(training(scores, kind.rate, kind.steps, rarity(shares)), loader)
    right = total = 0
    scores.eval()
    with torch.no_grad():
        for x, truth in DataLoader(held_out, batch_size=16):
            found = scores(x).argmax(1)
            right, total = right + int((found == truth).sum()), total + truth.numel()
    return network.eval(), right / total


def main() -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []])
    parser.add_argument("--steps", type=int)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for name in given.kinds or KINDS:
        kind = KINDS[name]
        start = time.perf_counter()
        network, right = train(kind if given.steps is None else _shorter(kind, given.steps))
        kind.save(network, given.folder / name)
        count = sum(p.numel() for p in network.parameters())
        minutes = (time.perf_counter() - start) / 60
        print(f"{name}: {right:.1%} right, {count:,} parameters, {minutes:.1f} minutes", flush=True)


def _shorter(kind: Kind, steps: int) -> Kind:
    from dataclasses import replace

    return replace(kind, steps=steps)


if __name__ == "__main__":
    main()
