"""The application: the page's files, the API behind the gate, the socket of what happens."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from seglens.app.faults import Fault
from seglens.app.house import House
from seglens.app.routes_images import image_routes
from seglens.app.routes_jobs import job_routes, tab_of
from seglens.app.routes_results import result_routes
from seglens.app.security import Gate
from seglens.app.settings import Settings
from seglens.app.static import File, read_static


def build(settings: Settings, gate: Gate) -> FastAPI:
    """The application, without its guard; the routes are made when it starts, for they need the running loop."""
    files = read_static(None if settings.static is None else Path(settings.static))

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncGenerator[None]:
        house = House.build(settings)
        for routes in (image_routes(house), job_routes(house), result_routes(house)):
            app.include_router(routes)
        _add_live(app, house)
        # Last, for it takes every path.
        _add_static(app, files, gate)
        house.begin()
        yield
        await house.close()

    app = FastAPI(lifespan=life, docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(Fault)
    async def fault(_: Request, error: Fault) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        return JSONResponse(error.to_dict(), error.status)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        return JSONResponse(Fault(422, "ArgumentError", f"{said}.").to_dict(), 422)

    @app.exception_handler(HTTPException)
    async def other(_: Request, error: HTTPException) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        return JSONResponse(Fault(error.status_code, "RequestError", str(error.detail)).to_dict(), error.status_code)

    @app.exception_handler(Exception)
    async def bug(_: Request, error: Exception) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        message = "this is a fault in seglens; the terminal shows where it happened."
        return JSONResponse(Fault(500, type(error).__name__, message).to_dict(), 500)

    return app


def _add_live(app: FastAPI, house: House) -> None:
    @app.put("/api/live/{socket}")
    async def named(socket: str, request: Request) -> dict[str, bool]:  # pyright: ignore[reportUnusedFunction]
        return {"open": house.live.named(socket, tab_of(request))}

    @app.websocket("/api/live")
    async def live(socket: WebSocket) -> None:  # pyright: ignore[reportUnusedFunction]
        listener = house.live.join()
        if listener is None:
            await socket.close(1013)
            return
        await socket.accept()

        async def tell() -> None:
            while True:
                await socket.send_text(await listener.get())

        telling = asyncio.create_task(tell())
        try:
            # Nothing is asked here; reading tells when the tab is closed.
            while True:
                await socket.receive_text()
        except (WebSocketDisconnect, RuntimeError, KeyError):
            pass
        finally:
            house.live.leave(listener)
            telling.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await telling


def _add_static(app: FastAPI, files: dict[str, File], gate: Gate) -> None:
    @app.api_route("/api/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
    async def unknown(path: str) -> Response:  # pyright: ignore[reportUnusedFunction]
        raise Fault(404, "RequestError", f"there is no /api/{path[:100]}.")

    @app.api_route("/{path:path}", methods=["GET", "HEAD"])
    async def static(path: str, request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        if path == "" and (on := gate.welcome(request.scope["query_string"])) is not None:
            return RedirectResponse(on, 303, {"set-cookie": gate.cookie})
        file = files.get(f"/{path}")
        if file is None:
            raise Fault(404, "RequestError", "there is no such page.")
        headers = {"etag": file.etag, "cache-control": "max-age=31536000, immutable" if file.lasting else "no-cache"}
        if request.headers.get("if-none-match") == file.etag:
            return Response(None, 304, headers)
        return Response(file.data, media_type=file.type, headers=headers)
