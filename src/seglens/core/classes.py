"""The class table of a network: names, and the colours that draw them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seglens.core.errors import ClassNotFoundError, ParameterError, suggest

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class ClassTable:
    """Names of the classes in the network's order; `colours` as 8-bit RGB, None for the default palette."""

    names: tuple[str, ...]
    colours: tuple[Colour, ...] | None = None

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            twice = sorted({n for n in self.names if self.names.count(n) > 1})
            raise ParameterError(f"class names are to differ; these occur twice: {', '.join(twice)}.")
        if self.colours is not None and len(self.colours) != len(self.names):
            raise ParameterError(
                f"{len(self.colours)} colours for {len(self.names)} classes: give one for each, or none."
            )

    @classmethod
    def of(cls, names: "Iterable[str] | ClassTable") -> "ClassTable":
        """A table from names, or the table itself."""
        return names if isinstance(names, ClassTable) else cls(tuple(str(n) for n in names))

    @classmethod
    def numbered(cls, n: int) -> "ClassTable":
        """'class 0' … where nobody named them."""
        return cls(tuple(f"class {i}" for i in range(n)))

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str | int) -> int:
        """Index of a class, given by name (case does not matter where that is unambiguous) or index.

        Raises ClassNotFoundError with the nearest names.
        """
        if isinstance(name, str):
            if name in self.names:
                return self.names.index(name)
            same = [i for i, known in enumerate(self.names) if known.casefold() == name.casefold()]
            if len(same) == 1:
                return same[0]
            if name.lstrip("-").isdigit():
                return self.index(int(name))
            listed = ", ".join(self.names[:12]) + (", …" if len(self.names) > 12 else "")
            raise ClassNotFoundError(
                f"no class {name!r} among {len(self.names)}.{suggest(name, self.names)}\n  All of them: {listed}."
            )
        if not 0 <= name < len(self.names):
            raise ClassNotFoundError(
                f"no class {name}: the network has {len(self.names)}, numbered 0 to {len(self.names) - 1}."
            )
        return int(name)

    def to_dict(self) -> dict[str, Any]:
        """Plain form for files."""
        return {"names": list(self.names), "colours": self.colours and [list(c) for c in self.colours]}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "ClassTable":
        """From the plain form."""
        colours: Sequence[Sequence[int]] | None = plain.get("colours")
        return cls(
            tuple(plain["names"]),
            tuple((int(r), int(g), int(b)) for r, g, b in colours) if colours else None,
        )
