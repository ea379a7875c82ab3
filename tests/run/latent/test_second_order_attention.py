"""Second-order attention over scales and channels, and attention from checkpoint to checkpoint."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import seglens as sl
from seglens.core.errors import NetworkError, ParameterError
from seglens.generative import VAE, Mgrad2VAE
from seglens.generative.second_order import hvp_ones
from seglens.methods import GradCAM, SecondOrder
from seglens.run.latent.attention import encoder_scales, latent_attention
from seglens.run.latent.over_training import attention_over_training
from seglens.run.latent.second_order import save_filters, second_order_attention

pytestmark = [
    pytest.mark.filterwarnings("ignore::seglens.core.errors.ZeroMapWarning"),
    pytest.mark.filterwarnings("ignore::seglens.core.errors.DeadUnitWarning"),
]


def mgrad2vae(seed=0, **fields) -> Mgrad2VAE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Mgrad2VAE(**{"size": (16, 16), "latent": 4, "widths": (3, 4, 5), "dense": 6, **fields}).eval()


def vae(seed=0) -> VAE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VAE(channels=3, size=(16, 16), latent=4, widths=(4, 6), activation="silu").eval()


def picture() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (16, 16, 3), dtype=np.uint8)


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_what_it_shows_of_an_mgrad2vae_is_what_feeds_its_attention():
    """The same row sums as the network's own branch takes, at every encoder scale."""
    module, image = mgrad2vae(), picture()
    found = second_order_attention(module, image)
    assert [e.layer for e in found.scales] == ["encoder.stage1", "encoder.stage2", "encoder.stage3"]
    x = torch.from_numpy(image / 255).movedim(2, 0)[None].float()
    own = module.attention_maps(x).tensors
    for e, tensor in zip(found.scales, own, strict=True):
        np.testing.assert_allclose(e.extras["filters"], tensor[0].detach(), rtol=1e-3, atol=1e-7)
        np.testing.assert_allclose(e.extras["coarse"], tensor[0].detach().mean(0), rtol=1e-3, atol=1e-7)
        assert e.target == "sum of 4 units"


