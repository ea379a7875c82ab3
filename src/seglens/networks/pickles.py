"""Pickles opened without running them: torch's weights-only reader, its refusals in plain words."""

import pickle
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from seglens.core.errors import NetworkError, UnsafeFileError


def load_tensors(source: Path | bytes, name: str, way_round: str) -> Any:
    """What a file or a member of an archive holds, read by `torch.load(weights_only=True)` to the CPU.

    name: of the file, for messages. way_round: the sentence that tells what to do where it is
    refused.
    Raises UnsafeFileError with the names that the pickle asks for, NetworkError where it is
    damaged.
    """
    try:
        with warnings.catch_warnings():
            # Old files make torch speak of its own storage classes, which is nothing a reader can
            # act on.
            warnings.simplefilter("ignore")
            return torch.load(_opened(source), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as refused:
        raise UnsafeFileError(
            f"{name} is a pickle that could run code when opened, so it was not: "
            f"{_reason(source, refused)}\n"
            f"  {way_round}"
        ) from refused
    except Exception as failed:
        raise damaged(name, failed) from failed


def damaged(name: str, failed: Exception) -> NetworkError:
    """The error for a file that is cut short or altered."""
    first = str(failed).strip().partition("\n")[0] or type(failed).__name__
    return NetworkError(f"{name} is damaged or cut short: {first[:200]}\n  Copy or download it again.")


def _opened(source: Path | bytes) -> Any:
    return BytesIO(source) if isinstance(source, bytes) else source


def _reason(source: Path | bytes, refused: Exception) -> str:
    """The globals that a pickle asks for, found without running it; else the reader's own reason."""
    try:
        wanted = torch.serialization.get_unsafe_globals_in_checkpoint(_opened(source))
    except Exception:  # noqa: BLE001 - older layouts cannot be listed; the refusal stands all the same
        wanted = []
    if not wanted:
        for line in str(refused).splitlines():
            # torch names the first one in a sentence: '… GLOBAL package.name was not an allowed …'.
            if "GLOBAL " in line:
                wanted = [line.partition("GLOBAL ")[2].split(" ")[0]]
                break
    if wanted:
        return f"it asks for {', '.join(sorted(wanted)[:6])}{', …' if len(wanted) > 6 else ''}."
    return "it holds instructions that plain tensors do not need."
