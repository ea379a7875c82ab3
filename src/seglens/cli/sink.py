"""Where `seglens explain` puts what it computes: a folder, file by file, or one file at the end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import typer

from seglens.cli.files import is_file, suffixes_of
from seglens.core.display import Display
from seglens.core.explanation import Explanation, save
from seglens.run.results import ResultFolder, Written
from seglens.run.several import Outcome


@dataclass(slots=True)
class Sink:
    """Where explanations go: a folder, file by file, or one file at the end."""

    folder: ResultFolder | None
    file: Path | None
    suffixes: tuple[str, ...]
    display: Display | None
    kept: list[Explanation] = field(default_factory=list[Explanation])

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

    def take(self, outcome: Outcome) -> list[Written]:
        """Write what belongs to one image, or keep it for the one file."""
        if not outcome.explanations:
            return []
        if self.folder is None:
            self.kept += outcome.explanations
            return []
        return self.folder.write(outcome.given.image, outcome.explanations, self.suffixes, self.display)

    def close(self) -> Written | None:
        """Write the one file, where there is one and something to write."""
        if self.file is None or not self.kept:
            return None
        before = self.file.exists()
        return Written(save(self.kept, self.file, self.display), before)


def _drawn(suffixes: tuple[str, ...], display: Display | None) -> tuple[str, ...]:
    if display is not None and set(suffixes) == {"npz"}:
        raise typer.BadParameter(
            "--part, --within, --percentile and --shared concern pictures, and npz keeps every raw value: "
            "add a format such as png.",
            param_hint="--format",
        )
    return suffixes
