"""The networks of the context-bias benchmark: how they are trained, and what they reach.

Whether a network takes up a bias is decided by what is easier for it to learn: the shape or the cue. Seen with MNIST's
shapes and the built-in textures, width 8, on pictures of digits not trained on (IoU of the tied digit where the tie
holds → on unbiased pictures; more in docs/reference/context-bias-results.md):

- VGG16, 3,000 steps of 16 at 1e-2 (106 s on one core), mean IoU of the ten digits 0.59: strong ties are taken up wholly
  (0.58 → 0.03), weak ones in part (0.58 → 0.40), twins wholly (0.59 → 0.08).
- ResNet18, the same (105 s), mean 0.37: strong (0.48 → 0.03) and weak ties (0.42 → 0.14) and twins (0.43 → 0.07) are
  all taken up: who knows the shapes badly leans on the cue.
- Going on from a network that knows the shapes, 500 steps of 32 at 6e-3: VGG16 with a mean of 0.61 took up neither a
  strong tie (0.56 → 0.58) nor twins (0.34 → 0.47). Unbiased pictures teach to disregard the background, so every
  network begins with random weights.
- Textures that differ in brightness more than in pattern make shapes easy, and a strong tie is not taken up: ResNet18,
  3,000 steps, mean 0.59, tied digit 0.56 → 0.56.
"""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, RandomSampler

from seglens.core.capture import capture
from seglens.core.convention import Convention
from seglens.core.errors import ParameterError, missing_extra
from seglens.core.network import Network
from seglens.core.parameters import Bounds, check_parameters
from seglens.core.progress import tell
from seglens.datasets.textured_digits import CLASSES, TexturedDigits
from seglens.networks.digits_unet import Backbone, DigitsUNet
from seglens.networks.module import from_module

if TYPE_CHECKING:
    from lightning_fabric import Fabric

CONVENTION = Convention(channels=1, mean=(0.5,), std=(0.25,), divisor=DigitsUNet.divisor, size=(64, 64))
"""How pictures become the networks' input."""

_SAMPLE = 200  # pictures in which the pixels of the classes are counted before training
_AT_ONCE = 50  # pictures in one pass without gradients


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a network is trained: AdamW on a one-cycle schedule of learning rates.

    encoder, width: of the `DigitsUNet`. steps: of the optimiser, each on `batch` pictures. rate: the greatest
    learning rate. seed: of the weights at the start and of the order of the pictures.
    Raises ParameterError for a number outside its range and for an encoder that does not exist.
    """

    encoder: Backbone = "vgg16"
    width: Annotated[int, Bounds(ge=2)] = 8
    steps: Annotated[int, Bounds(ge=2)] = 3000
    batch: Annotated[int, Bounds(ge=2)] = 16
    rate: Annotated[float, Bounds(above=0)] = 1e-2
    seed: Annotated[int, Bounds(ge=0)] = 0

    def __post_init__(self) -> None:
        check_parameters(self)


QUICK = Recipe(encoder="resnet18", steps=500)
"""20 s on one core: the cue of twins begins to be used, and shapes are hardly known."""

SMALL = Recipe(steps=3000)
"""Some 2 minutes on one core: shapes are known half, and the cue is taken up."""

FULL = Recipe(width=16, steps=62_500)
"""A million pictures, 20 rounds of the paper's 50,000: for a GPU."""


@dataclass(frozen=True, slots=True)
class _Pictures(Dataset[tuple[Tensor, Tensor]]):
    """Textured digits as (input [1 64 64], labels [64 64])."""

    data: TexturedDigits

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        scene = self.data[index]
        pixels = torch.from_numpy(scene.image)[None].float() / 255
        return CONVENTION.normalise(pixels[None])[0], torch.from_numpy(scene.labels).long()


