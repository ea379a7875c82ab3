"""What everything that opens a foreign network is asked, what it answers, and where it is announced."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import nn

from seglens.core.registry import Registry

Constructor = str | Callable[..., nn.Module]
"""What builds a module: a callable, or text 'package.module:Class', 'file.py:Class' or 'zoo:name'."""


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
    """A module out of a file, an object or a zoo, and what that source itself settles.

    convention: fields of the input `Convention`; where `mean` is among them, nothing about values needs to be
    guessed. batch: how many images it takes at once (None: any number). fields: further fields of `Network`
    (classes, emits, link, output, name, default_layer, …). Descriptions and the caller go before all of them.
    notes: what whoever loads it is to know, such as that no logits can be had; each becomes a GuessWarning.
    guesses: likewise, of `convention`, said where neither the caller nor a description tells how images are taken.
    emitting: gives the module that emits 'logits' or 'probabilities', for a source that can do both; used where the
    caller or a description states another than `fields` does.
    """

    module: nn.Module
    convention: Mapping[str, Any] = field(default_factory=dict[str, Any])
    batch: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    notes: tuple[str, ...] = ()
    guesses: tuple[str, ...] = ()
    emitting: Callable[[Literal["logits", "probabilities"]], nn.Module] | None = None


Loader = Callable[[Path, Request], Loaded]

LOADERS: Registry[Loader] = Registry("network file", "seglens.loaders")
"""Suffix without its dot (for folders: the library that wrote them) to loader; entry-point group 'seglens.loaders'."""

Adapter = Callable[[Any], Loaded | None]

ADAPTERS: Registry[Adapter] = Registry("adapter", "seglens.adapters")
"""Top-level package of an object's class to what makes a network of the object, or gives None for what is none of its
own; entry-point group 'seglens.adapters'. No package is imported to find out."""

Zoo = Callable[[str, Mapping[str, Any], bool], Loaded]

ZOOS: Registry[Zoo] = Registry("model zoo", "seglens.zoos")
"""Name of a zoo to what builds one of its models from (name, arguments, download); entry-point group 'seglens.zoos'.

Without download the weights are random, and nothing is fetched."""


def zoo_name(text: object) -> tuple[str, str] | None:
    """'timm:resnet18' as (zoo, name); None for what names no model of a known zoo."""
    if not isinstance(text, str):
        return None
    zoo, colon, name = text.partition(":")
    return (zoo, name) if colon and name and zoo in ZOOS else None
