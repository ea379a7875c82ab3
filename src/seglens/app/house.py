"""Everything the server holds, made once when it starts, and handed to the routes."""

import asyncio
import os
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from seglens.app.asking import Asked, Asker
from seglens.app.faults import Fault
from seglens.app.images import Images
from seglens.app.jobs import Job, Jobs
from seglens.app.live import Live
from seglens.app.masks import Masks
from seglens.app.networks import Networks
from seglens.app.paths import IMAGES, Roots
from seglens.app.room import Room
from seglens.app.settings import Settings
from seglens.app.store import Store

FIRST = "streets-3"
"""The picture that the page begins with: of its large rider context saliency has something to say."""

PATIENCE = 180.0
"""Seconds in which the workers are to have come to life."""


@dataclass(slots=True, eq=False)
class House:
    """Made inside the running loop. scores: of pictures by network, once a set was evaluated."""

    settings: Settings
    version: str
    store: Store
    room: Room
    roots: Roots
    images: Images
    masks: Masks
    live: Live
    jobs: Jobs
    start: dict[str, Any] = field(default_factory=lambda: {"network": None, "image": None})
    scores: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _networks: Networks | None = None
    _opening: "asyncio.Task[None] | None" = None

    @classmethod
    def build(cls, settings: Settings) -> "House":
        """With its folders made, and the pictures of the command line listed."""
        told = version("seglens")
        store = Store(settings.folder, settings.kept)
        store.clean()
        roots = Roots(settings.roots)
        room = Room(settings.folder, settings.brought)
        images = Images(room, roots, settings.pixels, told)
        live = Live()
        house: House | None = None

        def ended(job: Job) -> None:
            if house is not None:
                house.ended(job)

        jobs = Jobs(store, live, settings.patience, ended)
        house = cls(settings, told, store, room, roots, images, Masks(room, settings.pixels), live, jobs)
        room.dropped = house.dropped
        house.start["image"] = house._first_image()
        return house

    def dropped(self, ids: set[str]) -> None:
        """Uploads and truths made room for others; called in any thread."""
        self.images.drop(ids)
        self._loop.call_soon_threadsafe(self.say_sets)

    def say_sets(self) -> None:
        """Tell every tab which sets there are."""
        self.live.say("sets", {"type": "sets", "sets": self.images.listed()})

    def begin(self) -> None:
        """Start the workers, and open the network of the command line."""
        self.jobs.start()
        self._opening = asyncio.get_running_loop().create_task(self._open_first())

    async def close(self) -> None:
        """End the workers."""
        if self._opening is not None:
            self._opening.cancel()
        await asyncio.get_running_loop().run_in_executor(None, self.jobs.stop)

    async def facts(self) -> dict[str, Any]:
        """What the workers say of the installation. Raises Fault 503 where none comes to life."""
        try:
            return await asyncio.wait_for(asyncio.shield(self.jobs.facts), PATIENCE)
        except TimeoutError:
            raise Fault(503, "WorkerError", "no worker has started; the terminal may show why.") from None

    async def networks(self) -> Networks:
        """All networks, once it is known which are built in."""
        if self._networks is None:
            names = [str(n["name"]) for n in (await self.facts())["builtin"]]
            self._networks = Networks(self.settings.folder, self.roots, names, self.settings.network, self.version)
        return self._networks

    async def ask(self, task: object, args: object, tab: str = "") -> tuple[Job, dict[str, Any] | None]:
        """A job for what a tab asks, with its result where it is known. Raises Fault."""
        asker = await self._asker()
        asked, key = await asyncio.get_running_loop().run_in_executor(None, asker.ready, task, args)
        searches = asked.task == "explain" and await self._iterative(asked)
        job, result = self.jobs.submit(
            asked.task, key, asked.title, asked.lane, asked.payload, resumable=searches, kept=asked.kept, tab=tab
        )
        if result is not None:
            self._learn(job, result)
        return job, result

    async def session(self) -> dict[str, Any]:
        """Session of api.ts; waits until the first network is open, or has failed to."""
        facts, networks = await self.facts(), await self.networks()
        if self._opening is not None:
            await asyncio.wait([self._opening], timeout=PATIENCE)
        return {
            "version": self.version,
            "hardware": {"device": facts["device"], "cores": os.cpu_count() or 1, "memory": _memory()},
            "builtin": facts["builtin"],
            "networks": list(networks.infos.values()),
            "sets": self.images.listed(),
            "roots": [{"id": r.id, "name": r.name} for r in self.roots.items],
            "methods": facts["methods"],
            "colours": facts["colours"],
            "jobs": self.jobs.listed(),
            "start": self.start,
            "limits": {"upload": self.settings.upload, "pixels": self.settings.pixels},
        }

    def ended(self, job: Job) -> None:
        """Learn from a job that is done, before the page hears of it."""
        result = self.store.result(job.key)
        if result is None:
            raise Fault(500, "StoreError", "the result was not kept.\n  Is there room on the disk?")
        self._learn(job, result)

    def _learn(self, job: Job, result: dict[str, Any]) -> None:
        meta, networks = result["meta"], self._networks
        if networks is None:
            return
        if job.task in ("open", "describe"):
            source = str(job.payload["network"]["source"])
            if job.payload.get("save"):
                # What stands beside the file is another description now, and so is the network's fingerprint.
                meta["id"] = networks.spec(source).id
                self.store.amend(job.key, result)
            networks.infos[meta["id"]] = meta
            self.live.say(f"network {meta['id']}", {"type": "network", "network": meta})
        elif job.task == "evaluate":
            own = self.scores.setdefault(str(job.payload["network"]["id"]), {})
            own.update((i["id"], {k: i[k] for k in ("mean_iou", "pixel_accuracy")}) for i in meta["images"])

    async def _asker(self) -> Asker:
        return Asker(await self.networks(), self.images, self.masks, self.store, self.version)

    async def _iterative(self, asked: Asked) -> bool:
        methods = (await self.facts())["methods"]
        return any(m["name"] == asked.args["method"] and m["iterative"] for m in methods)

    async def _open_first(self) -> None:
        source = self.settings.network
        path = Path(source).expanduser()
        if path.exists() and (place := self.roots.place(path)) is not None:
            source = ":".join(place)
        try:
            job, _ = await self.ask("open", {"source": source})
            await job.finished if not job.over else None
        except Fault:
            return
        result = self.store.result(job.key)
        if result is not None:
            self.start["network"] = result["meta"]["id"]
            self.jobs.warm(job.payload["network"])

    def _first_image(self) -> str | None:
        given = self.settings.images
        if given is None:
            return "faces-0" if self.settings.network.startswith("faces-") else FIRST
        path = Path(given).expanduser()
        place = self.roots.place(path if path.is_dir() else path.parent)
        if place is None or (path.is_file() and path.suffix.lower() not in IMAGES):
            return None
        try:
            found = self.images.open(*place)
        except Fault:
            return None
        named = [p.id for p in found.members if path.is_dir() or p.path == path.resolve()]
        return named[0] if named else None


def _memory() -> int | None:
    """Bytes of the machine's memory; None where it is not told."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
