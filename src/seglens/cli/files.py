"""Files that commands are to write: what cannot be written, or would replace an input, is refused before any work."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from seglens.core.errors import NameNotFoundError
from seglens.core.images import expand_paths
from seglens.core.saving import form_of
from seglens.run.results import check_format, formats
from seglens.run.sets import names_set

FOLDER = Path("explanations")
"""Where explanations go by default."""


def image_files(patterns: Sequence[str]) -> list[Path]:
    """Image files that files, folders and globs name. Raises typer.BadParameter for a data set's name; ImageError."""
    for text in patterns:
        if names_set(text) and not Path(text).exists():
            raise typer.BadParameter(
                f"{text!r} is a data set, and this command takes image files.\n"
                f"  Its pictures are had in Python: seglens.open_dataset({text!r})[0].image.",
                param_hint="IMAGES",
            )
    return expand_paths(patterns)


def check_files(files: Iterable[Path], formats: Sequence[str], inputs: Iterable[Path | None]) -> None:
    """Raise typer.BadParameter for a file whose suffix is none of `formats`, or that is one of `inputs`."""
    inputs, listed = list(inputs), ", ".join(f".{name}" for name in formats)
    for file in files:
        if form_of(file, formats) not in formats:
            raise typer.BadParameter(
                f"cannot tell from {file.name!r} what to write: give a suffix of {listed}.", param_hint="--out"
            )
        _check_input(file, inputs)


@dataclass(frozen=True, slots=True)
class Places:
    """Where a command writes: into `folder`, in the forms of `suffixes`, or to `files`, each in the form it is named
    for."""

    folder: Path | None
    files: tuple[Path, ...]
    suffixes: tuple[str, ...]


def places_of(out: Sequence[Path], format: str | None, inputs: Iterable[Path | None]) -> Places:
    """What --out and --format say: one folder, or files; a file has a suffix, and no folder has its name.

    format: for a folder, names joined by commas; png where it says nothing. Raises typer.BadParameter for what cannot
    be written, or would replace an input.
    """
    files = tuple(dict.fromkeys(p for p in out if p.suffix and not p.is_dir()))
    folders = [p for p in dict.fromkeys(out) if p not in files]
    if len(folders) > 1 or (folders and files):
        listed = ", ".join(map(str, out))
        raise typer.BadParameter(f"{listed}: name one folder, or one file or several.", param_hint="--out")
    if folders:
        return Places(folders[0], (), _suffixes_for(folders[0], format))
    if format is not None:
        raise typer.BadParameter(f"{files[0].name} tells the format already.", param_hint="--format")
    inputs = list(inputs)
    for file in files:
        _check_input(file, inputs)
    try:
        return Places(None, files, tuple(check_format(form_of(file, formats())) for file in files))
    except NameNotFoundError as unknown:
        raise typer.BadParameter(f"{unknown}\n  A folder's name has no suffix.", param_hint="--out") from unknown


def _suffixes_for(folder: Path, format: str | None) -> tuple[str, ...]:
    if folder.exists() and not folder.is_dir():
        raise typer.BadParameter(f"{folder} is a file, not a folder.", param_hint="--out")
    try:
        return tuple(dict.fromkeys(check_format(name) for name in (format or "png").split(",")))
    except NameNotFoundError as unknown:
        raise typer.BadParameter(str(unknown), param_hint="--format") from unknown


def _check_input(file: Path, inputs: Iterable[Path | None]) -> None:
    if file.absolute() in {p.absolute() for p in inputs if p is not None}:
        raise typer.BadParameter(f"{file} is one of the inputs and would be replaced.", param_hint="--out")