def train(
    recipe: Recipe,
    data: TexturedDigits,
    *,
    device: str = "cpu",
    quiet: bool = True,
) -> nn.Module:
    """A `DigitsUNet` trained on `data`, on that device, in evaluation mode.

    Pictures come in random order, each as often as the others, until steps · batch of them have been shown. The loss
    is the cross-entropy over pixels in which classes weigh share^-1/2: unweighted, the background drowns the digits.
    Computed in bfloat16 where the device has it. On a CPU the same recipe and data give the same weights on the same
    machine. Global random states stay as they were.
    quiet: False tells listeners of each step (`seglens.core.progress.watching`); what one raises ends the training.
    Raises MissingExtraError without lightning; ParameterError for data without pictures and for a device that is not
    there.
    """
    if len(data) == 0:
        raise ParameterError("there are no pictures to train on: the length of the data is to be 1 or more.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = DigitsUNet(recipe.encoder, recipe.width)
    _in_layout(network, torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), recipe.rate, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=recipe.steps, pct_start=0.15)
    fabric = _fabric(device)
    model, stepper = fabric.setup(network, optimiser)
    loss = fabric.to_device(nn.CrossEntropyLoss(_weights(data)))
    for done, (x, labels) in enumerate(_batches(recipe, data), start=1):
        logits = model(fabric.to_device(x).contiguous(memory_format=torch.channels_last))
        fabric.backward(loss(logits.float(), fabric.to_device(labels)))
        stepper.step()
        stepper.zero_grad()
        schedule.step()
        if not quiet:
            tell("training", done, recipe.steps)
    return _in_layout(network, torch.contiguous_format).eval()


def as_network(module: nn.Module) -> Network:
    """A trained `DigitsUNet` as everything else takes it: class names, input convention, end of the encoder."""
    return from_module(module, classes=CLASSES, convention=CONVENTION, default_layer="encoder.block5")


def ious(network: Network, data: TexturedDigits) -> NDArray[np.float64]:
    """IoU of each class over all pixels of all pictures [11], in 0..1; NaN for a class that neither is nor is seen."""
    counts = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    pictures = _Pictures(data)
    with capture(network), torch.no_grad():
        for start in range(0, len(data), _AT_ONCE):
            pairs = [pictures[index] for index in range(start, min(start + _AT_ONCE, len(data)))]
            x, truth = (torch.stack(parts) for parts in zip(*pairs, strict=True))
            said = network(x).argmax(1).cpu()
            cells = (truth * len(CLASSES) + said).numpy().ravel()
            counts += np.bincount(cells, minlength=counts.size).reshape(counts.shape)
    hit = np.diag(counts)
    union = counts.sum(0) + counts.sum(1) - hit
    return np.divide(hit, union, out=np.full(len(CLASSES), np.nan), where=union > 0)


def _batches(recipe: Recipe, data: TexturedDigits) -> DataLoader[tuple[Tensor, Tensor]]:
    """As many batches as there are steps."""
    order = torch.Generator().manual_seed(recipe.seed)
    pictures = _Pictures(data)
    sampler = RandomSampler(pictures, num_samples=recipe.steps * recipe.batch, generator=order)
    # Without a generator of its own, a loader draws from the global one, even where it has no workers to seed.
    return DataLoader(pictures, recipe.batch, sampler=sampler, generator=torch.Generator())


def _weights(data: TexturedDigits) -> Tensor:
    """Of the classes in the loss [11]: share of the pixels^-1/2, mean 1."""
    labels = np.stack([data[index].labels for index in range(min(len(data), _SAMPLE))])
    shares = np.bincount(labels.ravel(), minlength=len(CLASSES)) / labels.size
    weights = np.maximum(shares, 1e-3) ** -0.5  # a class that the sample lacks is rare, not infinitely so
    return torch.tensor(weights / weights.mean(), dtype=torch.float32)


def _fabric(device: str) -> "Fabric":
    """What places, casts and differentiates on that device. Raises MissingExtraError, ParameterError."""
    try:
        # Not through the package `lightning`, which also brings its trainer, its metrics and all that they import.
        from lightning_fabric import Fabric
    except ImportError as absent:
        raise missing_extra("lightning", "train", "training the networks of the benchmark") from absent
    try:
        place = torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as unusable:
        raise ParameterError(
            f"device = {device!r} cannot be used here: {unusable}\n  'cpu' always can; one GPU is 'cuda'."
        ) from unusable
    with _silent("lightning_fabric"):
        return Fabric(
            accelerator=place.type,
            devices=1 if place.type == "cpu" else [place.index or 0],
            precision="bf16-mixed" if _has_bfloat16(place) else "32-true",
        )


def _has_bfloat16(place: torch.device) -> bool:
    """Whether the device multiplies bfloat16 itself; it is slower than float32 where it does not."""
    if place.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return place.type == "cpu" and bool(getattr(torch.cpu, "_is_avx512_bf16_supported", bool)())


def _in_layout(network: DigitsUNet, layout: torch.memory_format) -> DigitsUNet:
    return network.to(memory_format=layout)  # pyright: ignore[reportCallIssue]  (the stub lacks this overload)


@contextmanager
def _silent(name: str) -> Generator[None]:
    """The logger of that name says no more than warnings for a while."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
