"""Taps on the layers of a network: the only code that touches a user's module, and it leaves no trace."""

import random
import re
import sys
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor

from seglens.core.errors import BatchMixingWarning, CaptureError, NetworkError, RepeatedLayerWarning, ShapeError
from seglens.core.head import Head, is_pointwise
from seglens.core.layouts import Held, LayoutFollower
from seglens.core.network import Network
from seglens.core.twice import twice_differentiable

TAKES_NO_HOOKS = (
    "it is compiled TorchScript, which takes no hooks.\n"
    "  Methods that need no layer work. For the others export the network with torch.export to a .pt2 file and "
    "load that."
)
"""Why a layer cannot be read, and what to do."""

_CALL = re.compile(r"(?P<path>.*)#(?P<call>\d+)$")


def own(network: Network, x: Tensor) -> Tensor:
    """x for work inside `capture`: without history, on the network's device, and usable by autograd.

    float64 for a network in float64, else float32: sums over many passes are not to be taken in half precision.
    A tensor made under inference mode cannot be saved for a reverse pass, so it is copied.
    """
    exact = torch.float64 if network.dtype == torch.float64 else torch.float32
    x = x.detach().to(network.device, exact)
    return x.clone() if x.is_inference() else x


class Taps(Mapping[str, Tensor]):
    """What the tapped layers gave in the last forward pass, by the name under which they were asked for.

    A map is [B C *space], whatever form the layer gave it: tokens, windows and channels-last maps of known grid are
    brought into it. What has no known grid, and another number of axes than the image, is as the layer gave it.
    """

    def __init__(self, network: Network, names: Sequence[str]) -> None:
        self._network = network
        self._names = tuple(names)
        self._calls: dict[str, list[tuple[Tensor, Held]]] = {}
        self.head: Head | None = None
        self.dense: list[Head] = []

    def __getitem__(self, name: str) -> Tensor:
        """Output of a layer. Raises CaptureError where the layer did not run, or gave no tensor of numbers.

        Raises ShapeError for one that has as many axes as the image, but of which nobody knows that they are its own.
        A layer that runs several times in one pass gives its last call; 'name#k' asks for the k-th, from 0.
        """
        if name not in self._names:
            raise CaptureError(f"layer {name!r} was not tapped; tapped are: {', '.join(self._names)}.")
        path, call = split_call(name)
        calls = self._calls.get(path, [])
        if not calls:
            raise CaptureError(
                f"layer {name!r} exists in {self._network.name} but did not run in its forward pass, or gave no "
                f"tensor, so it has no map.\n  Layers that run: seglens layers {self._network.source}"
            )
        if call is not None and call >= len(calls):
            raise CaptureError(
                f"layer {path!r} runs {len(calls)} time(s) in one pass (numbered from 0); there is no call {call}."
            )
        if call is None and len(calls) > 1:
            warnings.warn(
                f"layer {path!r} runs {len(calls)} times in one pass; the last call is taken. "
                f"Name another as '{path}#0' … '{path}#{len(calls) - 1}'.",
                RepeatedLayerWarning,
                stacklevel=2,
            )
        tensor, held = calls[-1 if call is None else call]
        if held.doubtful:
            raise ShapeError(
                f"layer {name!r} of {self._network.name} gives {tuple(tensor.shape)}, and which of its axes run along "
                "the image was lost on the way there, so it is not taken for a map of channels over height and width."
                f"\n  Choose a layer with space: seglens layers {self._network.source}",
                tuple(tensor.shape),
            )
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def clear(self) -> None:
        """Forget what was seen; done before every forward pass of the network."""
        self._calls.clear()
        self.head = None
        self.dense = []

    def see(self, path: str, output: Tensor, held: Held) -> None:
        """Keep one call of a layer, and how its output held the map."""
        self._calls.setdefault(path, []).append((output, held))

    def asks(self, path: str, call: int) -> bool:
        """Whether a call of a layer is what a name asks for, as far as can be told before the pass is over."""
        return any(split_call(name) in ((path, call), (path, None)) for name in self._names)

    def count(self, path: str) -> int:
        """How many calls of a layer were kept in this pass."""
        return len(self._calls.get(path, ()))


