"""Where `seglens explain` puts what it computes: a folder, file by file, or files that hold all of it at the end."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import typer

from seglens.cli.display import in_options
from seglens.cli.files import Places
from seglens.core.display import Display
from seglens.core.errors import ParameterError
from seglens.core.explanation import RAW, Explanation, save
from seglens.core.saving import form_of
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
    """Where explanations go: a folder, file by file, or files that hold all of them at the end."""

    folder: ResultFolder | None
    files: tuple[Path, ...]
    suffixes: tuple[str, ...]
    display: Display | None
    kept: list[Explanation] = field(default_factory=list[Explanation])
    images: list[Path] = field(default_factory=list[Path])

    @classmethod
    def of(cls, places: Places, folder: ResultFolder | None, display: Display | None) -> "Sink":
        """From --out. folder: that of the places. Raises typer.BadParameter where a display is given and nothing is
        drawn."""
        if display is not None and set(places.suffixes) <= set(RAW):
            raise typer.BadParameter(
                f"--part, --within, --percentile and --shared concern pictures, and {places.suffixes[0]} keeps every "
                "raw value: add a format such as png.",
                param_hint="--format",
            )
        # Raw values first: they are kept even where a picture cannot be drawn.
        suffixes = tuple(sorted(places.suffixes, key=lambda s: s not in RAW))
        files = tuple(sorted(places.files, key=lambda p: form_of(p, RAW) not in RAW))
        return cls(folder, files, suffixes, display)

    def take(self, outcome: Outcome) -> Stored:
        """Write what belongs to one image, or keep it for the end.

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
        """Write the files that hold everything, where there are such; raw values where the display fails."""
        if not self.files or not self.kept:
            return Stored()
        written: list[Written] = []
        for file in self.files:
            before = file.exists()
            try:
                display = None if form_of(file, RAW) in RAW else self.display
                written.append(Written(save(self.kept, file, display), before))
            except ParameterError as wrong:
                if not written:
                    raw = save(self.kept, _free(file.with_suffix(".npz")))
                    written.append(Written(raw, False))
                return Stored(written, in_options(str(wrong)), tuple(self.images))
        return Stored(written)


def _free(path: Path) -> Path:
    """The path, numbered where something is there: nobody asked to replace it, and it may be an input."""
    free, n = path, 1
    while free.exists():
        n += 1
        free = path.with_stem(f"{path.stem}-{n}")
    return free
