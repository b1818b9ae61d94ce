"""Whatever is posted is taken or refused, and nothing stumbles over it."""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from store.kit.database import db
from store.mail.models import ReturnedLetter
from store.mail.providers.base import NotReadable, NotTheirs
from store.mail.providers.registry import reader_of
from tests.conftest import on_both
from tests.mail import posted
from tests.mail.posted import SECRET, SHAPES, Letter, Message, proved
from tests.mail.posting import BOUNCED, PROVIDERS, UNTOUCHED, letter_of_ours, post
from tests.mail.returned import sent_edition, stand


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_cannot_be_read_writes_nothing(shop: Flask, provider: str) -> None:
    sent_edition()
    shapes: list[Any] = [[1], "text", [[]]] if provider != "mailgun" else []
    for said in shapes:
        # Amazon says some things in plain words.
        expected = 200 if (provider, said) == ("ses", "text") else 400
        assert post(shop, provider, proved(provider, said)) == expected, said
    for body in (b"", b"{", b"[" * 200_000, b"\xff"):
        refused = post(shop, provider, Message(body, proved(provider, {}).headers))
        assert refused in {400, 403}, body[:10]
    too_long = Message(b" " * 1_100_000, proved(provider, {}).headers)
    assert post(shop, provider, too_long) == 413
    assert stand() == UNTOUCHED


@on_both
@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_database_stumbles_over_what_is_said(shop: Flask, provider: str) -> None:
    """NUL, halves of signs and direction marks, in whatever the server said and in addresses."""
    said = SHAPES[provider](letter_of_ours(), "hard")
    odd = json.loads(json.dumps(said).replace("User unknown", r"\u0000 \ud800 \u202e unknown"))
    assert post(shop, provider, proved(provider, odd)) == 200
    assert stand() == BOUNCED
    words = db.session.scalar(sa.select(ReturnedLetter.words)) or ""
    assert words.endswith("unknown")
    assert words.isprintable()
    nobody = SHAPES[provider](Letter(relay_id="a-name\0of-the-relay"), "hard")
    odd = json.loads(json.dumps(nobody).replace(posted.ANNA, r"anna\u0000\udfff@reader.example"))
    given = {"token": "u" * 50} if provider == "mailgun" else {}
    assert post(shop, provider, proved(provider, odd, **given)) == 200


def _mutated(said: Any, draw: Callable[[st.SearchStrategy[Any]], Any]) -> Any:
    """One value somewhere in it is another."""
    if isinstance(said, dict) and said and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(said)))
        return said | {name: _mutated(said[name], draw)}
    if isinstance(said, list) and said and draw(st.booleans()):
        at = draw(st.integers(0, len(said) - 1))
        return [*said[:at], _mutated(said[at], draw), *said[at + 1 :]]
    leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    return draw(leaf | st.lists(leaf, max_size=3) | st.dictionaries(st.text(), leaf, max_size=3))


@pytest.mark.parametrize("examples", [40, pytest.param(400, marks=pytest.mark.long)])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_whatever_is_posted_is_read_or_refused(shop: Flask, provider: str, examples: int) -> None:
    @given(st.data())
    @settings(max_examples=examples, deadline=None)
    def look(data: st.DataObject) -> None:
        kind = data.draw(st.sampled_from(["hard", "soft", "complaint", "nothing"]))
        said = _mutated(SHAPES[provider](Letter("0" * 40), kind), data.draw)
        try:
            message = proved(provider, said)
        except TypeError:  # Mailgun's proof has no place in it
            return
        with suppress(NotTheirs, NotReadable):
            reader_of(provider)(message.headers, message.body)

    look()


@given(st.binary(max_size=2000))
@settings(max_examples=150, deadline=None)
def test_octets_that_prove_nothing_are_refused(body: bytes) -> None:
    for provider in PROVIDERS:
        with _bare().app_context(), pytest.raises((NotTheirs, NotReadable)):
            reader_of(provider)({"Authorization": body[:40].decode("latin-1")}, body)


@lru_cache
def _bare() -> Flask:
    """As much of a shop as a proof needs."""
    app = Flask("bare")
    app.extensions["colophon.settings"] = SimpleNamespace(
        **{name: [SecretStr(SECRET)] for name in posted.SETTINGS}
        | {"mail_webhook_sendgrid": [posted.public_key()], "mail_webhook_ses": [posted.TOPIC]}
    )
    return app
