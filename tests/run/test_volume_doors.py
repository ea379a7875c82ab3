"""Volumes through every door, with a U-Net made by hand: a bright object is a lesion where a grey cue lies to its left.

Also files of volumes: arrays, stacks, NIfTI with the place of its voxels.
"""

import gzip
import json
import struct
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import seglens as sl
from seglens.core.errors import ImageError, MissingExtraError, ParameterError, RegionError, SeglensWarning, ShapeError
from seglens.core.explanation import WRITERS
from seglens.core.nifti import read_nifti, write_nifti

SIZE = (6, 20, 28)
OBJECT, CUE = np.s_[2:4, 8:12, 18:22], np.s_[2:4, 8:12, 10:14]
INSIDE, BESIDE = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
INSIDE[OBJECT] = BESIDE[CUE] = True


class Planted(nn.Module):
    """Air where dark, else an organ; a lesion where it is grey 8 voxels to the left. Sides in multiples of 2."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv3d(1, 2, 3, padding=1)
        self.relu = nn.ReLU()
        self.down = nn.MaxPool3d(2)
        self.left = nn.Conv3d(2, 1, (1, 1, 9), padding=(0, 0, 4))
        self.cue = nn.ReLU()
        self.up = nn.Upsample(scale_factor=2)
        self.head = nn.Conv3d(3, 3, 1)
        with torch.no_grad():
            for p in self.parameters():
                p.zero_()
            self.first.weight[:, 0, 1, 1, 1] = 4
            self.first.bias[:] = torch.tensor([-2.8, -0.8])  # brighter than 0.7, and than 0.2
            self.left.weight[0, :, 0, 0, 0] = torch.tensor([-3.0, 1.0])  # grey, not bright
            self.head.weight[:, 0] = torch.tensor([-8.0, 8, 8])[:, None, None, None]
            self.head.weight[:, 2] = torch.tensor([0.0, -1, 1])[:, None, None, None] * 3
            self.head.bias[:] = torch.tensor([3.0, 0, -1])

    def forward(self, x):
        a = self.relu(self.first(x))
        return self.head(torch.cat([a, self.up(self.cue(self.left(self.down(a))))], 1))


def planted(**convention):
    return sl.load(
        Planted().eval(),
        classes=["air", "organ", "lesion"],
        convention={"channels": 1, "divisor": 2, **convention},
        default_layer="cue",
    )


def volume(size=SIZE, cue=0.5):
    values = np.full(size, 0.1, np.float32)
    values[OBJECT], values[CUE] = 1, cue
    return values


def truth():
    labels = np.zeros(SIZE, np.int64)
    labels[OBJECT] = 2
    return labels


ASKED = sl.Target("lesion", sl.mask(INSIDE))


@pytest.fixture(scope="module")
def net():
    return planted()


class TestDoors:
    def test_the_network_says_what_was_planted(self, net):
        # Where the cue's own evidence moves on beyond the object, nothing is bright.
        found = sl.segment(net, volume()).labels
        assert (found[INSIDE] == 2).all()
        assert (sl.segment(net, volume(cue=0.1)).labels[INSIDE] == 1).all()
        (row,) = [f for f in sl.find_classes(net, volume(cue=0.1)) if f.name == "organ"]
        assert (row.pixels, row.instances) == (32, 1)

    @pytest.mark.parametrize(
        ("method", "size"),
        [
            (sl.IntegratedGradients(baseline=0.1, nodes=25), (5, 19, 27)),
            (sl.ContextSaliency(cells="3x5x7", fill=0.1, steps=8), (5, 19, 27)),
            (sl.Occlusion(size=4, stride=4), SIZE),
        ],
        ids=lambda v: str(v) if isinstance(v, tuple) else type(v).__name__,
    )
    def test_context_that_decides_is_found(self, net, method, size):
        """What an explanation shows outside the object is the cue; odd sizes come back as they were."""
        cut = tuple(slice(0, n) for n in size)
        asked = sl.Target(sl.channel("lesion") - sl.channel("organ"), sl.mask(INSIDE[cut]))
        why = sl.explain(net, volume()[cut], method, asked)
        assert why.map.shape == size
        weight = np.abs(why.map) * ~INSIDE[cut]
        near = np.zeros(SIZE, bool)
        near[0:6, 4:16, 6:18] = True  # a cell or a patch around the cue
        if isinstance(method, sl.Occlusion):
            near[0:6, 5:15, 15:25] = True  # a patch that covers a part of the object
        assert weight[near[cut]].sum() > 0.9 * weight.sum() > 0
        assert weight[BESIDE[cut]].sum() > 0

    def test_compare_and_layers(self, net, tmp_path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SeglensWarning)
            compared = sl.compare(net, volume(), ["saliency", "grad-cam"], ASKED)
            layers = sl.explain_layers(net, volume(), ASKED)
        assert compared.consensus.shape == SIZE
        assert all(e.map.shape == SIZE for e in layers)
        for name in ("compared.png", "compared.npz"):
            assert compared.save(tmp_path / name).stat().st_size
        assert layers.save(tmp_path / "layers.png").stat().st_size

    def test_evaluate_and_find_errors(self, net, tmp_path):
        found = sl.evaluate(net, volume(cue=0.1), truth(), tolerance=1)
        assert found.tallies.true_positive.sum() == np.prod(SIZE) - 32
        worst = sl.find_errors(net, volume(cue=0.1), truth()).confusions[0]
        assert (worst.truth, worst.predicted, worst.pixels) == ("lesion", "organ", 32)
        assert worst.box == (2, 8, 18, 4, 12, 22)
        why = sl.explain(net, volume(cue=0.1), "saliency", sl.Target("organ", worst.region), truth=truth())
        np.testing.assert_array_equal(why.region, INSIDE)

    def test_verify_by_removal(self, net):
        given = replace(sl.explain(net, volume(), "saliency", ASKED), map=BESIDE.astype(np.float32))
        share = 32 / (np.prod(SIZE) - 32)
        found = sl.verify(net, volume(), given, share=share, fill=0.1, controls=3)
        np.testing.assert_array_equal(found.removed, BESIDE)
        assert found.before.shares[2] == 1
        assert found.after.shares[1] == 1

    def test_parts_of_one_object(self, net):
        mixed = volume()
        mixed[2] = np.where(BESIDE[2], 0.1, mixed[2])
        mixed[3] = np.where(BESIDE[3], 0.1, mixed[3])
        mixed[2, 8:10, 10:14] = 0.5  # the cue of two rows only
        found = sl.explain_parts(net, mixed, truth(), label="lesion", method="saliency", least=1)
        assert {p.explanation.map.shape for p in found.parts} == {SIZE}

    def test_sensitivity_activations_statistics_places(self, net, tmp_path):
        varied = sl.sensitivity(net, volume(), "smooth-grad", ASKED, vary={"samples": [2, 3]})
        assert varied.save(tmp_path / "sensitivity.png").stat().st_size
        shown = sl.activations(net, volume(), "cue", ASKED)
        assert shown.maps.shape == (1, 3, 10, 14)
        why = sl.explain(net, volume(), "saliency", ASKED)
        assert sl.context_statistics(why).save(tmp_path / "context.png").stat().st_size
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SeglensWarning)
            places = sl.compare_places(net, volume(), "lesion", [sl.mask(INSIDE), sl.box(2, 8, 18, 4, 10, 20)])
        assert places.similarity[0, 1] == pytest.approx(1)

    def test_layers_and_description(self, net):
        by_path = {a.path: a for a in sl.layer_tree(net)}
        assert by_path["left"].shape == (1, 1, 32, 32, 32)
        assert by_path["left"].field == (4, 4, 20)
        with pytest.warns(SeglensWarning, match="guessed"):
            described = sl.describe(net)
        assert (described.input["channels"], described.input["divisor"]) == (1, 2)

    @pytest.mark.parametrize("form", ["npz", "png", "html"])
    def test_an_explanation_is_saved(self, net, tmp_path, form):
        why = sl.explain(net, volume(), "saliency", ["lesion", ASKED], truth=truth())
        path = why.save(tmp_path / f"why.{form}")
        assert path.stat().st_size
        if form == "npz":
            again = sl.open(path)
            for a, b in zip(why, again, strict=True):
                np.testing.assert_array_equal(a.map, b.map)
                np.testing.assert_array_equal(a.region, b.region)
        assert why[0]._repr_html_().count('name="slice"') == 1


REGIONS = {
    "pixel(2, 9, 19)": np.s_[2, 9, 19],
    "box(2, 8, 18, 3, 9, 20)": np.s_[2, 8, 18:20],
    "instance(organ, largest=1)": OBJECT,
    "instance(organ, at=(3, 9, 20))": OBJECT,
    "border(predicted(organ), 1)": OBJECT,  # an object two slices thick is all border
    "truth(lesion)": OBJECT,
    "confused(truth=lesion, as_=organ)": OBJECT,
    "component(box(0, 0, 0, 1, 2, 2) | box(1, 2, 2, 2, 3, 3), largest=1)": None,
}


class TestRegions:
    @pytest.mark.parametrize("text", REGIONS)
    def test_words(self, net, text):
        asked = sl.Target("organ", sl.parse_region(text))
        why = sl.explain(net, volume(cue=0.1), "score-map", asked, truth=truth())
        expected = np.zeros(SIZE, bool)
        if REGIONS[text] is None:
            expected[0, :2, :2] = expected[1, 2, 2] = True  # joined at a corner
        else:
            expected[REGIONS[text]] = True
        np.testing.assert_array_equal(why.region, expected)

    @pytest.mark.parametrize(
        ("region", "said"),
        [
            (sl.polygon((1, 1), (5, 5), (1, 5)), r"a polygon lies in a plane; .*6 × 20 × 28.*\n.*box\(…\) of six"),
            (sl.pixel(2, 3), r"2 coordinates, the image 3 dimensions .*pixel\(slice, row, column\)"),
            (sl.box(1, 2, 3, 4), r"2 dimensions, the image 3 .*\n.*box\(z0, y0, x0, z1, y1, x1\)"),
            (sl.pixel(9, 9, 9), r"outside the volume of 6 × 20 × 28 \(coordinates are slice, row, column"),
        ],
        ids=["polygon", "pixel", "box", "outside"],
    )
    def test_of_another_number_of_dimensions(self, net, region, said):
        with pytest.raises(RegionError, match=said):
            sl.explain(net, volume(), "saliency", sl.Target("lesion", region))

    def test_cells_of_a_plane(self, net):
        with pytest.raises(ParameterError, match="3 × 3 cells are of 2 dimension"):
            sl.explain(net, volume(), sl.GridSaliency(cells="3x3"), ASKED)

    @pytest.mark.parametrize("fill", ["black", "mean", "blur", "noise", 0.3, "picture"])
    def test_fills(self, net, fill, tmp_path):
        """A patch that covers everything leaves the fill alone: the score that the network gives it."""
        if fill == "picture":
            np.save(tmp_path / "fill.npy", volume(cue=0.9))
            fill = str(tmp_path / "fill.npy")
        asked = sl.Target("organ", sl.mask(INSIDE), of="logits")
        why = sl.explain(net, volume(), sl.Occlusion(size=28, fill=fill), asked)
        from seglens.perturb import fill as filled

        x = torch.tensor(volume())[None, None]
        with torch.no_grad():
            y, y0 = net(x), net(filled(net, x, fill))
        change = float((y - y0)[0, 1][torch.tensor(INSIDE)].mean())
        np.testing.assert_allclose(why.map, change, rtol=1e-4, atol=1e-5)


class TestReading:
    def test_arrays_are_told_apart_by_what_the_network_takes(self):
        one, four = planted(), sl.load(nn.Conv3d(4, 2, 1), convention={"channels": 4})
        for given in (
            volume(),
            volume()[None],
            volume()[..., None],
            torch.tensor(volume()),
            torch.tensor(volume())[None],
        ):
            assert one.read(given).pixels.shape == (1, *SIZE)
        values = np.random.default_rng(0).random((4, 3, 5, 6), dtype=np.float32)
        torch.testing.assert_close(four.read(values).pixels, torch.tensor(values))
        torch.testing.assert_close(four.read(np.moveaxis(values, 0, -1)).pixels, torch.tensor(values))
        # Four slices of four channels do not tell which is which.
        with pytest.raises(ImageError, match=r"which of its dimensions.*\n.*axes = … under \[input\]"):
            four.read(np.zeros((4, 5, 6, 4), np.float32))
        said = sl.load(four.module, convention={"channels": 4, "axes": "DHWC"})
        assert said.read(np.zeros((4, 5, 6, 4), np.float32)).size == (4, 5, 6)

    def test_three_slices_are_no_colours(self):
        assert planted().read(np.zeros((3, 8, 8), np.float32)).pixels.shape == (1, 3, 8, 8)

    def test_an_image_for_a_volume_and_the_reverse(self):
        with pytest.raises(ImageError, match=r"array 20 × 28 is an image \[H W\], Planted takes a volume \[D H W\].\n"):
            sl.explain(planted(), volume()[0], "saliency", "lesion")
        flat = sl.load(nn.Conv2d(1, 2, 1), convention={"channels": 1, "axes": "HW"})
        with pytest.raises(ImageError, match="axes='HW' cannot be told apart"):
            flat.read(volume())

    def test_a_network_without_a_convolution_says_by_axes_what_it_takes(self):
        assert sl.load(nn.Identity(), convention={}).dims == 2
        assert sl.load(nn.Identity(), convention={"axes": "CDHW"}).dims == 3
        assert sl.load(nn.Identity(), convention={"size": (8, 8, 8)}).dims == 3

    def test_a_stack_of_one_tiff(self, tmp_path):
        pages = [Image.fromarray((page * 255).astype(np.uint8)) for page in volume()]
        pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
        found = planted().read(tmp_path / "a.tif")
        np.testing.assert_allclose(found.pixels[0], volume(), atol=1 / 255)

    def test_a_window_says_which_numbers_are_black_and_white(self):
        hounsfield = np.array([[[-1000, -600, 400, 2000]]], np.int16)
        with pytest.raises(ImageError, match=r"int16 values; what is white is unknown.*\n.*window=\(black, white\)"):
            planted().read(hounsfield)
        picture = planted(window=(-1000, 400)).read(hounsfield)
        np.testing.assert_allclose(picture.pixels[0, 0, 0], [0, 400 / 1400, 1, 1], rtol=1e-6)
        assert picture.notes == ("25 % of its values lie outside -1000 to 400 and were cut there.",)
        with pytest.raises(ImageError, match="NaN"):
            planted(window=(0, 1)).read(np.full((2, 2, 2), np.nan, np.float32))
        with pytest.raises(ParameterError, match=r"window is \(black, white\), black below white"):
            planted(window=(400, -1000))

    def test_one_band_of_several_is_displayed(self):
        four = sl.load(nn.Conv3d(4, 2, 1), convention={"channels": 4, "bands": (2,)})
        values = np.random.default_rng(0).random((4, 3, 5, 6), dtype=np.float32)
        np.testing.assert_array_equal(four.read(values).display, np.rint(values[2] * 255))
        unsaid = sl.load(four.module, convention={"channels": 4}).read(values)
        np.testing.assert_allclose(unsaid.display, values.mean(0) * 255, atol=0.51)
        assert unsaid.notes == ("Of its 4 channels the mean is shown.",)


AFFINE = np.array([[-2.0, 0, 0, 30], [0, 0, 3.0, -20], [0, 4.0, 0, 7], [0, 0, 0, 1]])


@pytest.fixture
def nib():
    return pytest.importorskip("nibabel")


@pytest.fixture
def writers(monkeypatch):
    """NIfTI's writers, where the installed package does not announce them yet."""
    for name in ("nii", "nii.gz"):
        if name not in WRITERS:
            monkeypatch.setitem(WRITERS._known, name, write_nifti)


