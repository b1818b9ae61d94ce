"""What is odd when a file is laid beside the last edition's."""

from typing import Any

import pytest

from store.catalog.gate.report import suspicious_changes

BEFORE: dict[str, Any] = {
    "pages": 100,
    "words": 20_000,
    "identifier": "urn:isbn:9780306406157",
    "modified": "2026-01-01T00:00:00Z",
    "epub_version": "3.0",
    "tagged": True,
}
NEWER = {"modified": "2026-06-01T00:00:00Z"}


def codes(now: dict[str, Any], *, sizes: tuple[int, int] = (1000, 1000)) -> list[str]:
    found = suspicious_changes(BEFORE, "a", BEFORE | NEWER | now, "b", *sizes)
    assert {finding.level for finding in found} <= {"warn"}
    return [finding.code for finding in found]


def test_a_usual_new_edition_is_not_odd() -> None:
    assert codes({"pages": 104}) == []


def test_the_same_bytes_are_said_and_nothing_else() -> None:
    assert [one.code for one in suspicious_changes(BEFORE, "a", {}, "a", 1, 9)] == ["same-bytes"]


@pytest.mark.parametrize(
    ("now", "code"),
    [
        ({"pages": 50}, ["pages-halved"]),
        ({"pages": 51}, []),
        ({"pages": None, "words": 10_000}, ["words-halved"]),
        ({"identifier": "urn:isbn:9780306406158"}, ["identifier-differs"]),
        ({"identifier": ""}, []),
        ({"modified": "2026-01-01T00:00:00Z"}, ["modified-not-newer"]),
        ({"tagged": False}, ["tags-lost"]),
    ],
)
def test_each_oddity_is_said(now: dict[str, Any], code: list[str]) -> None:
    assert codes(now) == code


@pytest.mark.parametrize(
    ("sizes", "code"),
    [
        ((1000, 3000), []),
        ((1000, 3001), ["size-jump"]),
        ((3001, 1000), ["size-jump"]),
    ],
)
def test_a_size_jump_over_three_times_is_said(sizes: tuple[int, int], code: list[str]) -> None:
    assert codes({}, sizes=sizes) == code


def test_the_sentence_names_both_editions_figures() -> None:
    (found,) = suspicious_changes({"pages": 1400}, "a", {"pages": 3}, "b", 1, 1)

    assert found.sentence == (
        "The last edition had 1,400 pages, this one has 3. Check that the file is complete."
    )
