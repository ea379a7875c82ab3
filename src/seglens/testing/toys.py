"""Toy networks with known answers: each sets a trap into which explanation tools have fallen.

Most are *twins*: built differently, yet the same function as another toy, so that a method must give the same maps.
Weights and pictures come from generators of their own: a toy is the same in every process.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from seglens.core.classes import ClassTable
from seglens.core.network import Network
from seglens.core.regions import box, everything, pixel, predicted
from seglens.core.targets import Target, channel
from seglens.testing import _modules as modules

NAMES = ("road", "car", "rider", "sky")
TARGETS = (
    Target("car", everything),
    Target(2, box(2, 3, 9, 12)),
    Target(channel("road") - channel("sky"), pixel(5, 7)),
    Target("sky", predicted("sky"), reduce="sum"),
    Target("car", box(0, 0, 6, 16) & ~box(2, 2, 4, 4), of="probabilities"),
)
"""Questions of every kind: all places, few and one, a mean and a sum, a class and a contrast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toy:
    """A network, a batch of inputs and questions.

    layer: one with space, for methods that read a layer. user: the module as its owner holds it (wrapped, say).
    twin: another toy whose maps, target by target, are the same; None where there is none.
    exact_twin: the twin's numbers are the same but for rounding; without, they pass through a logarithm.
    rectified: whether there are rectifiers on the way from the input to the scores.
    """

    network: Network
    x: Tensor
    targets: tuple[Target, ...] = TARGETS
    layer: str | None = "norm"
    user: nn.Module
    twin: "Toy | None" = None
    exact_twin: bool = True
    rectified: bool = True

    def rows(self, *rows: int) -> "Toy":
        """The same toy with these images only, in this order, and their rows of the extra inputs."""
        extra = tuple(e[list(rows)] for e in self.network.extra)
        return replace(self, x=self.x[list(rows)], network=self.network.with_(extra=extra))

    def asking(self, *targets: Target) -> "Toy":
        """The same toy with other questions."""
        return replace(self, targets=targets, twin=None)


def picture(seed: int, *shape: int) -> Tensor:
    """Values in 0..1, the same for the same seed."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


_PICTURES = picture(11, 3, 3, 12, 16)


def plain() -> Toy:
    """The toy of which most others are twins: nothing about it is a trap but a layer that never runs."""
    return _balanced(_toy(_made(modules.Plain, 0)))


def all_classes(classes: int) -> tuple[Target, ...]:
    """Most classes and a contrast over all pixels: more questions than a head has inputs; one over part."""
    whole = tuple(Target(k, everything) for k in range(classes - 2))
    part = Target(classes - 1, box(1, 2, 8, 11))
    return (*whole, part, Target(channel(3) - channel(0) * 0.5, everything))


def no_running_stats() -> Toy:
    """Batch norm that keeps no running statistics: images of a batch influence each other, lawfully."""
    net = _like(modules.Plain)
    net.add_module("norm", nn.BatchNorm2d(modules.WIDTH, track_running_stats=False))
    return _toy(net)


def many_classes() -> Toy:
    """More classes than channels enter the 1×1 head: derivatives may be shared, exactly."""
    net = _made(lambda: modules.Plain(classes=9), 52)
    return _unnamed(net, all_classes(9))


def unet() -> Toy:
    """Skip connection, full resolution, 1×1 head behind everything: derivatives may be shared, exactly."""
    return _unnamed(_made(modules.Unet, 2), all_classes(9))


def bypassed_head() -> Toy:
    """A path leads round the 1×1 head: derivatives may not be shared through it."""
    return _unnamed(_made(modules.Bypassed, 3), all_classes(9))


def odd() -> Toy:
    """11 × 13 pixels under stride 2: 6 × 7 scores."""
    return replace(plain(), x=picture(20, 2, 3, 11, 13))


def volume() -> Toy:
    """Volumes [B C D H W] of one channel and uneven sides."""
    net = _made(lambda: modules.Plain(channels=1, classes=3, dims=3), 4)
    questions = (
        Target(1, everything),
        Target(channel(2) - channel(0), box(1, 1, 1, 5, 6, 7)),
        Target(0, pixel(2, 3, 4), reduce="sum"),
    )
    return _unnamed(net, questions, picture(21, 2, 1, 5, 8, 9))


def multi_label() -> Toy:
    """Independent labels under a sigmoid: a pixel may have several classes, or none."""
    toy = plain()
    return replace(toy, network=toy.network.with_(link="sigmoid"))


def classifier() -> Toy:
    """No space in the output: one question each for a class, and a contrast."""
    questions = (Target("car"), Target("sky"), Target(channel("rider") - channel("road")))
    return _toy(_made(modules.Classifier, 8)).asking(*questions)


def many_class_classifier() -> Toy:
    """A dense head with more classes than inputs."""
    net = _made(lambda: modules.Classifier(classes=9), 6)
    return _unnamed(net, tuple(Target(k) for k in range(9)))


def encoder() -> Toy:
    """Latent units, which are no classes."""
    net = _made(lambda: modules.Classifier(classes=5), 7)
    questions = (Target(0), Target("4"), Target(channel(1) + channel(2)))
    toy = _unnamed(net, questions)
    return replace(toy, network=toy.network.with_(link="none"))


def two_inputs() -> Toy:
    """A condition comes before the explained image; each image has its own."""
    net = _made(modules.Conditioned, 8)
    toy = _toy(net)
    network = toy.network.with_(extra=(picture(22, 3, 5),), explained=1)
    return _balanced(replace(toy, network=network)).asking(*TARGETS[:3])


def tokens() -> Toy:
    """Attention between tokens, and no rectifier: layer 'ranked' gives [B N C] of no known places."""
    return _balanced(replace(_toy(_made(modules.Tokens, 9)), layer="patches", rectified=False))


def vanishing() -> Toy:
    """The head's weights are zero: scores that no pixel moves."""
    toy = plain()
    with torch.no_grad():
        toy.network.module.get_submodule("head").get_parameter("weight").zero_()
    return toy.asking(*TARGETS[:3])


