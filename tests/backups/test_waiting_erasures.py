"""An erasure that waits in a backup, or was asked for after it: what was stopped stays stopped, what was asked
for is asked for, and who was erased is erased."""

from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from store.backups.after_restore import begin_after_restore
from store.entitlements import erasure_journal, erasures
from store.entitlements.erasure_journal import journal_path
from store.entitlements.journal_after_restore import keep_journal
from store.kit import clock
from store.kit.database import db, transaction
from store.mail import restores
from store.orders.models import Customer
from store.payments import erasures as money_erasures
from store.payments.erasures import carry_out_due
from tests.backups.test_journal import Shop, backed_up
from tests.conftest import Clock, Reader, on_both_when_long
from tests.entitlements.presses import SURE
from tests.letters import links_in, sent, text_of
from tests.links import anna
from tests.purchases import ANNA
from tests.restored import put_back

pytestmark = pytest.mark.usefixtures("frozen")


@pytest.fixture
def before(client: FlaskClient, frozen: Clock, backup: Callable[[], str]) -> Shop:
    return Shop(client, frozen, backup)


def asked_to_be_erased(client: FlaskClient, library: str) -> str:
    """The path that stops it, from the letter."""
    assert client.post(f"{library}/erase", data=SURE).status_code == 200
    return links_in(text_of(sent()[-1]))[0]


def a_week_later(frozen: Clock) -> None:
    for days in (0, 7, 0):
        frozen.advance(days=days, minutes=1)
        sent()
        carry_out_due()
    db.session.rollback()


@on_both_when_long
@pytest.mark.parametrize("is_told", [True, False], ids=["told", "control"])
def test_an_erasure_that_was_stopped_after_the_backup_is_not_done_after_the_restore(
    client: FlaskClient,
    frozen: Clock,
    tmp_path: Path,
    before: Shop,
    backup: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    is_told: bool,
) -> None:
    keep, number = asked_to_be_erased(client, before.anna), anna().id
    copy, made_at = backed_up(backup, frozen)
    if not is_told:
        monkeypatch.setattr(erasures.erasure_journal, "add_erasure", lambda *_: None)
    assert client.post(keep, data=SURE).status_code == 200
    frozen.advance(days=8)
    with put_back(copy, tmp_path):
        begin_after_restore(made_at)
        with transaction():
            restores.let_go("olga")
        a_week_later(frozen)
        assert (db.session.get_one(Customer, number).erased_at is None) == is_told


def test_without_the_journal_an_erasure_that_waits_is_told_once_more(
    client: FlaskClient, frozen: Clock, tmp_path: Path, before: Shop, backup: Callable[[], str]
) -> None:
    keep, number = asked_to_be_erased(client, before.anna), anna().id
    copy, made_at = backed_up(backup, frozen)
    assert client.post(keep, data=SURE).status_code == 200
    journal_path().unlink()
    frozen.advance(days=8)
    with put_back(copy, tmp_path) as shop:
        shop.test_client_class = Reader
        begin_after_restore(made_at)
        with transaction():
            restores.let_go("olga")
        keep = links_in(text_of(sent()[-1]))[0]
        carry_out_due()
        assert shop.test_client().post(keep, data=SURE).status_code == 200
        a_week_later(frozen)
        assert db.session.get_one(Customer, number).erased_at is None


@on_both_when_long
def test_an_erasure_that_was_asked_for_after_the_backup_is_done_after_the_restore(
    client: FlaskClient, frozen: Clock, tmp_path: Path, before: Shop
) -> None:
    number = anna().id
    client.post(asked_to_be_erased(client, before.anna), data=SURE)
    asked_to_be_erased(client, before.anna)
    keep_journal()
    frozen.advance(days=9)
    with put_back(before.copy, tmp_path):
        # Run again, as after a restore that was broken off, it is asked for once.
        assert [begin_after_restore(before.made_at).asked for _ in range(2)] == [1, 0]
        carry_out_due()
        assert anna().id == number
        with transaction():
            restores.let_go("olga")
        assert (sent()[-1]["To"].addresses[0].addr_spec, sent()[-1]["Subject"][:25]) == (
            ANNA,
            "Your data is to be erased",
        )
        a_week_later(frozen)
        assert db.session.get_one(Customer, number).erased_at is not None


def test_an_erasure_that_was_asked_for_and_done_after_the_backup_is_done_at_once(
    client: FlaskClient, frozen: Clock, tmp_path: Path, before: Shop
) -> None:
    number = anna().id
    asked_to_be_erased(client, before.anna)
    frozen.advance(days=8)
    carry_out_due()
    with put_back(before.copy, tmp_path):
        done = begin_after_restore(before.made_at)
        assert (done.erased, done.asked) == (1, 0)
        assert db.session.get_one(Customer, number).erased_at is not None


def test_who_stopped_an_erasure_whose_commit_had_failed_is_not_erased_by_its_line(
    client: FlaskClient,
    frozen: Clock,
    tmp_path: Path,
    before: Shop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    number = anna().id
    keep = asked_to_be_erased(client, before.anna)
    frozen.advance(days=8)

    def fails(*_: object) -> None:
        erasure_journal.add_line([number], clock.now())
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(money_erasures, "add_line", fails)
        carry_out_due()
    frozen.advance(minutes=1)
    assert client.post(keep, data=SURE).status_code == 200
    with put_back(before.copy, tmp_path):
        assert begin_after_restore(before.made_at).erased == 0
        assert anna().id == number
