"""Writing TOML: the kinds of values that a description holds, and no more."""

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from seglens.core.errors import ParameterError

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def dumps(table: Mapping[str, Any]) -> str:
    """TOML text of a table whose values are texts, numbers, booleans, lists of such, and tables.

    Tables come after the plain values, each under its own [heading]; tables inside those are
    written inline.
    Raises ParameterError for a value that TOML does not have, such as None.
    """
    plain = {k: v for k, v in table.items() if not isinstance(v, Mapping)}
    tables = {k: v for k, v in table.items() if isinstance(v, Mapping)}
    lines = [f"{_key(k)} = {_value(v, k)}" for k, v in plain.items()]
    for name, inner in tables.items():
        lines += ["", f"[{_key(name)}]"] if lines else [f"[{_key(name)}]"]
        lines += [f"{_key(k)} = {_value(v, k)}" for k, v in inner.items()]
    return "\n".join(lines) + "\n" if lines else ""


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(value: str) -> str:
    # JSON's escapes are TOML's, but TOML wants DEL escaped as well.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: object, key: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list | tuple):
        items = [_value(v, key) for v in cast("list[object]", value)]
        one = f"[{', '.join(items)}]"
        return one if len(one) <= 80 else "[\n" + "".join(f"  {i},\n" for i in items) + "]"
    if isinstance(value, Mapping):
        items = cast("Mapping[str, object]", value).items()
        return "{" + ", ".join(f"{_key(k)} = {_value(v, k)}" for k, v in items) + "}"
    raise ParameterError(f"{key!r} is {value!r}, which TOML cannot hold; leave it out, or state a value.")
