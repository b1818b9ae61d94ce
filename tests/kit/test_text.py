"""What nobody sees goes; what somebody typed stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.kit.text import clean_line, clean_text, listed, search_key


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Anna \u00a0 Berg ", "Anna Berg"),
        ("A\u200bn\ufeffna", "Anna"),
        ("Anna\u202egreB", "AnnagreB"),
        ("An\r\nna", "An na"),
        ("Mu\u0308ller", "Müller"),
        ("<b>Siân</b> O'Neil", "<b>Siân</b> O'Neil"),
        ("ثناء", "ثناء"),
    ],
)
def test_a_line_is_kept_as_it_was_meant(typed: str, kept: str) -> None:
    assert clean_line(typed) == kept


@given(st.text())
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    assert clean_line(clean_line(text)) == clean_line(text)
    assert clean_text(clean_text(text)) == clean_text(text)


def test_two_spellings_of_one_name_are_found_by_one_search() -> None:
    assert search_key("MU\u0308LLER") == search_key("Müller")


@pytest.mark.parametrize(
    ("words", "said"),
    [([], ""), (["one"], "one"), (["one", "two"], "one and two"), (list("abc"), "a, b and c")],
)
def test_a_list_is_said_as_people_say_it(words: list[str], said: str) -> None:
    assert listed(words) == said
