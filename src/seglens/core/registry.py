"""Names to things: built-ins register by decorator, plugins by entry point, loaded on first use."""

from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar, cast

from seglens.core.errors import DuplicateNameError, NameNotFoundError, suggest

T = TypeVar("T")
Decorated = TypeVar("Decorated")


class Registry(Generic[T]):
    """A table from names to things of one kind, open to plugins.

    `group` is the entry-point group in which other packages announce theirs. An announced thing is imported
    when its name is first asked for, never before. A name is taken once: registering it again raises
    DuplicateNameError, also between a built-in and a plugin.
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self.group = group
        self._known: dict[str, T] = {}
        self._announced: dict[str, EntryPoint] | None = None
        self._disputed: dict[str, tuple[str, str]] = {}

    def register(self, name: str) -> Callable[[Decorated], Decorated]:
        """Decorator: make the decorated thing known under `name`."""

        def enter(thing: Decorated) -> Decorated:
            self.add(name, cast(T, thing))
            return thing

        return enter

    def add(self, name: str, thing: T) -> None:
        """Make `thing` known under `name`; raises DuplicateNameError where the name is taken."""
        if name in self._known:
            raise DuplicateNameError(
                f"{self.kind} {name!r} is registered already, by {self._known[name]!r}.\n"
                f"  Choose another name for {thing!r}."
            )
        self._known[name] = thing

    def __getitem__(self, name: str) -> T:
        """The thing of that name, a plugin's being imported now. Raises NameNotFoundError."""
        if name in self._known:
            if name in self._plugins():
                raise DuplicateNameError(
                    f"{self.kind} {name!r} is built in, and the plugin {self._plugins()[name].value!r} "
                    f"claims the name too.\n  Uninstall the plugin or let it take another name."
                )
            return self._known[name]
        if name in self._plugins():
            if name in self._disputed:
                raise DuplicateNameError(
                    f"two plugins announce the {self.kind} {name!r}: {' and '.join(self._disputed[name])}.\n"
                    "  Uninstall one of them."
                )
            thing = cast(T, self._plugins()[name].load())
            # A plugin may use the decorator itself, under the name that it announced.
            self._known.setdefault(name, thing)
            del self._plugins()[name]
            return self._known[name]
        raise NameNotFoundError(
            f"no {self.kind} {name!r}.{suggest(name, self.names())}\n  All of them: {', '.join(self.names())}."
        )

    def __contains__(self, name: object) -> bool:
        return name in self._known or name in self._plugins()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def names(self) -> list[str]:
        """All names, built-in and announced, sorted."""
        return sorted({*self._known, *self._plugins()})

    def name_of(self, thing: object) -> str | None:
        """The name under which `thing` is registered, None where it is not."""
        return next((name for name, known in self._known.items() if known is thing), None)

    def _plugins(self) -> dict[str, EntryPoint]:
        if self._announced is None:
            self._announced = {}
            for entry in entry_points(group=self.group):
                if entry.name in self._announced and self._announced[entry.name].value != entry.value:
                    # Said when the name is asked for: the other names are not to suffer.
                    self._disputed[entry.name] = (self._announced[entry.name].value, entry.value)
                self._announced[entry.name] = entry
        return self._announced
