"""`python -m benchmarks`: the table of costs and agreement, or with --json the same for programs."""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks import growth, requests
from benchmarks.cases import Case, smp_unet, streets_unet
from benchmarks.measure import Row, forward_cost, measure
from benchmarks.tasks import CONVENTIONS, Task, many_classes, tasks

PEERS = {"captum": "captum", "pytorch-grad-cam": "grad-cam"}
"""Contestants and the packages that they come in."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks and print them."""
    asked = _parser().parse_args(arguments)
    torch.set_num_threads(asked.threads)
    state = machine(asked.threads, asked.repetitions)
    groups: list[tuple[Case, list[Row]]] = []
    for case, work in _plan(asked.network):
        rows: list[Row] = []
        for task in work:
            print(f"{case.name}: {task.name} …", file=sys.stderr, flush=True)
            rows.append(measure(case, task, asked.repetitions))
        groups.append((case, rows))
    grown: list[growth.Growth] = []
    if asked.network == "both":
        for size in growth.SIZES:
            for method in ("ssm", "xrai"):
                print(f"growth: {method}, {size[0]} x {size[1]} …", file=sys.stderr, flush=True)
                grown.append(growth.growth(size, method, asked.repetitions))
    searched: list[requests.Searches] = []
    if asked.network == "both":
        print("requests for context …", file=sys.stderr, flush=True)
        searched = requests.searches()
    if asked.json:
        found = {
            "machine": state,
            "conventions": CONVENTIONS + growth.CONVENTIONS + requests.CONVENTIONS,
            "rows": [row.to_dict() for _, rows in groups for row in rows],
            "growth": [row.to_dict() for row in grown],
            "requests": [row.to_dict() for row in searched],
        }
        print(json.dumps(found, indent=2))
    else:
        _show(state, groups, grown, searched)
    return 0


def machine(threads: int, repetitions: int) -> dict[str, Any]:
    """The state of the machine that the seconds depend on."""
    from importlib.metadata import version

    return {
        "processor": platform.processor() or platform.machine(),
        "threads": threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        **{name: version(package) for name, package in PEERS.items()},
        "repetitions": repetitions,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--repetitions", type=int, default=3, help="timed runs; seconds are their median (3)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (1)")
    parser.add_argument(
        "--network",
        choices=("smp", "streets", "both"),
        default="both",
        help="which network (both, and then the growth of regions and requests for context)",
    )
    return parser


def _plan(network: str) -> list[tuple[Case, list[Task]]]:
    plan: list[tuple[Case, list[Task]]] = []
    if network != "streets":
        case = smp_unet()
        many = smp_unet(classes=150, size=(64, 128), pointwise_head=True)
        plan += [(case, tasks(case)), (many, many_classes(many))]
    if network != "smp":
        case = streets_unet()
        plan.append((case, tasks(case)))
    return plan


def _show(
    state: dict[str, Any],
    groups: list[tuple[Case, list[Row]]],
    grown: list[growth.Growth],
    searched: list[requests.Searches],
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(width=80, highlight=False)
    console.print(", ".join(f"{name} {value}" for name, value in state.items()))
    for case, rows in groups:
        flops, seconds = forward_cost(case)
        size = "x".join(map(str, case.x.shape))
        title = f"{case.name}, input {size}, layer {case.layer}; 1 F = {flops / 1e9:.2f} GFLOP = {seconds:.3f} s"
        table = Table(title=title, box=SIMPLE_HEAD, show_edge=False, padding=0, title_justify="left")
        table.add_column("\nmethod")
        for name in ("ours\nF", "\ns", "captum\nF", "\ns", "pgc\nF", "\ns", "captum\n~", "pgc\n~"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in rows:
            table.add_row(row.task, *_cells(row))
        console.print(table, "")
    console.print("\n".join(CONVENTIONS))
    if grown:
        title = "growth of a region over the segments of a street"
        table = Table(title=title, box=SIMPLE_HEAD, show_edge=False, title_justify="left")
        for name in ("picture", "segments of", "segments", "ours s", "naive s", "~"):
            table.add_column(name, justify="left" if name in ("picture", "segments of") else "right")
        for row in grown:
            size = "x".join(map(str, row.size))
            naive = "-" if row.naive is None else _short(row.naive)
            difference = "-" if row.difference is None else f"{row.difference:.0e}"
            table.add_row(size, row.method, str(row.segments), f"{row.seconds:.3f}", naive, difference)
        console.print("", table, "", "\n".join(growth.CONVENTIONS), sep="\n")
    if searched:
        title = "requests for context, together and one by one"
        table = Table(title=title, box=SIMPLE_HEAD, show_edge=False, padding=0, title_justify="left")
        table.add_column("\nsearch")
        heads = ("asked\n", "calls\n", "F\nmean", "\nmedian", "\nmost", "\ns", "wall\ns")
        for name in (*heads, "settled\n", "empty\n", "mask\n~", "apart\n", "obj.\n~"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in searched:
            table.add_row(*_searched(row))
        console.print("", table, "", "\n".join(requests.CONVENTIONS), sep="\n")


def _cells(row: Row) -> list[str]:
    cells: list[str] = []
    for name in ("seglens", *PEERS):
        here = name in row.passes
        star = "*" if row.extrapolated and name != "seglens" else ""
        cells += [_short(row.passes[name]) + star, _short(row.seconds[name]) + star] if here else ["-", "-"]
    for name in PEERS:
        found = row.agreement.get(name)
        cells.append(f"{_tiny(found.difference)} {found.correlation:.4f}" if found else "-")
    return cells


def _searched(row: requests.Searches) -> list[str]:
    numbers = ["-" if n is None else _short(n) for n in (row.passes, row.median, row.most, row.seconds, row.wall)]
    apart = "-" if row.apart is None else str(row.apart)
    counts = [str(n) for n in (row.requests, row.calls, row.settled, row.empty)]
    return [row.search, *counts[:2], *numbers, *counts[2:], _tiny(row.mask), apart, _tiny(row.objective)]


def _tiny(value: float | None) -> str:
    """2e-06 as 2e-6: the tables are to fit 80 columns."""
    return "-" if value is None else f"{value:.0e}".replace("e-0", "e-").replace("e+00", "e0")


def _short(value: float) -> str:
    """At most two digits behind the point, and four characters below 1000."""
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f}"


if __name__ == "__main__":
    raise SystemExit(main())