def split_call(name: str) -> tuple[str, int | None]:
    """'path#k' as (path, k); a plain path as (path, None)."""
    match = _CALL.match(name)
    return (match["path"], int(match["call"])) if match else (name, None)


@contextmanager
def capture(
    network: Network,
    layers: Sequence[str] = (),
    *,
    head: bool = False,
    seen: Callable[[Tensor], None] | None = None,
    twice: bool = False,
) -> Generator[Taps]:
    """Evaluation mode, frozen parameters, gradients possible, and taps on `layers`; all undone at the end.

    A tapped output that does not depend on an earlier tap or on an input that requires a gradient is cut from
    what comes before it and made a leaf: derivatives by it then cost only the tail of the network behind it.
    What the layers behind receive is a copy, so that an in-place operation there cannot change what was kept.
    What is kept is the map [B C *space]: an output that holds it in another form (tokens [B N C] with class tokens,
    windows, channels last) is tapped in that form's map, and the layers behind receive the form again, with the map
    in its place. Forms are observed in the first pass with each shape of input; that costs no operation of the network.

    With `head`, the last pointwise linear layer that ran (a 1×1 convolution, or a dense layer on vectors) is noted
    in `taps.head`, and in `taps.dense` every dense layer that ran on vectors, in order. `seen` is called with every
    tapped tensor that is asked for (of a layer without a number each call's, which the next takes the place of) at the
    moment when the layer gives it. With `twice`, the passes can be differentiated twice, where fused attention and hard
    sigmoids alone could not.

    Put back, each by itself even if another fails: training flags module by module, `requires_grad` and `.grad`
    of parameters, buffers, hooks, the global random state, gradient and inference mode.
    Raises LayerNotFoundError for an unknown layer and CaptureError where the module refuses taps.
    """
    module = network.module
    taps = Taps(network, layers)
    paths = dict.fromkeys(split_call(name)[0] for name in layers)
    tapped = {path: network.layer(path) for path in paths}
    with ExitStack() as undo:
        undo.enter_context(torch.inference_mode(False))
        undo.enter_context(torch.enable_grad())
        if "torch._dynamo" in sys.modules:
            # Only then can anything have been compiled: parts that may run no hooks that came after them, and have no
            # second derivative.
            undo.enter_context(torch.compiler.set_stance("force_eager"))
        _keep_random_state(network.device, undo)
        _keep_buffers(module, undo)
        for m in module.modules():
            if m.training:
                undo.callback(setattr, m, "training", True)
                m.training = False
        for p in module.parameters():
            if p.is_inference():
                raise NetworkError(
                    f"{network.name} was made under torch.inference_mode(), so nothing can be differentiated through "
                    "its weights.\n  Build or load it outside of that, or give copy.deepcopy(model)."
                )
            undo.callback(_restore_grad, p, p.grad)
            if p.requires_grad:
                undo.callback(p.requires_grad_, True)
                p.requires_grad_(False)
        _warn_of_mixing(network)
        if twice:
            undo.enter_context(twice_differentiable())
        forms = _Forms(network.explained, observing=bool(tapped))
        undo.callback(forms.end)
        clear = _hook(module, "register_forward_pre_hook", lambda *_: taps.clear(), "", network)
        undo.callback(clear.remove)
        start = _hook(module, "register_forward_pre_hook", forms.start, "", network)
        undo.callback(start.remove)
        for path, layer in tapped.items():
            handle = _hook(layer, "register_forward_hook", partial(_tap, taps, forms, path, seen), path, network)
            undo.callback(handle.remove)
        end = _hook(module, "register_forward_hook", forms.end, "", network, always_call=True)
        undo.callback(end.remove)
        for path, layer in network.module.named_modules() if head else ():
            if is_pointwise(layer):
                handle = _hook(layer, "register_forward_hook", partial(_note_head, taps, path), path, network)
                undo.callback(handle.remove)
        try:
            yield taps
        finally:
            taps.clear()


