"""What happens, to every open tab: of each thing only the latest word, so that a slow tab hears less and never late."""

import asyncio
import json
import secrets
from collections import OrderedDict
from typing import Any

MOST = 64
"""Sockets at once."""

QUEUED = 512
"""Words that wait for a slow tab; the oldest go, but never the end of a job."""


class Listener:
    """The socket of a tab. tab: which one, once it has said so."""

    def __init__(self) -> None:
        self.id = secrets.token_hex(8)
        self.tab = ""
        self._waiting: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._something = asyncio.Event()

    def put(self, about: str, message: dict[str, Any]) -> None:
        """Keep a word until it is fetched; it replaces an earlier one about the same."""
        self._waiting.pop(about, None)
        self._waiting[about] = message
        while len(self._waiting) > QUEUED:
            passing = (k for k, m in self._waiting.items() if m.get("job", {}).get("state") in ("waiting", "running"))
            self._waiting.pop(next(passing, next(iter(self._waiting))))
        self._something.set()

    async def get(self) -> str:
        """The oldest word, as JSON."""
        await self._something.wait()
        _, message = self._waiting.popitem(last=False)
        if not self._waiting:
            self._something.clear()
        return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


class Live:
    """All tabs."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    def join(self) -> Listener | None:
        """A new tab; None where there are too many."""
        if len(self._listeners) >= MOST:
            return None
        listener = Listener()
        listener.put("socket", {"type": "socket", "id": listener.id})
        self._listeners.add(listener)
        return listener

    def named(self, socket: str, tab: str) -> bool:
        """A tab says which socket is its own; False where that is closed already."""
        found = next((one for one in self._listeners if one.id == socket), None)
        if found is not None:
            found.tab = tab
        return found is not None

    @property
    def tabs(self) -> set[str]:
        """The tabs that are open."""
        return {one.tab for one in self._listeners if one.tab}

    def leave(self, listener: Listener) -> None:
        """The tab is closed."""
        self._listeners.discard(listener)

    def say(self, about: str, message: dict[str, Any]) -> None:
        """Tell all. about: what it concerns; the latest word about it is the one that counts."""
        for listener in self._listeners:
            listener.put(about, message)
