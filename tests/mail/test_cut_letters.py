"""A letter cut once for many readers says to each what a letter of their own would say."""

import re
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import html

from store.distribution.letters import _OWN
from store.entitlements.received import NOTICE
from store.kit.database import transaction
from store.mail import cutting, letters, mime
from store.mail.cutting import Cut, cut_letter
from store.mail.letters import preview_letter, render_letter, seller
from store.mail.mime import EncodedText, LetterText, part
from tests import factories
from tests.mail.letters_cut import NAMES, NOTES

LIKE_A_MARK = cutting._mark("stop_url")


@pytest.fixture(autouse=True)
def fresh(app: Flask) -> Iterator[None]:
    """Somebody sells, and nothing is cut yet."""
    with transaction():
        factories.a_seller()
    cutting.forget()
    yield
    cutting.forget()


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds that were filled in, one for each time."""
    kinds: list[str] = []

    def render(kind: str, context: dict[str, Any]) -> LetterText:
        kinds.append(kind)
        return render_letter(kind, context)

    monkeypatch.setattr(letters, "render_letter", render)
    return kinds


def notice(**given: Any) -> dict[str, Any]:
    """What an edition notice is made of."""
    return preview_letter(NOTICE).context | {"seller": seller()} | given


def opened(letter: LetterText | EncodedText) -> LetterText:
    """Bodies that are encoded already as they were before."""
    if isinstance(letter, LetterText):
        return letter
    bodies = []
    for octets in (letter.text, letter.html):
        message = message_from_bytes(octets.partition(b"--=_letter\r\n")[2], policy=policy.default)
        assert isinstance(message, EmailMessage)
        bodies.append(message.get_content().replace("\r\n", "\n"))
    return LetterText(letter.subject, *bodies)


def as_read(letter: LetterText | EncodedText) -> LetterText:
    """With the HTML as a reader's program sees it: there is more than one spelling of a quote."""
    letter = opened(letter)
    tree = html.fromstring(letter.html)
    return replace(letter, html=html.tostring(tree, encoding="unicode"))


@pytest.mark.parametrize("name", [*NAMES, LIKE_A_MARK, "<b>Anna</b> & 'Co'"])
@pytest.mark.parametrize("bought_on", ["1 March 2027", ""])
def test_each_reader_gets_the_letter_that_would_be_written_for_them_alone(
    name: str, bought_on: str
) -> None:
    for reader in (name, "Somebody Else"):
        context = notice(name=reader, bought_on=bought_on, updates_until="2 March 2028")
        assert as_read(cut_letter(NOTICE, context, _OWN)) == as_read(render_letter(NOTICE, context))


def test_a_release_is_cut_once_for_all_who_get_the_same(rendered: list[str]) -> None:
    for number in range(20):
        cut_letter(NOTICE, notice(name=f"Reader {number}", stop_url=f"https://s/{number}"), _OWN)
    assert rendered == [NOTICE]


def test_what_changes_for_all_is_cut_again(rendered: list[str]) -> None:
    cut_letter(NOTICE, notice(), _OWN)
    assert "Corrected" in opened(cut_letter(NOTICE, notice(notes="Corrected"), _OWN)).text
    with transaction():
        factories.a_seller(trading_name="Another Press")
    assert "Another Press" in opened(cut_letter(NOTICE, notice(), _OWN)).text
    assert rendered == [NOTICE] * 3


def test_of_what_cannot_be_compared_nothing_is_kept(rendered: list[str]) -> None:
    for _ in range(2):
        cut_letter(NOTICE, notice(more=["a list"]), _OWN)
    assert rendered == [NOTICE] * 2
    assert letters.seller().trading_name


# A reader's own values beside what stands in every letter, with all that an encoding may trip over.
ODD = st.one_of(
    st.sampled_from([*NAMES, "", ".", "From me", "\n", "a\r\nFrom b\n.", "=", "\ud800", "x" * 80]),
    st.text(max_size=90),
)
LINES = st.lists(
    st.sampled_from([*NOTES.split("\n"), "{a}", "Dear {a}, of {b}", "From {b}", "{b} "])
)
TEMPLATE = st.one_of(LINES, st.lists(st.text(max_size=20), max_size=4)).map("\n".join)


def _put_in(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\{([ab])\}", lambda found: values[found[1]], text)


@settings(deadline=None)
@given(text=TEMPLATE, values=st.fixed_dictionaries({"a": ODD, "b": ODD}))
def test_lines_encoded_once_are_what_each_letter_would_have(
    text: str, values: dict[str, str]
) -> None:
    text = text.replace("\r", "")
    marked = _put_in(text, {name: cutting._mark(name) for name in values})
    found = Cut(LetterText("Subject", marked, ""), ["a", "b"]).filled(values)
    assert found.text == part(b"plain", _put_in(text, values))


def test_control_values_put_into_lines_that_are_encoded_already_are_seen() -> None:
    mark, name = cutting._mark("a"), "Siân " * 12
    encoded = mime.quoted(mime.octets_of(f"Dear {mark},\n"))
    assert encoded.replace(mark.encode(), name.encode()) != mime.quoted(
        mime.octets_of(f"Dear {name},\n")
    )


@pytest.mark.parametrize("script", ["Привет, как дела? " * 20, "latin " * 20])
def test_a_body_goes_in_the_shorter_encoding_of_the_two(script: str) -> None:
    """Which of them is shorter depends on the values, too."""
    lines = "a line\n" * 12
    cut = Cut(LetterText("Subject", f"Dear {cutting._mark('a')},\n{lines}", ""), ["a"])
    found = cut.filled({"a": script}).text
    assert found == part(b"plain", f"Dear {script},\n{lines}")
    assert (b"base64" in found) is ("П" in script)