class TestNifti:
    def scan(self, nib, path, values=None):
        # Hounsfield units, stored with a slope.
        image = nib.Nifti1Image(volume() if values is None else values, AFFINE)
        nib.save(image, path)
        return path

    @pytest.mark.parametrize("form", ["nii", "nii.gz"])
    def test_there_and_back(self, nib, writers, net, tmp_path, form):
        path = self.scan(nib, tmp_path / f"scan.{form}")
        why = sl.explain(net, path, "saliency", ASKED)
        np.testing.assert_array_equal(why.map, sl.explain(net, volume(), "saliency", ASKED).map)
        np.testing.assert_array_equal(why.affine, AFFINE)
        assert why.provenance["voxel size"] == "2 × 4 × 3 mm"
        for out in ("map.nii", "map.nii.gz"):
            written = nib.load(why.save(tmp_path / out))
            np.testing.assert_array_equal(written.get_fdata(), why.map)
            np.testing.assert_array_equal(written.affine, AFFINE)
            assert written.get_data_dtype() == np.float32
        # The map lies where the scan does, to any program that reads both.
        assert nib.aff2axcodes(written.affine) == nib.aff2axcodes(nib.load(path).affine)
        again = sl.open(why.save(tmp_path / "map.npz"))
        np.testing.assert_array_equal(again.affine, AFFINE)
        assert why.save(tmp_path / "a.nii.gz").read_bytes() == why.save(tmp_path / "b.nii.gz").read_bytes()

    def test_several_maps_of_one_volume_are_a_fourth_dimension(self, nib, writers, net, tmp_path):
        path = self.scan(nib, tmp_path / "scan.nii")
        both = sl.explain(net, path, "saliency", ["lesion", ASKED])
        written = nib.load(both.save(tmp_path / "both.nii.gz")).get_fdata()
        np.testing.assert_array_equal(written, np.stack([e.map for e in both], -1))
        other = sl.explain(net, volume(), "saliency", ASKED)
        with pytest.raises(ParameterError, match="several volumes do not fit into one NIfTI"):
            sl.save([both[0], other], tmp_path / "x.nii")
        with pytest.raises(ParameterError, match=r"\.nii keeps every raw value"):
            other.save(tmp_path / "x.nii", sl.Display(part="positive"))

    def test_labels_of_a_segmentation(self, nib, net, tmp_path):
        found = sl.segment(net, self.scan(nib, tmp_path / "scan.nii"))
        written = nib.load(found.save(tmp_path / "labels.nii.gz"))
        np.testing.assert_array_equal(np.asanyarray(written.dataobj), found.labels)
        np.testing.assert_array_equal(written.affine, AFFINE)
        assert written.get_data_dtype() == np.uint8
        np.testing.assert_array_equal(sl.read_labels(tmp_path / "labels.nii.gz"), found.labels)
        scored = sl.evaluate(net, tmp_path / "scan.nii", tmp_path / "labels.nii.gz")
        assert scored.tallies.true_positive.sum() == np.prod(SIZE)

    def test_channels_and_slope(self, nib, tmp_path):
        values = np.random.default_rng(0).integers(-100, 100, (3, 4, 5, 2)).astype(np.int16)
        image = nib.Nifti1Image(values, AFFINE)
        image.header.set_slope_inter(2, -10)
        nib.save(image, tmp_path / "two.nii")
        found, affine = read_nifti(tmp_path / "two.nii")
        stored = np.asanyarray(nib.load(tmp_path / "two.nii").dataobj)
        np.testing.assert_array_equal(found, stored)
        np.testing.assert_array_equal(affine, AFFINE)
        two = sl.load(nn.Conv3d(2, 2, 1), convention={"channels": 2, "window": (-500, 500)})
        pixels = two.read(tmp_path / "two.nii").pixels
        torch.testing.assert_close(pixels, torch.tensor(np.moveaxis((stored + 500) / 1000, -1, 0), dtype=torch.float32))

    def test_a_folder_of_scans(self, nib, net, tmp_path):
        for name in ("b.nii.gz", "a.nii"):
            self.scan(nib, tmp_path / name)
        (tmp_path / "notes.gz").write_bytes(b"")
        assert [p.name for p in sl.expand_paths(tmp_path)] == ["a.nii", "b.nii.gz"]

    def test_damaged_files(self, nib, tmp_path):
        whole = self.scan(nib, tmp_path / "scan.nii").read_bytes()
        bad = tmp_path / "bad.nii"
        for content in (b"", whole[:100], whole[:400], whole[:-10], b"<html>" * 100):
            bad.write_bytes(content)
            with pytest.raises(ImageError, match=r"bad\.nii"):
                read_nifti(bad)
        # A header that promises 10¹³ voxels is not believed.
        bad.write_bytes(whole[:40] + struct.pack("<8h", 3, 30000, 30000, 30000, 1, 1, 1, 1) + whole[56:])
        with pytest.raises(ImageError, match=r"30000 × 30000 × 30000 voxels; the limit is"):
            read_nifti(bad)
        packed = tmp_path / "bad.nii.gz"
        packed.write_bytes(gzip.compress(whole)[:-50])
        with pytest.raises(ImageError, match=r"bad\.nii\.gz is damaged"):
            read_nifti(packed)
        colours = np.zeros((2, 2, 2), [("R", "u1"), ("G", "u1"), ("B", "u1")])
        with pytest.raises(ImageError, match="holds colours"):
            read_nifti(self.scan(nib, tmp_path / "rgb.nii", colours))
        with pytest.raises(ImageError, match="has 5 dimensions"):
            read_nifti(self.scan(nib, tmp_path / "five.nii", np.zeros((2, 2, 2, 2, 3), np.float32)))

    def test_only_volumes(self, nib, writers, tmp_path):
        flat = sl.explain(
            sl.load(nn.Conv2d(1, 2, 1), convention={"channels": 1}),
            volume()[0],
            "score-map",
            sl.Target(0, sl.everything),
        )
        with pytest.raises(ShapeError, match=r"NIfTI holds volumes; this map is \[20, 28\]"):
            flat.save(tmp_path / "flat.nii")

    def test_without_nibabel(self, monkeypatch, tmp_path):
        monkeypatch.setitem(__import__("sys").modules, "nibabel", None)
        (tmp_path / "scan.nii").write_bytes(b"x")
        with pytest.raises(MissingExtraError, match=r"pip install 'seglens\[medical\]'"):
            read_nifti(tmp_path / "scan.nii")


