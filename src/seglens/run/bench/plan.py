"""What the context-bias benchmark does: which networks it trains, on which pictures, and how many it explains."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from seglens.core.errors import ParameterError
from seglens.datasets.textured_digits import Bias, Twin
from seglens.networks.digits_unet import Backbone
from seglens.run.bench.roster import ENTRIES, check_names
from seglens.run.bench.training import FULL, QUICK, SMALL, Recipe

Size = Literal["quick", "small", "full"]
Strength = Literal["strong", "weak"]
STRENGTHS: tuple[Strength, ...] = get_args(Strength)
Kind = Literal["unbiased", "weak", "strong", "twin"]

Use = Literal["train", "test", "choose-train", "choose-test"]
_USES: tuple[Use, ...] = get_args(Use)

TEXTURES: tuple[int, ...] = (3, 7, 12, 16, 21)
"""The textures that biases are tied to, by index; as the paper's five, without regard to how they look."""

CHOICES = ("black", "0.25", "0.5", "0.75", "white", "mean", "blur")
"""Fills among which one is chosen; of equal ones the first."""


def stream(seed: int, use: Use) -> int:
    """The seed of the pictures for one use: those of different uses never meet, whatever the seeds.

    What is chosen is chosen on the streams of 'choose-…', and what is reported comes from the others.
    """
    return len(_USES) * seed + _USES.index(use)


