"""Where `seglens explain` puts what it computes: a folder, file by file, or one file at the end."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import typer

from seglens.cli.display import in_options
from seglens.cli.files import is_file, suffixes_of
from seglens.core.display import Display
from seglens.core.errors import ParameterError
from seglens.core.explanation import Explanation, save
from seglens.run.results import ResultFolder, Written
from seglens.run.several import Outcome


@dataclass(frozen=True, slots=True)
class Stored:
    """Files that were written. problem: why there is no picture, and raw values in its place; '' where all went well.

    images: those that the problem concerns.
    """

    files: list[Written] = field(default_factory=list[Written])
    problem: str = ""
    images: tuple[Path, ...] = ()


@dataclass(slots=True)
class Sink:
    """Where explanations go: a folder, file by file, or one file at the end."""

    folder: ResultFolder | None
    file: Path | None
    suffixes: tuple[str, ...]
    display: Display | None
    kept: list[Explanation] = field(default_factory=list[Explanation])
    images: list[Path] = field(default_factory=list[Path])

    @classmethod
    def of(
        cls,
        folder: ResultFolder,
        format: str | None,
        inputs: Sequence[Path | None],
        display: Display | None,
    ) -> "Sink":
        """From --out, which may be meant as a file.

        Raises typer.BadParameter for what cannot be written, would replace an input, or is not drawn and has a display.
        """
        out = folder.path
        suffixes = suffixes_of(out, format, inputs)
        if is_file(out):
            return cls(None, out, _drawn(suffixes, display), display)
        # Raw values first: they are kept even where a picture cannot be drawn.
        suffixes = tuple(sorted(suffixes, key=lambda s: s != "npz"))
        return cls(folder, None, _drawn(suffixes, display), display)

    def take(self, outcome: Outcome) -> Stored:
        """Write what belongs to one image, or keep it for the one file.

        Where the display cannot be worked out, the raw values are written nevertheless.
        """
        image, found = outcome.given.image, outcome.explanations
        if not found:
            return Stored()
        if self.folder is None:
            self.kept += found
            self.images.append(image)
            return Stored()
        # Looked up before: the raw values may be written twice.
        there = set(self.folder.path.glob("*.npz"))
        try:
            return Stored(self.folder.write(image, found, self.suffixes, self.display))
        except ParameterError as wrong:
            files = self.folder.write(image, found, ["npz"])
            return Stored([replace(w, replaced=w.path in there) for w in files], in_options(str(wrong)), (image,))

    def close(self) -> Stored:
        """Write the one file, where there is one and something to write; raw values where the display fails."""
        if self.file is None or not self.kept:
            return Stored()
        before = self.file.exists()
        try:
            return Stored([Written(save(self.kept, self.file, self.display), before)])
        except ParameterError as wrong:
            raw = save(self.kept, _free(self.file.with_suffix(".npz")))
            return Stored([Written(raw, False)], in_options(str(wrong)), tuple(self.images))


def _free(path: Path) -> Path:
    """The path, numbered where something is there: nobody asked to replace it, and it may be an input."""
    free, n = path, 1
    while free.exists():
        n += 1
        free = path.with_stem(f"{path.stem}-{n}")
    return free


def _drawn(suffixes: tuple[str, ...], display: Display | None) -> tuple[str, ...]:
    if display is not None and set(suffixes) == {"npz"}:
        raise typer.BadParameter(
            "--part, --within, --percentile and --shared concern pictures, and npz keeps every raw value: "
            "add a format such as png.",
            param_hint="--format",
        )
    return suffixes
