"""Every code block of the README and the docs runs, or says why it does not."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from seglens.core.method import METHODS
from seglens.networks import ADAPTERS, LOADERS

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"(?:<!-- not run: (?P<reason>[^>]+) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)```", re.DOTALL)
RUN = {"python", "sh"}
SHOWN = {"text", "toml", "bibtex"}
"""Languages of blocks that are there to be read: output, data."""


@dataclass(frozen=True)
class Block:
    language: str
    code: str
    line: int
    reason: str | None


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(m["language"], m["code"], text[: m.start()].count("\n") + 1, m["reason"]) for m in FENCE.finditer(text)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_block_is_of_a_kind_that_nobody_checks(page: Path) -> None:
    assert page.read_text(encoding="utf-8").count("```") == 2 * len(blocks(page)), "a fence is not closed"
    for block in blocks(page):
        known = block.language in RUN | SHOWN
        assert known or block.reason, f"{page.name}:{block.line}: name the language, or say why it is not run"


def runnable(page: Path) -> list[Block]:
    return [b for b in blocks(page) if b.language in RUN and not b.reason]


@pytest.mark.parametrize("page", [p for p in PAGES if runnable(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_blocks_run_in_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python blocks of a page share their names, as for a reader who follows it; commands run in the same folder."""
    monkeypatch.chdir(tmp_path)
    # What a page registers as an example stays in that page.
    monkeypatch.setattr(METHODS, "_known", {name: METHODS[name] for name in METHODS})
    for registry in (LOADERS, ADAPTERS):
        # A plugin that the page is the first to ask for goes from the announced to the known: both are put back.
        monkeypatch.setattr(registry, "_announced", dict(registry._plugins()))
        monkeypatch.setattr(registry, "_known", dict(registry._known))
    names: dict[str, object] = {}
    for block in runnable(page):
        if block.language == "python":
            # Blank lines put errors on the page's own line numbers.
            source = "\n" * block.line + block.code
            exec(compile(source, str(page), "exec"), names)
        else:
            for command in block.code.replace("\\\n", " ").splitlines():
                run(command)


def run(command: str) -> None:
    """One line as typed; of seglens only, in this process, so that torch is not imported again each time."""
    from typer.testing import CliRunner

    from seglens.cli import app

    words = shlex.split(command, comments=True)
    if not words:
        return
    assert words[0] == "seglens", f"only seglens commands are run here; give a reason for not running: {command}"
    result = CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, f"{command}\n{result.output}"


def test_a_failing_block_fails(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nassert 1 == 2\n```\n")
    (block,) = runnable(page)
    with pytest.raises(AssertionError):
        exec(compile(block.code, "page", "exec"), {})