class _Forms:
    """How tapped outputs hold their maps: observed in the first pass with each shape of input, then remembered."""

    def __init__(self, explained: int, observing: bool) -> None:
        self._explained = explained
        self._observing = observing
        self._follower: LayoutFollower | None = None
        self._known: dict[object, dict[tuple[str, int], tuple[Held, torch.Size]]] = {}
        self._key: object = None

    def start(self, module: nn.Module, args: Sequence[object]) -> None:
        """Before a pass of the network: observe it, if none like it was seen."""
        x = args[self._explained] if len(args) > self._explained else None
        self._key = tuple(a.shape for a in args if isinstance(a, Tensor))
        if not self._observing or not isinstance(x, Tensor) or x.ndim < 3 or is_functorch_wrapped_tensor(x):
            self._key = None
        elif self._key not in self._known:
            self._known[self._key] = {}
            self._follower = LayoutFollower()
            self._follower.__enter__()
            self._follower.root(x)

    def end(self, *outcome: object) -> None:
        """After a pass, also one that raised: what was seen of it then is not the whole."""
        if self._follower is not None:
            follower, self._follower = self._follower, None
            follower.__exit__(None, None, None)
            if outcome and outcome[-1] is None:
                del self._known[self._key]

    def held(self, path: str, call: int, t: Tensor) -> Held:
        """How the output of a layer's call holds its map; a network that cannot be observed gives maps as they are."""
        if self._key is None:
            return Held(True)
        known = self._known[self._key]
        if self._follower is not None:
            known[path, call] = self._follower.held(t), t.shape
        held, shape = known.get((path, call), (Held(False), t.shape))
        return held if shape == t.shape else Held(False)

    def hand_on(self, t: Tensor, instead_of: Tensor) -> Tensor:
        """What layers behind receive in the place of a layer's own output."""
        if self._follower is not None:
            self._follower.like(t, instead_of)
        return t


def _tap(
    taps: Taps,
    forms: _Forms,
    path: str,
    seen: Callable[[Tensor], None] | None,
    module: nn.Module,
    args: object,
    output: object,
) -> object:
    """Forward hook: keep the map in the layer's tensor, hand a copy of the tensor on."""
    given = first_tensor(output)
    if given is None or not given.is_floating_point():
        return None
    call = taps.count(path)
    held = forms.held(path, call, given)
    kept = given if held.form is None else held.form.to_map(given)
    if not kept.requires_grad:
        kept = kept.detach().clone().requires_grad_()
    taps.see(path, kept, held)
    if seen is not None and taps.asks(path, call):
        seen(kept)
    copy = kept.clone()
    handed = copy if held.form is None else held.form.from_map(copy, given)
    return _with_first_tensor(output, forms.hand_on(handed, given))


def _note_head(taps: Taps, path: str, module: nn.Module, args: Any, output: Any) -> None:
    """Forward hook, after any tap of the same layer: what it hands on is what the next layer receives."""
    weight = cast("Tensor", module.weight)
    if args and isinstance(args[0], Tensor) and (weight.ndim > 2 or args[0].ndim == 2):
        bias = cast("Tensor | None", module.bias)
        taps.head = Head(path, weight.detach().flatten(1), None if bias is None else bias.detach(), args[0], output)
        if weight.ndim == 2:
            taps.dense.append(taps.head)


