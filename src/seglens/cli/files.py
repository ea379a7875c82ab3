"""Files that commands are to write: what cannot be written, or would replace an input, is refused before any work."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import typer

from seglens.core.errors import NameNotFoundError
from seglens.run.results import check_format


def check_files(files: Iterable[Path], formats: Sequence[str], inputs: Iterable[Path | None]) -> None:
    """Raise typer.BadParameter for a file whose suffix is none of `formats`, or that is one of `inputs`."""
    inputs, listed = list(inputs), ", ".join(f".{name}" for name in formats)
    for file in files:
        if file.suffix.lstrip(".").lower() not in formats:
            raise typer.BadParameter(
                f"cannot tell from {file.name!r} what to write: give a suffix of {listed}.", param_hint="--out"
            )
        _check_input(file, inputs)


def is_file(out: Path) -> bool:
    """Whether an --out that may be either is meant as a file: it has a suffix, and no folder has its name."""
    return bool(out.suffix) and not out.is_dir()


def suffixes_of(out: Path, format: str | None, inputs: Iterable[Path | None]) -> tuple[str, ...]:
    """What to write into the folder `out`, or the one suffix where it is a file.

    format: what --format says, names joined by commas; png where it says nothing. Raises typer.BadParameter for what
    cannot be written, or would replace an input.
    """
    if is_file(out):
        if format is not None:
            raise typer.BadParameter(f"{out.name} tells the format already.", param_hint="--format")
        _check_input(out, inputs)
    elif out.exists() and not out.is_dir():
        raise typer.BadParameter(f"{out} is a file, not a folder.", param_hint="--out")
    try:
        named = out.suffix if is_file(out) else (format or "png")
        return tuple(dict.fromkeys(check_format(name) for name in named.split(",")))
    except NameNotFoundError as unknown:
        if not is_file(out):
            raise typer.BadParameter(str(unknown), param_hint="--format") from unknown
        raise typer.BadParameter(f"{unknown}\n  A folder's name has no suffix.", param_hint="--out") from unknown


def _check_input(file: Path, inputs: Iterable[Path | None]) -> None:
    if file.absolute() in {p.absolute() for p in inputs if p is not None}:
        raise typer.BadParameter(f"{file} is one of the inputs and would be replaced.", param_hint="--out")
