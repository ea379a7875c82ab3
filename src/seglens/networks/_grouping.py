"""From the trace of one pass to its graph: layers made whole, constants left out, modules as nested groups."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from torch import nn
from torch.nn.parameter import is_lazy

from seglens.networks._dataflow import Call, Seen, Step, Trace, is_torchs, type_of
from seglens.networks._operations import HEAVY, kind_of, kind_of_module
from seglens.networks.graph import Edge, Graph, Group, Node, Shape


@dataclass(slots=True, eq=False)
class _Item:
    """A node to be: one step, or all steps of a layer's call. call: the module call that it is shown in."""

    call: int
    steps: list[Step]
    layer: Call | None = None
    reads: list[tuple[int, Shape]] = field(default_factory=list[tuple[int, Shape]])
    weights: dict[int, int] = field(default_factory=dict[int, int])


def grouped(trace: Trace, name: str) -> Graph:
    """The graph of a trace. name: of the network."""
    items = _without_constants(_items(trace))
    tree = _Tree(trace, items)
    nodes, edges = tree.nodes(), list[Edge]()
    for i in tree.order:
        reads = items[i].reads
        edges += [Edge(nodes[s].id, nodes[i].id, k, (shape,)) for k, (s, shape) in enumerate(reads)]
    root = trace.calls[0].module
    return Graph(
        name,
        type_of(root),
        sum(_weights([root]).values()),
        tuple(nodes[i] for i in tree.order),
        tuple(edges),
        tuple(tree.groups()),
        tuple(dict.fromkeys(c.path for c in trace.calls if c.idle)),
    )


def _items(trace: Trace) -> list[_Item]:
    """Steps of one layer's call together. A layer is a module that calls no other, and is not the whole network."""
    own: dict[int, list[Step]] = {}
    for step in trace.steps:
        own.setdefault(step.call, []).append(step)
    whole = {i for i, c in enumerate(trace.calls) if i and not c.parts and not _is_opened(c, own.get(i, []))}
    items: list[_Item] = []
    place: list[int] = []
    of_call: dict[int, int] = {}
    for step in trace.steps:
        at = of_call.get(step.call)
        if at is None:
            at = len(items)
            layer = trace.calls[step.call] if step.call in whole else None
            items.append(_Item(layer.parent if layer else step.call, [], layer))
            if layer:
                of_call[step.call] = at
        place.append(at)
        item = items[at]
        item.steps.append(step)
        item.weights.update(step.weights)
        item.reads += [(place[s], shape) for s, shape in step.reads if place[s] != at]
    for item in items:
        if item.layer is not None:
            item.reads = _taken(item.reads, [(place[s], shape) for s, shape in item.layer.given])
    return items


def _taken(reads: Sequence[tuple[int, Shape]], given: Sequence[tuple[int, Shape]]) -> list[tuple[int, Shape]]:
    """What a layer reads: of its arguments, as they came, those that it looked at; then what it found elsewhere.

    A layer takes a tensor once, however often its operations look at it.
    """
    looked_at = {s for s, _ in reads}
    taken = [(s, shape) for s, shape in dict.fromkeys(given) if s in looked_at]
    known = {s for s, _ in taken}
    elsewhere: dict[int, Shape] = {}
    for s, shape in reads:
        if s not in known:
            elsewhere.setdefault(s, shape)
    return [*taken, *elsewhere.items()]


def _is_opened(call: Call, steps: Sequence[Step]) -> bool:
    """Whether a module without parts is more than a layer: one of the user's with several weighty operations."""
    return not is_torchs(call.module) and sum(_kind(s, s.reads) in HEAVY for s in steps) > 1


def _kind(step: Step, reads: Sequence[tuple[int, Shape]]) -> str:
    return step.name[1:] if step.name[0] == ":" else kind_of(step.name, len({s for s, _ in reads}))


def _without_constants(items: list[_Item]) -> list[_Item]:
    """Without operations that depend on neither an input nor a layer; who reads them counts their parameters."""
    kept: list[_Item] = []
    place: dict[int, int] = {}
    for i, item in enumerate(items):
        for s, _ in item.reads:
            if s not in place:
                item.weights.update(items[s].weights)
        item.reads = [(place[s], shape) for s, shape in item.reads if s in place]
        if item.reads or item.layer is not None or item.steps[0].name[0] == ":":
            place[i] = len(kept)
            kept.append(item)
    return kept