def never_seen() -> Toy:
    """Class 'sky' is predicted nowhere."""
    toy = plain()
    with torch.no_grad():
        toy.network.module.get_submodule("head").get_parameter("bias")[3] = -1e4
    return toy.asking(Target("sky", predicted("sky")))


def broken_weights() -> Toy:
    """One weight is NaN."""
    toy = plain()
    with torch.no_grad():
        toy.network.module.get_submodule("body").get_parameter("weight")[2, 1, 0, 0] = torch.nan
    return toy


def failing(n: int) -> Toy:
    """The layer behind the norm fails at its n-th call; in its backward pass where n is 0."""
    toy = plain()
    net = toy.network.module
    net.add_module("second", modules.Failing(net.get_submodule("second"), n))
    return toy


def inplace() -> Toy:
    """In-place ReLUs behind the layers that are read: what was kept must not be overwritten."""
    return _twin(modules.InPlace)


def functional() -> Toy:
    """Functional and in-place functional ReLUs: no module to find."""
    return _twin(modules.Functional)


def reused() -> Toy:
    """One ReLU module, used twice."""
    return _twin(modules.Reused)


def frozen_norm() -> Toy:
    """Batch norm whose weights its owner froze; it must stay frozen, and the rest not."""
    toy = _twin(modules.Plain)
    toy.user.get_submodule("norm").requires_grad_(False)
    return toy


def train_mode() -> Toy:
    """Left in training mode, but for one layer."""
    toy = _twin(modules.Plain)
    toy.user.train().get_submodule("first").eval()
    return toy


def with_grads() -> Toy:
    """Every parameter holds a gradient that its owner still needs."""
    toy = _twin(modules.Plain)
    for p in toy.network.module.parameters():
        p.grad = torch.full_like(p, 0.25)
    return toy


def dropping() -> Toy:
    """Dropout, left in training mode."""
    toy = _twin(modules.Dropping)
    toy.user.train()
    return toy


def drawing() -> Toy:
    """Uses torch's global random state in forward."""
    return _twin(modules.Drawing)


def counting() -> Toy:
    """Buffers that change in forward."""
    return _twin(modules.Counting)


def tuple_layer() -> Toy:
    """The layer that is read returns a tuple."""
    toy = _twin(modules.TupleLayer, rename=("body.", "body.layer."))
    return replace(toy, layer="body", twin=replace(plain(), targets=toy.targets, layer="body"))


def data_parallel() -> Toy:
    """Wrapped in DataParallel."""
    toy = _twin(modules.Plain)
    wrapped = nn.DataParallel(toy.network.module)
    return replace(toy, user=wrapped, network=replace(toy.network, module=wrapped))


def binary() -> Toy:
    """One channel under a sigmoid, against its twin of two labels: class 1 scored by y, class 0 by −y.

    The twin's are independent labels: under a softmax, ±y would give σ(2y).
    """
    questions = (
        Target(1, everything, of="logits"),
        Target(0, box(2, 3, 9, 12), of="logits"),
        Target("foreground", predicted("foreground"), of="logits"),
    )
    toy = _balanced(_unnamed(_made(lambda: modules.Plain(classes=1), 10), questions))
    one = toy.network.module
    two = _built(lambda: modules.Plain(classes=2))
    state = one.state_dict()
    for name in ("head.weight", "head.bias"):
        state[name] = torch.cat([-state[name], state[name]])
    two.load_state_dict(state)
    table = ClassTable(("background", "foreground"))
    twin = _unnamed(two, questions)
    twin = replace(twin, network=twin.network.with_(classes=table, link="sigmoid"))
    return replace(toy, twin=twin)


