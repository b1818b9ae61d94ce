"""Marks: which letter a report is about, in Message-ID and return path."""

import re
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from store.app import create_app
from store.kit.database import db, transaction
from store.mail import outbox
from store.mail.letters import own_message_id
from store.mail.marks import marked_letter, marks_in, new_mark, return_path
from store.mail.mime import address_envelope
from store.mail.models import Delivery
from store.mail.worker import send_due_letters
from tests.conftest import make_settings
from tests.factories import a_seller
from tests.mail.letter_rules import broken
from tests.mail.scripted_server import ScriptedServer
from tests.mail.shops import a_shop, delivery, owe_to, readers

ANNA = "anna@reader.example"
WITH_TOKEN = {"bounce_address": "bounces+{token}@shop.example.org"}


@pytest.fixture
def shop(app: Flask) -> Flask:
    with transaction():
        a_seller()
    return app


def _marked(*texts: str) -> int | None:
    return marked_letter(marks_in(*texts))


def test_every_message_id_is_new_and_of_our_domain(app: Flask) -> None:
    ids = {own_message_id(7) for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"<[0-9a-f]{40}@127\.0\.0\.1>", each) for each in ids)


def test_a_letter_has_a_return_path_of_its_own_and_is_found_by_it(
    database_url: str, tmp_path: Path
) -> None:
    with ScriptedServer() as sink, a_shop(database_url, tmp_path, sink.port, **WITH_TOKEN):
        owe_to(*readers(3))
        assert send_due_letters() == 3
        assert len({one.mail for one in sink.letters}) == 3
        for letter in sink.letters:
            path = re.search(r"<(.+?)>", letter.mail)[1]  # type: ignore[index]
            assert broken(letter.octets, path, notice=False) == []
            address = re.search(r"<(.+?)>", letter.rcpt[0])[1]  # type: ignore[index]
            ours = delivery(address).id
            # As mail servers may write it, and as the letter's own Message-ID.
            assert [_marked(path), _marked(path.upper())] == [ours, ours]
            assert _marked(delivery(address).message_id or "") == ours


def test_without_a_place_for_the_mark_the_envelope_is_the_same_for_all(
    database_url: str, tmp_path: Path
) -> None:
    given = {"bounce_address": "bounces@shop.example.org"}
    with ScriptedServer() as sink, a_shop(database_url, tmp_path, sink.port, **given):
        owe_to(*readers(2))
        send_due_letters()
        assert ["<bounces@shop.example.org>" in one.mail for one in sink.letters] == [True, True]


def test_without_the_setting_letters_come_back_to_the_sender(app: Flask) -> None:
    assert return_path(own_message_id(7)) == "shop@127.0.0.1"


def test_nobody_makes_the_mark_of_anothers_letter(shop: Flask) -> None:
    owe_to(ANNA)
    send_due_letters()
    mark = (delivery(ANNA).message_id or "")[1:41]
    ours = delivery(ANNA).id
    assert marked_letter([mark]) == ours
    # One digit of each part changed; the number alone right; a mark of the same letter that was
    # never sent: none of them opens anything.
    wrong = [mark[:-1] + "0123456789abcdef"[int(mark[-1], 16) ^ 1]]
    wrong.append("0123456789abcdef"[int(mark[0], 16) ^ 1] + mark[1:])
    wrong += [new_mark(ours), "0" * 40, "f" * 40]
    assert [marked_letter([one]) for one in wrong] == [None] * len(wrong)


def test_a_letter_that_is_sent_again_has_another_mark(shop: Flask) -> None:
    owe_to(ANNA)
    send_due_letters()
    first, ours = delivery(ANNA).message_id or "", delivery(ANNA).id
    with transaction() as session:
        session.execute(sa.update(Delivery).values(status="failed"))
    with transaction():
        outbox.send_again(ours, "test")
    send_due_letters()
    second = delivery(ANNA).message_id or ""
    assert [_marked(first), _marked(second)] == [None, delivery(ANNA).id]


def test_a_mark_is_read_with_the_keys_of_before(database_url: str, tmp_path: Path) -> None:
    old, new = "old" * 20, "new" * 20
    with a_shop(database_url, tmp_path, secret_key=old):
        owe_to(ANNA)
        send_due_letters()
        message_id, ours = delivery(ANNA).message_id or "", delivery(ANNA).id
    for keys, found in (((new, [old]), ours), ((new, []), None)):
        given = {"secret_key": keys[0], "secret_key_fallbacks": keys[1]}
        app = create_app(make_settings(tmp_path, database_url=database_url, **given))
        with app.app_context():
            assert _marked(message_id) == found


def test_a_return_path_costs_a_few_microseconds(app: Flask) -> None:
    app.extensions["colophon.settings"].__dict__["bounce_address"] = WITH_TOKEN["bounce_address"]
    ids = [own_message_id(number) for number in range(2000)]
    times = []
    for _ in range(5):
        start = time.perf_counter()
        for each in ids:
            address_envelope(return_path(each), ANNA)
        times.append((time.perf_counter() - start) / len(ids))
    assert min(times) < 30e-6  # 4 µs where nothing else runs, the envelope with it


def test_marks_are_read_out_of_any_text(app: Flask) -> None:
    mark = new_mark(7)
    text = f"To: <bounces+{mark}@shop.example.org>, again {mark.upper()}, {mark}0, x{mark}"
    assert marks_in(text, "Message-ID: <short@x>") == [mark]
    assert db.session.scalars(sa.select(Delivery)).all() == []
