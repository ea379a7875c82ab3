"""Progress of a run of many stages, with the time left; an interruption says how to go on."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from seglens.cli import show
from seglens.core.progress import watching
from seglens.run.bench.clock import Listener, Moment


@contextmanager
def resumable(out: Path, silent: bool) -> Generator[Listener]:
    """Progress with the time left; an interruption says how to go on."""
    at: list[Moment] = []
    bars: list[show.Steps] = []
    try:
        with ExitStack() as shown:

            def begin(moment: Moment) -> None:
                # The first stage brings the number of all of them.
                if not bars:
                    bars.append(shown.enter_context(show.Steps(moment.total, silent)))
                at[:] = [moment]
                left = f", {lasting(moment.left)} left" if moment.left == moment.left else ""
                bars[0].begin(f"{moment.what}{left}")

            def within(what: str, done: int, total: int) -> None:
                if bars:
                    bars[0].within(what, done, total)

            with watching(within):
                yield begin
    except KeyboardInterrupt:
        if at:
            text = (
                f"{at[0].number - 1} of {at[0].total} stages are done and kept in {show.place(out)}: the same command "
                "goes on from there."
            )
            show.say(text, console=show.err())
        raise


def lasting(seconds: float) -> str:
    """A time for readers: 40 s, 12 min, 3.5 h, 2.1 days."""
    for unit, size, digits in (("days", 86_400, 1), ("h", 3_600, 1), ("min", 60, 0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:,.{digits}f} {unit}"
    return f"{seconds:.0f} s"
