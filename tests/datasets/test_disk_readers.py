"""Readers of public sets: on tiny folders in each publisher's layout, and on what such folders get wrong."""

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from seglens.core.errors import ImageError
from seglens.datasets.disk._layout import nearest, split_of_groups, whole_png
from seglens.datasets.disk.celebamask_hq import PARTS
from seglens.datasets.samples import SPLITS, SampleSet, open_dataset
from seglens.datasets.sprites import Sprites

LAYOUTS = Path(__file__).parents[3] / "shared" / "data" / "layouts"
RNG = np.random.default_rng


def write_png(path: Path, values: NDArray[np.uint16], filtered: int = 0) -> None:
    """A PNG of 16 bits and three channels, by the letter; filtered: 0 not, 1 each pixel less its left one."""
    height, width, _ = values.shape
    rows = values.astype(">u2").tobytes()
    pitch = width * 6
    lines = bytearray()
    for y in range(height):
        line = np.frombuffer(rows[y * pitch : (y + 1) * pitch], np.uint8)
        if filtered:
            line = line - np.concatenate([np.zeros(6, np.uint8), line[:-6]])
        lines += bytes([filtered]) + line.tobytes()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(lines))) + chunk(b"IEND", b"")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def save(path: Path, values: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, quality=100) if path.suffix == ".jpg" else Image.fromarray(values).save(path)


def noise(seed: int, *shape: int) -> NDArray[np.uint8]:
    return RNG(seed).integers(0, 256, shape, dtype=np.uint8)


# CelebAMask-HQ


@pytest.fixture
def celebamask(tmp_path: Path) -> Path:
    """Pictures 0, 1, 2 and 2001; masks at half the pictures' size."""
    for number in (0, 1, 2, 2001):
        save(tmp_path / "CelebA-HQ-img" / f"{number}.jpg", np.full((16, 16, 3), 40 * (number % 5) + 30, np.uint8))
        folder = tmp_path / "CelebAMask-HQ-mask-anno" / str(number // 2000)
        skin, hair = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)
        skin[2:7, 2:6], hair[0:4] = 255, 255
        save(folder / f"{number:05d}_skin.png", skin)
        save(folder / f"{number:05d}_hair.png", hair)
    rows = ["4", "Bald Smiling", "0.jpg  -1  1", "1.jpg   1 -1", "2.jpg  1  1", "2001.jpg  -1 -1"]
    (tmp_path / "CelebAMask-HQ-attribute-anno.txt").write_text("\n".join(rows) + "\n")
    mapping = ["  idx    orig_idx   orig_file", "0  119613  119614.jpg", "1  162769  162770.jpg"]
    mapping += ["2  162770  162771.jpg", "2001  182637  182638.jpg"]
    (tmp_path / "CelebA-HQ-to-CelebA-mapping.txt").write_text("\n".join(mapping) + "\n")
    return tmp_path


def test_celebamask_hq_as_published(celebamask):
    parts = {split: open_dataset(f"celebamask-hq:{celebamask}", split) for split in SPLITS}
    assert {split: [part[i].name for i in range(len(part))] for split, part in parts.items()} == {
        "train": ["0.jpg", "1.jpg"],
        "val": ["2.jpg"],  # CelebA's own edge, by file number
        "test": ["2001.jpg"],
    }
    train = parts["train"]
    assert train.attributes == ("Bald", "Smiling")
    assert not train.built_in
    sample = train[0]
    assert sample.image.shape == (8, 8, 3)  # the masks' size
    assert sample.attributes is not None
    assert sample.labels is not None
    assert sample.attributes.tolist() == [0, 1]
    expected = np.zeros((8, 8), np.uint8)
    expected[2:7, 2:6] = PARTS.index("skin")
    expected[0:4] = PARTS.index("hair")  # later in the publisher's order: it hides the skin
    assert np.array_equal(sample.labels, expected)
    assert abs(int(sample.image.mean()) - 30) < 3
    assert parts["test"][0].labels is not None


def test_celebamask_hq_without_its_text_files(celebamask):
    (celebamask / "CelebA-HQ-to-CelebA-mapping.txt").unlink()
    (celebamask / "CelebAMask-HQ-attribute-anno.txt").unlink()
    train = open_dataset(f"celebamask-hq:{celebamask}", size=(4, 4))
    assert len(train) == 4  # all numbers lie below 24000
    assert train.attributes == ()
    assert train[3].attributes is None
    assert train[0].image.shape == (4, 4, 3)
    assert len(open_dataset(f"celebamask-hq:{celebamask}", "val")) == 0


