"""/api/jobs: tasks begun, watched, cancelled, gone on with."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from seglens.app.bodies import read_words
from seglens.app.faults import Fault
from seglens.app.house import House


def tab_of(request: Request) -> str:
    """Which tab asks, as it calls itself; empty for what is no tab."""
    return request.headers.get("x-seglens-tab", "")[:64]


def job_routes(house: House) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/jobs")

    @routes.post("")
    async def begin(request: Request) -> dict[str, Any]:
        words = await read_words(request)
        job, result = await house.ask(words.get("task"), words.get("args", {}), tab_of(request))
        return {"job": job.to_dict(), "result": result}

    @routes.get("")
    async def listed() -> list[dict[str, Any]]:
        return house.jobs.listed()

    @routes.get("/{id}")
    async def one(id: str) -> dict[str, Any]:
        return house.jobs.get(id).to_dict()

    @routes.delete("/{id}")
    async def cancel(id: str, request: Request) -> dict[str, Any]:
        return await house.jobs.leave(id, tab_of(request))

    @routes.post("/{id}/resume")
    async def resume(id: str, request: Request) -> dict[str, Any]:
        return house.jobs.resume(id, tab_of(request)).to_dict()

    @routes.get("/{id}/preview")
    async def preview(id: str) -> Response:
        return Response(_shown(id)[0], media_type="application/json")

    @routes.get("/{id}/preview/{array}")
    async def preview_array(id: str, array: str) -> Response:
        arrays = _shown(id)[1]
        if array not in arrays:
            raise Fault(404, "JobError", f"the preview has no array {array[:60]!r}, but {', '.join(arrays)}.")
        return Response(arrays[array], media_type="application/octet-stream")

    def _shown(id: str) -> tuple[str, dict[str, bytes]]:
        shown = house.jobs.get(id).shown
        if shown is None:
            raise Fault(404, "JobError", "the job has no preview now.")
        return shown

    return routes
