"""Where `seglens explain` puts what it computes: a folder, file by file, or one file at the end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import typer

from seglens.core.display import Display
from seglens.core.errors import NameNotFoundError
from seglens.core.explanation import Explanation, save
from seglens.run.results import ResultFolder, Written, check_format
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
        inputs: Sequence[Path],
        display: Display | None,
    ) -> "Sink":
        """From --out, which may be meant as a file.

        Raises typer.BadParameter for what cannot be written, would replace an input, or is not drawn and has a display.
        """
        out = folder.path
        suffix = out.suffix.lstrip(".").lower()
        if suffix and not out.is_dir():
            try:
                check_format(suffix)
            except NameNotFoundError as unknown:
                raise typer.BadParameter(
                    f"{unknown}\n  A folder's name has no suffix.", param_hint="--out"
                ) from unknown
            if format is not None:
                raise typer.BadParameter(f"{out.name} tells the format already.", param_hint="--format")
            if out.absolute() in {p.absolute() for p in inputs}:
                raise typer.BadParameter(f"{out} is one of the inputs and would be replaced.", param_hint="--out")
            return cls(None, out, _drawn((suffix,), display), display)
        try:
            suffixes = tuple(dict.fromkeys(check_format(name) for name in (format or "png").split(",")))
        except NameNotFoundError as unknown:
            raise typer.BadParameter(str(unknown), param_hint="--format") from unknown
        if out.exists() and not out.is_dir():
            raise typer.BadParameter(f"{out} is a file, not a folder.", param_hint="--out")
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
