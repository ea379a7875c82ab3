"""How long a run of many stages still takes, from what its finished stages took."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Moment:
    """A stage begins. what: in words. number: from 1. total: of all stages. left: seconds to go, NaN where unknown."""

    what: str
    number: int
    total: int
    left: float


Listener = Callable[[Moment], None]


class Clock:
    """Counts stages in their order, and says of each, as it begins, how long is left.

    kinds: of all stages, such as "train" or a method's name: stages of one kind take alike. A kind of which none has
    been done is taken to last as the mean of the others; stages that were done before this run last no time.
    """

    def __init__(self, kinds: Sequence[str], listener: Listener | None) -> None:
        self._waiting = list(kinds)
        self._total = len(kinds)
        self._took: defaultdict[str, list[float]] = defaultdict(list)
        self._listener = listener

    def begin(self, what: str) -> None:
        """The next stage begins."""
        if self._listener is not None:
            self._listener(Moment(what, self._total - len(self._waiting) + 1, self._total, self.left))

    def end(self, seconds: float | None) -> None:
        """That stage is done, in so many seconds; None where it was done before this run."""
        kind = self._waiting.pop(0)
        if seconds is not None:
            self._took[kind].append(seconds)

    @property
    def left(self) -> float:
        """Seconds to go, at most: what waits may turn out to be done already."""
        means = {kind: sum(took) / len(took) for kind, took in self._took.items()}
        if not means:
            return float("nan")
        usual = sum(means.values()) / len(means)
        return sum(means.get(kind, usual) for kind in self._waiting)
