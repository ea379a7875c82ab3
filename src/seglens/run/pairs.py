"""Which truth belongs to which image: one for one image, a list, or a folder whose files have the images' stems."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from seglens.core.errors import ImageError, ParameterError
from seglens.core.images import Source, existing_file, expand_paths


def one_for_each(images: Sequence[Source], given: Source | Sequence[Source] | None, what: str) -> list[Source] | None:
    """For each image what belongs to it, of a file, a folder, an array, or a list of them; None where nothing is given.

    what: as in `paired`. Raises ImageError where an image has no file, ParameterError for a list of another length.
    """
    if given is None:
        return None
    paths = [Path(os.fspath(i)) for i in images if isinstance(i, str | os.PathLike)]
    if isinstance(given, str | os.PathLike) and len(paths) == len(images):
        return [file for file in paired(paths, Path(os.fspath(given)), what) if file is not None]
    several = [*given] if isinstance(given, list | tuple) else [cast("Source", given)]
    if len(several) != len(images):
        raise ParameterError(
            f"{what}: {len(several)} for {len(images)} image(s). Give one for each, in the same order, or a folder."
        )
    return several


def paired(images: Sequence[Path], given: Path | None, what: str) -> list[Path | None]:
    """For each image the file that belongs to it; None for each where nothing is given.

    what: what the files hold, for messages, such as 'truth'.
    Raises ImageError: one file for several images, an image without a partner, or with two.
    """
    if given is None:
        return [None] * len(images)
    if not given.is_dir():
        file = existing_file(given)
        if len(images) > 1:
            raise ImageError(
                f"one file of {what}, {given.name}, for {len(images)} images: whose is it?\n"
                f"  Give a folder of files with the images' stems ({images[0].stem}.png for {images[0].name})."
            )
        return [file]
    partners: dict[str, list[Path]] = {}
    for path in expand_paths(given):
        partners.setdefault(path.stem, []).append(path)
    lacking = [p.name for p in images if p.stem not in partners]
    if lacking:
        raise ImageError(
            f"no {what} in {str(given)!r} for {len(lacking)} of {len(images)} image(s): {_listed(lacking)}.\n"
            "  Files are paired by stem: street.jpg with street.png."
        )
    doubtful = [p.name for p in images if len(partners[p.stem]) > 1]
    if doubtful:
        raise ImageError(f"several files of {what} in {str(given)!r} for {_listed(doubtful)}: keep one of each stem.")
    shared = [stem for stem, n in Counter(p.stem for p in images).items() if n > 1]
    if shared:
        raise ImageError(
            f"several images have the stem {_listed(shared)}, so their {what} in {str(given)!r} is not certain.\n"
            "  Explain one folder at a time."
        )
    return [partners[p.stem][0] for p in images]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
