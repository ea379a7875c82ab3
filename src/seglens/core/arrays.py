"""Arrays as pictures: which dimension is which, which numbers are black and white, and which channels are shown."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seglens.core.errors import ImageError

Axes = Literal["HW", "HWC", "CHW", "DHW", "CDHW", "DHWC"]
"""What the dimensions of an array are: height, width, channels, depth."""

_SPACE: dict[int, Axes] = {2: "HW", 3: "DHW"}
_WITH_CHANNELS: dict[int, tuple[Axes, Axes]] = {2: ("CHW", "HWC"), 3: ("CDHW", "DHWC")}


def axes_of(shape: tuple[int, ...], dims: int, channels: int | None, tensor: bool) -> Axes | None:
    """What the dimensions of an array of that shape are, for a network that takes `dims` dimensions of space.

    As many dimensions as those of space: no channels. One more: `channels` of them first or last, whichever it is;
    of a tensor first. Where that does not tell, an image has its one to four channels last, or its one, three or
    four first. Two dimensions are an image in any case. None where nothing tells.
    """
    space = _SPACE.get(dims)
    if space is None or len(shape) in (2, dims):
        return "HW" if len(shape) == 2 else space
    if len(shape) != dims + 1:
        return None
    first, last = (shape[0] == channels, shape[-1] == channels) if channels else (False, False)
    if not tensor and first == last and dims == 2:
        last, first = shape[2] in (1, 2, 3, 4), shape[0] in (1, 3, 4)
    if tensor or first != last:
        return _WITH_CHANNELS[dims][0 if tensor or first else 1]
    return None


def channels_first(array: NDArray[np.generic], name: str, axes: Axes | None) -> NDArray[np.generic]:
    """Any layout to [C *space]. Raises ImageError where `axes` is None, or of another number of dimensions."""
    if axes is None or len(axes) != array.ndim:
        said = f"with axes={axes!r}" if axes else "without axes"
        hint = "\n  Of a batch [B C H W] give one image: x[0]." if array.ndim == 4 else ""
        hint = "\n  Of a batch [B C D H W] give one volume: x[0]." if array.ndim == 5 else hint
        raise ImageError(
            f"{name} {said} cannot be told apart: which of its dimensions is which?\n"
            "  Say so: axes='HW', 'HWC', 'CHW', 'DHW' (a volume), 'CDHW' or 'DHWC'; of all of a network's pictures, "
            f"axes = … under [input] in its description.{hint}"
        )
    if "C" not in axes:
        return array[None]
    return array if axes[0] == "C" else np.moveaxis(array, -1, 0)


def scaled(array: NDArray[np.generic], name: str) -> NDArray[np.float32]:
    """Values of a known type to float32 in 0..1. Raises ImageError: unknown white, or NaN."""
    if array.dtype == np.bool_:
        return array.astype(np.float32)
    if array.dtype == np.uint8 or array.dtype == np.uint16:
        return array.astype(np.float32) / np.float32(255 if array.dtype == np.uint8 else 65535)
    if not np.issubdtype(array.dtype, np.floating):
        raise ImageError(
            f"{name} holds {array.dtype} values; what is white is unknown.\n"
            "  Give uint8 (255 is white), uint16 (65535 is white), bool, or floats in 0..1; or say which numbers are "
            "black and white: window=(black, white)."
        )
    floats = _finite(array.astype(np.float32), name)
    if floats.size and (floats.min() < 0 or floats.max() > 1):
        lo, hi = float(floats.min()), float(floats.max())
        divide = 255 if hi <= 255 else 65535
        advice = (
            f"Divide by {divide}"
            if lo >= 0
            else "It looks normalised: undo that (times std, plus mean), and state mean and std in the description"
        )
        raise ImageError(
            f"{name} holds floats from {lo:.4g} to {hi:.4g}; expected 0 (black) to 1 (white).\n  {advice}. Or say "
            "which numbers are black and white: window=(black, white)."
        )
    return floats


def windowed(
    array: NDArray[np.generic], name: str, window: tuple[float, float], notes: list[str]
) -> NDArray[np.float32]:
    """Numbers to 0..1, from window[0] (black) to window[1] (white), cut there; how many were, is noted.

    Raises ImageError for NaN and for what is no number.
    """
    if array.dtype.kind not in "buif":
        raise ImageError(f"{name} holds {array.dtype} values, which are no numbers.")
    # In float64: the window of large whole numbers may be narrow.
    values = _finite(array.astype(np.float64), name)
    black, white = window
    outside = int(((values < black) | (values > white)).sum())
    if outside:
        notes.append(
            f"{100 * outside / values.size:.3g} % of its values lie outside {black:g} to {white:g} and were cut there."
        )
    return ((values.clip(black, white) - black) / (white - black)).astype(np.float32)


def displayed(
    pixels: NDArray[np.float32], name: str, bands: tuple[int, ...] | None, notes: list[str]
) -> NDArray[np.uint8]:
    """What a viewer shows of pixels [C *space] in 0..1: uint8 [*space] or [*space 3].

    bands: one channel or three, shown in grey or as red, green and blue. None: an image's first three, of two the
    first; a volume's mean. Which of more were taken is noted. Raises ImageError for a band that is not there.
    """
    shown = np.rint(pixels * 255).astype(np.uint8)
    channels = shown.shape[0]
    if bands is not None and channels > 1:
        if max(bands) >= channels:
            raise ImageError(
                f"{name} has {channels} channels (from 0), so its bands {', '.join(map(str, bands))} cannot be shown.\n"
                "  Choose others of them: bands = [red, green, blue], or one of them."
            )
        chosen = shown[list(bands)]
        return chosen[0] if len(bands) == 1 else np.ascontiguousarray(np.moveaxis(chosen, 0, -1))
    if channels == 1:
        return shown[0]
    if shown.ndim == 4:
        notes.append(f"Of its {channels} channels the mean is shown.")
        return np.rint(pixels.mean(0) * 255).astype(np.uint8)
    if channels == 2:
        notes.append("Of its two channels the first is shown.")
        return shown[0]
    if channels > 3:
        notes.append(f"Of its {channels} channels the first three are shown, as red, green and blue.")
    return np.ascontiguousarray(shown[:3].transpose(1, 2, 0))


def _finite(floats: NDArray[np.floating], name: str) -> NDArray[np.floating]:
    bad = int((~np.isfinite(floats)).sum())
    if bad:
        raise ImageError(f"{name} holds NaN or infinity in {bad} of {floats.size} values: repair or mask them first.")
    return floats
