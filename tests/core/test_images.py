"""Every way in which a picture can come, and every way in which it can be wrong."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra.numpy import arrays
from PIL import Image

from seglens.core.errors import GuessWarning, ImageError
from seglens.core.images import expand_paths, read_image

DATA = Path(__file__).parents[3] / "shared" / "data"
RAMP = np.arange(75, dtype=np.uint8).reshape(5, 5, 3) * 3


def saved(folder: Path, image: Image.Image, name: str, **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


class TestFiles:
    def test_rgb(self, tmp_path: Path):
        picture = read_image(saved(tmp_path, Image.fromarray(RAMP), "a.png"))
        torch.testing.assert_close(picture.pixels, torch.tensor(RAMP).permute(2, 0, 1) / 255)
        assert (picture.display == RAMP).all()
        assert (picture.name, picture.notes, picture.size) == ("a.png", (), (5, 5))

    def test_one_bit(self, tmp_path: Path):
        picture = read_image(saved(tmp_path, Image.fromarray(RAMP[..., 0] > 100), "a.png"))
        assert picture.pixels.unique().tolist() == [0, 1]
        assert set(picture.display.ravel().tolist()) == {0, 255}

    def test_sixteen_bit_grey_is_scaled_by_its_own_depth(self, tmp_path: Path):
        values = np.array([[0, 1000], [40000, 65535]], dtype=np.uint16)
        for name in ("a.png", "a.tif"):
            picture = read_image(saved(tmp_path, Image.fromarray(values), name))
            expected = torch.tensor(values.astype(np.float32)) / 65535
            torch.testing.assert_close(picture.pixels[0], expected)

    def test_few_bits_in_sixteen_are_warned_of_and_a_window_says_what_is_white(self, tmp_path: Path):
        values = np.array([[0, 1000], [3000, 4095]], dtype=np.uint16)
        for source in (saved(tmp_path, Image.fromarray(values), "scan.png"), values):
            with pytest.warns(GuessWarning, match=r"end at 4095, and 65535 is white.*\n.*window=\(0, 4095\)"):
                dark = read_image(source)
            assert dark.pixels.max() == pytest.approx(4095 / 65535)
            picture = read_image(source, window=(0, 4095))
            torch.testing.assert_close(picture.pixels[0], torch.tensor(values.astype(np.float32)) / 4095)
            assert picture.notes == ()

    def test_a_window_says_what_is_white_of_a_picture_of_floats(self, tmp_path: Path):
        values = np.array([[0, 50], [150, 200]], dtype=np.float32)
        path = saved(tmp_path, Image.fromarray(values), "heights.tif")
        with pytest.raises(ImageError, match=r"window=\(black, white\)"):
            read_image(path)
        torch.testing.assert_close(read_image(path, window=(0, 200)).pixels[0], torch.tensor(values) / 200)

    def test_a_window_leaves_pictures_of_eight_bits_alone(self, tmp_path: Path):
        picture = read_image(saved(tmp_path, Image.fromarray(RAMP), "a.png"), window=(0, 4095))
        torch.testing.assert_close(picture.pixels, torch.tensor(RAMP).permute(2, 0, 1) / 255)

    def test_a_stack_is_dark_as_a_whole_or_not_at_all(self, tmp_path: Path):
        pages = [Image.fromarray(np.full((2, 2), v, np.uint16)) for v in (100, 40000)]
        pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
        assert read_image(tmp_path / "a.tif", axes="DHW").notes == ()
        pages[0].save(tmp_path / "b.tif", save_all=True, append_images=pages[:1])
        with pytest.warns(GuessWarning, match="end at 100"):
            read_image(tmp_path / "b.tif", axes="DHW")
        pages[0].save(tmp_path / "c.tif", save_all=True, append_images=[Image.fromarray(np.full((2, 2), 9, np.uint8))])
        with pytest.raises(ImageError, match=r"are no volume: 2 × 2 with 1 channel\(s\), uint16; .* uint8"):
            read_image(tmp_path / "c.tif", axes="DHW")

    def test_big_endian_sixteen_bit(self, tmp_path: Path):
        values = np.array([[1, 65535]], dtype=">u2")
        (tmp_path / "a.pgm").write_bytes(b"P5 2 1 65535\n" + values.tobytes())
        assert read_image(tmp_path / "a.pgm").pixels.flatten().tolist() == [
            pytest.approx(1 / 65535),
            1,
        ]

    def test_sixteen_bit_colour_is_said_to_lose_depth(self, tmp_path: Path):
        rows = b"".join(b"\0" + struct.pack(">6H", 0, 65535, 0, 1000, 2000, 3000) for _ in range(2))
        png = b"\x89PNG\r\n\x1a\n"
        for kind, body in (
            (b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)),
            (b"IDAT", zlib.compress(rows)),
            (b"IEND", b""),
        ):
            crc = struct.pack(">I", zlib.crc32(kind + body))
            png += struct.pack(">I", len(body)) + kind + body + crc
        (tmp_path / "a.png").write_bytes(png)
        picture = read_image(tmp_path / "a.png")
        assert picture.pixels.shape == (3, 2, 2)
        assert "16-bit colours were read as 8-bit" in picture.notes[0]

    def test_integers_of_32_bits(self, tmp_path: Path):
        values = np.array([[0, 65535]], dtype=np.int32)
        picture = read_image(saved(tmp_path, Image.fromarray(values), "a.tif"))
        assert picture.pixels.flatten().tolist() == [0, 1]
        assert "65535 is white" in picture.notes[0]
        path = saved(tmp_path, Image.fromarray(values * 2), "b.tif")
        with pytest.raises(ImageError, match="32-bit whole numbers from 0 to 131070; what is white"):
            read_image(path)

    def test_floats_of_32_bits(self, tmp_path: Path):
        values = np.array([[0.25, 1.0]], dtype=np.float32)
        picture = read_image(saved(tmp_path, Image.fromarray(values), "a.tif"))
        assert picture.pixels.flatten().tolist() == [0.25, 1]
        path = saved(tmp_path, Image.fromarray(values * 200), "b.tif")
        with pytest.raises(ImageError, match=r"floats from 50 to 200; expected 0.*\n  Divide by 255"):
            read_image(path)

    def test_palette(self, tmp_path: Path):
        image = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
        image.putpalette([255, 0, 0, 0, 0, 255])
        picture = read_image(saved(tmp_path, image, "a.png"))
        assert picture.pixels[:, 0].T.tolist() == [[1, 0, 0], [0, 0, 1]]
        picture = read_image(saved(tmp_path, image, "b.png", transparency=1))
        assert picture.pixels[:, 0].T.tolist() == [[1, 0, 0], [1, 1, 1]]
        assert "laid over white" in picture.notes[0]

    def test_cmyk(self, tmp_path: Path):
        image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
        picture = read_image(saved(tmp_path, image, "a.jpg", quality=95))
        assert picture.pixels[0].mean() > 0.9
        assert picture.pixels[1:].mean() < 0.1
        assert picture.notes == ("Converted from CMYK to RGB.",)

    @pytest.mark.parametrize("mode", ["RGBA", "LA"])
    def test_alpha(self, tmp_path: Path, mode: str):
        channels = len(mode)
        image = Image.new(mode, (2, 2), (0,) * (channels - 1) + (255,))
        picture = read_image(saved(tmp_path, image, "a.png"))
        assert picture.pixels.shape == (channels - 1, 2, 2)
        assert picture.pixels.max() == 0
        assert "opaque everywhere and was dropped" in picture.notes[0]
        image.putpixel((0, 0), (0,) * channels)
        picture = read_image(saved(tmp_path, image, "b.png"))
        assert picture.pixels[:, 0, 0].tolist() == [1] * (channels - 1)
        assert picture.pixels[:, 1, 1].tolist() == [0] * (channels - 1)
        assert "laid over white" in picture.notes[0]

    def test_exif_orientation(self, tmp_path: Path):
        exif = Image.Exif()
        exif[0x0112] = 6  # turned by a quarter, as telephones store upright pictures
        path = saved(tmp_path, Image.fromarray(RAMP[:2]), "a.png", exif=exif)
        picture = read_image(path)
        assert picture.size == (5, 2)
        assert (picture.display == np.rot90(RAMP[:2], -1)).all()
        assert "EXIF" in picture.notes[0]

    def test_frames(self, tmp_path: Path):
        pages = [Image.fromarray(np.full((3, 4), v, np.uint8)) for v in (0, 51, 255)]
        path = saved(tmp_path, pages[0], "a.tif", save_all=True, append_images=pages[1:])
        picture = read_image(path)
        assert picture.size == (3, 4)
        assert "first of 3 frames" in picture.notes[0]
        volume = read_image(path, axes="DHW")
        assert volume.pixels.shape == (1, 3, 3, 4)
        assert volume.pixels[0, :, 0, 0].tolist() == [0, pytest.approx(0.2), 1]
        assert volume.display.shape == (3, 3, 4)
        assert volume.notes == ()
        with pytest.raises(ImageError, match="axes='CHW' is for arrays"):
            read_image(path, axes="CHW")

    def test_frames_that_are_no_volume(self, tmp_path: Path):
        pages = [Image.new("L", (3, 4)), Image.new("RGB", (3, 4))]
        path = saved(tmp_path, pages[0], "a.tif", save_all=True, append_images=pages[1:])
        with pytest.raises(ImageError, match=r"2 frames of a.tif are no volume: 4 × 3 with 1 ch"):
            read_image(path, axes="DHW")

    @pytest.mark.parametrize("kind", ["png", "jpg", "tif", "webp", "gif", "bmp"])
    def test_cut_short(self, tmp_path: Path, kind: str):
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        path = saved(tmp_path, Image.fromarray(noise), f"a.{kind}")
        whole = path.read_bytes()
        for part in (0.3, 0.6, 0.9):
            path.write_bytes(whole[: int(len(whole) * part)])
            with pytest.raises(ImageError, match=r"damaged or cut short|no image that Pillow"):
                read_image(path)

    def test_pil_image_cut_short(self, tmp_path: Path):
        path = saved(tmp_path, Image.fromarray(np.tile(RAMP, (20, 20, 1))), "a.jpg")
        whole = path.read_bytes()
        with (
            Image.open(io.BytesIO(whole[: len(whole) // 2])) as image,
            pytest.raises(ImageError, match="damaged or cut short"),
        ):
            read_image(image)

    def test_decompression_bomb(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        path = saved(tmp_path, Image.new("1", (40, 40)), "a.png")
        for limit in (1000, 100):  # Pillow warns of the first and refuses the second
            monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
            with pytest.raises(ImageError, match=rf"holds 1600 pixels; the limit is {limit}") as e:
                read_image(path)
            assert "Shrink it or cut it into tiles" in str(e.value)

    def test_what_pillow_warns_of_is_noted(self, monkeypatch: pytest.MonkeyPatch):
        image = Image.fromarray(RAMP)
        monkeypatch.setattr(image, "load", lambda: warnings.warn("odd", stacklevel=1))
        assert read_image(image).notes[0] == "Pillow says: odd"

    def test_not_an_image(self, tmp_path: Path):
        (tmp_path / "a.png").write_text("hello")
        with pytest.raises(ImageError, match=r"a\.png is no image that Pillow can read, whatever"):
            read_image(tmp_path / "a.png")
        (tmp_path / "b.png").touch()
        with pytest.raises(ImageError, match=r"b\.png is empty \(0 bytes\)"):
            read_image(tmp_path / "b.png")

    def test_missing(self, tmp_path: Path):
        saved(tmp_path, Image.fromarray(RAMP), "street.png")
        with pytest.raises(ImageError, match=r"no file .*stret\.png'\.\n  Nearest: 'street\.png'"):
            read_image(tmp_path / "stret.png")
        with pytest.raises(ImageError, match=r"The folder .*nowhere' does not exist either"):
            read_image(tmp_path / "nowhere" / "a.png")
        with pytest.raises(ImageError, match="is a folder, not an image"):
            read_image(tmp_path)
        with pytest.raises(ImageError, match="is a path, a PIL image, a numpy array or a tensor"):
            read_image(3)  # type: ignore[arg-type]

    def test_npy(self, tmp_path: Path):
        np.save(tmp_path / "a.npy", RAMP)
        assert read_image(tmp_path / "a.npy").pixels.shape == (3, 5, 5)
        np.savez(tmp_path / "b.npz", image=RAMP)
        assert read_image(tmp_path / "b.npz").pixels.shape == (3, 5, 5)
        np.savez(tmp_path / "c.npz", image=RAMP, other=RAMP)
        with pytest.raises(ImageError, match=r"holds 2 arrays \(image, other\); expected one"):
            read_image(tmp_path / "c.npz")
        np.save(tmp_path / "d.npy", np.array([print], dtype=object), allow_pickle=True)
        with pytest.raises(ImageError, match="Arrays of Python objects are never opened"):
            read_image(tmp_path / "d.npy")
        (tmp_path / "e.npz").write_bytes((tmp_path / "b.npz").read_bytes()[:100])
        with pytest.raises(ImageError, match=r"e\.npz cannot be read as a numpy array"):
            read_image(tmp_path / "e.npz")


class TestArrays:
    @pytest.mark.parametrize(
        ("shape", "axes", "expected"),
        [
            ((5, 6), None, (1, 5, 6)),
            ((5, 6, 3), None, (3, 5, 6)),
            ((5, 6, 2), None, (2, 5, 6)),
            ((3, 5, 6), None, (3, 5, 6)),
            ((3, 5, 4), "HWC", (4, 3, 5)),
            ((7, 5, 6), "DHW", (1, 7, 5, 6)),
            ((2, 7, 5, 6), "CDHW", (2, 7, 5, 6)),
            ((7, 5, 6, 2), "DHWC", (2, 7, 5, 6)),
        ],
    )
    def test_layouts(self, shape: tuple[int, ...], axes: str | None, expected: tuple[int, ...]):
        picture = read_image(np.zeros(shape, np.uint8), axes=axes)  # type: ignore[arg-type]
        assert tuple(picture.pixels.shape) == expected

    @pytest.mark.parametrize("shape", [(3, 5, 3), (7, 5, 6), (1, 3, 5, 5), (5,)])
    def test_ambiguous(self, shape: tuple[int, ...]):
        with pytest.raises(ImageError, match="without axes cannot be told apart"):
            read_image(np.zeros(shape, np.uint8))
        with pytest.raises(ImageError, match="with axes='CDHWX' cannot"):
            read_image(np.zeros(shape, np.uint8), axes="CDHWX")  # type: ignore[arg-type]

    def test_batch_of_one_is_told_how(self):
        with pytest.raises(ImageError, match=r"give one image: x\[0\]"):
            read_image(torch.zeros(1, 3, 4, 4))

    def test_kinds(self):
        assert read_image(np.array([[False, True]])).pixels.flatten().tolist() == [0, 1]
        half = read_image(np.full((2, 2), 0.5, np.float64))
        assert half.pixels.dtype == torch.float32
        assert half.display[0, 0] == 128
        assert read_image(torch.full((5, 2, 2), 1.0, dtype=torch.bfloat16)).pixels.shape[0] == 5
        x = torch.rand(3, 4, 4, requires_grad=True)
        assert not read_image(x).pixels.requires_grad

    def test_display_of_many_channels(self):
        many = read_image(np.random.default_rng(0).random((6, 4, 4)), axes="CHW")
        assert many.display.shape == (4, 4, 3)
        assert "first three are shown" in many.notes[0]
        two = read_image(np.zeros((5, 5, 2)))
        assert two.display.shape == (5, 5)
        assert "first is shown" in two.notes[0]
        assert read_image(np.ones((3, 2, 4, 4)), axes="CDHW").display.shape == (2, 4, 4)

    def test_refused(self):
        with pytest.raises(ImageError, match=r"NaN or infinity in 1 of 4 values"):
            read_image(np.array([[0, 1], [np.nan, 0]]))
        with pytest.raises(ImageError, match=r"floats from 0 to 255.*\n  Divide by 255\."):
            read_image(np.array([[0.0, 255.0]]))
        with pytest.raises(ImageError, match=r"floats from 0 to 4096.*\n  Divide by 65535\."):
            read_image(np.array([[0.0, 4096.0]]))
        with pytest.raises(ImageError, match=r"from -2 to 2.*\n  It looks normalised"):
            read_image(np.array([[-2.0, 2.0]]))
        with pytest.raises(ImageError, match=r"int64 values; what is white is unknown"):
            read_image(np.array([[0, 1]]))
        with pytest.raises(ImageError, match=r"holds no pixels: its size is 0 × 4"):
            read_image(np.zeros((0, 4), np.uint8))

    @given(arrays(np.uint8, (3, 4, 3)))
    def test_display_gives_the_bytes_back(self, array: np.ndarray):
        assert (read_image(array, axes="HWC").display == array).all()


class TestPaths:
    def test_natural_order(self, tmp_path: Path):
        for name in ("f10.png", "f2.PNG", "f1.npy", ".hidden.png", "notes.txt", "sub/f3.png"):
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.touch()
        names = [p.name for p in expand_paths(tmp_path)]
        assert names == ["f1.npy", "f2.PNG", "f10.png"]
        assert [p.name for p in expand_paths(str(tmp_path / "**" / "*.png"))] == [
            "f10.png",
            "f3.png",
        ]
        both = [tmp_path / "f10.png", tmp_path, str(tmp_path / "f1*")]
        assert [p.name for p in expand_paths(both)] == names

    def test_a_name_with_brackets_is_a_name(self, tmp_path: Path):
        (tmp_path / "f[1].png").touch()
        assert expand_paths(tmp_path / "f[1].png") == [tmp_path / "f[1].png"]

    def test_refused(self, tmp_path: Path):
        (tmp_path / "notes.txt").touch()
        with pytest.raises(ImageError, match=r"no images in the folder .* \(1 other entries\)"):
            expand_paths(tmp_path)
        with pytest.raises(ImageError, match=r"no image matches the pattern .*\(1 other files do"):
            expand_paths(str(tmp_path / "*"))
        with pytest.raises(ImageError, match="no file "):
            expand_paths([tmp_path / "a.png"])


@pytest.mark.skipif(not DATA.is_dir(), reason="the optional real material is not here")
def test_real_photos():
    for path in expand_paths(DATA / "photos"):
        picture = read_image(path)
        assert 0 <= picture.pixels.min() < picture.pixels.max() <= 1
