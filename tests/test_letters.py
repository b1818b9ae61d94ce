"""Every letter that the shop can write: light, sound, the same in both parts (journeys G15)."""

import difflib
import re

import pytest
from flask import Flask
from markupsafe import Markup

from store.kit.database import transaction
from store.mail.letters import kinds, preview
from tests.factories import a_seller
from tests.pages import check_letter_html


def words(text: str) -> list[str]:
    """The words, without the addresses that only the text part spells out."""
    return re.findall(r"[\w'’@.-]+", re.sub(r"https?://\S+", "", text))


def words_of_html(html: str) -> list[str]:
    """The words of the body."""
    # What stands before the table is shown in a list of letters, and not in the letter.
    body = re.sub(r"(?s)</body>.*", "", html[html.index("<table") :])
    return words(Markup(re.sub(r"</(?:p|li|h\d|dt|dd|div)>|<br>", " ", body)).striptags())


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_every_letter_is_light_sound_and_the_same_in_both_parts(app: Flask, kind: str) -> None:
    with transaction():
        a_seller()
    letter = preview(kind)
    check_letter_html(letter.html)
    assert len(letter.html.encode()) + len(letter.text.encode()) <= 15_000
    match = difflib.SequenceMatcher(None, words(letter.text), words_of_html(letter.html)).ratio()
    assert match >= 0.95
