"""The page of operators lists what the table holds, in the operators' own words."""

from pathlib import Path

from onnx import defs

from seglens.networks.onnx.operators import NEWEST, OLDEST, OPERATORS

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "onnx-operators.md"


def rows() -> dict[str, list[str]]:
    """Lines of the page's tables, by subject."""
    found: dict[str, list[str]] = {}
    for name in sorted(OPERATORS):
        entry = OPERATORS[name]
        # Of entries that stand for several operators the line is told once, with all of their names.
        names = [n for n in sorted(OPERATORS) if OPERATORS[n].build is entry.build]
        if names[0] == name:
            said = (entry.build.__doc__ or "").strip().split("\n\n")[0].replace("|x|", "abs x").replace("|", "")
            found.setdefault(entry.subject, []).append(
                f"| {', '.join(f'`{n}`' for n in names)} | {' '.join(said.split())} |"
            )
    return found


def test_page_lists_every_operator():
    text = PAGE.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    assert lines == [line for _, listed in sorted(rows().items()) for line in listed]
    assert f"operator sets {OLDEST} to {NEWEST}" in text


def test_table_names_operators_that_exist():
    known = {s.name for s in defs.get_all_schemas_with_history() if s.domain == ""}
    assert set(OPERATORS) <= known
