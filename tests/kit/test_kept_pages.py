"""Pages that are kept: shown again only while what they are made of is equal, and never too many."""

import pytest

from store.kit.kept_pages import KeptPages


def test_a_page_is_written_once_for_as_long_as_it_is_made_of_the_same() -> None:
    kept, written = KeptPages(), []

    def page(name: str, made_of: object) -> bytes:
        def write() -> str:
            written.append((name, made_of))
            return f"{name} of {made_of}: £"

        return kept.page(name, made_of, write)

    assert page("one", [1]) == page("one", [1]) == "one of [1]: £".encode()
    assert page("two", [1]) == "two of [1]: £".encode()
    assert page("one", [2]) == "one of [2]: £".encode()
    assert page("one", [1]) == "one of [1]: £".encode()
    assert written == [("one", [1]), ("two", [1]), ("one", [2]), ("one", [1])]


def test_only_those_that_were_asked_for_last_are_kept() -> None:
    kept = KeptPages(most=2)
    for name in ("one", "two", "one", "three"):
        kept.page(name, 1, lambda: "written")
    assert [kept.page(name, 1, lambda: "again") for name in ("one", "three")] == [b"written"] * 2
    assert len(kept) == 2
    assert kept.page("two", 1, lambda: "again") == b"again"


def test_a_long_page_is_kept_by_nobody_and_leaves_no_older_one_behind() -> None:
    kept = KeptPages(longest=10)
    kept.page("one", 1, lambda: "short")
    assert kept.page("one", 2, lambda: "x" * 11) == b"x" * 11
    assert len(kept) == 0


def test_what_cannot_be_written_is_refused_each_time() -> None:
    kept = KeptPages()

    def refuse() -> str:
        raise LookupError

    for _ in range(2):
        with pytest.raises(LookupError):
            kept.page("one", 1, refuse)
    assert len(kept) == 0
