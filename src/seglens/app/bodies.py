"""Bodies of requests, read with a bound: nothing that is sent fills the memory."""

import json
from typing import Any

from fastapi import Request

from seglens.app.faults import Fault

WORDS = 4 * 2**20
"""Bytes of a body in JSON."""


async def read(request: Request, most: int) -> bytes:
    """The body. Raises Fault 413 as soon as it is too long, whatever length it says it has."""
    told = request.headers.get("content-length", "")
    too_long = Fault(413, "UploadError", f"more than {most:,} bytes are not taken at once.")
    if told.isdigit() and int(told) > most:
        raise too_long
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise too_long
        parts.append(part)
    return b"".join(parts)


async def read_words(request: Request) -> dict[str, Any]:
    """The body as a table of JSON. Raises Fault 400 for anything else."""
    try:
        found: object = json.loads(await read(request, WORDS))
    except (ValueError, RecursionError) as wrong:
        raise Fault(400, "RequestError", f"the body is no JSON: {wrong}.") from None
    if not isinstance(found, dict):
        raise Fault(400, "RequestError", f"the body is to be a table, not {type(found).__name__}.")
    return {str(k): v for k, v in found.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def text_of(words: dict[str, Any], name: str) -> str:
    """A text of a body. Raises Fault 422 where there is none, or one without end."""
    value = words.get(name)
    if not isinstance(value, str) or len(value) > 4000:
        raise Fault(422, "ArgumentError", f"{name!r} is to be a text of up to 4000 characters.")
    return value
