"""A date moved on the command line: `store publication edit --expected`."""

import json
from collections.abc import Callable, Iterator
from datetime import date

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from flask import Flask

from store.cli import main
from store.commands import base
from store.kit.database import db, transaction
from store.mail.models import Delivery
from tests.conftest import Clock
from tests.factories import a_publication, a_seller
from tests.letters import send
from tests.purchases import buy

Run = Callable[..., Result]
WHY = ("--reason", "Two schools are still to read it.")
EDIT = ("publication", "edit", "send-early-years", "--expected", "2027-05-14")


@pytest.fixture
def store(app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs `store …` in a shop where one person waits for a publication of 1 April 2027."""
    monkeypatch.setattr(base, "the_shop", lambda: app)
    with transaction():
        a_seller()
        buy(a_publication(expected_on=date(2027, 4, 1)))
        a_publication("other", expected_on=date(2027, 4, 1))
    send()

    def run(*words: str, code: int = 0) -> Result:
        db.session.rollback()
        result = CliRunner().invoke(main, words)
        assert result.exit_code == code, result.output
        return result

    yield run
    db.session.rollback()


def _letters() -> int:
    db.session.rollback()
    query = sa.select(sa.func.count()).select_from(Delivery).filter_by(kind="date_moved")
    return db.session.scalar(query) or 0


def test_a_rehearsal_shows_people_and_letter_and_changes_nothing(store: Run) -> None:
    shown = store(*EDIT, *WHY, "--rehearse").stdout
    assert "paid by card" in shown
    assert "Subject: It comes on 14 May 2027: Effective SEND Practice" in shown
    assert WHY[1] in shown
    assert _letters() == 0
    told = json.loads(store("publication", "show", "send-early-years", "--json").stdout)
    assert (told["expected"], told["dates"]) == ("2027-04-01", [])
    nobody = store("publication", "edit", "other", "--expected", "2027-05-14", "--rehearse")
    assert nobody.stdout == "Nobody would be told.\n"


def test_moved_with_yes_everybody_is_told_and_the_history_says_so(store: Run) -> None:
    said = store(*EDIT, *WHY, "--yes").stdout
    assert said == "send-early-years is on sale at £12.50. 1 person is told of the date.\n"
    assert _letters() == 1
    told = json.loads(store("publication", "show", "send-early-years", "--json").stdout)
    assert told["dates"] == [
        {
            "moved": "1 March 2027, 10:00 GMT",
            "old": "2027-04-01",
            "new": "2027-05-14",
            "by": "command line",
            "reason": WHY[1],
        }
    ]


def test_without_a_reason_or_anybody_to_ask_nothing_is_moved(store: Run) -> None:
    assert "Say why" in store(*EDIT, "--yes", code=1).stderr
    assert "Pass --yes to go on" in store(*EDIT, *WHY, code=1).stderr
    assert "has passed" in store(*EDIT[:-1], "2027-02-28", *WHY, "--yes", code=1).stderr
    assert "people wait for one" in store(*EDIT[:-1], "none", *WHY, "--yes", code=1).stderr
    assert _letters() == 0
    store("publication", "edit", "other", "--expected", "none")
