"""`store letter`: what is owed, what a letter looks like, sending one again."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from store.cli import main
from store.commands import base
from store.kit.database import db, transaction
from store.mail import letters, worker
from store.mail.models import Delivery
from tests.conftest import Clock

from .shops import a_shop, delivery, owe_to

Run = Callable[..., Result]


@pytest.fixture
def store(
    database_url: str, tmp_path: Path, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    with a_shop(database_url, tmp_path) as app:
        monkeypatch.setattr(base, "the_shop", lambda: app)

        def run(*words: str, code: int = 0) -> Result:
            db.session.remove()
            result = CliRunner().invoke(main, ["letter", *words])
            assert result.exit_code == code, result.output
            return result

        yield run


def test_the_list_says_where_each_letter_stands(store: Run) -> None:
    owe_to("anna@reader.example", "no-at-sign")
    worker.send_due_letters()

    found = json.loads(store("list", "--json", "--status", "held").stdout)
    assert found == [
        {
            "id": delivery("no-at-sign").id,
            "kind": "staff_alert",
            "status": "held",
            "due_at": "2027-03-01 10:00:00+00:00",
            "sent_at": None,
            "tries": 0,
            "is_possibly_twice": False,
            "reason": "No letter can be sent to this e-mail address.",
        }
    ]
    lines = store("list", "--kind", "staff_alert").stdout.splitlines()
    assert lines[0].split() == [
        "letter",
        "kind",
        "status",
        "due",
        "sent",
        "tries",
        "possibly",
        "twice",
        "reason",
    ]
    assert len(lines) == 3


def test_each_kind_can_be_looked_at(store: Run) -> None:
    assert store("preview").stdout.split() == letters.kinds()
    for kind in letters.kinds():
        assert store("preview", kind).stdout.startswith("Subject: ")
        assert store("preview", kind, "--html").stdout.startswith("<!DOCTYPE html>")


def test_an_unknown_kind_is_refused(store: Run) -> None:
    refused = store("preview", "unheard-of", code=1)
    assert refused.stderr == "There is no letter of the kind “unheard-of”.\n"


def test_a_held_letter_is_sent_again(store: Run) -> None:
    owe_to("no-at-sign")
    worker.send_due_letters()
    with transaction() as session:
        session.execute(sa.update(Delivery).values(address="anna@reader.example"))
    number = delivery("anna@reader.example").id

    assert store("retry", str(number)).stdout == f"Letter {number} is queued again.\n"
    assert worker.send_due_letters() == 1


def test_a_sent_or_unknown_letter_is_not(store: Run) -> None:
    owe_to("anna@reader.example")
    worker.send_due_letters()
    number = str(delivery("anna@reader.example").id)

    again = "Only letters that failed, came back, are held or were left out can be sent again.\n"
    assert store("retry", number, code=1).stderr == again
    assert store("retry", "999", code=1).stderr == "There is no letter of this number.\n"
