"""/api/session, files, sets, images, uploads and masks: what there is to look at."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response

from seglens.app import pictures
from seglens.app.asking import thumbnail_key
from seglens.app.bodies import read, read_words, text_of
from seglens.app.digests import content_of, digest_of
from seglens.app.faults import Fault
from seglens.app.house import House
from seglens.app.images import Picture

T = TypeVar("T")

_HOUR = {"cache-control": "private, max-age=3600"}


def image_routes(house: House) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api")
    images = house.images
    making: dict[str, asyncio.Lock] = {}

    @routes.get("/session")
    async def session() -> dict[str, Any]:
        return await house.session()

    @routes.get("/files")
    async def files(root: str, path: str = "") -> list[dict[str, Any]]:
        return await _aside(lambda: house.roots.entries(root, path))

    @routes.post("/sets")
    async def open_set(request: Request) -> dict[str, Any]:
        words = await read_words(request)
        root, path = text_of(words, "root"), text_of(words, "path")
        found = await _aside(lambda: images.open(root, path))
        house.say_sets()
        return found.to_dict()

    @routes.get("/sets")
    async def sets() -> list[dict[str, Any]]:
        return images.listed()

    @routes.get("/sets/{id}/images")
    async def listed(
        id: str,
        offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
        network: str = "",
    ) -> list[dict[str, Any]]:
        scores = house.scores.get(network, {})

        def infos() -> list[dict[str, Any]]:
            found = [images.info(p) for p in images.set(id).members[offset : offset + limit]]
            return [{**i, "scores": scores[i["id"]]} if i["id"] in scores else i for i in found]

        return await _aside(infos)

    @routes.get("/images/{id}")
    async def one(id: str) -> dict[str, Any]:
        return await _aside(lambda: images.info(images.get(id)))

    @routes.get("/images/{id}/picture")
    async def picture(id: str) -> Response:
        found = await _there(id)
        return await _made(found, "png", lambda: pictures.png_of(found.path, images.pixels), "image/png")

    @routes.get("/images/{id}/thumbnail")
    async def thumbnail(id: str) -> Response:
        found = await _there(id)
        return await _made(found, "webp", lambda: pictures.thumbnail_of(found.path, images.pixels), "image/webp")

    @routes.get("/images/{id}/truth")
    async def truth(id: str, network: str = "") -> Response:
        place = images.truth(await _there(id))
        if network and await _aside(lambda: pictures.in_colours(place, images.pixels)):
            place = await _decoded(place, network)
        data, dtype, shape = await _aside(lambda: pictures.labels_of(place, images.pixels))
        headers = {"X-Shape": ",".join(map(str, shape)), "X-Dtype": dtype}
        return Response(data, media_type="application/octet-stream", headers=headers)

    @routes.put("/images/{id}/truth")
    async def give_truth(id: str, request: Request) -> dict[str, Any]:
        images.get(id)
        data = await read(request, house.settings.upload)
        return images.info(await _aside(lambda: images.give_truth(id, data)))

    @routes.put("/uploads")
    async def upload(request: Request, name: Annotated[str, Query(max_length=500)] = "upload") -> dict[str, Any]:
        data = await read(request, house.settings.upload)
        found = await _aside(lambda: images.upload(name, data))
        house.say_sets()
        return images.info(found)

    @routes.put("/masks")
    async def mask(request: Request, height: int = 0, width: int = 0) -> dict[str, Any]:
        height = height or _number(request, "height")
        width = width or _number(request, "width")
        data = await read(request, images.pixels)
        return {"id": await _aside(lambda: house.masks.keep(data, height, width))}

    async def _there(id: str) -> Picture:
        """The picture, with its file: a worker makes those that are built in."""
        found = await _aside(lambda: images.get(id))
        if found.builtin is not None and not _drawn(found):
            async with making.setdefault(id, asyncio.Lock()):
                if not _drawn(found):
                    asked = {"set": found.set, "index": found.builtin}
                    asked |= {"path": str(found.path), "truth": str(found.truth)}
                    await house.jobs.own("quick", "shipped", asked)
                    await _aside(lambda: images.made(found.path))
            making.pop(id, None)
        return found

    async def _decoded(truth: Path, network: str) -> Path:
        """True labels given as colours, as a label image: a worker reads them by the network's class table."""
        spec = (await house.networks()).get(network)
        name = await _aside(lambda: digest_of([content_of(truth), spec.fingerprint]))
        place = images.small / f"{name[:40]}.labels.png"
        if not place.is_file():
            asked = {"network": spec.payload(), "truth": str(truth), "path": str(place)}
            await house.jobs.own("quick", "labels", asked)
            await _aside(lambda: images.made(place))
        return place

    async def _made(found: Picture, suffix: str, make: Callable[[], bytes], kind: str) -> Response:
        """A picture made of another, from the disk where it was made before."""

        def kept() -> Path:
            path = images.small / f"{thumbnail_key(found.path)}.{suffix}"
            if not path.is_file():
                # The same picture may be asked for twice at once, in two threads.
                part = path.with_suffix(f".{threading.get_ident()}.part")
                part.write_bytes(make())
                part.replace(path)
                images.made(path)
            house.room.use(path)
            return path

        return FileResponse(await _aside(kept), media_type=kind, headers=_HOUR)

    return routes


def _drawn(found: Picture) -> bool:
    """Whether a built-in picture and its labels are on the disk: either may have made room for others."""
    return found.path.is_file() and (found.truth is None or found.truth.is_file())


async def _aside(work: Callable[[], T]) -> T:
    """Do what reads files or decodes pictures in a thread. Raises Fault where a file went meanwhile."""
    try:
        return await asyncio.get_running_loop().run_in_executor(None, work)
    except OSError as gone:
        raise Fault(404, "FileError", f"a file cannot be read: {gone.strerror or gone}.") from gone


def _number(request: Request, name: str) -> int:
    told = request.headers.get(name, "") or request.headers.get(f"x-{name}", "")
    return int(told) if told.isdigit() and len(told) < 10 else 0
