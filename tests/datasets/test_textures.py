"""Textures: the built-in ones are the same everywhere and can be told apart; a folder's are taken in one order."""

import pickle

import numpy as np
import pytest
from PIL import Image

from seglens.core.errors import ImageError, ParameterError
from seglens.datasets import TEXTURES, texture, textures_from
from seglens.datasets.textures import _drawn


def crops(which, count, seed, side=32):
    rng = np.random.default_rng(seed)
    picture = texture(which)
    corners = rng.integers(0, len(picture) - side + 1, (count, 2))
    return [picture[top : top + side, left : left + side] for top, left in corners]


def structure(crop):
    """Autocorrelation at the lags up to 8 in a half plane: blind to brightness and to contrast."""
    centred = crop - crop.mean()
    n = 2 * len(crop)
    power = np.abs(np.fft.rfft2(centred, s=(n, n))) ** 2
    table = np.fft.irfft2(power, s=(n, n))
    near = np.roll(table, (8, 8), (0, 1))[:17, 8:17]
    return (near / table[0, 0]).ravel()


def statistics(crop):
    """Nine quantiles of the greys: blind to where they lie."""
    return np.quantile(crop, np.linspace(0, 1, 9))


def told_apart(feature):
    """[25] share of 30 crops of each texture whose nearest among 40 known crops of each is of the same."""
    known = np.array([[feature(crop) for crop in crops(k, 40, 1)] for k in range(25)])
    right = np.zeros(25)
    for k in range(25):
        for crop in crops(k, 30, 2):
            distance = ((known - feature(crop)) ** 2).sum(2)
            right[k] += distance.min(1).argmin() == k
    return right / 30


def test_there_are_25_under_25_names():
    assert len(TEXTURES) == len(set(TEXTURES)) == 25
    for index, name in enumerate(TEXTURES):
        drawn = texture(name)
        assert drawn is texture(index)
        assert (drawn.shape, drawn.dtype) == ((400, 400), np.float32)
        assert not drawn.flags.writeable
        steps = drawn.astype(np.float64) * 255
        assert np.abs(steps - np.rint(steps)).max() < 1e-4
        assert 0 <= drawn.min() < drawn.max() <= 1


@pytest.mark.parametrize("size", [8, 33, 64, 257])
def test_any_size(size):
    assert all(texture(name, size).shape == (size, size) for name in TEXTURES)
    assert np.array_equal(texture("bands", size), texture("bands")[:size, :size])  # the pattern does not grow


def test_brightness_alone_does_not_tell_them_apart():
    means, spreads = zip(*[(texture(k).mean(), texture(k).std()) for k in range(25)], strict=True)
    assert 0.4 < min(means) < max(means) < 0.6
    assert max(means) - min(means) < min(spreads)
    # The best single grey that parts a texture's pixels from another's leaves a good part on the wrong side.
    below = np.array([[(texture(k) <= t / 64).mean() for t in range(64)] for k in range(25)])
    assert np.abs(below[:, None] - below[None]).max() < 0.75
    assert told_apart(lambda crop: [crop.mean()]).mean() < 0.6


def test_every_crop_shows_its_texture():
    """The least contrast of any 16 × 16 pixels: a digit's stroke always has something to be seen by."""
    least = {TEXTURES[k]: min(crop.std() for crop in crops(k, 200, 3, side=16)) for k in range(25)}
    assert min(least.values()) > 0.03, least


@pytest.mark.parametrize(("feature", "overall", "each"), [(structure, 0.95, 0.65), (statistics, 0.93, 0.45)])
def test_they_differ_in_structure_and_in_statistics(feature, overall, each):
    right = told_apart(feature)
    assert right.mean() > overall
    assert right.min() > each, dict(zip(TEXTURES, right, strict=True))


def test_they_are_told_apart_by_both():
    right = told_apart(lambda crop: np.concatenate([structure(crop), statistics(crop)]))
    assert right.mean() > 0.98
    assert right.min() > 0.75, dict(zip(TEXTURES, right, strict=True))


def test_the_same_when_drawn_again_and_in_another_order():
    state = pickle.dumps(np.random.get_state())  # noqa: NPY002 (the legacy state is the subject)
    first = [texture(k).copy() for k in range(25)]
    _drawn.cache_clear()
    assert all(np.array_equal(texture(k), first[k]) for k in reversed(range(25)))
    assert pickle.dumps(np.random.get_state()) == state  # noqa: NPY002


def test_what_is_no_texture_is_refused():
    with pytest.raises(ParameterError, match=r"(?s)no texture 'brick'.*Nearest: 'bricks'.*All of them: bands"):
        texture("brick")
    for index in (25, -1):
        with pytest.raises(ParameterError, match=rf"texture {index}: .* 0 \(bands\) to 24"):
            texture(index)
    with pytest.raises(ParameterError, match="size = 7: a texture is at least 8"):
        texture(0, 7)


def test_without_a_folder_the_built_in_ones():
    assert all(a is texture(k) for k, a in enumerate(textures_from(None)))


def painted(path, height, width, seed=0, channels=()):
    values = np.random.default_rng(seed).integers(0, 256, (height, width, *channels), np.uint8)
    Image.fromarray(values).save(path)
    return values


def test_a_folders_pictures_come_by_name_in_grey_and_repeated(tmp_path):
    values = {
        "a.png": painted(tmp_path / "a.png", 8, 20, 1),
        "B.png": painted(tmp_path / "B.png", 401, 500, 2),
        "10.png": painted(tmp_path / "10.png", 150, 399, 3, (3,)),
        "9.png": painted(tmp_path / "9.png", 400, 400, 4),
    }
    (tmp_path / "notes.txt").write_text("not a picture")
    found = textures_from(str(tmp_path))
    assert [one.shape for one in found] == [(450, 1197), (400, 400), (401, 500), (400, 1000)]
    assert all(one.dtype == np.float32 and not one.flags.writeable for one in found)
    expected = np.asarray(Image.fromarray(values["10.png"]).convert("L")) / 255
    assert np.abs(found[0] - np.tile(expected, (3, 3))).max() < 1.01 / 255
    assert np.array_equal(found[2], values["B.png"] / np.float32(255))
    rows, columns = np.indices(found[3].shape)
    assert np.array_equal(found[3], (values["a.png"] / np.float32(255))[rows % 8, columns % 20])


def test_folders_that_do_not_serve(tmp_path):
    def refused(text):
        return pytest.raises(ImageError, match=text)

    with refused(r"(?s)no images in the folder .* \(0 other"):
        textures_from(tmp_path)
    with refused("gone' is no folder"):
        textures_from(tmp_path / "gone")
    painted(tmp_path / "one.png", 20, 20)
    with refused("holds one picture, one.png"):
        textures_from(tmp_path)
    with refused("one.png' is no folder"):
        textures_from(tmp_path / "one.png")
    painted(tmp_path / "small.png", 7, 30)
    with refused("small.png is 7 × 30 pixels; a texture is at least 8 × 8"):
        textures_from(tmp_path)
    (tmp_path / "small.png").write_bytes((tmp_path / "one.png").read_bytes()[:60])
    with refused("small.png is damaged or cut short"):
        textures_from(tmp_path)
    (tmp_path / "small.png").unlink()
    np.save(tmp_path / "two.npy", np.zeros((20, 20, 2), np.float32))
    with refused("two.npy has 2 channels; a texture is grey"):
        textures_from(tmp_path)
