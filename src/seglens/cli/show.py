"""What a terminal shows: tidy errors and warnings on stderr, tables and JSON on stdout."""

import math
import os
import re
import sys
import textwrap
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from errno import EPIPE
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from seglens.core.errors import SeglensError, SeglensWarning
from seglens.core.saving import as_json

TRACEBACK = "SEGLENS_TRACEBACK"
"""Environment variable: set to 1, errors come with their traceback."""

RIGHT: dict[str, Any] = {"justify": "right", "no_wrap": True}
"""A column of numbers."""

_TYPED = (
    (r"load\('([^']+)', constructor='([^']+)'\)", r"\1 --constructor \2"),
    (r"\bconstructor='([^']+)'", r"--constructor \1"),
    (r"\bconstructor=…", "--constructor …"),
    (r"\btrust=True\b", "--trust"),
    (r"\brelu=False\b", "--no-relu"),
)
"""Arguments as the library's messages name them, and as they are typed here."""

_NARROW = 20  # columns below which wrapping would do harm


def out() -> Console:
    """The console for results. Made anew each time: standard output may have been redirected since."""
    return Console(highlight=False)


_moving: list[Console] = []
"""Consoles on which something moves, the innermost last."""


def err() -> Console:
    """The console for progress, warnings and errors: while something moves, the one that lets lines through."""
    return _moving[-1] if _moving else Console(stderr=True, highlight=False)


@contextmanager
def _moves_on(console: Console) -> Generator[None]:
    _moving.append(console)
    try:
        yield
    finally:
        _moving.remove(console)


def say(text: str | Text = "", style: str = "", *, console: Console | None = None) -> None:
    """Lines of text, wrapped with their indentation where a person reads them, else as they are."""
    console = console or out()
    if isinstance(text, Text):
        console.print(text, soft_wrap=not console.is_terminal)
        return
    for line in text.splitlines() or [""]:
        indent = " " * (len(line) - len(line.lstrip()))
        if console.is_terminal and console.width > _NARROW:
            line = textwrap.fill(
                line, console.width, subsequent_indent=indent + "  ", break_long_words=False, break_on_hyphens=False
            )
        console.print(Text(line, style=style), soft_wrap=True)


def error(text: str) -> None:
    """An error: its first line in red, what helps below it."""
    first, _, rest = _typed(text).partition("\n")
    say(f"Error: {first}", "bold red", console=err())
    if rest:
        say(rest, console=err())


def warning(text: str) -> None:
    """A warning on one line."""
    say(f"Warning: {' '.join(_typed(text).split())}", "yellow", console=err())


def _typed(text: str) -> str:
    for argument, option in _TYPED:
        text = re.sub(argument, option, text)
    return text


def failure(image: str, text: str) -> None:
    """The error of one image among several, with its name, which the text may have already."""
    error(text if text.startswith(image) else f"{image}: {text}")


@contextmanager
def reported() -> Generator[None]:
    """Run a command so that errors and warnings of seglens are said, not thrown.

    Exit code 1 for errors, 130 after an interruption. What seglens did not foresee keeps its traceback.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", SeglensWarning)
        otherwise, said = warnings.showwarning, set[str]()

        def tidy(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if not issubclass(category, SeglensWarning):
                otherwise(message, category, *where, **more)
            elif str(message) not in said:
                said.add(str(message))
                warning(str(message))

        warnings.showwarning = tidy
        try:
            yield
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except KeyboardInterrupt:
            say("Interrupted.", "bold red", console=err())
            raise typer.Exit(130) from None
        except (SeglensError, OSError) as failed:
            # A reader that closed the pipe is no error of ours; the shell around knows what to do.
            if os.environ.get(TRACEBACK, "0") not in ("", "0") or getattr(failed, "errno", None) == EPIPE:
                raise
            error(str(failed))
            raise typer.Exit(1) from None
        except Exception as bug:
            bug.add_note("This is a fault in seglens, not in your input: please report it with these lines.")
            raise


@contextmanager
def busy(what: str) -> Generator[None]:
    """A spinner on stderr while something of unknown length runs; nothing where nobody watches."""
    console = err()
    if console.is_terminal:
        with console.status(what), _moves_on(console):
            yield
    else:
        yield


class Steps:
    """A progress bar on stderr over work of known length, which makes way while results are printed."""

    def __init__(self, total: int | None, silent: bool) -> None:
        console = err()
        self._moving = _moves_on(console)
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=silent or not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total)
        self._begun = False
        self._what = ""

    def __enter__(self) -> "Steps":
        self._bar.start()
        self._moving.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._moving.__exit__(None, None, None)
        self._bar.stop()

    def begin(self, what: str) -> None:
        """The next piece of work begins; the one before is done."""
        if self._begun:
            self._bar.advance(self._task)
        self._begun = True
        self._what = what
        self._bar.update(self._task, description=what)

    def within(self, what: str, done: int, total: int) -> None:
        """How far the piece of work has come: a listener for `seglens.core.progress`."""
        self._bar.update(self._task, description=f"{self._what} · {what} {done}/{total}")

    @contextmanager
    def aside(self) -> Generator[None]:
        """Off the screen while the block prints."""
        self._bar.stop()
        yield
        self._bar.start()


def dump(value: Any) -> None:
    """JSON on stdout. NaN and infinities, which JSON lacks, are null."""
    sys.stdout.write(as_json(value) + "\n")


def table(*columns: tuple[str, dict[str, Any]]) -> Table:
    """A table without walls: headings, a line, rows."""
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for title, how in columns:
        drawn.add_column(title, **how)
    return drawn


def swatch(colour: tuple[int, int, int]) -> Text:
    """A class's colour, to stand before its name."""
    return Text("██ ", style="rgb({},{},{})".format(*colour))


def number(value: float | None, digits: int = 4) -> str:
    """A number for readers; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{digits}g}"


def place(path: Path) -> str:
    """A path as short as it can be typed from here."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def wrote(path: Path, replaced: bool = False) -> None:
    """That a file was written."""
    say(f"  → {place(path)}{' (replaced)' if replaced else ''}")
