"""Which explanation goes where in a comparison: rows and columns by what differs between them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from seglens.core.explanation import Explanation
from seglens.viz import words

_ACROSS = 4  # pictures in a row of a list


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture: explanation number `index`, its bare image where `plain`."""

    index: int
    caption: str
    plain: bool = False
    outlined: bool = True


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Rows of cells, None where nothing is; `headings` stand above rows, `names` tell explanations apart."""

    title: str
    subtitle: str
    headings: list[str]
    rows: list[list[Cell | None]]
    names: list[str]

    @property
    def columns(self) -> int:
        """Cells in the longest row."""
        return max(map(len, self.rows))


def arrange(explanations: Sequence[Explanation]) -> Arrangement:
    """A place for each of one or more explanations.

    Image, network, target and method (with layer and settings) are looked at in this order. Where
    two differ, the first makes rows and the second columns, with the image in front of each row;
    where one differs, or more than two do, or two explanations would share a place, all follow
    each other in a list. Methods at several layers make a table too, where every pair is there.
    What asks about no class differs from what does only where that asks several questions.
    """
    told = {name: tell(explanations) for name, tell in _TELL.items()}
    _tell_twins_apart(explanations, told)
    differ = [name for name in ("image", "network", "target", "how") if len(set(told[name])) > 1]
    if differ == ["how"] and _complete(told["method"], told["layer"]):
        differ = ["method", "layer"]
    elif len(differ) == 2 and differ[1] == "how" and _layers_alone(told):
        differ[1] = "layer"
    names = [" · ".join(told[d][i] for d in differ) for i in range(len(explanations))]
    title, subtitle = _titles(explanations, told, differ)
    one_image = len(set(told["image"])) == 1
    same_region = len({_digest(e.region) for e in explanations}) == 1

    if len(differ) == 2 and len(set(names)) == len(names):
        rows, columns = (list(dict.fromkeys(told[d])) for d in differ)
        where = {(told[differ[0]][i], told[differ[1]][i]): i for i in range(len(names))}
        lines: list[list[Cell | None]] = []
        for n, row in enumerate(rows):
            found = [where.get((row, column)) for column in columns]
            first = next(i for i in found if i is not None)
            lead = _lead(first, [explanations[i] for i in found if i is not None])
            cells = [
                None if i is None else Cell(i, column if n == 0 else "")
                for i, column in zip(found, columns, strict=True)
            ]
            # Captions stand over the first row; a hole there hands its caption down.
            for k, cell in enumerate(cells):
                if cell is not None and all(line[k + 1] is None for line in lines):
                    cells[k] = Cell(cell.index, columns[k])
            lines.append([lead if n == 0 else Cell(lead.index, "", True, lead.outlined), *cells])
        return Arrangement(title, subtitle, rows, lines, names)

    if one_image:
        flow: list[Cell | None] = [Cell(0, "image", True, same_region)]
        flow += [Cell(i, name) for i, name in enumerate(names)]
    else:
        flow = []
        for i, (name, picture) in enumerate(zip(names, told["image"], strict=True)):
            flow += [Cell(i, picture, True), Cell(i, name if len(differ) > 1 else "explanation")]
    across = min(_ACROSS, len(flow))
    return Arrangement(
        title,
        subtitle,
        [""] * -(-len(flow) // across),
        [flow[k : k + across] for k in range(0, len(flow), across)],
        names,
    )


def _lead(index: int, row: list[Explanation]) -> Cell:
    same = len({_digest(e.region) for e in row}) == 1
    return Cell(index, "image", True, same)


def _titles(explanations: Sequence[Explanation], told: dict[str, list[str]], differ: list[str]) -> tuple[str, str]:
    """What all have in common, else how many there are; then the rest of it."""
    kept = [d for d in ("how", "target") if d not in differ]
    if "method" in differ:
        kept.remove("how")
    elif "layer" in differ:
        kept[kept.index("how")] = "method"
    if not any(map(words.asks, explanations)):
        kept = [d for d in kept if d != "target"]
    title = " · ".join(told[d][0] for d in kept)
    first = explanations[0]
    # Latent units are read as they are: of logits would say that they were classes.
    of = {e.of for e in explanations if words.asks(e) and not e.unit.startswith("unit of the output")}
    facts = [f"{len(explanations)} explanations"] if len(explanations) > 1 else []
    facts += [first.network] if "network" not in differ else []
    facts += [f"scores are of {of.pop()}"] if len(of) == 1 else []
    return (title or facts.pop(0)), "  ·  ".join(facts)


def _complete(a: list[str], b: list[str]) -> bool:
    """Whether the pairs are all those of several a and several b, each once."""
    kinds = len(set(a)), len(set(b))
    pairs = set(zip(a, b, strict=True))
    return min(kinds) > 1 and len(pairs) == kinds[0] * kinds[1] == len(a)


def _layers_alone(told: dict[str, list[str]]) -> bool:
    """Whether one method with the same settings reads several layers."""
    return len(set(told["method"])) == 1 and len(set(zip(told["how"], told["layer"], strict=True))) == len(
        set(told["layer"])
    )


def _tell_twins_apart(explanations: Sequence[Explanation], told: dict[str, list[str]]) -> None:
    """Add to `how` those single whole numbers that alone tell explanations apart, such as the channel of an activation.

    Other results are no names: the nodes that an integral took belong to its answer.
    """
    twins: dict[tuple[str, ...], list[int]] = {}
    for i in range(len(explanations)):
        twins.setdefault(tuple(told[d][i] for d in ("image", "network", "target", "how")), []).append(i)
    for group in twins.values():
        found = {i: [n for n in words.numbers(explanations[i]) if n[1].isdigit()] for i in group}
        for i in group:
            own = [f"{name} {value}" for name, value in found[i] if any((name, value) not in found[j] for j in group)]
            told["how"][i] = ", ".join([told["how"][i], *own])


def _digest(array: NDArray[np.generic] | None) -> str:
    if array is None:
        return ""
    return sha256(array.tobytes() + repr(array.shape).encode()).hexdigest()


def image_names(explanations: Sequence[Explanation]) -> list[str]:
    """A name for the image of each, the same for the same image and different for different ones."""
    seen: dict[str, int] = {}
    numbers = [seen.setdefault(_digest(e.image), len(seen)) for e in explanations]
    names = [words.picture_name(e, n) for e, n in zip(explanations, numbers, strict=True)]
    # Two files of one name in two folders are told apart by number.
    twice = {n for n in names if len({i for i, m in zip(numbers, names, strict=True) if m == n}) > 1}
    return [f"{m} ({i + 1})" if m in twice else m for i, m in zip(numbers, names, strict=True)]


def _how(explanations: Sequence[Explanation]) -> list[str]:
    """Method and layer, with those settings in which explanations of one method and layer differ."""
    values: dict[tuple[str, str], set[str]] = {}
    for e in explanations:
        for name, value in words.settings(e):
            values.setdefault((words.heading(e), name), set()).add(value)
    return [
        ", ".join(
            [words.heading(e)] + [f"{n} = {v}" for n, v in words.settings(e) if len(values[words.heading(e), n]) > 1]
        )
        for e in explanations
    ]


def _target(explanations: Sequence[Explanation]) -> list[str]:
    """The question of each; what asks none is counted to the only question of the others."""
    asked = {e.target for e in explanations if words.asks(e)}
    only = next(iter(asked)) if len(asked) == 1 else None
    return [e.target if words.asks(e) else only or words.target(e) for e in explanations]


_TELL: dict[str, Callable[[Sequence[Explanation]], list[str]]] = {
    "image": image_names,
    "network": lambda es: [e.network for e in es],
    "target": _target,
    "how": _how,
    "method": lambda es: [e.method for e in es],
    "layer": lambda es: [e.layer or "no layer" for e in es],
}
