"""A folder of results: predictable names, and never one input's file over another's."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from seglens.core.display import Display
from seglens.core.errors import NameNotFoundError, suggest
from seglens.core.explanation import RAW, WRITERS, Explanation, save

INDEX = ".seglens.json"
"""Beside the results: which file came from which image, so that another image of that name does not replace it."""

_LISTED = 3  # classes or methods that a name spells out
_LONGEST = 40  # characters of one part of a name


@dataclass(frozen=True, slots=True)
class Written:
    """A file, and whether an earlier result for the same image stood there."""

    path: Path
    replaced: bool


def formats() -> list[str]:
    """Suffixes that results can be written with."""
    return ["npz", *WRITERS]


def check_format(name: str) -> str:
    """The suffix as `save` knows it. Raises NameNotFoundError with the nearest."""
    plain = name.strip().lstrip(".").lower()
    if plain not in formats():
        raise NameNotFoundError(
            f"no format {name.strip()!r}.{suggest(plain, formats())}\n  All of them: {', '.join(formats())}."
        )
    return plain


def slug(text: str) -> str:
    """Text as part of a file's name: letters, digits and dots; long ones are cut and told apart by a digest."""
    plain = re.sub(r"[^\w.]+", "-", text.replace(" - ", "-vs-")).strip("-.") or "x"
    if len(plain) <= _LONGEST:
        return plain
    return f"{plain[: _LONGEST - 7].rstrip('-.')}-{sha256(text.encode()).hexdigest()[:6]}"


def stems(images: Sequence[Path]) -> list[str]:
    """A stem for each image, all different: with the suffix where two of a folder share it, else with the folders."""
    siblings = Counter((p.absolute().parent, p.stem) for p in images)
    plain = [p.name.replace(".", "-") if siblings[p.absolute().parent, p.stem] > 1 else p.stem for p in images]
    names, above = plain, 0
    deepest = max((len(p.absolute().parts) for p in images), default=0)
    while above < deepest and (twice := {n for n, k in Counter(names).items() if k > 1}):
        above += 1
        names = [
            "-".join((*p.absolute().parent.parts[-above:], stem)) if name in twice else name
            for name, stem, p in zip(names, plain, images, strict=True)
        ]
    return names


class ResultFolder:
    """Where the results of several images go: STEM.CLASS.METHOD.FORMAT, and .LAYER where layers were named."""

    def __init__(self, path: Path, images: Sequence[Path], region: str | None = None, layers: bool = False) -> None:
        self.path = path
        self._stems = dict(zip(images, stems(images), strict=True))
        self._region = region
        self._layers = layers
        self._origin = self._read_index()

    def write(
        self,
        image: Path,
        explanations: Sequence[Explanation],
        suffixes: Sequence[str],
        display: Display | None = None,
    ) -> list[Written]:
        """Write the explanations of one image, one file a format; `display` is that of the pictures among them.

        Raises MissingExtraError, OSError, ParameterError for a display that cannot be worked out.
        """
        base = self._base(image, explanations, suffixes)
        written: list[Written] = []
        for suffix in suffixes:
            path = self.path / f"{base}.{suffix}"
            before = path.exists()
            save(explanations, path, None if suffix in RAW else display)
            self._origin[path.name] = str(image.absolute())
            written.append(Written(path, before))
        (self.path / INDEX).write_text(json.dumps(self._origin, indent=1, ensure_ascii=False), encoding="utf-8")
        return written

    def _base(self, image: Path, explanations: Sequence[Explanation], suffixes: Sequence[str]) -> str:
        # A latent unit has no label: it is no class.
        many = "classes" if any(e.label is not None for e in explanations) else "units"
        question = [_joined([e.channel for e in explanations if e.channel], many)]
        question += [f"in-{slug(self._region)}"] if self._region else []
        question.append(_joined([e.method for e in explanations], "methods"))
        question += [_joined([e.layer for e in explanations if e.layer], "layers")] if self._layers else []
        stem, n = self._stems[image], 1
        tail = ".".join(part for part in question if part)
        base = f"{stem}.{tail}"
        while any(self._is_of_another(f"{base}.{suffix}", image) for suffix in suffixes):
            n += 1
            base = f"{stem}-{n}.{tail}"
        return base

    def _is_of_another(self, name: str, image: Path) -> bool:
        return (self.path / name).exists() and self._origin.get(name) != str(image.absolute())

    def _read_index(self) -> dict[str, str]:
        try:
            known = json.loads((self.path / INDEX).read_text(encoding="utf-8"))
        # Without an index every file there counts as another's, and is left alone.
        except (OSError, ValueError):
            return {}
        return {str(k): str(v) for k, v in known.items()} if isinstance(known, dict) else {}


def _joined(names: Sequence[str], many: str) -> str:
    distinct = list(dict.fromkeys(names))
    if len(distinct) > _LISTED:
        return f"{len(distinct)}-{many}"
    return "+".join(slug(n) for n in distinct)