@pytest.mark.parametrize("kind", ["UNet", "SegResNet", "UNETR"])
def test_networks_of_monai(kind, tmp_path):
    nets = pytest.importorskip("monai.networks.nets")
    if kind == "UNETR":
        pytest.importorskip("einops")
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library's own imports
        torch.manual_seed(0)
        module = {
            "UNet": lambda: nets.UNet(3, 1, 3, channels=(4, 8), strides=(2,)),
            "SegResNet": lambda: nets.SegResNet(3, init_filters=8, in_channels=1, out_channels=3, blocks_down=(1, 1),
                                                blocks_up=(1,)),
            "UNETR": lambda: nets.UNETR(1, 3, (16, 16, 32), feature_size=4, hidden_size=16, mlp_dim=16, num_heads=2),
        }[kind]().eval()  # fmt: skip
    net = sl.load(module, convention={"channels": 1, "divisor": 16})
    assert net.dims == 3
    given = np.random.default_rng(0).random((15, 16, 30), dtype=np.float32)
    methods = ["saliency", "grad-cam"]
    if kind == "UNet":
        methods += [sl.IntegratedGradients(nodes=2, most=2), sl.ContextSaliency(cells="2x2x3", steps=2)]
    for method in methods:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SeglensWarning)
            why = sl.explain(net, given, method, sl.Target(1, sl.box(2, 2, 2, 9, 9, 9)))
        assert why.map.shape == given.shape
        assert np.isfinite(why.map).all()


def test_the_command_line(tmp_path):
    from typer.testing import CliRunner

    from seglens.cli import app

    torch.export.save(torch.export.export(Planted().eval(), (torch.zeros(1, 1, *SIZE),)), tmp_path / "net.pt2")
    (tmp_path / "net.toml").write_text(
        'classes = ["air", "organ", "lesion"]\n[input]\nchannels = 1\ndivisor = 2\nwindow = [0, 1000]\n'
    )
    np.save(tmp_path / "scan.npy", (volume() * 1000).astype(np.int16))
    out = tmp_path / "out.npz"
    done = CliRunner().invoke(
        app,
        ["explain", str(tmp_path / "net.pt2"), str(tmp_path / "scan.npy"), "-c", "lesion", "-m", "saliency",
         "--region", "box(2, 8, 18, 4, 12, 22)", "-o", str(out), "-o", str(tmp_path / "out.png"), "--json"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["explanations"][0]["channel"] == "lesion"
    np.testing.assert_array_equal(sl.open(out).region, INSIDE)
    assert (tmp_path / "out.png").stat().st_size
