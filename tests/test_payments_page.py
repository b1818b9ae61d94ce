"""`docs/payments.md` against the tests: each rule has its number, and each named test is there."""

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "payments.md"
TEXT = PAGE.read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (S?\d+) \| (.*) \| ?(.*?) ?\|$", TEXT, re.MULTILINE)
NAMED = re.findall(r"\[`(test_\w+)`\]\(([^)#]+)\)", TEXT)


def test_every_rule_stands_on_the_page_once_and_in_order() -> None:
    expected = [f"S{number}" for number in range(1, 11)] + [str(n) for n in range(1, 85)]
    assert [number for number, _, _ in ROWS] == expected


def test_every_test_that_the_page_names_is_in_its_file() -> None:
    assert len(NAMED) > 100
    missing = [
        (name, path)
        for name, path in NAMED
        if not re.search(
            rf"^def {name}\(", (PAGE.parent / path).read_text(encoding="utf-8"), re.MULTILINE
        )
    ]
    assert missing == []


def test_no_test_is_named_without_its_file() -> None:
    assert len(re.findall(r"`test_\w+`", TEXT)) == len(NAMED)


def test_every_rule_has_a_test_a_place_or_a_reason() -> None:
    bare = [
        number
        for number, words, shown in ROWS
        if "](../tests/" not in shown and "later" not in f"{words} {shown}".lower()
        if not words.startswith("Not kept: ")
    ]
    assert bare == []
