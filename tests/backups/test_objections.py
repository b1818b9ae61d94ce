"""What a mailbox took back after the backup is taken back after the restore: who reads it believes that it is
done."""

from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from store.backups.after_restore import begin_after_restore
from store.entitlements import addresses, on_file, order_moves
from store.entitlements.erasure_journal import journal_path
from store.entitlements.journal_after_restore import keep_journal
from store.entitlements.on_file import customers_at
from store.kit import clock
from store.kit.database import db
from store.orders.models import Order
from tests.backups.test_journal import backed_up
from tests.conftest import Clock, on_both_when_long
from tests.entitlements.presses import (
    CARL,
    SECOND,
    SURE,
    B,
    address_of,
    changed,
    gave_second,
    moved,
    objection,
)
from tests.letters import sent
from tests.links import anna
from tests.purchases import ANNA, annas_order
from tests.restored import put_back

pytestmark = pytest.mark.usefixtures("frozen")

is_told = pytest.mark.parametrize("is_told", [True, False], ids=["told", "control"])


@on_both_when_long
@is_told
def test_an_address_that_was_taken_back_is_taken_back_again(
    client: FlaskClient,
    frozen: Clock,
    tmp_path: Path,
    backup: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    is_told: bool,
) -> None:
    """Somebody with a forwarded link took the copies over, and their owner has undone that."""
    annas_order()
    customer_id = anna().id
    undo = changed(client, customer_id, B)
    copy, made_at = backed_up(backup, frozen)
    if not is_told:
        monkeypatch.setattr(addresses.erasure_journal, "add_objection", lambda *_: None)
    assert client.post(undo, data=SURE).status_code == 200
    sent()
    assert (B in journal_path().read_text(), ANNA in journal_path().read_text()) == (False, False)
    with put_back(copy, tmp_path):
        begin_after_restore(made_at)
        assert address_of(customer_id) == (ANNA if is_told else B)
        begin_after_restore(made_at)
        assert address_of(customer_id) == (ANNA if is_told else B)


@on_both_when_long
@is_told
def test_an_order_whose_move_was_objected_to_is_held_again(
    client: FlaskClient,
    frozen: Clock,
    tmp_path: Path,
    backup: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    is_told: bool,
) -> None:
    order_id = annas_order()
    moved(client, order_id, CARL)
    copy, made_at = backed_up(backup, frozen)
    if not is_told:
        monkeypatch.setattr(order_moves.erasure_journal, "add_objection", lambda *_: None)
    assert client.post(objection(order_id), data=SURE).status_code == 200
    with put_back(copy, tmp_path):
        begin_after_restore(made_at)
        db.session.rollback()
        assert (db.session.get_one(Order, order_id).held_at is not None) == is_told


def test_a_change_that_the_backup_does_not_know_is_not_undone(
    client: FlaskClient, frozen: Clock, tmp_path: Path, backup: Callable[[], str]
) -> None:
    annas_order()
    keep_journal()
    frozen.advance(minutes=5)
    made_at, copy = clock.now(), backup()
    assert client.post(changed(client, anna().id, B), data=SURE).status_code == 200
    with put_back(copy, tmp_path):
        begin_after_restore(made_at)
        assert anna().email == ANNA


@on_both_when_long
@is_told
def test_a_second_address_that_was_refused_after_the_backup_does_not_come_back(
    client: FlaskClient,
    frozen: Clock,
    tmp_path: Path,
    backup: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    is_told: bool,
) -> None:
    annas_order()
    refusal = gave_second(client, anna().id)
    copy, made_at = backed_up(backup, frozen)
    if not is_told:
        monkeypatch.setattr(on_file.erasure_journal, "add_ended_second", lambda *_: None)
    assert client.post(refusal, data=SURE).status_code == 200
    sent()
    assert SECOND not in journal_path().read_text()
    frozen.advance(days=15)
    with put_back(copy, tmp_path):
        begin_after_restore(made_at)
        assert (len(customers_at(SECOND)) == 0) == is_told