def test_scales_are_joined_by_mean_or_sum():
    module, image = mgrad2vae(), picture()
    mean = second_order_attention(module, image)
    total = second_order_attention(module, image, aggregate="sum")
    each = np.stack([e.map for e in mean.scales])
    np.testing.assert_allclose(mean.aggregate.map, each.mean(0), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(total.aggregate.map, each.sum(0), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(mean.aggregate.extras["scales"], each)
    scaled = second_order_attention(module, image, normalize=True)
    expected = np.mean([m / np.abs(m).max() for m in each], 0)
    np.testing.assert_allclose(scaled.aggregate.map, expected, rtol=1e-5, atol=1e-7)


def test_one_unit_and_chosen_layers():
    module, image = mgrad2vae(), picture()
    each = [second_order_attention(module, image, i, layers=["encoder.stage2"]).scales[0].map for i in range(4)]
    whole = second_order_attention(module, image, layers=["encoder.stage2"])
    np.testing.assert_allclose(np.sum(each, 0), whole.scales[0].map, rtol=1e-4, atol=1e-8)
    np.testing.assert_array_equal(whole.aggregate.map, whole.scales[0].map)
    curved = second_order_attention(module, image, 1, method=SecondOrder(variant="curvature"))
    assert all((e.map >= 0).all() for e in curved.scales)


def test_channels_as_a_contact_sheet(tmp_path: Path):
    """A tile for each channel; a page of the same content says how many, and of what."""
    found = second_order_attention(mgrad2vae(), picture())
    (sheet,) = save_filters(found.scales[-1], tmp_path / "filters.png")
    assert min(size_of(sheet)) > 300
    (page,) = save_filters(found.scales[-1], tmp_path / "filters.html")
    text = page.read_text()
    assert "Second derivatives by encoder.stage3" in text
    assert "5 channels, in their own order" in text
    assert "variant hvp_ones" in text
    with pytest.raises(ParameterError, match="keeps no channels"):
        save_filters(latent_attention(vae(), picture(), 0)[0], tmp_path / "none.png")


def test_what_cannot_be_asked():
    with pytest.raises(ParameterError, match="one question at a time"):
        second_order_attention(mgrad2vae(), picture(), "all")
    with pytest.raises(ParameterError, match="joined by their 'mean' or 'sum'"):
        second_order_attention(mgrad2vae(), picture(), aggregate="max")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="leave layers out"):
        second_order_attention(mgrad2vae(), picture(), layers=[])


def training(folder: Path, epochs=4) -> list[nn.Module]:
    """A folder as a training leaves it: weights of every epoch, which differ from each other."""
    (folder / "checkpoints").mkdir(parents=True)
    modules = [vae(seed) for seed in range(epochs)]
    for number, module in enumerate(modules):
        save_file(module.state_dict(), folder / "checkpoints" / f"epoch-{number:04d}.safetensors")
    return modules


def test_maps_of_every_checkpoint_are_those_of_its_weights(tmp_path: Path):
    modules, like = training(tmp_path), vae(99)
    before = {k: v.clone() for k, v in like.state_dict().items()}
    found = attention_over_training(tmp_path, picture(), like=like, layer="encoder.stage1", pixels=[(3, 4), (10, 12)])
    assert found.steps == ("epoch-0000", "epoch-0001", "epoch-0002", "epoch-0003")
    for k, module in enumerate(modules):
        (one,) = latent_attention(module, picture(), "sum", layer="encoder.stage1", method="second-order")
        np.testing.assert_allclose(found.maps[k], one.map, rtol=1e-5, atol=1e-9)
        a = module.encoder.stage1(torch.from_numpy(picture() / 255).movedim(2, 0)[None].float()).mean(1, keepdim=True)
        a = nn.functional.interpolate(a, size=(16, 16), mode="bilinear")[0, 0].detach().numpy()
        np.testing.assert_allclose(found.activations[k], [a[3, 4], a[10, 12]], rtol=1e-4)
    np.testing.assert_array_equal(found.curves, found.maps[:, [3, 10], [4, 12]])
    assert len({m.tobytes() for m in found.maps}) == 4
    assert all(torch.equal(v, before[k]) for k, v in like.state_dict().items())


def test_networks_in_memory_and_another_method():
    modules = [vae(seed) for seed in range(3)]
    found = attention_over_training(modules, picture(), 2, method=GradCAM(relu=False))
    assert found.steps == ("1 of 3", "2 of 3", "3 of 3")
    expected = [latent_attention(m, picture(), 2, method=GradCAM(relu=False))[0].map for m in modules]
    np.testing.assert_allclose(found.maps, np.stack(expected), rtol=1e-6)
    # Of each quarter the pixel where the map changes most.
    change = found.maps.max(0) - found.maps.min(0)
    assert len(found.pixels) == 4
    for (y, x), (rows, columns) in zip(
        found.pixels, [((0, 8), (0, 8)), ((0, 8), (8, 16)), ((8, 16), (0, 8)), ((8, 16), (8, 16))], strict=True
    ):
        assert change[y, x] == change[slice(*rows), slice(*columns)].max()


def test_it_is_saved_as_a_figure_and_raw(tmp_path: Path):
    found = attention_over_training([vae(s) for s in range(8)], picture(), layer="encoder.stage1")
    found.save(tmp_path / "course.png")
    width, height = size_of(tmp_path / "course.png")
    assert width > 1000
    assert height > 800
    found.save(tmp_path / "course.npz")
    with np.load(tmp_path / "course.npz") as raw:
        np.testing.assert_array_equal(raw["maps"], found.maps)
        np.testing.assert_array_equal(raw["curves"], found.curves)
        assert raw["steps"].tolist() == list(found.steps)
    first, again = (found.save(tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == again


def test_checkpoints_that_are_not_there_or_do_not_fit(tmp_path: Path):
    with pytest.raises(NetworkError, match=r"no epoch-\*\.safetensors lies in"):
        attention_over_training(tmp_path, picture(), like=vae())
    training(tmp_path, 1)
    with pytest.raises(NetworkError, match="do not fit Mgrad2VAE"):
        attention_over_training(tmp_path, picture(), like=mgrad2vae())
    with pytest.raises(ParameterError, match=r"pixel \(3, 99\) lies outside"):
        attention_over_training(tmp_path, picture(), like=vae(), layer="encoder.stage1", pixels=[(3, 99)])
    with pytest.raises(ParameterError, match="one question at a time"):
        attention_over_training(tmp_path, picture(), "all", like=vae())


def test_scales_of_an_encoder_are_its_resolutions():
    assert encoder_scales(vae(), picture()) == ["encoder.stage1.act2", "encoder.stage1", "encoder.stage2"]
    assert encoder_scales(mgrad2vae(), picture()) == ["encoder.stage1", "encoder.stage2", "encoder.stage3"]
    plain = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.SiLU(), nn.Conv2d(4, 5, 3, 2, 1), nn.Flatten(), nn.Linear(80, 3))
    assert encoder_scales(sl.load(plain, link="none", convention=sl.Convention()), picture()) == ["1", "2"]


def test_row_sums_agree_with_the_functions_of_the_generative_room():
    module = mgrad2vae().double()
    x = torch.from_numpy(picture() / 255).movedim(2, 0)[None]
    a = module.encoder.stage1(x.float().double()).detach().requires_grad_()
    features = module.encoder.dense(module.encoder.stage3(module.encoder.stage2(a)).flatten(1))
    expected = hvp_ones(module.encoder.mu(features), [a])[0][0].detach()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = second_order_attention(module, picture(), layers=["encoder.stage1"])
    np.testing.assert_allclose(found.scales[0].extras["filters"], expected, rtol=1e-5, atol=1e-9)
