"""The autoencoders that ship: they load, they know what their cards claim, and attributes change what they name."""

import warnings

import numpy as np
import pytest
import torch

import seglens as sl
from seglens.core.errors import NameNotFoundError
from seglens.datasets import Faces, measure_faces
from seglens.datasets.faces import MEASURED
from seglens.generative.coder import Encoder, coder_of
from seglens.networks.builtin_coders import CODERS, WEIGHTS, build
from seglens.run.tables.masks import mask_scores

UNSEEN = 40_000  # a seed that no training used


@pytest.fixture(autouse=True)
def quietly():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sl.SeglensWarning)
        yield


@pytest.mark.parametrize("name", CODERS)
def test_a_built_autoencoder_is_ready_to_be_asked(name):
    module = build(name)
    assert not any(m.training for m in module.modules())
    assert all(p.dtype == torch.float32 and bool(p.isfinite().all()) for p in module.parameters())
    network = sl.load(name)
    assert (network.name, network.source) == (name, name)
    assert isinstance(network.module, Encoder) == (coder_of(network).produces == "image")
    assert sl.latent_of(network).link == "none"
    card = (WEIGHTS / f"{name}.md").read_text()
    assert f"{sum(p.numel() for p in module.parameters()):,} parameters" in card
    assert "Apache-2.0" in card


def test_together_they_are_small():
    assert sum((WEIGHTS / f"{name}.safetensors").stat().st_size for name in CODERS) < 6.5e6


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(NameNotFoundError, match="faces-vae"):
        build("face-vae")


def test_faces_are_reconstructed_better_than_by_their_mean_and_better_than_another_face():
    network, faces = sl.load("faces-vae"), Faces(48, (64, 64), seed=UNSEEN)
    truth = np.stack([faces[i].image for i in range(48)]) / 255
    x = torch.cat([network.convention.prepare(network.read(faces[i].image).pixels)[0] for i in range(48)])
    coder = coder_of(network)
    with torch.no_grad():
        decoded = coder.picture(coder.decode(coder.encode(x)[0])).permute(0, 2, 3, 1).numpy()
    error = ((decoded - truth) ** 2).mean()
    assert error < 0.35 * truth.var(0).mean()
    others = ((decoded[:, None] - truth) ** 2).mean((2, 3, 4))
    assert (others.argmin(1) == np.arange(48)).mean() > 0.9


EDITS = {
    "mouth_open": "mouth_open",
    "beard": "beard",
    "wearing_hat": "hat",
    "eyeglasses": "glasses",
    "dark_skin": "skin",
    "facing_right": "yaw",
    "bright_background": "background",
    "long_hair": "hair_length",
    "blond_hair": "hair_tone",
}
"""Attributes and the factors that they are read off: all but the smile, which is a dozen of the 4,096 pixels."""


def test_editing_an_attribute_changes_its_factor_and_leaves_the_others():
    """On the decoded pictures of 16 unseen faces, by a read-out that was made on faces and not on this network."""
    network, faces = sl.load("faces-cvae"), Faces(16, (64, 64), seed=UNSEEN)
    low: dict[str, list] = {name: [] for name in EDITS}
    high: dict[str, list] = {name: [] for name in EDITS}
    for i in range(16):
        face = faces[i]
        own = dict(zip(faces.attributes, map(float, face.attributes), strict=True))
        found = sl.edit(network, face.image, {name: [0, 1] for name in EDITS}, condition=own)
        for row, name in enumerate(EDITS):
            low[name].append(found.pictures[row, 1].transpose(1, 2, 0))
            high[name].append(found.pictures[row, 2].transpose(1, 2, 0))
    names = list(MEASURED)
    usual = Faces(200, seed=1)
    spread = np.std(measure_faces(np.stack([usual[i].image for i in range(200)])), 0)
    for name, factor in EDITS.items():
        change = (measure_faces(np.stack(high[name])) - measure_faces(np.stack(low[name]))) / spread
        own = change[:, names.index(factor)]
        others = [change[:, names.index(other)] for other in EDITS.values() if other != factor]
        assert (own > 0).mean() >= 0.9, (name, own)
        assert np.median(own) > 2 * max(abs(np.median(o)) for o in others), (name, np.median(own), others)


def test_parts_of_a_face_pass_a_bottleneck_of_few_numbers():
    found = mask_scores(sl.load("faces-seg-vae"), Faces(40, (64, 64), seed=UNSEEN))["masks"]
    assert found.accuracy > 0.85
    assert found.iou > 0.4


def test_mgrad2vae_labels_streets_that_it_has_not_seen_and_so_does_its_attention():
    found = mask_scores(sl.load("streets-mgrad2vae"), sl.open_dataset("streets", "test", size=(64, 128), length=40))
    for scores in found.values():
        assert scores.accuracy > 0.78
        assert scores.iou > 0.48
    assert set(found) == {"masks", "attention"}
