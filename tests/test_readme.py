"""What the README and the guides tell people to type exists, and what they point to is there."""

import re
from pathlib import Path

import pytest

from tests.test_cli_help import LEAVES

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))

# The guides say that these are not there yet.
NAMED_AS_MISSING = {("backup",)}


def _commands(text: str, program: str) -> list[str]:
    """What follows the program's name on lines of code blocks and in code words."""
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    lines = re.findall(rf"^\s*(?:[A-Z_]+=\S+ )*(?:\S*/)?{program} ([^\n#]+)", blocks, re.MULTILINE)
    lines = [re.split(r"\s{2,}", line)[0] for line in lines]  # further on it says what for
    return lines + re.findall(rf"`(?:[A-Z_]+=\S+ )*{program} ([^`]+)`", text)


def _id(page: Path) -> str:
    return page.name


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_every_make_command_exists(page: Path) -> None:
    said = _commands(page.read_text(encoding="utf-8"), "make")
    named = {word for line in said for word in line.split() if re.fullmatch("[a-z-]+", word)}
    assert named - TARGETS == set()


def test_the_readme_begins_with_the_two_commands() -> None:
    said = _commands((ROOT / "README.md").read_text(encoding="utf-8"), "make")
    assert [line.split()[0] for line in said[:2]] == ["demo", "test"]


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_every_store_command_exists(page: Path) -> None:
    known = {*LEAVES, *NAMED_AS_MISSING}
    unknown = [
        line
        for line in _commands(page.read_text(encoding="utf-8"), "store")
        if line != "COMMAND --help"
        and not {tuple(line.split()[:1]), tuple(line.split()[:2])} & known
    ]
    assert unknown == []


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    near = [link for link in links if not re.match("[a-z]+:", link)]
    assert [link for link in near if not (page.parent / link).exists()] == []


def test_every_setting_is_in_the_operators_guide_and_no_other() -> None:
    from store.settings import PREFIX, Settings

    text = (ROOT / "docs" / "operators-guide.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\bSTORE_[A-Z_]+[A-Z]\b", text))
    assert named == {PREFIX + name.upper() for name in Settings.model_fields}
