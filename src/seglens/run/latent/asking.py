"""Latent units as questions of many images at once: which are asked about, and what is said of them at the end."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from seglens.core.errors import ParameterError
from seglens.core.explanation import Explanation
from seglens.core.images import Source
from seglens.core.network import Network, Of
from seglens.core.targets import Target
from seglens.generative.coder import LatentOf, is_coder
from seglens.run.latent.attention import Posterior, averaged, count_of, named, sum_of, units_of
from seglens.run.latent.coding import Condition
from seglens.run.several import Outcome, Question

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

    network: of the units. targets: by what explanations call them.
    """

    network: Network
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
        net = units_of(network, read, seed, condition)
        d = count_of(net, image)
        numbers = [_number(word, d, net.name) for word in words if word not in WORDS]
        chosen = list(dict.fromkeys(numbers)) if numbers and "all" not in words else list(range(d))
        if against is not None:
            _number(against, d, net.name)
        questions: list[Question] = []
        if not set(words) <= {"sum"}:
            questions = [Question(str(i), against, None, of) for i in chosen]
        if "sum" in words:
            questions.append(_Sum("sum", None, None, of, units=tuple(chosen)))
        targets = [q.target(q.label or "") for q in questions]
        return cls(net, questions, {str(t.terms): t for t in targets}, "mean" in words)

    def finished(self, outcome: Outcome) -> Outcome:
        """An image's explanations with their units' posterior and names, averaged where that was asked for."""
        posterior = Posterior.of(self.network, outcome.given.image) if outcome.explanations else None
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
        return replace(outcome, explanations=found)

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
