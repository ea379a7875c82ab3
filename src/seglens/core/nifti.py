"""NIfTI, the files of medical volumes: read with the place of their voxels, and maps written so that they overlay."""

import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seglens.core.display import Display
from seglens.core.errors import ImageError, ParameterError, ShapeError, missing_extra
from seglens.core.saving import whole

if TYPE_CHECKING:
    from seglens.core.explanation import Explanation

SUFFIXES = (".nii", ".nii.gz")

_MOST = 2**30  # voxels, against headers made to fill the memory


def is_nifti(path: Path) -> bool:
    """Whether a file's name says that it is NIfTI."""
    return path.name.lower().endswith(SUFFIXES)


def read_nifti(path: Path) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """The numbers in a NIfTI-1 or -2 file, as stored, and its affine [4 4]: voxel indices to millimetres.

    The numbers are [i j k], or [i j k C] where there is a fourth dimension of more than one; slope and intercept are
    applied. Axes are neither reordered nor turned: a network wants the orientation that it was trained on.
    Raises ImageError for a damaged or foreign file, colours, and other numbers of dimensions; MissingExtraError.
    """
    nib = _nibabel(f"reading {path.name}")
    try:
        image = nib.load(path)
        if not isinstance(image, nib.Nifti1Image):
            raise ImageError(f"{path.name} is no NIfTI, whatever its name says, but {type(image).__name__}.")
        shape = tuple(int(n) for n in image.shape)
        if math.prod(shape) > _MOST:
            raise ImageError(
                f"{path.name} states {' × '.join(map(str, shape))} voxels; the limit is {_MOST:,}, against files made "
                "to fill the memory.\n  Cut the part out that is to be explained."
            )
        array = np.asanyarray(image.dataobj)
        affine = np.asarray(image.affine, np.float64)
    except ImageError:
        raise
    except (OSError, EOFError, ValueError, MemoryError, zlib.error, nib.filebasedimages.ImageFileError) as broken:
        raise ImageError(
            f"{path.name} is damaged or cut short: {broken}\n  Copy or download it again; no half volume is used."
        ) from broken
    except Exception as broken:
        # nibabel has errors of its own for broken headers, which share no base but Exception.
        raise ImageError(f"{path.name} cannot be read as NIfTI: {broken}") from broken
    if array.dtype.names is not None or array.dtype.kind == "c":
        raise ImageError(f"{path.name} holds colours or complex numbers ({array.dtype}); a volume holds plain numbers.")
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4):
        raise ImageError(
            f"{path.name} has {array.ndim} dimensions ({' × '.join(map(str, array.shape))}); a volume has three, and "
            "a fourth for channels.\n  Choose a time or a component of it with nibabel, and give the array."
        )
    return array, affine


def voxel_size(affine: NDArray[np.float64]) -> str:
    """Sides of a voxel in words, such as '1 × 1 × 5 mm': the lengths of the affine's columns."""
    return " × ".join(f"{side:.3g}" for side in np.linalg.norm(affine[:3, :3], axis=0)) + " mm"


def write_nifti(explanations: Sequence["Explanation"], path: Path, display: Display | None = None) -> None:
    """The maps of one volume as NIfTI, float32 in their units, with the volume's own affine; NaN where undefined.

    Several explanations of it become a fourth dimension. Where no affine is known (the volume came as an array), it
    is that of voxels of 1 mm. `display` does not matter: raw values are written.
    Raises ShapeError for maps of images, ParameterError for maps of several volumes or none, MissingExtraError.
    """
    del display
    if not explanations:
        raise ParameterError("no explanations to write.")
    first = explanations[0]
    for e in explanations:
        if e.map.ndim != 3:
            raise ShapeError(
                f"NIfTI holds volumes; this map is {list(e.map.shape)}.\n  Save it as .npz, which keeps raw values.",
                e.map.shape,
            )
        if e.map.shape != first.map.shape or not np.array_equal(_affine(e), _affine(first)):
            raise ParameterError(
                "maps of several volumes do not fit into one NIfTI file.\n  Save each to a file of its own, or all as "
                ".npz."
            )
    values = first.map if len(explanations) == 1 else np.stack([e.map for e in explanations], -1)
    write_volume(values.astype(np.float32), first.affine, path, f"seglens {first.method}")


def write_volume(values: NDArray[Any], affine: NDArray[np.float64] | None, path: Path, said: str) -> None:
    """Values [D H W] or [D H W N] in their own type as NIfTI; without an affine, of voxels of 1 mm.

    said: the header's description. Raises MissingExtraError.
    """
    nib = _nibabel(f"writing {path.name}")
    image = nib.Nifti1Image(values, np.eye(4) if affine is None else affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = said[:79].encode("ascii", "replace")
    with whole(path) as file:
        if path.name.lower().endswith(".gz"):
            from gzip import GzipFile

            # Without name and time inside: the same map is the same file.
            with GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
                packed.write(image.to_bytes())
        else:
            file.write(image.to_bytes())


def _affine(e: "Explanation") -> NDArray[np.float64]:
    return np.eye(4) if e.affine is None else e.affine


def _nibabel(purpose: str) -> Any:
    try:
        import nibabel
    except ImportError as absent:
        raise missing_extra("nibabel", "medical", purpose) from absent
    return nibabel
