"""Every family that is promised: opened from its folder it computes what the library computes, and is explained."""

import socket
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from plain_segformer import plain_copy
from torch import Tensor
from transformers_models import FAMILIES, MASK_CLASSIFIERS, NAMES, SEGMENTERS, model_of, processor_of, save

import seglens as sl
from seglens.core.capture import capture
from seglens.core.errors import GuessWarning, NetworkError, SeglensWarning
from seglens.core.network import Network, upsampled
from seglens.networks.transformers import convention_of, queries
from seglens.networks.transformers.module import MaskClassifier, PixelModel
from seglens.testing import Toy, untouched
from seglens.testing.networks import network_conformance

pytest.importorskip("transformers")

TOKENS = torch.tensor([[3, 1, 4, 1, 5, 0, 0]])
"""What OneFormer is told its task by, in a vocabulary of 20."""


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    asked: list[object] = []

    def refused(*args: object, **_: object) -> None:
        asked.append(args)
        raise OSError("there is no network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    yield
    assert not asked, "the network was asked for"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    root = tmp_path_factory.mktemp("transformers")
    yield cache(lambda family: save(family, root / family))
    model_of.cache_clear()


def opened(folder: Path) -> Network:
    """The family's network; OneFormer is told its task."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GuessWarning)
        network = sl.load(folder)
    return network.with_(extra=(TOKENS,)) if folder.name == "oneformer" else network


def picture(side: int) -> np.ndarray[Any, Any]:
    """Blurred colours, so that a class is a region."""
    noise = np.random.default_rng(3).random((side // 8, side // 8, 3)).repeat(8, 0).repeat(8, 1)
    return (255 * noise).astype(np.uint8)


def by_library(family: str, image: np.ndarray[Any, Any]) -> tuple[Tensor, Any]:
    """(pixel_values, output) by the library's own processor and model."""
    pixels = processor_of(family)(images=[image], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        told = {"task_inputs": TOKENS} if family == "oneformer" else {}
        return pixels, model_of(family)(pixel_values=pixels, **told)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_as_the_library(folders: Any, family: str):
    side = FAMILIES[family].side
    image = picture(side)
    pixels, theirs = by_library(family, image)
    network = opened(folders(family))
    assert network.classes is not None
    assert network.classes.names == NAMES
    assert network.convention.size == (side, side)
    x, frame = network.convention.prepare(torch.from_numpy(image).permute(2, 0, 1) / 255)
    torch.testing.assert_close(x, pixels, rtol=0, atol=1e-6)
    with untouched(network.module), untouched(network.module.model), capture(network), torch.no_grad():
        y = network(x)
    if family not in SEGMENTERS:
        torch.testing.assert_close(y, theirs.logits, rtol=1e-5, atol=1e-6)
        return
    if family not in MASK_CLASSIFIERS:
        torch.testing.assert_close(y, theirs.logits, rtol=1e-5, atol=1e-6)
    if family == "eomt":
        theirs.patch_offsets = None  # its processor notes them when it cuts a picture into several
    maker = processor_of(family)
    if not hasattr(maker, "post_process_semantic_segmentation"):
        maker = processor_of("segformer")
    expected = maker.post_process_semantic_segmentation(theirs, target_sizes=[(side, side)])[0]
    assert torch.equal(network.labels(upsampled(network, y, frame.grid))[0], expected)  # type: ignore[index]


@pytest.mark.parametrize("family", FAMILIES)
def test_explained(folders: Any, family: str):
    network, layer, side = opened(folders(family)), FAMILIES[family].layer, min(FAMILIES[family].side, 64)
    if side != FAMILIES[family].side:
        network = network.with_(convention=replace(network.convention, size=(side, side)))
    image = picture(side)
    segments = family in SEGMENTERS
    target = sl.Target("car", sl.box(4, 4, 12, 12)) if segments else sl.Target("car")
    methods: dict[str, Any] = {
        "saliency": sl.Saliency(),
        "integrated-gradients": sl.IntegratedGradients(nodes=1, most=1),
        "grad-cam": sl.GradCAM(layer, relu=False),
        "grad-cam at the default layer": sl.GradCAM(relu=False),
    }
    if segments:
        methods["context-saliency"] = sl.ContextSaliency(sparsity=1e-6, steps=2, fill="black")
    with warnings.catch_warnings(), untouched(network.module.model), untouched(network.module):
        warnings.simplefilter("ignore", SeglensWarning)
        for name, method in methods.items():
            why = sl.explain(network, image, method, target)
            assert why.map.shape == (side, side), name
            assert np.isfinite(why.map).all(), name
            if name != "context-saliency":
                assert np.abs(why.map).max() > 0, f"{name} of {family} is zero"


def twins() -> Toy:
    """SegFormer of the library, its tokens tapped, and the same network written down on maps."""
    torch.manual_seed(5)
    x = torch.randn(2, 3, 64, 64)
    targets = (sl.Target("car", sl.box(8, 8, 40, 40)), sl.Target("sky", sl.predicted("sky")))
    model = model_of("segformer")
    plain = plain_copy(model)
    told: dict[str, Any] = {"classes": NAMES, "convention": sl.Convention(size=(64, 64))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GuessWarning)
        network, other = sl.load(model, **told), sl.load(plain, **told)
    twin = Toy(network=other, x=x, targets=targets, layer="norms.1", user=plain)
    layer = "segformer.stages.1.layer_norm"
    return Toy(network=network, x=x, targets=targets, layer=layer, user=model, twin=twin)


SUITE = network_conformance(twins, twin=True)


@pytest.mark.parametrize("check", SUITE)
def test_conformance(check: str):
    SUITE[check]()


class TestObjects:
    def test_a_model_keeps_its_layers_and_its_names(self):
        model = model_of("segformer")
        with untouched(model), pytest.warns(GuessWarning, match="how it takes images is written nowhere") as said:
            network = sl.load(model)
        assert len(said) == 1
        assert isinstance(network.module, PixelModel)
        assert network.name == "SegformerForSemanticSegmentation"
        assert network.convention.mean == (0.485, 0.456, 0.406)
        assert network.layer("segformer.stages.1.blocks.0") is model.segformer.stages[1].blocks[0]
        assert [n for n, _ in network.module.named_parameters()] == [n for n, _ in model.named_parameters()]

    def test_moved_and_changed_together(self):
        network = sl.load(model_of("resnet", seed=1), convention={"mean": 0.5})
        network.module.to(torch.float64)
        assert network.module.model.dtype == torch.float64
        assert network.dtype == torch.float64

    def test_a_model_in_training_mode(self):
        model = model_of("vit", seed=2)
        model.config.hidden_dropout_prob = 0.5
        for m in model.modules():
            if isinstance(m, torch.nn.Dropout):
                m.p = 0.5
        network = sl.load(model, convention={"size": (32, 32)})
        x = torch.rand(1, 3, 32, 32)
        with capture(network):
            expected = network(x)
        model.train()
        with untouched(model), capture(network):
            assert torch.equal(network(x), expected)
        model.eval()

    def test_a_pipeline_brings_its_processor(self):
        from transformers import pipeline

        from seglens.networks.transformers.library import quiet

        with quiet():
            pipe = pipeline(
                "image-segmentation", model=model_of("segformer"), image_processor=processor_of("segformer")
            )
        network = sl.load(pipe)
        assert network.convention.size == (32, 32)
        assert network.classes is not None
        assert network.name == "SegformerForSemanticSegmentation"

    def test_preprocessing_is_read_where_a_model_came_from(self, folders: Any):
        from transformers import SegformerForSemanticSegmentation

        from seglens.networks.transformers.library import quiet

        with quiet():
            model = SegformerForSemanticSegmentation.from_pretrained(folders("segformer"))
        assert sl.load(model).convention.size == (32, 32)

    def test_a_processor_given(self):
        network = sl.load(model_of("segformer"), convention=convention_of(processor_of("segformer")))
        assert network.convention.size == (32, 32)

    def test_others_are_plain_modules(self):
        from transformers import SegformerConfig, SegformerModel

        base = SegformerModel(SegformerConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1]))
        network = sl.load(base, convention={}, link="none")
        with capture(network):
            assert network(torch.rand(1, 3, 64, 64)).shape[:2] == (1, 16)


