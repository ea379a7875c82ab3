"""Regions as text, for command lines and addresses: the same vocabulary, read without running anything."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seglens.core import regions
from seglens.core.errors import RegionError, suggest
from seglens.core.view import Region

Reader = Callable[[Path], Any]

_WORDS: dict[str, Callable[..., Region]] = {
    "pixel": regions.pixel,
    "box": regions.box,
    "polygon": regions.polygon,
    "predicted": regions.predicted,
    "truth": regions.truth,
    "instance": regions.instance,
    "confused": regions.confused,
    "component": regions.component,
    "border": regions.border,
    "outside": regions.outside,
}


def parse_region(text: str, read_mask: Reader | None = None) -> Region:
    """The region that a text describes, such as ``instance(rider, largest=1) & ~border(truth(rider), 3)``.

    Class names may stand without quotes where they are one word ('traffic light' needs them). ``mask('file.png')``
    reads a file through `read_mask`. Only the vocabulary is understood: nothing is evaluated.
    Raises RegionError with the place and the nearest word.
    """
    try:
        return _Reader(text, read_mask).region(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as wrong:
        if isinstance(wrong, RegionError):
            raise
        shown = text if len(text) < 80 else text[:77] + "..."
        reason = wrong.msg if isinstance(wrong, SyntaxError) else wrong
        raise RegionError(f"cannot read the region {shown!r}: {reason}.\n{_HELP}") from wrong


_HELP = (
    "  Regions: everything, pixel(y, x), box(top, left, bottom, right), polygon((y, x), …), mask('file.png'),\n"
    "  predicted(class), truth(class), instance(class, largest=1), instance(class, at=(y, x)),\n"
    "  confused(truth=class, as_=class), border(region, width), outside(region), component(region, largest=1),\n"
    "  component(region, at=(y, x)); combined with &, | and ~."
)


class _Reader:
    def __init__(self, text: str, read_mask: Reader | None) -> None:
        self.text = text
        self.read_mask = read_mask

    def region(self, node: ast.expr) -> Region:
        match node:
            case ast.Name(id="everything"):
                return regions.everything
            case ast.BinOp(left=left, op=ast.BitAnd(), right=right):
                return self.region(left) & self.region(right)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return self.region(left) | self.region(right)
            case ast.UnaryOp(op=ast.Invert(), operand=operand):
                return ~self.region(operand)
            case ast.Call(func=ast.Name(id=word), args=args, keywords=keywords):
                return self.call(word, args, keywords)
            case _:
                raise RegionError(f"{self.piece(node)!r} is no region.\n{_HELP}")

    def call(self, word: str, args: list[ast.expr], keywords: list[ast.keyword]) -> Region:
        if word == "mask":
            return self.mask(args)
        if word not in _WORDS:
            raise RegionError(f"no region {word!r}.{suggest(word, [*_WORDS, 'mask', 'everything'])}\n{_HELP}")
        values = (
            [self.region(args[0]), *map(self.value, args[1:])]
            if word in ("border", "outside", "component") and args
            else [self.value(a) for a in args]
        )
        named = {k.arg: self.value(k.value) for k in keywords if k.arg is not None}
        try:
            return _WORDS[word](*values, **named)
        except TypeError as wrong:
            raise RegionError(f"{word} takes other arguments: {wrong}.\n{_HELP}") from wrong

    def mask(self, args: list[ast.expr]) -> Region:
        if len(args) != 1 or not isinstance(path := self.value(args[0]), str):
            raise RegionError("mask takes one file name in quotes: mask('lesion.png').")
        if self.read_mask is None:
            raise RegionError("a mask from a file cannot be read here.")
        return regions.mask(self.read_mask(Path(path)), f"mask({path!r})")

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=str() | int() | float() as value):
                return value
            case ast.Name(id=name):
                return name
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return -value
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return tuple(self.value(p) for p in parts)
            case _:
                raise RegionError(f"{self.piece(node)!r} is neither a number, a name nor a tuple of them.\n{_HELP}")

    def piece(self, node: ast.expr) -> str:
        return ast.get_source_segment(self.text.strip(), node) or self.text
