"""Autoencoders through the one door: as units or as segmenters, from memory, from files, and the published VAEs."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import seglens as sl
from seglens.core.errors import GuessWarning, NetworkError, ParameterError
from seglens.generative import CVAE, VAE, BurgessVAE, Mgrad2VAE, SegmentationVAE
from seglens.generative.coder import Encoder, coder_of, latent_of
from seglens.networks.description import Description, write_description
from seglens.networks.layers import default_layer_of

sys.path.insert(0, str(Path(__file__).parents[1] / "journeys"))
from published import material

PUBLISHED = ("VAE_dsprites", "VAE_mnist", "btcvae_dsprites", "btcvae_mnist")
DEAD = (0, 1, 5, 7, 9)
"""Units of btcvae_dsprites."""

OURS = {
    VAE: {"channels": 1, "size": (16, 32), "latent": 3, "widths": (4, 6)},
    CVAE: {"channels": 3, "size": (16, 16), "latent": 3, "widths": (4, 6), "conditions": ("smile",)},
    SegmentationVAE: {"classes": ("back", "eye", "mouth"), "size": (16, 16), "latent": 3, "stages": 2, "width": 4},
    Mgrad2VAE: {"classes": ("back", "car"), "size": (16, 32), "latent": 3, "widths": (4, 6), "dense": 5},
    BurgessVAE: {"channels": 2, "size": (32, 32), "latent": 4},
}
IMAGES = (VAE, CVAE, BurgessVAE)


def build(kind) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return kind(**OURS[kind])


def check(network: sl.Network, kind) -> None:
    """Channels, size and classes are known, nothing is guessed, and the default layer is the end of the encoder."""
    fields = OURS[kind]
    assert network.convention.size == fields["size"]
    assert network.convention.channels == fields.get("channels", 3)
    assert (network.convention.range, network.convention.mean) == ((0.0, 1.0), (0.0,))
    x = torch.rand(2, network.convention.channels, *fields["size"])
    if kind is CVAE:
        network = network.with_(extra=(torch.ones(1, 1),))
    if kind in IMAGES:
        assert (network.link, network.classes) == ("none", None)
        assert tuple(network(x).shape) == (2, fields["latent"])
    else:
        assert network.link is None
        assert network.classes is not None
        assert network.classes.names == fields["classes"]
        assert tuple(network(x).shape) == (2, len(fields["classes"]), *fields["size"])
        assert tuple(latent_of(network)(x).shape) == (2, 3)
    expected = "encoder.conv3" if kind is BurgessVAE else "encoder.stage2"
    assert default_layer_of(network, x) == default_layer_of(latent_of(network), x) == expected


@pytest.mark.parametrize("kind", OURS)
def test_ours_in_memory(kind):
    module = build(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(sl.load(module), kind)
        check(sl.load(nn.DataParallel(module)), kind)


@pytest.mark.parametrize("kind", OURS)
def test_ours_from_weights_and_a_description(kind, tmp_path):
    """What a training leaves: network.safetensors, and network.toml with constructor and arguments."""
    from safetensors.torch import save_file

    module = build(kind)
    save_file(module.state_dict(), tmp_path / "network.safetensors")
    arguments = {k: list(v) if isinstance(v, tuple) else v for k, v in OURS[kind].items()}
    write_description(
        Description(constructor=f"seglens.generative:{kind.__name__}", constructor_arguments=arguments),
        tmp_path / "network.toml",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network = sl.load(tmp_path / "network.safetensors")
    check(network, kind)
    loaded = coder_of(network)
    x = torch.rand(1, network.convention.channels or 3, *OURS[kind]["size"])
    condition = torch.ones(1, 1) if kind is CVAE else None
    assert torch.equal(loaded.encode(x, condition)[0], module.encode(x, condition)[0])


def test_what_the_description_says_goes_before(tmp_path):
    torch.save(build(VAE).state_dict(), tmp_path / "net.pth")
    write_description(
        Description(
            name="mine",
            constructor="seglens.generative:VAE",
            constructor_arguments={"channels": 1, "size": [16, 32], "latent": 3, "widths": [4, 6]},
            input={"channels": 1, "range": [-1.0, 1.0]},
            default_layer="encoder.stage1",
        ),
        tmp_path / "net.toml",
    )
    network = sl.load(tmp_path / "net.pth")
    assert (network.name, network.default_layer, network.convention.range) == ("mine", "encoder.stage1", (-1.0, 1.0))
    assert network.convention.size == (16, 32)


def test_a_stated_link_keeps_the_autoencoder_as_it_is():
    """For those who want the reconstruction as the output."""
    network = sl.load(build(VAE), link="none")
    assert not isinstance(network.module, Encoder)
    assert network(torch.rand(1, 1, 16, 32)).shape == (1, 1, 16, 32)


def test_classes_of_an_autoencoder_of_images_are_refused():
    with pytest.raises(ParameterError, match="its 3 latent units, numbered from 0, which have no classes"):
        sl.load(build(VAE), classes=["a", "b", "c"])


class Foreign(nn.Module):
    """An autoencoder of somebody else's: it obeys the contract, and says nothing of how it takes images."""

    latent, conditions, produces = 2, (), "image"

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 4)
        self.out = nn.Linear(2, 16)

    def encode(self, x, condition=None):
        return self.conv(x).flatten(1).split(2, 1)

    def decode(self, z, condition=None):
        return self.out(z).reshape(-1, 1, 4, 4)

    def picture(self, raw):
        return raw.sigmoid()