class TestQueries:
    def test_one_query_is_a_unit_with_a_region(self, folders: Any):
        network = queries(opened(folders("mask2former")))
        image = picture(64)
        assert network.classes is not None
        assert network.classes.names[:2] == ("query 0", "query 1")
        with warnings.catch_warnings(), untouched(network.module):
            warnings.simplefilter("ignore", SeglensWarning)
            why = sl.explain(network, image, sl.Saliency(), sl.Target("query 2", sl.box(8, 8, 24, 24)))
        assert np.abs(why.map).max() > 0
        pixels, theirs = by_library("mask2former", image)
        with capture(network), torch.no_grad():
            y = network(pixels)
            torch.testing.assert_close(y, theirs.masks_queries_logits)
            assert torch.equal(network.members(y, 2), theirs.masks_queries_logits[:, 2].sigmoid() > 0.5)

    @pytest.mark.parametrize("family", MASK_CLASSIFIERS)
    def test_all_of_them_are_named(self, folders: Any, family: str):
        network = queries(opened(folders(family)))
        x = torch.rand(1, 3, *network.convention.size or ())
        with capture(network), torch.no_grad():
            assert network.class_table(network(x)).names[-1] == "query 4"

    def test_others_have_none(self, folders: Any):
        with pytest.raises(NetworkError, match="has no queries"):
            queries(opened(folders("segformer")))


class TestOneFormer:
    def test_without_its_task(self, folders: Any):
        network = opened(folders("oneformer")).with_(extra=())
        assert isinstance(network.module, MaskClassifier)
        with capture(network), pytest.raises(NetworkError, match="wants to be told its task"):
            network(torch.rand(1, 3, 64, 64))

    def test_its_task_by_the_tokenizer_beside_it(self, tmp_path: Path):
        from transformers import CLIPTokenizer

        folder = save("oneformer", tmp_path / "oneformer")
        words = ["the</w>", "task</w>", "is</w>", "semantic</w>"]
        letters = sorted({c for w in words for c in w.removesuffix("</w>")})
        pieces = [*letters, *(f"{c}</w>" for c in letters)]
        merges = merged(words)
        vocab = {t: i for i, t in enumerate(dict.fromkeys([*pieces, *("".join(m) for m in merges)]))}
        vocab |= {"<|startoftext|>": len(vocab), "<|endoftext|>": len(vocab) + 1}
        CLIPTokenizer(vocab=vocab, merges=merges).save_pretrained(folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GuessWarning)
            network = sl.load(folder)
        ids = [vocab[w] for w in ("<|startoftext|>", *words, "<|endoftext|>")]
        task = network.module.task
        assert isinstance(task, Tensor)
        assert task.shape == (1, 77)
        assert task[0].tolist() == ids + [0] * 71


def merged(words: list[str]) -> list[tuple[str, str]]:
    """Merges that build each word from left to right, its end mark on its last letter."""
    found: dict[tuple[str, str], None] = {}
    for word in words:
        bare = word.removesuffix("</w>")
        parts = [*bare[:-1], f"{bare[-1]}</w>"]
        while len(parts) > 1:
            found[(parts[0], parts[1])] = None
            parts = [parts[0] + parts[1], *parts[2:]]
    return list(found)