def first_tensor(output: object) -> Tensor | None:
    """The tensor that a layer's output is about: itself, or the first one in a tuple, mapping or dataclass."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, tuple | list):
        parts = cast("Sequence[object]", output)
    elif isinstance(output, Mapping):
        parts = list(cast("Mapping[object, object]", output).values())
    elif is_dataclass(output):
        parts = [getattr(output, f.name) for f in fields(output)]
    else:
        return None
    return next((found for part in parts if (found := first_tensor(part)) is not None), None)


def _with_first_tensor(output: Any, tensor: Tensor) -> Any:
    """The same structure with its first tensor exchanged; the layer's own object is never changed."""
    if isinstance(output, Tensor):
        return tensor
    if isinstance(output, Mapping):
        key = next(k for k, part in output.items() if first_tensor(part) is not None)
        changed = {**output, key: _with_first_tensor(output[key], tensor)}
        return changed if type(output) is dict else cast("Any", type(output))(**changed)
    if is_dataclass(output) and not isinstance(output, type):
        name = next(f.name for f in fields(output) if first_tensor(getattr(output, f.name)) is not None)
        return replace(output, **{name: _with_first_tensor(getattr(output, name), tensor)})
    parts: list[Any] = list(cast("Sequence[Any]", output))
    at = next(i for i, part in enumerate(parts) if first_tensor(part) is not None)
    parts[at] = _with_first_tensor(parts[at], tensor)
    make = cast("Any", type(output))
    return make(*parts) if hasattr(output, "_fields") else make(parts)


def _hook(module: nn.Module, register: str, hook: Any, path: str, network: Network, **options: bool) -> Any:
    try:
        if path and isinstance(module, torch.jit.ScriptModule):
            # A traced one in memory takes hooks, and never calls them.
            raise RuntimeError("TorchScript")
        return getattr(module, register)(hook, **options)
    except (RuntimeError, AttributeError) as refused:
        if not path:
            # Only the root's bookkeeping: a module without hooks can still be called and differentiated.
            return _Nothing()
        raise CaptureError(f"layer {path!r} of {network.name} cannot be tapped: {TAKES_NO_HOOKS}") from refused


class _Nothing:
    def remove(self) -> None:
        """Nothing was registered."""


def _keep_random_state(device: torch.device, undo: ExitStack) -> None:
    """A network may draw in its forward pass, from any of the usual global generators."""
    undo.callback(random.setstate, random.getstate())
    undo.callback(np.random.set_state, np.random.get_state())  # noqa: NPY002  (the global one is what is kept)
    undo.callback(torch.set_rng_state, torch.get_rng_state())
    if device.type == "cuda":
        undo.callback(torch.cuda.set_rng_state, torch.cuda.get_rng_state(device), device)


def _keep_buffers(module: nn.Module, undo: ExitStack) -> None:
    """Buffers may change in a forward pass even in evaluation mode, or be replaced by other tensors."""
    for owner in module.modules():
        for name, buffer in list(owner._buffers.items()):  # pyright: ignore[reportPrivateUsage]
            if buffer is not None:
                undo.callback(_restore_buffer, owner, name, buffer, buffer.detach().clone())


def _restore_buffer(owner: nn.Module, name: str, buffer: Tensor, value: Tensor) -> None:
    same = buffer.dtype == value.dtype and buffer.shape == value.shape
    if not same or not torch.equal(buffer, value):
        # Compared first: an untouched buffer is not written to, so that its version and its sharing stay.
        with torch.no_grad():
            buffer.copy_(value)
    # Written directly: register_buffer would make a non-persistent buffer persistent.
    owner._buffers[name] = buffer  # pyright: ignore[reportPrivateUsage]


def _restore_grad(parameter: nn.Parameter, grad: Tensor | None) -> None:
    if parameter.grad is not grad:
        parameter.grad = grad


def _warn_of_mixing(network: Network) -> None:
    for name, m in network.module.named_modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.running_mean is None:  # pyright: ignore[reportPrivateUsage]
            warnings.warn(
                f"{network.name} normalises over the batch even in evaluation mode (layer {name!r} keeps no "
                "running statistics): images explained together influence each other. Explain them one by one.",
                BatchMixingWarning,
                stacklevel=4,
            )
            return