def test_a_foreign_autoencoder_is_its_units_and_a_guess():
    with pytest.warns(GuessWarning, match="guessed how Foreign takes images"):
        network = sl.load(Foreign())
    assert network(torch.rand(3, 1, 4, 4)).shape == (3, 2)
    assert coder_of(network).latent == 2


def folder(path: Path, **changes) -> Path:
    path.mkdir()
    module = BurgessVAE(channels=1, size=(32, 32), latent=4)
    specs = {"model_type": "Burgess", "img_size": [1, 32, 32], "latent_dim": 4, "loss": "btcvae", **changes}
    (path / "specs.json").write_text(json.dumps(specs))
    torch.save(module.state_dict(), path / "model.pt")
    return path


def test_a_folder_of_disentangling_vae(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network = sl.load(folder(tmp_path / "btcvae_faces"))
    assert network.name == "btcvae_faces"
    assert network.source == str(tmp_path / "btcvae_faces")
    assert network(torch.rand(2, 1, 32, 32)).shape == (2, 4)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"model_type": "Chen"}, r"of a model of type 'Chen'; the only one known is 'Burgess'"),
        ({"img_size": [32, 32]}, r"img_size = \[channels, height, width\]"),
        ({"latent_dim": "four"}, r"latent_dim, not .* 'four'"),
        ({"latent_dim": 7}, r"mu_logvar_gen"),
        ({"img_size": [1, 48, 48]}, r"BurgessVAE.size is to be \(32, 32\) or \(64, 64\)"),
    ],
)
def test_a_folder_whose_specifications_do_not_fit(tmp_path, changes, error):
    with pytest.raises(NetworkError, match=error):
        sl.load(folder(tmp_path / "vae", **changes))


def test_a_folder_without_weights_or_with_damaged_specifications(tmp_path):
    whole = folder(tmp_path / "vae")
    (whole / "model.pt").unlink()
    with pytest.raises(NetworkError, match=r"holds specs.json, but not the weights, model.pt"):
        sl.load(whole)
    (whole / "specs.json").write_text('{"model_type": "Burgess"')
    with pytest.raises(NetworkError, match=r"specs\.json"):
        sl.load(whole)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_vaes_open_by_folder_and_by_constructor(name):
    path = material(f"vae/{name}")
    size = 64 if "dsprites" in name else 32
    by_folder = sl.load(path)
    by_name = sl.load(
        path / "model.pt",
        constructor="seglens.generative:BurgessVAE",
        arguments={"channels": 1, "size": (size, size), "latent": 10},
    )
    x = torch.rand(2, 1, size, size, generator=torch.Generator().manual_seed(0))
    assert torch.equal(by_folder(x), by_name(x))
    for network in (by_folder, by_name):
        assert (network.link, network.convention.channels, network.convention.size) == ("none", 1, (size, size))


@pytest.mark.parametrize("name", ["VAE_dsprites", "btcvae_dsprites"])
def test_the_published_vaes_know_their_sprites(name):
    """Their input is right (grey, 0..1, white on black): a square is drawn again, where it was."""
    coder = coder_of(sl.load(material(f"vae/{name}")))
    x = torch.zeros(1, 1, 64, 64)
    x[:, :, 20:36, 30:46] = 1
    drawn = coder.picture(coder.decode(coder.encode(x)[0])).detach()
    assert float((drawn - x).abs().mean()) < 0.03
    assert float((drawn - (1 - x)).abs().mean()) > 0.9


def test_five_units_of_btcvae_dsprites_are_dead():
    """Over squares of many places and sizes their posterior is the prior; that of the living is far from it."""
    coder = coder_of(sl.load(material("vae/btcvae_dsprites")))
    x = torch.zeros(60, 1, 64, 64)
    rng = np.random.default_rng(0)
    for image in x:
        side, (top, left) = int(rng.integers(9, 18)), rng.integers(8, 38, 2)
        image[0, top : top + side, left : left + side] = 1
    with torch.no_grad():
        mu, logvar = coder.encode(x)
    kl = ((mu**2 + logvar.exp() - 1 - logvar) / 2).mean(0)
    assert tuple((kl < 0.01).nonzero().flatten().tolist()) == DEAD
    assert float(kl[[2, 3, 4, 6, 8]].min()) > 0.5
