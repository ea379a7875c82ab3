"""What the pages list is what there is: links, methods, errors, keys, pictures, the citation."""

import inspect
import re
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

import pytest

from seglens.core import errors, region_text
from seglens.core.convention import Convention
from seglens.core.method import METHODS
from seglens.networks.description import Description

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?://)([^)#\s]+)(?:#[^)]*)?\)")


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    without_code = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in LINK.findall(without_code):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_is_reached_from_an_index() -> None:
    index = text("docs/index.md") + text("docs/decisions/index.md")
    for page in (ROOT / "docs").rglob("*.md"):
        assert page.name == "index.md" or page.name in index, page


@pytest.mark.parametrize("page", ["README.md", "docs/reference/methods.md"])
def test_methods_are_all_listed(page: str) -> None:
    listed = set(re.findall(r"^\| `([a-z-]+)`", text(page), re.MULTILINE))
    assert listed == set(METHODS.names())


def test_errors_and_warnings_are_all_listed() -> None:
    base = (errors.SeglensError, errors.SeglensWarning)
    made = {n for n, c in vars(errors).items() if inspect.isclass(c) and issubclass(c, base) and c not in base}
    listed = set(re.findall(r"^\| `(\w+)`", text("docs/reference/errors-and-warnings.md"), re.MULTILINE))
    assert listed == made


def test_region_words_are_all_listed() -> None:
    page = text("docs/reference/regions.md")
    for word in [*region_text._WORDS, "mask", "everything"]:  # pyright: ignore[reportPrivateUsage]
        assert f"`{word}" in page, word


def test_keys_of_a_description_are_all_listed() -> None:
    page = text("docs/how-to/your-own-network.md")
    for field in [*fields(Description), *fields(Convention)]:
        assert f"`{field.name}`" in page or f"[{field.name}]" in page, field.name


def test_each_dependency_has_a_paragraph() -> None:
    pages = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "docs/decisions").glob("dependencies-*.md"))
    declared = re.findall(r'"([a-z][\w-]*)(?:\[[\w,]+\])?>=', text("pyproject.toml"))
    for name in set(declared):
        assert name in pages, name


def test_pictures_are_small_and_shown() -> None:
    pages = "".join(p.read_text(encoding="utf-8") for p in PAGES)
    pictures = list((ROOT / "docs/pictures").glob("*"))
    assert pictures
    for picture in pictures:
        assert f"pictures/{picture.name}" in pages, f"{picture.name} is shown nowhere"
    assert sum(p.stat().st_size for p in pictures) < 2.75e6


def test_the_citation_names_this_version() -> None:
    stated = dict(re.findall(r"^([\w-]+): *(\S.*)$", text("CITATION.cff"), re.MULTILINE))
    assert stated["cff-version"] == "1.2.0"
    assert stated["version"] == version("seglens")
    assert {"message", "title", "type", "license"} <= set(stated)
    assert "authors:\n  - name:" in text("CITATION.cff")
