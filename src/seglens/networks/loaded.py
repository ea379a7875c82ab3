"""What every loader is asked, and what it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from seglens.core.registry import Registry

Constructor = str | Callable[..., nn.Module]
"""What builds a module: a callable, or text 'package.module:Class' or 'file.py:Class'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """How a file is to be opened.

    trust: whether code inside the file may run. constructor, arguments: what builds the module that
    the weights go into. named_in: the description that named the constructor; None where the caller
    did.
    """

    trust: bool = False
    constructor: Constructor | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    named_in: Path | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A module out of a file, and what the file itself settles: fields of its input `Convention`, and how many
    images it takes at once (None: any number)."""

    module: nn.Module
    convention: Mapping[str, Any] = field(default_factory=dict[str, Any])
    batch: int | None = None


Loader = Callable[[Path, Request], Loaded]

LOADERS: Registry[Loader] = Registry("network file", "seglens.loaders")
"""Suffix without its dot to loader; plugins announce theirs under the entry-point group 'seglens.loaders'."""
