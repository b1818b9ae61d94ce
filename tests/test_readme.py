"""Every `store` command that a page of ours tells people to type exists, wherever it stands."""

import re
from pathlib import Path

import pytest

from tests.test_cli_help import LEAVES

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
# The guides say that these are not there yet.
NAMED_AS_MISSING = {("backup",)}


def _typed(text: str) -> list[str]:
    """What follows `store` on lines of code blocks and in code words."""
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    lines = re.findall(r"^\s*(?:[A-Z_]+=\S+ )*(?:\S*/)?store ([^\n#]+)", blocks, re.MULTILINE)
    lines = [re.split(r"\s{2,}", line)[0] for line in lines]  # further on it says what for
    return lines + re.findall(r"`(?:[A-Z_]+=\S+ )*store ([^`]+)`", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_store_command_exists(page: Path) -> None:
    known = {*LEAVES, *NAMED_AS_MISSING}
    unknown = [
        line
        for line in _typed(page.read_text(encoding="utf-8"))
        if line not in {"COMMAND --help", "--version"}
        and not {tuple(line.split()[:words]) for words in (1, 2, 3)} & known
    ]
    assert unknown == []