@dataclass(frozen=True, slots=True)
class Part:
    """One network: what it is trained on, and what for.

    plant: what its training pictures tie to what; None for the unbiased ones. seed: of the weights and the pictures.
    choosing: whether parameters are chosen on it; such a network is in no result.
    """

    plant: Bias | Twin | None
    seed: int
    choosing: bool = False

    @property
    def kind(self) -> Kind:
        """What its pictures tie together, in one word."""
        if self.plant is None:
            return "unbiased"
        return "twin" if isinstance(self.plant, Twin) else self.plant.strength

    @property
    def digit(self) -> int | None:
        """The class that is known by a texture."""
        return None if self.plant is None else self.plant.digit

    @property
    def texture(self) -> int | None:
        """That texture, by index."""
        return None if self.plant is None else self.plant.texture

    def pictures(self, images: int) -> list[int]:
        """Which pictures are explained of it, of a data set that shows picture i as i % 10: the first ones of a class.

        Of an unbiased network all classes alike; of twins the two, as nothing is planted elsewhere. Of a biased one
        half show its digit, of which CBL is measured, and half the others in turn.
        """
        match self.plant:
            case Twin():
                return _of_classes(images, (self.plant.digit, self.plant.other))
            case Bias():
                mine = self.plant.digit
                others = tuple(c for c in range(10) if c != mine)
                return sorted(_of_classes(-(-images // 2), (mine,)) + _of_classes(images // 2, others))
            case None:
                return _of_classes(images, tuple(range(10)))

    @property
    def name(self) -> str:
        """Such as strong-digit2-texture7-seed0: for files and people."""
        words = [self.kind]
        if isinstance(self.plant, Twin):
            words.append(f"digits{self.plant.digit}and{self.plant.other}-texture{self.plant.texture}")
        elif self.plant is not None:
            words.append(f"digit{self.plant.digit}-texture{self.plant.texture}")
        return "-".join([*words, f"{'choosing' if self.choosing else 'seed'}{self.seed}"])

    @property
    def short(self) -> str:
        """Such as strong 2-t7-s0: for a line of progress."""
        seed = f"{'c' if self.choosing else 's'}{self.seed}"
        if self.plant is None:
            return f"unbiased {seed}"
        digits = "+".join(map(str, (self.plant.digit, *([self.plant.other] if isinstance(self.plant, Twin) else []))))
        return f"{self.kind} {digits}-t{self.plant.texture}-{seed}"

    def stream(self, use: Literal["train", "test"]) -> int:
        """The seed of its pictures for training or testing."""
        if not self.choosing:
            return stream(self.seed, use)
        return stream(self.seed, "choose-train" if use == "train" else "choose-test")


def _of_classes(images: int, classes: Sequence[int]) -> list[int]:
    """Indices of the first `images` pictures of those classes, in turn."""
    found = [i for i in range(10 * -(-images // len(classes))) if i % 10 in classes]
    return found[:images]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The benchmark at one size.

    digits, textures, strengths: every combination is a biased network, for each of `seeds` seeds; beside them one
    unbiased network a seed, and for each seed and digit a network of twins, their textures in turn. choosing: twins of
    other seeds, on which the fill is chosen. recipe: of the training; its seed is the network's.
    training: pictures to train on. images: pictures explained of each network (`Part.pictures`). scored: unbiased
    pictures on which the IoU is measured. methods: names of `ENTRIES`. mnist, texture_folder: the user's own; None for
    the built-in ones.

    Raises ParameterError for a plan that cannot be carried out, NameNotFoundError for an unknown method.
    """

    size: Size
    digits: tuple[int, ...]
    textures: tuple[int, ...]
    strengths: tuple[Strength, ...]
    seeds: int
    choosing: int
    recipe: Recipe
    training: int
    images: int
    scored: int
    methods: tuple[str, ...] = tuple(ENTRIES)
    mnist: Path | None = None
    texture_folder: Path | None = None

    def __post_init__(self) -> None:
        for name, low, high in (("digits", 0, 9), ("textures", 0, None)):
            values: tuple[int, ...] = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ParameterError(f"{name} = {values}: name at least one, and each once.")
            if min(values) < low or (high is not None and max(values) > high):
                raise ParameterError(f"{name} = {values}: they go from {low}{f' to {high}' if high else ''}.")
        if not set(self.strengths) <= set(STRENGTHS):
            raise ParameterError(f"strengths = {self.strengths}: a bias is weak or strong.")
        for name, least in (("seeds", 1), ("choosing", 1), ("training", 1), ("images", 10), ("scored", 10)):
            if getattr(self, name) < least:
                why = " (one picture of each digit)" if least == 10 else ""
                raise ParameterError(f"{name} = {getattr(self, name)}: at least {least}{why}.")
        if len(set(self.methods)) < len(self.methods) or not self.methods:
            raise ParameterError(f"methods = {', '.join(self.methods)}: name at least one, and each once.")
        check_names(self.methods)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Every network, in the order in which they are trained: choosing, unbiased, twins, biased."""
        return tuple(self._parts())

    def _parts(self) -> Iterator[Part]:
        seeds = range(self.seeds)
        yield from (Part(self._twin(i), i, choosing=True) for i in range(self.choosing))
        yield from (Part(None, seed) for seed in seeds)
        for seed in seeds:
            yield from (Part(self._twin(seed * len(self.digits) + i), seed) for i in range(len(self.digits)))
        for strength in self.strengths:
            for seed in seeds:
                for digit in self.digits:
                    yield from (Part(Bias(digit, texture, strength), seed) for texture in self.textures)

    def _twin(self, i: int) -> Twin:
        """Twins i: digits in turn, and each digit meets every texture before one comes again."""
        turn, which = divmod(i, len(self.digits))
        digit, texture = self.digits[which], self.textures[(which + turn) % len(self.textures)]
        return Twin(digit, (digit + 5) % 10, texture)


SIZES: dict[Size, Plan] = {
    "quick": Plan(
        size="quick",
        digits=(2,),
        textures=TEXTURES[:1],
        strengths=("strong",),
        seeds=1,
        choosing=1,
        recipe=QUICK,
        training=2_000,
        images=12,
        scored=200,
    ),
    "small": Plan(
        size="small",
        digits=(2, 4, 7),
        textures=TEXTURES[:2],
        strengths=STRENGTHS,
        seeds=2,
        choosing=2,
        recipe=SMALL,
        training=10_000,
        images=50,
        scored=1_000,
    ),
    "full": Plan(
        size="full",
        digits=tuple(range(10)),
        textures=TEXTURES,
        strengths=STRENGTHS,
        seeds=5,
        choosing=5,
        recipe=FULL,
        training=50_000,
        images=1_000,
        scored=1_000,
    ),
}
"""quick: seconds, to see that all runs, its numbers mean nothing. small: a laptop. full: the paper's."""


def plan_for(size: Size, *, encoder: Backbone | None = None, **changes: Any) -> Plan:
    """The plan of that size with some fields changed; those that are None stay. Raises as `Plan`.

    Strengths and methods come in the order of the tables, whatever order they are named in.
    """
    plan = SIZES[size]
    given = {name: value for name, value in changes.items() if value is not None}
    if "strengths" in given:
        given["strengths"] = tuple(s for s in STRENGTHS if s in given["strengths"]) or given["strengths"]
    if "methods" in given:
        check_names(given["methods"])
        given["methods"] = tuple(m for m in ENTRIES if m in given["methods"])
    plan = replace(plan, **given)
    return plan if encoder is None else replace(plan, recipe=replace(plan.recipe, encoder=encoder))