def probabilities() -> Toy:
    """Softmax inside: its logits are logarithms of probabilities, in which a contrast is one of logits."""
    contrast = channel("car") - channel("sky")
    questions = (Target(contrast, everything), Target(contrast, box(2, 3, 9, 12)))
    net = _like(modules.Probable)
    # At the input's own resolution, so that nothing is interpolated between softmax and logarithm.
    twin = _toy(_unstrided(_like(modules.Plain))).asking(*questions)
    toy = replace(_toy(_unstrided(net)), targets=questions, twin=twin, exact_twin=False)
    return replace(toy, network=toy.network.with_(emits="probabilities"))


def binary_probabilities() -> Toy:
    """Sigmoid inside, one channel: log p − log(1 − p) is the logit."""
    logits = binary()
    net = _built(lambda: modules.Probable(classes=1))
    net.load_state_dict(logits.network.module.state_dict())
    twin = replace(logits, user=_unstrided(logits.network.module), twin=None)
    toy = replace(_unnamed(_unstrided(net), logits.targets), twin=twin, exact_twin=False)
    return replace(toy, network=toy.network.with_(emits="probabilities"))


TWINS: dict[str, Callable[[], Toy]] = {
    "in-place ReLU": inplace,
    "functional ReLU": functional,
    "one ReLU used twice": reused,
    "frozen batch norm": frozen_norm,
    "training mode": train_mode,
    "parameters with gradients": with_grads,
    "dropout": dropping,
    "random draws in forward": drawing,
    "buffers that change": counting,
    "dict": lambda: _structured("dict"),
    "dict with an unusual key": lambda: _structured("keyed", output="scores by class"),
    "tuple": lambda: _structured("tuple", output=1),
    "dataclass": lambda: _structured("dataclass"),
    "layer that gives a tuple": tuple_layer,
    "DataParallel": data_parallel,
    "one channel": binary,
    "softmax inside": probabilities,
    "sigmoid inside": binary_probabilities,
}
"""Toys with a twin, by the trap they set."""

OTHERS: dict[str, Callable[[], Toy]] = {
    "plain": plain,
    "odd sizes": odd,
    "volume": volume,
    "independent labels": multi_label,
    "classifier": classifier,
    "classifier of many classes": many_class_classifier,
    "encoder": encoder,
    "two inputs": two_inputs,
    "tokens": tokens,
    "many classes": many_classes,
    "U-Net": unet,
    "head with a way round": bypassed_head,
    "batch norm without running statistics": no_running_stats,
}
"""Toys that have none, and that every method is to explain."""

TOYS: dict[str, Callable[[], Toy]] = {**OTHERS, **TWINS}


def made(name: str) -> Toy:
    """The toy of that name, its network named so that messages say which it was."""
    toy = TOYS[name]()
    return replace(toy, network=toy.network.with_(name=f"toy '{name}'"))


def _built(make: Callable[[], nn.Module]) -> nn.Module:
    """A module in evaluation mode, made without a trace in the global random state."""
    with torch.random.fork_rng(devices=[]):
        return make().eval()


def _made(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    return modules.filled(_built(make), seed)


def _like(make: Callable[[], nn.Module], rename: tuple[str, str] = ("", "")) -> nn.Module:
    """A module with the weights of the plain toy, whose names begin otherwise by `rename`."""
    net = _built(make)
    old, new = rename
    state = plain().network.module.state_dict()
    if old:
        state = {new + k.removeprefix(old) if k.startswith(old) else k: v for k, v in state.items()}
    net.load_state_dict(state, strict=False)
    return net


def _balanced(toy: Toy) -> Toy:
    """The toy with every class's logits centred, so that each class wins somewhere."""
    with torch.no_grad():
        bias = toy.user.get_submodule("head").get_parameter("bias")
        bias -= toy.network(toy.x).transpose(0, 1).flatten(1).mean(1)
    return toy


def _unstrided(net: nn.Module) -> nn.Module:
    """At full resolution: the same weights without the stride."""
    cast("nn.Conv2d", net.get_submodule("body")).stride = (1, 1)
    return net


def _toy(net: nn.Module) -> Toy:
    network = Network(module=net, classes=ClassTable(NAMES), default_layer="norm", name="toy")
    return Toy(network=network, x=_PICTURES.clone(), user=net)


def _unnamed(net: nn.Module, targets: Sequence[Target], x: Tensor = _PICTURES) -> Toy:
    network = Network(module=net, default_layer="norm", name="toy")
    return Toy(network=network, x=x.clone(), targets=tuple(targets), user=net)


def _twin(make: Callable[[], nn.Module], rename: tuple[str, str] = ("", "")) -> Toy:
    # Two questions: the others are asked of the plain toy, and do not concern the trap.
    two = TARGETS[1:3]
    return replace(_toy(_like(make, rename)), targets=two, twin=plain().asking(*two))


def _structured(form: str, output: str | int | None = None) -> Toy:
    toy = _twin(lambda: modules.Structured(form))
    return replace(toy, network=toy.network.with_(output=output))
