"""The desk's first page says how old the last backup is."""

from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from store.backups.latest import keep_account, last_backup
from store.kit import clock
from store.kit.database import transaction
from tests.admin.test_home import home, needs
from tests.conftest import Clock
from tests.editions import a_shop

NEVER = "No backup was ever made: <code>store backup DIR</code> on the shop’s machine makes one."


def _made(hours_ago: int, fault: str = "") -> None:
    moment = clock.now() - timedelta(hours=hours_ago)
    with transaction():
        keep_account("one", moment, 0 if fault else 12_000_000, fault)


def test_home_says_when_the_last_backup_was_made(frozen: Clock, desk: FlaskClient) -> None:
    a_shop()
    assert NEVER in home(desk)
    _made(20)
    page = home(desk)
    assert "Last backup: yesterday, 14:00, 12.0 MB." in page
    assert (needs(page), NEVER in page) == ([], False)


@pytest.mark.usefixtures("frozen")
def test_home_needs_a_person_where_none_was_made_for_two_days(desk: FlaskClient) -> None:
    a_shop()
    _made(49)
    assert needs(home(desk)) == [("The last backup is of 27 February 2027, 09:00.", "")]


@pytest.mark.usefixtures("frozen")
def test_a_backup_that_was_not_whole_needs_a_person_at_once(desk: FlaskClient) -> None:
    a_shop()
    _made(3, "There is no space left.")
    page = home(desk)
    assert needs(page) == [("No backup has been whole yet.", "")]
    assert "There is no space left." in page
    assert last_backup() is None
    _made(2)
    assert needs(home(desk)) == []
    _made(1, "The database is damaged.")
    assert needs(home(desk)) == [("The last backup is of today, 08:00.", "")]