def test_celebamask_hq_says_what_is_wrong(celebamask):
    (celebamask / "CelebAMask-HQ-mask-anno/0/00001_skin.png").unlink()
    (celebamask / "CelebAMask-HQ-mask-anno/0/00001_hair.png").unlink()
    with pytest.raises(ImageError, match="no mask of picture 1 in"):
        open_dataset(f"celebamask-hq:{celebamask}")[1]
    save(celebamask / "CelebAMask-HQ-mask-anno/0/00000_nose.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ImageError, match=r"\(8, 8\)"):
        open_dataset(f"celebamask-hq:{celebamask}")[0]
    (celebamask / "CelebAMask-HQ-attribute-anno.txt").write_text("1\nBald Smiling\n0.jpg 1 1\n")
    with pytest.raises(ImageError, match=r"no line for 1\.jpg"):
        open_dataset(f"celebamask-hq:{celebamask}")
    (celebamask / "CelebA-HQ-to-CelebA-mapping.txt").write_text("idx\n0 1\n")
    with pytest.raises(ImageError, match="expected idx, orig_idx, orig_file"):
        open_dataset(f"celebamask-hq:{celebamask}")


# CelebA


@pytest.fixture(params=["flat", "handed out"])
def celeba(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    flat = request.param == "flat"
    for number in range(1, 6):
        image = np.zeros((218, 178, 3), np.uint8)
        image[20:198] = 40 * number  # the middle square; black bars above and below
        save(tmp_path / ("" if flat else "Img") / "img_align_celeba" / f"{number:06d}.jpg", image)
    files = {
        "Anno/list_attr_celeba.txt": "5\nMale Smiling\n"
        + "\n".join(f"{n:06d}.jpg  {'-1' if n % 2 else ' 1'}  1" for n in range(1, 6)),
        "Eval/list_eval_partition.txt": "\n".join(
            f"{n:06d}.jpg {p}" for n, p in zip(range(1, 6), "00122", strict=True)
        ),
        "Anno/identity_CelebA.txt": "\n".join(f"{n:06d}.jpg {900 + n // 2}" for n in range(1, 6)),
    }
    for name, text in files.items():
        path = tmp_path / (name.split("/")[1] if flat else name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n")
    return tmp_path


def test_celeba_as_published(celeba):
    train, val, test = (open_dataset(f"celeba:{celeba}", split, size=(64, 64)) for split in SPLITS)
    assert [len(part) for part in (train, val, test)] == [2, 1, 2]
    assert train.attributes == ("Male", "Smiling")
    assert train.classes is None
    sample = train[1]
    assert sample.name == "000002.jpg"
    assert sample.group == "901"
    assert sample.labels is None
    assert sample.attributes is not None
    assert sample.attributes.tolist() == [1, 1]
    assert sample.image.shape == (64, 64, 3)
    assert abs(sample.image.astype(int) - 80).max() < 12  # the bars are cut off, nothing is squeezed
    assert open_dataset(f"celeba:{celeba}")[0].image.shape == (218, 178, 3)
    assert len(open_dataset(f"celeba:{celeba}", length=1)) == 1


def test_celeba_says_what_is_wrong(tmp_path, celeba):
    partition = next(celeba.rglob("list_eval_partition.txt"))
    partition.write_text("000001.jpg 0\n000009.jpg 0\n")
    with pytest.raises(ImageError, match=r"no line for 000009\.jpg, which list_eval_partition\.txt names"):
        open_dataset(f"celeba:{celeba}")
    partition.write_text("000001.jpg train\n")
    with pytest.raises(ImageError, match="expected a file and 0, 1 or 2"):
        open_dataset(f"celeba:{celeba}")
    partition.write_text("000001.jpg 0\n")
    table = next(celeba.rglob("list_attr_celeba.txt"))
    table.write_text("1\nMale Smiling\n000001.jpg 1\n")
    with pytest.raises(ImageError, match="not a file and 2 values of 1 or -1"):
        open_dataset(f"celeba:{celeba}")[0]
    table.write_text("1\nMale Smiling\n000001.jpg 1 -1\n")
    picture = next(celeba.rglob("000001.jpg"))
    picture.write_bytes(picture.read_bytes()[:100])
    with pytest.raises(ImageError, match=r"000001\.jpg' cannot be read"):
        open_dataset(f"celeba:{celeba}")[0]
    picture.unlink()
    with pytest.raises(ImageError, match=r"no file 000001\.jpg"):
        open_dataset(f"celeba:{celeba}")[0]


def test_the_published_excerpts_open_or_say_why_not():
    if not LAYOUTS.is_dir():
        pytest.skip(f"no excerpts of layouts at {LAYOUTS}")
    train = open_dataset(f"celeba:{LAYOUTS / 'align_celeba_dataset/dataset'}", length=1)
    assert train[0].name == "000001.jpg"
    assert len(train.attributes) == 8
    assert train[0].group == "12"
    # Un-aligned pictures, and SYNTHIA in its other variant, are not what these readers read.
    with pytest.raises(
        ImageError, match=r"no folder img_align_celeba or Img/img_align_celeba.\n  There is Anno/, Eval/"
    ):
        open_dataset(f"celeba:{LAYOUTS / 'celeba_dataset/dataset'}")
    with pytest.raises(ImageError, match="no folder GT/LABELS"):
        open_dataset(f"synthia:{LAYOUTS / 'synthia_dataset/rand'}")


# dSprites


def write_dsprites(path: Path, picture: Callable[[int], NDArray[np.uint8]], count: int, **changed: object) -> Path:
    """`count` sprites of the lattice, spread over it; the metadata is a pickle, as in the published file."""
    lattice = Sprites()
    places = np.linspace(0, len(lattice) - 1, count).astype(int)
    factors = np.stack([lattice[int(place)].factors for place in places])
    values = np.column_stack([np.ones(count), factors[:, :1] + 1, factors[:, 1:]]).astype(np.float64)
    classes = np.zeros((count, 6), np.int64)
    classes[:, 1] = factors[:, 0]
    arrays: dict[str, object] = {
        "metadata": np.array({"date": "April 2017"}, dtype=object),
        "imgs": np.stack([picture(int(place)) for place in places]),
        "latents_values": values,
        "latents_classes": classes,
    }
    arrays |= changed
    np.savez_compressed(path, **{name: np.asarray(value) for name, value in arrays.items() if value is not None})
    return path


def drawn(place: int) -> NDArray[np.uint8]:
    return (Sprites()[place].image[..., 0] > 0).astype(np.uint8)


def test_dsprites_as_published(tmp_path, monkeypatch):
    monkeypatch.setattr("seglens.datasets.disk.dsprites._CHUNK", 16)  # several chunks, the last one short
    file = write_dsprites(tmp_path / "dsprites_ndarray_tiny.npz", drawn, 50)
    parts = [open_dataset(f"dsprites:{where}", split) for where in (file, tmp_path) for split in SPLITS]
    assert [len(part) for part in parts] == [40, 5, 5] * 2
    places = np.linspace(0, len(Sprites()) - 1, 50).astype(int)
    seen = []
    for part in parts[:3]:
        assert part.factors == Sprites().factors
        for i in range(len(part)):
            sample = part[i]
            number = int(sample.name.split()[1])
            seen.append(number)
            expected = Sprites()[int(places[number])]
            for ours, theirs in (
                (sample.image, expected.image),
                (sample.labels, expected.labels),
                (sample.attributes, expected.attributes),
                (sample.factors, expected.factors),
            ):
                assert ours is not None
                assert theirs is not None
                assert np.allclose(ours, theirs)
    assert sorted(seen) == list(range(50))
    small = open_dataset(f"dsprites:{file}", size=(32, 32), length=3)
    assert len(small) == 3
    assert small[0].image.shape == (32, 32, 1)
    assert set(np.unique(small[0].image)) == {0, 255}


def test_dsprites_says_what_is_wrong(tmp_path):
    file = tmp_path / "dsprites.npz"
    with pytest.raises(ImageError, match=r"no dsprites….npz in"):
        open_dataset(f"dsprites:{tmp_path}")
    with pytest.raises(ImageError, match="no file"):
        open_dataset(f"dsprites:{file}")
    write_dsprites(file, drawn, 10, latents_classes=None)
    with pytest.raises(ImageError, match="has no latents_classes; it has metadata, imgs, latents_values"):
        open_dataset(f"dsprites:{file}")
    write_dsprites(file, drawn, 10, latents_values=np.zeros((10, 5)))
    with pytest.raises(ImageError, match=r"expected \[n 6\] both"):
        open_dataset(f"dsprites:{file}")
    write_dsprites(file, drawn, 10, imgs=np.zeros((9, 64, 64), np.uint8))
    with pytest.raises(ImageError, match=r"expected uint8 \[10 64 64\]"):
        open_dataset(f"dsprites:{file}")
    file.write_bytes(b"not a zip file")
    with pytest.raises(ImageError, match="cannot be read as dSprites"):
        open_dataset(f"dsprites:{file}")


# SYNTHIA


@pytest.fixture
def synthia(tmp_path: Path) -> Path:
    root = tmp_path / "RAND_CITYSCAPES"
    for number in range(10):
        save(root / "RGB" / f"{number:07d}.png", noise(number, 4, 6, 3))
        values = RNG(number).integers(0, 23, (4, 6, 3)).astype(np.uint16)
        values[..., 1] = RNG(number).integers(256, 65536, (4, 6))  # instances, far above eight bits
        values[..., 2] = 0
        write_png(root / "GT" / "LABELS" / f"{number:07d}.png", values, filtered=number % 2)
    return tmp_path


@pytest.mark.parametrize("filtered", [0, 1])
def test_a_png_of_sixteen_bits_keeps_them(tmp_path, filtered):
    values = RNG(5).integers(0, 65536, (5, 7, 3)).astype(np.uint16)
    write_png(tmp_path / "deep.png", values, filtered)
    assert np.array_equal(whole_png(tmp_path / "deep.png"), values)
    assert not np.array_equal(np.asarray(Image.open(tmp_path / "deep.png")), values)  # what Pillow alone gives
    shallow = noise(1, 5, 7, 3)
    save(tmp_path / "shallow.png", shallow)
    assert np.array_equal(whole_png(tmp_path / "shallow.png"), shallow)


def test_synthia_as_published(synthia):
    parts = [open_dataset(f"synthia:{synthia}", split) for split in SPLITS]
    assert [[part[i].name[:7] for i in range(len(part))] for part in parts] == [
        [f"{n:07d}" for n in range(8)],
        ["0000008"],
        ["0000009"],
    ]
    train = parts[0]
    assert train.classes is not None
    assert len(train.classes) == 22
    for i in (0, 1):
        ids = RNG(i).integers(0, 23, (4, 6, 3))[..., 0]
        assert np.array_equal(train[i].labels, np.where(ids == 0, 255, ids - 1))
        assert np.array_equal(train[i].image, noise(i, 4, 6, 3))
    assert train.classes.names[2] == "road"
    assert open_dataset(f"synthia:{synthia / 'RAND_CITYSCAPES'}", size=(2, 3))[0].image.shape == (2, 3, 3)


def test_synthia_says_what_is_wrong(synthia):
    labels = synthia / "RAND_CITYSCAPES/GT/LABELS/0000000.png"
    write_png(labels, np.full((4, 6, 3), 23, np.uint16))
    with pytest.raises(ImageError, match="has the class 23; the publisher's go from 0 to 22"):
        open_dataset(f"synthia:{synthia}")[0]
    write_png(labels, np.ones((4, 5, 3), np.uint16))
    with pytest.raises(ImageError, match=r"labels \(4, 5\), picture \(4, 6\)"):
        open_dataset(f"synthia:{synthia}")[0]
    save(labels, np.ones((4, 6), np.uint8))
    with pytest.raises(ImageError, match="has one channel; expected three"):
        open_dataset(f"synthia:{synthia}")[0]
    Image.fromarray(noise(0, 4, 6, 3)).save(labels, format="JPEG")
    with pytest.raises(ImageError, match="is a JPEG file"):
        open_dataset(f"synthia:{synthia}")[0]


# A2D2

COLOURS = {
    "#ff0000": "Car 1",
    "#c80000": "Car 2",
    "#87ceff": "Sky",
    "#b65906": "Bicycle 1",
    "#c87dd2": "Painted driv. instr.",
}


@pytest.fixture
def a2d2(tmp_path: Path) -> Path:
    root = tmp_path / "camera_lidar_semantic"
    for n in range(7):
        for camera in ("front_center", "side_left"):
            short = camera.replace("_", "")
            for frame in (3, 12):
                name = f"2018080714502{n}_{{}}_{short}_{frame:09d}.png"
                sequence = root / f"20180807_14502{n}"
                save(sequence / "camera" / f"cam_{camera}" / name.format("camera"), noise(n, 2, 4, 3))
                label = np.zeros((2, 4, 3), np.uint8)
                label[0] = [(255, 0, 0), (200, 0, 0), (135, 206, 255), (182, 89, 6)]
                label[1] = [(200, 125, 210), (1, 2, 3), (255, 0, 0), (255, 0, 0)]
                save(sequence / "label" / f"cam_{camera}" / name.format("label"), label)
    (root / "class_list.json").write_text(json.dumps(COLOURS))
    return tmp_path


def groups(samples: SampleSet) -> set[str]:
    return {samples[i].group for i in range(len(samples))}


def test_a2d2_as_published(a2d2):
    parts = [open_dataset(f"a2d2:{a2d2}", split) for split in SPLITS]
    assert [len(part) for part in parts] == [20, 4, 4]
    names = [f"20180807_14502{n}" for n in range(7)]
    assert [groups(part) for part in parts] == [{names[n] for n in (0, 1, 2, 5, 6)}, {names[3]}, {names[4]}]
    train = parts[0]
    assert train.classes is not None
    assert train.classes.names == ("Car", "Sky", "Bicycle", "Painted driv. instr.")
    assert train.classes.colours == ((255, 0, 0), (135, 206, 255), (182, 89, 6), (200, 125, 210))
    sample = train[0]
    assert sample.labels is not None
    assert sample.labels.tolist() == [[0, 0, 1, 2], [3, 255, 0, 0]]
    assert np.array_equal(sample.image, noise(0, 2, 4, 3))
    assert open_dataset(f"a2d2:{a2d2 / 'camera_lidar_semantic'}", size=(1, 2))[0].labels.shape == (1, 2)


def test_a2d2s_colours_merge_to_38_classes(a2d2):
    """The published names: eight kinds are numbered, 25 colours of them, and 30 are not."""
    numbered = {"Car": 4, "Bicycle": 4, "Pedestrian": 3, "Truck": 3, "Small vehicles": 3}
    numbered |= {"Traffic signal": 3, "Traffic sign": 3, "Utility vehicle": 2}
    names = [f"{name} {n + 1}" for name, count in numbered.items() for n in range(count)]
    names += [f"Other kind {chr(97 + n)}" for n in range(30)]
    table = {f"#{7 * n:06x}": name for n, name in enumerate(names)}
    assert len(table) == 55
    (a2d2 / "camera_lidar_semantic/class_list.json").write_text(json.dumps(table))
    classes = open_dataset(f"a2d2:{a2d2}").classes
    assert classes is not None
    assert len(classes) == 38


def test_a2d2_says_what_is_wrong(a2d2):
    table = a2d2 / "camera_lidar_semantic/class_list.json"
    for text, message in (
        ("{", "is no JSON"),
        ("[]", "is no table of colours"),
        ('{"red": "Car 1"}', "expected '#rrggbb' and a name"),
    ):
        table.write_text(text)
        with pytest.raises(ImageError, match=message):
            open_dataset(f"a2d2:{a2d2}")
    table.write_text(json.dumps(COLOURS))
    next((a2d2 / "camera_lidar_semantic/20180807_145020/label/cam_front_center").iterdir()).unlink()
    with pytest.raises(ImageError, match=r"no file .*_label_frontcenter_"):
        [open_dataset(f"a2d2:{a2d2}")[i] for i in (0, 1)]
    table.unlink()
    with pytest.raises(ImageError, match=r"no file class_list.json"):
        open_dataset(f"a2d2:{a2d2}")


# What they share


def test_a_folder_that_is_none_is_said_so(tmp_path):
    for name in ("celebamask-hq", "celeba", "synthia", "a2d2"):
        with pytest.raises(ImageError, match="is no folder"):
            open_dataset(f"{name}:{tmp_path / 'nowhere'}")
        with pytest.raises(ImageError, match="There is nothing"):
            open_dataset(f"{name}:{tmp_path}")


def test_sequences_are_never_divided_and_an_empty_split_is_said_so():
    names = [f"s{n}" for n in range(23) for _ in range(3)]
    parts = {split: split_of_groups(names, split) for split in SPLITS}
    assert [len(part) for part in parts.values()] == [15, 4, 4]
    assert set.union(*parts.values()) == set(names)
    assert sum(map(len, parts.values())) == 23
    assert split_of_groups(names[::-1], "val") == parts["val"]
    with pytest.raises(ImageError, match="3 sequences leave 'val' empty"):
        split_of_groups(names[:9], "val")


def test_labels_are_sampled_at_pixel_centres():
    values = np.arange(24).reshape(4, 6)
    for size in ((2, 3), (8, 12), (3, 5), (4, 6), (1, 1)):
        pillow = np.asarray(Image.fromarray(values.astype(np.uint8)).resize(size[::-1], Image.Resampling.NEAREST))
        assert np.array_equal(nearest(values, size), pillow), size
