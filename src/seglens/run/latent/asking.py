"""Latent units as questions of many images at once: which are asked about, and what is said of them at the end."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from seglens.core.errors import ParameterError, SeglensError
from seglens.core.explanation import Explanation
from seglens.core.images import Source
from seglens.core.method import Method
from seglens.core.network import Network, Of
from seglens.core.targets import Target
from seglens.generative.coder import LatentOf, is_coder
from seglens.run.explain import Failure, Precision
from seglens.run.latent.attention import (
    Posterior,
    averaged,
    count_of,
    is_conditional,
    named,
    sum_of,
    units_of,
    units_of_image,
)
from seglens.run.latent.coding import Coding, Condition
from seglens.run.several import EVERY_IMAGE, Given, Outcome, Question, explain_all

WORDS = ("all", "mean", "sum")
"""What stands for units: each of them; the mean of the maps of those named, or of all; their sum as one score."""


@dataclass(frozen=True, slots=True)
class _Sum(Question):
    """Σ z_i of some units as one score."""

    units: tuple[int, ...] = ()

    def target(self, label: str | int) -> Target:
        """The sum, whatever the label."""
        return Target(sum_of(self.units), None, self.of, self.reduce)


def has_units(network: Network) -> bool:
    """Whether a network gives units that are no classes."""
    return network.link == "none"


@dataclass(slots=True, eq=False)
class AskedUnits:
    """The units asked of images, as questions to `explain_all`, and what is made of its outcomes.

    network: of the units, or the autoencoder whose they are. targets: by what explanations call them. read, seed,
    condition: as of `latent_attention`.
    """

    network: Network
    read: LatentOf
    seed: int
    condition: Condition
    questions: list[Question]
    targets: dict[str, Target]
    mean: bool
    seen: list[Posterior] = field(default_factory=list[Posterior])

    @classmethod
    def of(
        cls,
        network: Network,
        image: Source,
        words: Sequence[str],
        *,
        read: LatentOf = "mu",
        seed: int = 0,
        condition: Condition = None,
        against: str | None = None,
        of: Of | None = None,
    ) -> "AskedUnits":
        """From numbers and WORDS, as a person types them; the image only tells how many units an encoder has.

        Raises NetworkError for a network without units; ParameterError for a unit that is not there, and for other
        words.
        """
        if not is_conditional(network):
            units_of(network, read, seed, condition)  # which refuses what does not fit
        elif isinstance(condition, Mapping):
            Coding.of(network).check_names(condition)
        d = count_of(network, image)
        numbers = [_number(word, d, network.name) for word in words if word not in WORDS]
        chosen = list(dict.fromkeys(numbers)) if numbers and "all" not in words else list(range(d))
        if against is not None:
            _number(against, d, network.name)
        questions: list[Question] = []
        if not set(words) <= {"sum"}:
            questions = [Question(str(i), against, None, of) for i in chosen]
        if "sum" in words:
            questions.append(_Sum("sum", None, None, of, units=tuple(chosen)))
        targets = [q.target(q.label or "") for q in questions]
        named = {str(t.terms): t for t in targets}
        return cls(network, read, seed, condition, questions, named, "mean" in words)

    def explain_all(
        self,
        given: Sequence[Given],
        methods: Sequence[Method],
        questions: Sequence[Question],
        *,
        layers: Sequence[str] | Literal["all"] | None = None,
        precision: Precision | None = None,
        cost: bool = False,
        step: Callable[[str, str], None] | None = None,
    ) -> Iterator[Outcome]:
        """`several.explain_all` of the units, with what belongs to units in its outcomes.

        Where there is a condition, images go one by one, each with its own.
        """
        for part in [[g] for g in given] if is_conditional(self.network) else [given]:
            try:
                network, told = units_of_image(self.network, part[0].image, self.read, self.seed, self.condition)
            except EVERY_IMAGE:
                raise
            except SeglensError as failed:
                yield Outcome(part[0], failures=[Failure(part[0].image.name, failed)])
                continue
            found = explain_all(
                network, part, methods, questions, layers=layers, precision=precision, cost=cost, step=step
            )
            for outcome in found:
                yield self._finished(outcome, network, told)

    def _finished(self, outcome: Outcome, network: Network, told: Sequence[str]) -> Outcome:
        """An image's explanations with their units' posterior and names, averaged where that was asked for."""
        posterior = Posterior.of(network, outcome.given.image) if outcome.explanations else None
        if posterior is not None:
            self.seen.append(posterior)
        found: list[Explanation] = []
        single: dict[tuple[str, str | None], list[tuple[Explanation, Target]]] = {}
        for e in outcome.explanations:
            target = self.targets.get(e.channel)
            if target is None:
                found.append(e)
            elif self.mean and len(target.terms.terms) == 1:
                single.setdefault((e.method, e.layer), []).append((named(e, target), target))
            else:
                e = named(e, target)
                found.append(e if posterior is None else posterior.beside(e, target))
        for units in single.values():
            mean = averaged([e for e, _ in units])
            numbers = [i for _, t in units for i, _ in t.terms.terms]
            found.append(mean if posterior is None else mean.with_notes(posterior.notes(numbers)))
        return replace(outcome, explanations=[e.with_notes(told) for e in found], notes=told)

    def close(self) -> None:
        """A DeadUnitWarning for units that said nothing of the image, or of several on average."""
        if self.seen:
            every = self.seen[0]
            for one in self.seen[1:]:
                every = every.with_more(one)
            single = [t.terms.terms for t in self.targets.values() if len(t.terms.terms) == 1]
            every.warn([i for ((i, _),) in single])


def _number(word: str, d: int, name: str) -> int:
    """The unit of that number. Raises ParameterError."""
    if not word.strip().isdigit():
        raise ParameterError(
            f"{word!r} is no latent unit: {name} has {d}, numbered from 0.\n"
            f"  Give numbers, or {', '.join(WORDS[:-1])} or {WORDS[-1]}."
        )
    if int(word) >= d:
        raise ParameterError(f"no unit {word}: {name} has {d}, numbered from 0 to {d - 1}.")
    return int(word)


def condition_of(network: Network, texts: Sequence[str]) -> dict[str, float] | None:
    """A condition typed as NAME=VALUE, one for each entry; None where nothing was. Raises ParameterError."""
    if not texts:
        return None
    if not is_coder(network.module):
        raise ParameterError(f"{network.name} is no conditional autoencoder, so no condition can be given.")
    found: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            raise ParameterError(f"a condition is written NAME=VALUE with a number, not {text!r}.") from None
    return found
