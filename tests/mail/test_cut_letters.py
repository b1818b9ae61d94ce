"""A letter cut once for many readers says to each what a letter of their own would say."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from lxml import html

from store.distribution.letters import _OWN
from store.entitlements.received import NOTICE
from store.kit.database import transaction
from store.mail import letters
from store.mail.letters import cut_letter, preview_letter, render_letter, seller
from store.mail.mime import LetterText
from tests import factories
from tests.mail.letters_cut import NAMES

LIKE_A_MARK = letters._mark("stop_url")


@pytest.fixture(autouse=True)
def fresh(app: Flask) -> Iterator[None]:
    """Somebody sells, and nothing is cut yet."""
    with transaction():
        factories.a_seller()
    letters._cut.cache_clear()
    yield
    letters._cut.cache_clear()


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


def as_read(letter: LetterText) -> LetterText:
    """With the HTML as a reader's program sees it: there is more than one spelling of a quote."""
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
    assert "Corrected" in cut_letter(NOTICE, notice(notes="Corrected"), _OWN).text
    with transaction():
        factories.a_seller(trading_name="Another Press")
    assert "Another Press" in cut_letter(NOTICE, notice(), _OWN).text
    assert rendered == [NOTICE] * 3


def test_of_what_cannot_be_compared_nothing_is_kept(rendered: list[str]) -> None:
    for _ in range(2):
        cut_letter(NOTICE, notice(more=["a list"]), _OWN)
    assert rendered == [NOTICE] * 2
    assert letters.seller().trading_name
