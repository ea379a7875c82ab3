"""Exported programs: layers that can be tapped, any batch, every size that is settled."""

import warnings
from pathlib import Path

import pytest
import torch
from pt2 import Small, exported, opened
from torch import Tensor, nn

from seglens.core.capture import capture
from seglens.core.errors import BatchMixingWarning, ShapeError
from seglens.core.network import Network
from seglens.networks.exported import joined, load_exported
from seglens.networks.loaded import Request


@pytest.fixture(scope="module")
def net() -> Small:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture(scope="module")
def static(net: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(net, tmp_path_factory.mktemp("pt2") / "static.pt2")


class TestNetwork:
    def test_same_output_layers_and_taps(self, net: Small, static: Path):
        program = opened(static)
        x = torch.rand(1, 3, 16, 16)
        torch.testing.assert_close(program(x), net(x))
        assert {n for n, _ in net.named_children()} <= {n for n, _ in program.named_modules()}
        assert set(dict(program.named_parameters())) == set(dict(net.named_parameters()))
        network = Network(module=program)
        with capture(network, ["encoder.0"]) as taps:
            y = network(x.requires_grad_())
            torch.testing.assert_close(taps["encoder.0"], net.encoder[0](x))
            assert torch.autograd.grad(y.sum(), taps["encoder.0"])[0].abs().sum() > 0

    def test_static_batch_is_freed_where_that_is_exact(self, net: Small, static: Path):
        program = opened(static)
        assert program.batch is None
        x = torch.rand(3, 3, 16, 16)
        torch.testing.assert_close(program(x), net(x))

    def test_batch_of_one_runs_image_by_image_where_it_is_folded_in(self, tmp_path: Path):
        net = Small(fold=True).eval()
        program = opened(exported(net, tmp_path / "a.pt2"))
        assert program.batch == 1
        x = torch.rand(3, 3, 16, 16, requires_grad=True)
        torch.testing.assert_close(program(x), net(x))
        assert torch.autograd.grad(program(x).sum(), x)[0].abs().sum() > 0

    def test_other_fixed_batch_is_refused(self, tmp_path: Path):
        program = opened(exported(Small(fold=True).eval(), tmp_path / "a.pt2", batch=2))
        assert program(torch.rand(2, 3, 16, 16)).shape == (2, 2, 16, 16)
        with pytest.raises(ShapeError, match=r"for batches of exactly 2 images, not 3.*\n  Export it"):
            program(torch.rand(3, 3, 16, 16))

    def test_fixed_size_is_said_and_settled(self, static: Path):
        loaded = load_exported(static, Request())
        assert dict(loaded.convention) == {"channels": 3, "size": (16, 16)}
        with pytest.raises(ShapeError, match=r"for inputs \[batch, 3, 16, 16\], not \[1, 3, 20, 16\]"):
            loaded.module(torch.rand(1, 3, 20, 16))

    def test_dynamic_sizes_settle_the_divisor(self, net: Small, tmp_path: Path):
        side = torch.export.Dim
        shapes = ({0: side("b"), 2: 8 * side("h"), 3: 8 * side("w")},)
        path = exported(net, tmp_path / "a.pt2", batch=2, dynamic_shapes=shapes)
        loaded = load_exported(path, Request())
        assert dict(loaded.convention) == {"channels": 3, "divisor": 8}
        x = torch.rand(3, 3, 24, 32)
        torch.testing.assert_close(loaded.module(x), net(x))

    def test_moves_as_one_and_hooks_change_what_runs(self, static: Path):
        program = opened(static).double()
        x = torch.rand(1, 3, 16, 16, dtype=torch.float64)
        before = program(x)
        assert before.dtype == torch.float64
        program.get_submodule("encoder.0").register_forward_hook(lambda *_: torch.zeros(1, 4, 16, 16).double())
        assert not torch.allclose(program(x), before)

    def test_training_mode_is_noticed(self, tmp_path: Path):
        path = exported(Small().train(), tmp_path / "a.pt2")
        with pytest.warns(BatchMixingWarning, match=r"exported in training mode.*Call model.eval\(\)"):
            opened(path)

    def test_outputs_of_any_structure_are_joined(self):
        one = {"out": torch.zeros(1, 2), "aux": [torch.ones(1, 3)], "n": 3, "t": (torch.tensor(1.0),)}
        both = joined([one, one])
        assert both["out"].shape == (2, 2)
        assert both["aux"][0].shape == (2, 3)
        assert both["n"] == 3
        assert both["t"][0].shape == (2,)

    def test_trusted_file_is_read_as_it_is(self, net: Small, static: Path):
        x = torch.rand(1, 3, 16, 16)
        torch.testing.assert_close(opened(static, trust=True)(x), net(x))

    def test_dict_output(self, tmp_path: Path):
        class Dict(nn.Module):
            def forward(self, x: Tensor) -> dict[str, Tensor]:
                return {"out": x * 2}

        program = opened(exported(Dict(), tmp_path / "a.pt2"))
        assert program(torch.rand(2, 3, 16, 16))["out"].shape == (2, 3, 16, 16)


class Everything(nn.Module):
    """Operators of many kinds: attention, normalisations, resizing by a factor, indexing, einsum, control."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, stride=4, padding_mode="reflect", padding=1)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norms = nn.ModuleDict({"layer-norm": nn.LayerNorm(8), "group": nn.GroupNorm(2, 8)})
        self.up = nn.Sequential(nn.ConvTranspose2d(8, 8, 2, 2), nn.GELU(), nn.Upsample(scale_factor=2))
        self.register_buffer("mixing", torch.rand(8, 8))

    def forward(self, x: Tensor) -> dict[str, object]:
        y = self.patch(x)
        rows = self.norms["layer-norm"](y.flatten(2).transpose(1, 2))
        rows = rows + self.attention(rows, rows, rows, need_weights=False)[0]
        y = self.norms["group"](rows.transpose(1, 2).unflatten(2, y.shape[2:]).contiguous())
        y = torch.einsum("bchw,cd->bdhw", y, self.mixing)
        y = self.up(y) * torch.sigmoid(y.mean((2, 3), keepdim=True)).clamp(0.1, 0.9)
        with torch.no_grad():
            scale = y.std(1, keepdim=True) + y.new_ones(()) + torch.arange(y.shape[-1], device=y.device)
        return {"out": y / scale, "aux": [y[:, ::2, 1:], y.argmax(1)]}


class TestOperators:
    @pytest.mark.parametrize("dynamic", [True, False])
    def test_operators_of_many_kinds_pass_the_check(self, tmp_path: Path, dynamic: bool):
        torch.manual_seed(0)
        net = Everything().eval()
        dim = torch.export.Dim.AUTO
        options = {"dynamic_shapes": ({0: dim, 2: dim, 3: dim},)} if dynamic else {}
        path = exported(net, tmp_path / "a.pt2", 2, **options)
        x = torch.rand(2, 3, 16, 16)
        torch.testing.assert_close(opened(path)(x)["out"], net(x)["out"])

    def test_decomposed(self, tmp_path: Path):
        net = Everything().eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(net, (torch.rand(1, 3, 16, 16),)).run_decompositions()
            torch.export.save(program, tmp_path / "a.pt2")
        x = torch.rand(1, 3, 16, 16)
        torch.testing.assert_close(opened(tmp_path / "a.pt2")(x)["out"], net(x)["out"])
