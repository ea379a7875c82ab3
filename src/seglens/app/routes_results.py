"""/api/results: what was found, its arrays as bytes, and files made of it."""

import asyncio
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse, JSONResponse, Response

from seglens.app.faults import Fault
from seglens.app.house import House
from seglens.app.tasks import lane_of

TYPES = {
    "png": "image/png",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "gif": "image/gif",
    "webp": "image/webp",
}
_SEALED = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Of files that a browser would run: they are for saving, and opened from here they may do nothing."""


class _Array(FileResponse):
    """The bytes of an array. Read in large parts: each costs a change of threads, and a map has megabytes."""

    chunk_size = 4 * 2**20


def result_routes(house: House) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/results")
    making: dict[tuple[str, str], asyncio.Lock] = {}

    @routes.get("/{key}")
    async def one(key: str) -> JSONResponse:
        return JSONResponse(_result(key))

    @routes.get("/{key}/arrays/{name}")
    async def array(key: str, name: str) -> Response:
        _result(key)
        path = house.store.array(key, name)
        if path is None:
            raise Fault(404, "ResultError", f"the result has no array {name[:60]!r}.")
        # Under a key lies one thing for ever, but for what was stopped on the way.
        kept = {} if house.store.result(key, whole=True) is None else {"cache-control": "private, max-age=86400"}
        return _Array(path, media_type="application/octet-stream", headers=kept)

    @routes.get("/{key}/file.{suffix}")
    async def file(key: str, suffix: str) -> Response:
        result = _result(key)
        if suffix not in result["formats"]:
            formats = ", ".join(result["formats"]) or "none"
            raise Fault(404, "ResultError", f"this result is not saved as .{suffix[:20]}.\n  Its formats: {formats}.")
        # Asked twice at once, it is made once.
        async with making.setdefault((key, suffix), asyncio.Lock()):
            path = house.store.file(key, suffix)
            if path is None:
                lane = lane_of(result["task"], {})
                await house.jobs.own(lane, "file", {"key": key, "suffix": suffix})
                path = house.store.file(key, suffix)
        making.pop((key, suffix), None)
        if path is None:
            raise Fault(404, "ResultError", "the result is not kept any more.\n  Ask again.")
        return FileResponse(
            path,
            media_type=TYPES.get(suffix, "application/octet-stream"),
            filename=f"seglens-{result['task']}-{key[:8]}.{suffix}",
            headers={"content-security-policy": _SEALED},
        )

    def _result(key: str) -> dict[str, Any]:
        found = house.store.result(key)
        if found is None:
            raise Fault(404, "ResultError", "no such result is kept.\n  Ask again: it may have made room for others.")
        return found

    return routes
