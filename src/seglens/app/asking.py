"""From what the page asks to a job: names become files, and the question its key."""

from pathlib import Path
from typing import Any

from seglens.app.arguments import checked
from seglens.app.digests import digest_of
from seglens.app.faults import Fault
from seglens.app.images import Images
from seglens.app.masks import Masks
from seglens.app.networks import Networks, NetworkSpec
from seglens.app.store import Store
from seglens.app.tasks import UNITS, UNKEPT, Lane, lane_of


class Asked:
    """A question made ready: payload for the worker, key, title, lane."""

    def __init__(self, task: str, args: dict[str, Any]) -> None:
        self.task, self.args = task, args
        self.payload: dict[str, Any] = dict(args.items())
        self.content: dict[str, Any] = dict(args.items())
        self.title = task
        self.network: NetworkSpec | None = None

    @property
    def lane(self) -> Lane:
        """Where it is worked on."""
        return lane_of(self.task, self.args)

    @property
    def kept(self) -> bool:
        """Whether a result in the store answers it."""
        return self.task not in UNKEPT


class Asker:
    """Knows networks, pictures, masks and results by their ids."""

    def __init__(self, networks: Networks, images: Images, masks: Masks, store: Store, version: str) -> None:
        self._networks, self._images, self._masks = networks, images, masks
        self._store, self._version = store, version

    def ready(self, task: object, args: object) -> tuple[Asked, str]:
        """The question with its key. Reads files, so not for the event loop. Raises Fault."""
        plain = checked(task, args)
        asked = Asked(str(task), plain)
        self._network(asked)
        for name in ("image", "a", "b"):
            if name in plain:
                picture = self._images.get(plain[name])
                asked.payload[name] = self._images.payload(picture)
                asked.content[name] = self._images.content(picture)
                asked.title = f"{asked.title} · {picture.name}" if name == "image" else asked.title
        if "set" in plain:
            members = self._images.set(plain["set"]).members
            if task == "units" and len(members) > UNITS:
                # From the whole of it: a folder is often sorted by what is on its pictures.
                members = [members[i * len(members) // UNITS] for i in range(UNITS)]
            asked.payload["images"] = [self._images.payload(p) for p in members]
            asked.content["set"] = [[p.id, *self._images.content(p)] for p in members]
            asked.title = f"{asked.title} · {self._images.set(plain['set']).name}"
        region = (plain.get("target") or {}).get("region")
        if region is not None:
            asked.payload["masks"] = self._masks.named_in(region)
        if task == "explain":
            asked.title = _words(plain)
        if task == "verify":
            self._removal(asked)
        if task == "report":
            self._items(asked)
        key = digest_of({"task": asked.task, "asked": asked.content, "version": self._version})
        return asked, key

    def _network(self, asked: Asked) -> None:
        plain = asked.args
        if asked.task == "open":
            spec = self._networks.spec(plain["source"])
            asked.title = f"open {spec.source.rpartition('/')[2]}"
        elif "network" in plain:
            spec = self._networks.get(plain["network"])
            if asked.task == "describe":
                spec = self._networks.spec(spec.source, plain["description"] or None)
        else:
            return
        asked.network = spec
        asked.payload["network"] = spec.payload()
        asked.content["network"] = spec.fingerprint

    def _removal(self, asked: Asked) -> None:
        plain = asked.args
        asked.title = f"verify: {_words(plain)}"
        needed = "mask" if plain["what"] == "mask" else "explanation"
        if needed not in plain:
            raise Fault(422, "ArgumentError", f"what = {plain['what']!r} needs the id of the {needed}.")
        if needed == "mask":
            asked.payload["mask"] = str(self._masks.path(plain["mask"]))
            return
        result = self._store.result(plain["explanation"])
        if result is None or result["task"] != "explain":
            raise Fault(404, "ResultError", "the explanation is not kept any more.\n  Explain again, then verify.")
        # What was stopped may have gone on meanwhile, under the same key.
        asked.content["stopped"] = result["meta"]["stopped"]

    def _items(self, asked: Asked) -> None:
        asked.title = f"report: {asked.args['title']}"
        for item in asked.args["items"]:
            if self._store.at(item["key"]) is None:
                raise Fault(404, "ResultError", f"the result {item['key'][:12]}… is not kept any more.\n  Ask again.")


def _words(plain: dict[str, Any]) -> str:
    target = plain.get("target") or {}
    channel = target.get("channel")
    words = plain.get("method", "")
    if channel is not None:
        words = f"{words}: {channel}" if words else str(channel)
    if target.get("against") is not None:
        words += f" against {target['against']}"
    return words or "largest class"


def thumbnail_key(path: Path) -> str:
    """A name for what is made small of a file, another one once the file changes."""
    stat = path.stat()
    return digest_of([str(path), stat.st_mtime_ns, stat.st_size])[:40]