@dataclass(slots=True, eq=False)
class _Bundle:
    """A group to be: a call of a module, or (call None) a list by its path. shape, seen: of its end."""

    path: str
    parent: int | None
    call: Call | None
    modules: list[nn.Module]
    shape: Shape | None
    seen: Seen | None


Entry = tuple[int, bool]
"""Something that ran inside a call: an item (True) by its number, or another call with items inside (False)."""


class _Tree:
    """The groups around items: calls of modules, and in these the lists whose layers run side by side."""

    def __init__(self, trace: Trace, items: Sequence[_Item]) -> None:
        self._calls, self._items = trace.calls, items
        self._runs = Counter(c.path for c in trace.calls)
        self._named = dict(trace.calls[0].module.named_modules())
        self._inside = self._contents()
        self._bundles: list[_Bundle] = []
        self._of_item: dict[int, int | None] = {}
        self._place(self._inside.get(0, []), "", None)
        self._ids = self._group_ids()

    @property
    def order(self) -> list[int]:
        """The items in the order of the drawing: as they ran, but for operations that a list's modules ran between."""
        return list(self._of_item)

    def groups(self) -> list[Group]:
        """Each after the one around it."""
        return [
            Group(
                self._ids[i],
                type_of(b.call.module if b.call else self._named[b.path]),
                b.path,
                None if b.parent is None else self._ids[b.parent],
                len(b.path.split(".")),
                b.call.number if b.call else 0,
                self._runs[b.path] if b.call else 1,
                sum(_weights(b.modules).values()),
                b.shape,
                *(b.seen or (None, None)),
            )
            for i, b in enumerate(self._bundles)
        ]

    def nodes(self) -> dict[int, Node]:
        """A node for each item, by its number."""
        names = [self._name(item) for item in self._items]
        total, before = Counter(names), Counter[str]()
        made: dict[int, Node] = {}
        for i, (item, name) in enumerate(zip(self._items, names, strict=True)):
            made[i] = self._node(item, name if total[name] == 1 else f"{name}#{before[name]}", self._of_item[i])
            before[name] += 1
        return made

    def _node(self, item: _Item, id_: str, around: int | None) -> Node:
        call, last = item.layer or self._calls[item.call], item.steps[-1]
        weights = item.weights
        if item.layer is None:
            kind, type_ = _kind(last, item.reads), last.name.lstrip(":")
            shape, seen = last.shape, last.seen
        else:
            type_ = type_of(call.module)
            kind = kind_of_module(type_, (_kind(s, s.reads) for s in item.steps))
            shape, seen = call.shape or last.shape, call.seen
            weights = weights | _weights([call.module])
        return Node(
            id_,
            kind,
            type_,
            call.path,
            None if around is None else self._ids[around],
            call.number,
            self._runs[call.path],
            sum(weights.values()),
            shape,
            *(seen or (None, None)),
            detail=next((s.detail for s in item.steps if s.detail), ""),
            explained=last.explained,
        )

    def _name(self, item: _Item) -> str:
        if item.layer is not None:
            return self._call_id(item.layer)
        name = item.steps[0].name
        return name if name[0] == ":" else f"{self._call_id(self._calls[item.call])}:{name}"

    def _call_id(self, call: Call) -> str:
        return f"{call.path}#{call.number}" if self._runs[call.path] > 1 else call.path

    def _group_ids(self) -> list[str]:
        lists = Counter(b.path for b in self._bundles if b.call is None)
        before, ids = Counter[str](), list[str]()
        for b in self._bundles:
            if b.call is not None:
                ids.append(self._call_id(b.call))
                continue
            single = lists[b.path] == 1 and not self._runs[b.path]
            ids.append(b.path if single else f"{b.path}~{before[b.path]}")
            before[b.path] += 1
        return ids

    def _contents(self) -> dict[int, list[Entry]]:
        """For each call, in order, what ran inside it and holds a node."""
        inside: dict[int, list[Entry]] = {}
        for i, item in enumerate(self._items):
            inside.setdefault(item.call, []).append((i, True))
            call = item.call
            while call:
                entries = inside.setdefault(self._calls[call].parent, [])
                if entries[-1:] == [(call, False)]:
                    break
                entries.append((call, False))
                call = self._calls[call].parent
        return inside

    def _place(self, entries: list[Entry], above: str, around: int | None) -> None:
        """Enter what ran inside a module of path `above`, in the group `around`."""
        for listed, run in self._cut(entries, above):
            if listed:
                # A list that shows only one of its parts is no group: the part stands for itself.
                group = self._listed(listed, run, around) if self._has_parts(run, listed) else around
                self._place(run, listed, group)
                continue
            (at, is_item) = run[0]
            if is_item:
                self._of_item[at] = around
                continue
            call = self._calls[at]
            self._bundles.append(_Bundle(call.path, around, call, [call.module], call.shape, call.seen))
            self._place(self._inside[at], call.path, len(self._bundles) - 1)

    def _cut(self, entries: list[Entry], above: str) -> list[tuple[str, list[Entry]]]:
        """Entries cut into runs: those of one list under `above`, with the operations on the way, and single ones.

        The first of each pair is the list's path, '' for an entry alone. What data flows allows is kept in order.
        """
        runs: list[tuple[str, list[Entry]]] = []
        between: list[Entry] = []
        for entry in entries:
            call = self._call(entry)
            if call is None:
                between.append(entry)
                continue
            listed = _list_of(call.path, above)
            if listed and runs and runs[-1][0] == listed:
                runs[-1][1].extend([*between, entry])
            else:
                runs += [("", [b]) for b in between]
                runs.append((listed, [entry]))
            between = []
        runs += [("", [b]) for b in between]
        return [part for listed, run in runs for part in (self._sifted(listed, run) if listed else [(listed, run)])]

    def _sifted(self, listed: str, run: list[Entry]) -> list[tuple[str, list[Entry]]]:
        """A run without the operations that are not on the way from one of its modules to another.

        Those that only feed its modules go before it, all others behind it; so nothing that leaves a group comes back.
        """
        home = {i: k for k, entry in enumerate(run) for i in self._items_in(entry)}
        reads = [{home[s] for i in self._items_in(e) for s, _ in self._items[i].reads if s in home} for e in run]
        after = [self._call(e) is not None for e in run]
        before = list(after)
        for k, sources in enumerate(reads):
            after[k] |= any(after[s] for s in sources)
        for k in range(len(run) - 1, -1, -1):
            for s in reads[k] if before[k] else ():
                before[s] = True
        inside = [e for k, e in enumerate(run) if after[k] and before[k]]
        return [
            *(("", [e]) for k, e in enumerate(run) if before[k] and not after[k]),
            (listed, inside),
            *(("", [e]) for k, e in enumerate(run) if not before[k]),
        ]

    def _items_in(self, entry: Entry) -> list[int]:
        at, is_item = entry
        return [at] if is_item else [i for inner in self._inside[at] for i in self._items_in(inner)]

    def _has_parts(self, run: list[Entry], listed: str) -> bool:
        return len(run) > 1 and len(self._cut(run, listed)) > 1

    def _call(self, entry: Entry) -> Call | None:
        """The module call that an entry is; None of an operation."""
        at, is_item = entry
        return self._items[at].layer if is_item else self._calls[at]

    def _listed(self, path: str, run: list[Entry], around: int | None) -> int:
        calls = [c for c in map(self._call, run) if c is not None]
        # A run ends with a module, never with an operation.
        modules, end = [c.module for c in calls], calls[-1]
        self._bundles.append(_Bundle(path, around, None, modules, end.shape, end.seen))
        return len(self._bundles) - 1


def _list_of(path: str, above: str) -> str:
    """The module next below `above` on the way to `path`; '' where that is the module itself, or lies elsewhere."""
    lead = f"{above}." if above else ""
    if not path.startswith(lead):
        return ""
    first, more, _ = path[len(lead) :].partition(".")
    return lead + first if more else ""


def _weights(modules: Iterable[nn.Module]) -> dict[int, int]:
    return {id(p): p.numel() for m in modules for p in m.parameters() if not is_lazy(p)}
