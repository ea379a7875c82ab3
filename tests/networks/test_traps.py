"""Networks on which hooks silently see nothing: each is tapped as its eager twin is, or refused with what to do."""

import copy
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seglens as sl
from seglens.core.capture import capture
from seglens.core.errors import CaptureError, NetworkError
from seglens.testing.untouched import untouched

PLAIN = sl.Convention()


class Twice(nn.Module):
    """Three to four channels at full size; its layer `mid` runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.enc = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.mid = nn.Conv2d(8, 8, 3, 1, 1)
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.mid(torch.relu(self.mid(self.enc(x))))
        return nn.functional.interpolate(self.head(y), scale_factor=2.0, mode="bilinear")


class Holding(nn.Module):
    """A network inside another, called as `call` says."""

    def __init__(self, inner: nn.Module, call: Callable[[nn.Module, Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.inner = inner
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) if self.call is None else self.call(self.inner, x)


@pytest.fixture(scope="module")
def eager() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Twice().eval()


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return torch.rand((16, 16, 3), generator=torch.Generator().manual_seed(1)).numpy()


@pytest.fixture(scope="module")
def exported(eager: nn.Module) -> torch.export.ExportedProgram:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(eager, (torch.rand(2, 3, 16, 16),))


def compiled(part: str, when: str) -> Callable[[nn.Module, object], nn.Module]:
    """The network with a part compiled, by torch.compile or in place, and run before anyone adds a hook."""

    def make(eager: nn.Module, program: object) -> nn.Module:
        model = copy.deepcopy(eager)
        inner = model.get_submodule(part)
        if when == "wrapped":
            whole = torch.compile(inner, backend="eager")
            if not part:
                model = whole
            else:
                setattr(model, part, whole)
        else:
            inner.compile(backend="eager")
        with warnings.catch_warnings():
            # torch's compiler looks at gradients that are not there.
            warnings.simplefilter("ignore")
            # In all modes in which it may be explained: a new one is compiled anew, with the hooks that there are.
            for frozen in (True, False):
                model.requires_grad_(not frozen)
                model(torch.rand(1, 3, 16, 16))
                with torch.no_grad():
                    model(torch.rand(1, 3, 16, 16))
        return model

    return make


def in_inference_mode(eager: nn.Module, program: object) -> nn.Module:
    with torch.inference_mode():
        return copy.deepcopy(eager)


SAME: dict[str, tuple[Callable[[nn.Module, torch.export.ExportedProgram], object], str]] = {
    "exported program": (lambda eager, program: program, ""),
    "its module": (lambda eager, program: program.module(), ""),
    "its module unflattened": (lambda eager, program: torch.export.unflatten(program), ""),
    "traced by fx": (lambda eager, program: torch.fx.symbolic_trace(eager), ""),
    "compiled": (compiled("", "wrapped"), ""),
    "compiled in place": (compiled("", "in place"), ""),
    "a compiled layer": (compiled("mid", "wrapped"), ""),
    "a layer compiled in place": (compiled("mid", "in place"), ""),
    "a layer inside a compiled one": (compiled("enc", "wrapped"), "enc -> enc._orig_mod"),
    "data parallel": (lambda eager, program: nn.DataParallel(eager), ""),
    "data parallel inside": (lambda eager, program: Holding(nn.DataParallel(eager)), "-> inner.module."),
    "functional_call": (
        lambda eager, program: Holding(
            eager, lambda m, x: torch.func.functional_call(m, dict(m.named_parameters()), (x,))
        ),
        "-> inner.",
    ),
}


def renamed(path: str, rule: str) -> str:
    old, _, new = rule.partition("-> ")
    return path.replace(old.strip(), new, 1) if old.strip() else new + path


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("kind", SAME)
def test_maps_are_those_of_the_eager_network(kind: str, eager: nn.Module, exported: object, image: np.ndarray):
    make, rule = SAME[kind]
    given = make(eager, exported)  # type: ignore[arg-type]
    other, plain = sl.load(given, convention=PLAIN), sl.load(eager, convention=PLAIN)
    paths = ("enc.0", "mid#0", "mid#1", "head")
    with untouched(other):
        for path in paths:
            expected = sl.explain(plain, image, sl.LayerCAM(path), sl.Target(1))
            found = sl.explain(other, image, sl.LayerCAM(renamed(path, rule)), sl.Target(1))
            assert np.abs(expected.map).max() > 0, "the tap of the eager network saw nothing"
            np.testing.assert_allclose(found.map, expected.map, rtol=1e-4, atol=1e-7)
        for method in (sl.Saliency(), sl.IntegratedGradients(nodes=4, gap=1.0)):
            expected, found = (sl.explain(n, image, method, sl.Target(1)) for n in (plain, other))
            np.testing.assert_allclose(found.map, expected.map, rtol=1e-4, atol=1e-7)
        runs = {layer.path: layer.runs for layer in sl.layer_tree(other, image)}
        assert (runs[renamed("enc.0", rule)], runs[renamed("mid", rule)]) == (1, 2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("kind", [kind for kind in SAME if "compiled" in kind])
def test_a_later_pass_is_tapped_too(kind: str, eager: nn.Module):
    """The first pass is observed, which alone makes torch compile anew; those that follow are not."""
    make, rule = SAME[kind]
    network = sl.load(make(eager, None), convention=PLAIN)  # type: ignore[arg-type]
    path, x = renamed("enc.0", rule), torch.rand(1, 3, 16, 16)
    with capture(network, [path]) as taps:
        for _ in range(3):
            network(x)
            torch.testing.assert_close(taps[path], eager.get_submodule("enc.0")(x))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_compiled_layers_are_differentiated_twice(eager: nn.Module):
    """What torch compiles with its gradient has no second one; inside `capture` it runs as it was written."""
    model = copy.deepcopy(eager)
    model.enc = torch.compile(model.enc, backend="aot_eager")  # type: ignore[assignment]
    x = torch.rand((1, 3, 16, 16), generator=torch.Generator().manual_seed(2), requires_grad=True)
    second: list[Tensor] = []
    for module in (eager, model):
        network = sl.load(module, convention=PLAIN)
        with capture(network, twice=True):
            (slope,) = torch.autograd.grad(network(x).pow(2).sum(), x, create_graph=True)
            second.append(torch.autograd.grad(slope.pow(2).sum(), x)[0])
    assert second[0].abs().max() > 0
    torch.testing.assert_close(second[1], second[0])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_an_eager_hook_would_have_seen_nothing(eager: nn.Module, exported: torch.export.ExportedProgram):
    """The traps are real: plain hooks on these objects stay silent. Where torch mends one, this test tells."""
    x = torch.rand(2, 3, 16, 16)
    seen: list[str] = []

    def hook(name: str) -> Callable[..., None]:
        return lambda *_: seen.append(name)

    module = exported.module()
    module.get_submodule("mid").register_forward_hook(hook("exported"))
    module(x)
    for part, when, path in (("enc", "wrapped", "enc._orig_mod.0"), ("", "in place", "enc.0")):
        inner = compiled(part, when)(eager, None)
        inner.get_submodule(path).register_forward_hook(hook(when))
        # In the mode in which it was compiled: any other compiles it anew, with the hook.
        with torch.no_grad():
            inner(x[:1])
    assert seen == []


def test_dynamic_sizes_are_kept(eager: nn.Module):
    h, w = torch.export.Dim("h", min=4) * 2, torch.export.Dim("w", min=4) * 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(
            eager, (torch.rand(2, 3, 16, 16),), dynamic_shapes=({0: torch.export.Dim("b"), 2: h, 3: w},)
        )
        given = [program, program.module(), torch.export.unflatten(program)]
    for one in given:
        network = sl.load(one, convention=sl.load(one, convention=PLAIN).convention.to_dict() | {"divisor": 2})
        assert network.batch is None
        x = torch.rand(3, 3, 18, 24)
        with torch.no_grad():
            torch.testing.assert_close(network(x), eager(x))


@pytest.mark.filterwarnings("ignore::seglens.core.errors.GuessWarning")
def test_an_exported_program_tells_its_divisor(eager: nn.Module):
    sides = torch.export.Dim("h", min=4) * 2, torch.export.Dim("w", min=4) * 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(eager, (torch.rand(2, 3, 16, 16),), dynamic_shapes=({2: sides[0], 3: sides[1]},))
        for one in (program, program.module(), torch.export.unflatten(program)):
            assert sl.load(one).convention.divisor == 2


@pytest.mark.parametrize("how", ["script", "trace"])
@pytest.mark.parametrize("where", ["memory", "file", "inside"])
def test_torchscript_gives_gradients_and_refuses_layers(
    how: str, where: str, eager: nn.Module, image: np.ndarray, tmp_path: Path
):
    with warnings.catch_warnings():
        # torch.jit is deprecated as a whole.
        warnings.simplefilter("ignore")
        made = torch.jit.script(eager) if how == "script" else torch.jit.trace(eager, torch.rand(1, 3, 16, 16))
        if where == "file":
            torch.jit.save(made, tmp_path / "a.pt")
    given = {"memory": made, "file": tmp_path / "a.pt", "inside": Holding(made)}[where]
    network, layer = sl.load(given, convention=PLAIN), "inner.mid" if where == "inside" else "mid"
    expected = sl.explain(sl.load(eager, convention=PLAIN), image, "saliency", sl.Target(1))
    found = sl.explain(network, image, "saliency", sl.Target(1))
    np.testing.assert_allclose(found.map, expected.map, rtol=1e-4, atol=1e-7)
    with pytest.raises(CaptureError, match=rf"'{layer}' of \w+ cannot be tapped.*\n.*torch\.export"):
        sl.explain(network, image, sl.GradCAM(layer), sl.Target(1))


def test_what_no_tap_can_see_is_said(eager: nn.Module, image: np.ndarray):
    def directly(m: nn.Module, x: Tensor) -> Tensor:
        return m.head(m.mid.forward(m.enc(x)))  # type: ignore[operator,union-attr]

    def aside(m: nn.Module, x: Tensor) -> Tensor:
        m.mid(m.enc(x))  # type: ignore[operator]
        return m.head(m.enc(x))  # type: ignore[operator]

    def cut(m: nn.Module, x: Tensor) -> Tensor:
        with torch.no_grad():
            features = m.mid(m.enc(x))  # type: ignore[operator]
        return m.head(features)  # type: ignore[operator]

    for call, said in [(directly, "did not run"), (aside, "does not depend on the layer"), (cut, "does not depend on")]:
        network = sl.load(Holding(eager, call), convention=PLAIN)
        with untouched(network), pytest.raises(CaptureError, match=said):
            sl.explain(network, image, sl.GradCAM("inner.mid" if call is not cut else "inner.enc"), sl.Target(1))
    assert sl.explain(network, image, sl.LayerCAM("inner.head"), sl.Target(1)).map.any()


def test_weights_made_in_inference_mode_are_refused(eager: nn.Module, image: np.ndarray):
    model = in_inference_mode(eager, None)
    with pytest.raises(NetworkError, match=r"under torch\.inference_mode\(\).*\n.*copy\.deepcopy"):
        sl.explain(sl.load(model, convention=PLAIN), image, "saliency", sl.Target(1))
    mended = sl.load(copy.deepcopy(model), convention=PLAIN)
    assert sl.explain(mended, image, "saliency", sl.Target(1)).map.any()


def test_nothing_compiled_costs_no_import():
    """What looks after compiled layers is asleep while torch's compiler was not imported."""
    code = (
        "import sys, torch, seglens as sl; from torch import nn\n"
        "net = sl.load(nn.Conv2d(3, 2, 3, padding=1), convention={})\n"
        "sl.explain(net, torch.rand(8, 8, 3).numpy(), 'saliency', sl.Target(1))\n"
        "print('torch._dynamo' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
