"""What the pages for people say, held against the program: settings, commands, links, `make`."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from flask import Flask
from pydantic_core import PydanticUndefined

from store.cli import main
from store.kit import tokens
from store.settings import PREFIX, Settings
from tests.browser.pictures import FOLDER, PICTURES
from tests.command_tree import commands_of

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")], key=lambda page: page.relative_to(ROOT)
)
GUIDE = (ROOT / "docs" / "operators-guide.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))


def _table(page: str, heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, without its own head."""
    section = page.split(f"\n## {heading}\n")[1].split("\n## ", maxsplit=1)[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "must be set"
    if value in (None, "", []):
        return "not set"
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{shown}`"


def _commands(group: click.Group, path: str = "store") -> Iterator[str]:
    for name, command in commands_of(group).items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}"


def _plain_command(cell: str) -> str:
    """`store edition recall` of `store edition recall SLUG NUMBER`."""
    words = cell.strip("`").split()
    return " ".join(word for word in words if re.fullmatch("[a-z-]+", word))


def _options(command: str) -> set[str]:
    found: click.Command = main
    for word in command.split()[1:]:
        assert isinstance(found, click.Group)
        found = commands_of(found)[word]
    return {name for one in found.params if isinstance(one, click.Option) for name in one.opts}


def test_the_table_of_settings_is_that_of_the_program() -> None:
    told = [(row[0].strip("`"), row[1]) for row in _table(GUIDE, "Settings")]
    fields = Settings.model_fields
    assert told == [
        (PREFIX + name.upper(), _default(field.get_default(call_default_factory=True)))
        for name, field in fields.items()
    ]


def test_no_page_names_a_setting_that_is_none() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    named = {
        (page.name, name)
        for page in PAGES
        for name in re.findall(r"\bSTORE_[A-Z_]+[A-Z]\b", page.read_text(encoding="utf-8"))
    }
    assert {(page, name) for page, name in named if name not in known} == set()


def test_the_list_of_commands_is_that_of_the_program() -> None:
    told = [_plain_command(row[0]) for row in _table(GUIDE, "Commands")]
    assert sorted(told) == sorted(_commands(main))


def test_options_named_beside_a_command_are_its_own() -> None:
    for command, words in _table(GUIDE, "Commands"):
        named = set(re.findall(r"--[a-z][a-z-]*", words))
        assert named - _options(_plain_command(command)) == set(), command


def test_no_access_log_of_nginx_keeps_the_token_of_any_door(app: Flask) -> None:
    site = (ROOT / "docs" / "ops" / "nginx" / "colophon.conf").read_text(encoding="utf-8")
    (written,) = re.findall(r'"~(\^\(\?<shown>.+)"\s+"\$shown";', site)
    shown = re.compile(written.replace("(?<shown>", "(?P<shown>"))
    token = tokens.sign(tokens.new_reference(), "library")
    rules = [rule.rule for rule in app.url_map.iter_rules() if "token" in rule.arguments]
    assert len(rules) > 20
    for rule in rules:
        found = shown.match(rule.replace("<token>", token))
        assert found is not None, rule
        assert found["shown"] == rule.partition("/<token>")[0]


def test_make_commands_on_every_page_are_targets() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        quoted = re.findall(r"`make ([a-z-]+)`|^make ([a-z-]+)", text, re.MULTILINE)
        assert {a or b for a, b in quoted} - TARGETS == set(), page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_inside_the_repository_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        leads_to = (page.parent / path).resolve() if path else page
        assert leads_to.exists(), target
        if anchor:
            assert anchor in _anchors(leads_to), target


def _anchors(page: Path) -> set[str]:
    """The names that headings get: small letters, hyphens for blanks, other signs gone."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_screenshot_is_small() -> None:
    assert (ROOT / "docs" / "screenshot.png").stat().st_size <= 150_000


def test_the_guide_shows_the_pictures_that_its_script_takes_and_each_is_small() -> None:
    guide = (ROOT / "docs" / "shopkeepers-guide.md").read_text(encoding="utf-8")
    shown = re.findall(r"\(pictures/([a-z-]+)\.png\)", guide)
    files = {path.stem: path.stat().st_size for path in FOLDER.iterdir()}
    assert sorted(shown) == sorted(PICTURES) == sorted(files)
    assert max(files.values()) <= 100_000


def test_the_guide_names_what_staff_press_as_the_pages_name_it() -> None:
    guide = (ROOT / "docs" / "shopkeepers-guide.md").read_text(encoding="utf-8")
    named = {" ".join(one.split()) for one in re.findall(r"\*\*([A-Z][^*]+…)\*\*", guide)}
    named |= {" ".join(one.split()) for one in re.findall(r"press \*\*([^*]+)\*\*", guide)}
    pages = [*ROOT.glob("templates/**/*.html"), *ROOT.glob("store/admin/*.py")]
    said = " ".join(" ".join(page.read_text(encoding="utf-8") for page in pages).split())
    # Where a number stands, or whom it is about, the page has words of its own.
    without = {one: re.split(r"[\d…]", one)[0].strip() for one in named}
    assert [one for one, words in without.items() if words not in said] == []


def test_the_readme_names_its_two_commands_in_two_minutes() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^make [a-z-]+", readme, re.MULTILINE) == ["make demo", "make test"]
    assert len(readme.split()) <= 600  # two minutes at 300 words a minute, tables and drawing in
