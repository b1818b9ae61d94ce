"""After a restore no letter leaves, of whatever kind and from whatever host, until a person says so."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from store import tasks
from store.backups.after_restore import begin_after_restore
from store.cli import main
from store.commands import base
from store.distribution.coverage import coverage
from store.kit import clock
from store.kit.database import db, transaction
from store.mail import claims, ledger, restores
from store.mail.models import Attempt, Delivery, DeliveryStatus
from store.payments.models import StrayPayment
from store.staff.membership import change_role
from store.staff.people import staff_by_address
from tests.admin.sign_in import a_member, press, signed_in
from tests.conftest import Clock, on_both, on_both_when_long
from tests.editions import a_shop, drafted_and_released, edition_of, guide
from tests.letters import sent
from tests.pages import check_page
from tests.purchases import ANNA, a_paid_order, buy
from tests.restored import put_back

pytestmark = pytest.mark.usefixtures("frozen")

BEN = "ben@reader.example"
HOLDS = "NOT EXISTS (SELECT 1 FROM restores WHERE let_go_at IS NULL) AND "


def half_out() -> tuple[int, int]:
    """A shop with two readers whose letters of edition 2 have not left; publication and edition."""
    publication = a_shop()
    a_paid_order(publication)
    a_paid_order(publication, BEN)
    number = publication.id
    sent()
    return number, drafted_and_released(guide(number), 2).id


def to_readers() -> list[str]:
    """Whom letters went to, staff left out."""
    db.session.remove()
    return [one["To"].addresses[0].addr_spec for one in sent() if "publisher" not in str(one["To"])]


@on_both
def test_no_letter_leaves_until_a_person_says_so_and_then_each_does(
    client: FlaskClient,
    frozen: Clock,
    tmp_path: Path,
    backup: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    number, edition = half_out()
    made_at, copy = clock.now(), backup()
    frozen.advance(hours=3)
    with put_back(copy, tmp_path) as shop:
        begin_after_restore(made_at)
        before = to_readers()
        with transaction():
            buy(guide(number), "cleo@reader.example")
        for host in ("one", "two"):
            monkeypatch.setattr(socket, "gethostname", lambda host=host: host)
            tasks.begin()
            assert to_readers() == before
        ready = shop.test_client().get("/readyz")
        assert ready.status_code == 200
        assert "restored from a backup" in ready.json["no_letters_because"]

        frozen.advance(days=4)  # longer than any rest
        assert to_readers() == before
        with transaction():
            restores.let_go("olga")
        after = to_readers()[len(before) :]
        assert sorted(after) == sorted([ANNA, BEN, "cleo@reader.example"])
        counts = coverage(edition_of(edition))
        assert (counts.is_complete, counts.possibly_twice) == (True, 2)
        assert shop.test_client().get("/readyz").json["no_letters_since"] is None
        # Another restore begins it again.
        begin_after_restore(made_at)
        drafted_and_released(guide(number), 3)
        assert to_readers()[len(before) :] == after


def test_control_without_the_condition_letters_leave_after_a_restore(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_out()
    for module, name in ((claims, "_CLAIMABLE"), (ledger, "_BEGUN")):
        assert HOLDS in getattr(module, name)
        monkeypatch.setattr(module, name, getattr(module, name).replace(HOLDS, ""))
    begin_after_restore(clock.now())
    assert sorted(to_readers()[-2:]) == sorted([ANNA, BEN])


@on_both_when_long
def test_a_letter_that_was_under_way_as_the_backup_was_made_is_tried_again_and_marked(
    client: FlaskClient,
) -> None:
    half_out()
    with transaction() as session:
        letter = session.scalars(
            sa.select(Delivery).where(Delivery.edition_id.is_not(None))
        ).first()
        letter.status, letter.claimed_by, letter.claimed_at = (
            DeliveryStatus.SENDING,
            "elsewhere:1.1:1",
            clock.now(),
        )
        session.add(
            Attempt(delivery_id=letter.id, worker="elsewhere", address=ANNA, started_at=clock.now())
        )
        number = letter.id
    begin_after_restore(clock.now())
    letter = db.session.get_one(Delivery, number)
    assert (letter.status, letter.claimed_at, letter.is_possibly_twice) == (
        DeliveryStatus.QUEUED,
        None,
        True,
    )
    tries = db.session.scalars(sa.select(Attempt.outcome).filter_by(delivery_id=number)).all()
    assert tries[-1] == "unknown"


def test_the_desk_shows_what_would_leave_and_only_an_owner_lets_it(client: FlaskClient) -> None:
    half_out()
    a_member()
    begin_after_restore(clock.now())
    desk = signed_in(client, "support")
    assert "restored from the backup of 1 March 2027" in desk.get("/admin/").text
    page = desk.get("/admin/after-restore").text
    check_page(page, path="/admin/after-restore")
    assert "2 may have left before" in " ".join(page.split())
    assert "Let letters leave" not in page
    refused = press(desk, "/admin/after-restore/go", seen_on="/admin/search")
    assert refused.status_code == 403
    with transaction():
        person = staff_by_address("support@publisher.example")
        assert person is not None
        change_role(person.id, "owner")
    answer = press(desk, "/admin/after-restore/go", seen_on="/admin/after-restore")
    assert answer.status_code == 303
    assert "restored from the backup" not in desk.get("/admin/").text
    again = press(desk, "/admin/after-restore/go", seen_on="/admin/search")
    assert again.status_code == 409
    assert sorted(to_readers()[-2:]) == sorted([ANNA, BEN])


@pytest.mark.parametrize("role", ["editor", "support", "owner"])
def test_money_without_an_order_is_shown_to_who_looks_after_orders_alone(
    app: Flask, client: FlaskClient, role: str
) -> None:
    a_member()
    begin_after_restore(clock.now())
    with transaction() as session:
        session.add(
            StrayPayment(
                gateway="stripe",
                gateway_reference="cs_of_nobody",
                payment_id="pi_of_nobody",
                order_reference="K7QM-2XWP",
                amount=1250,
                returned=0,
                currency="GBP",
                paid_at=clock.now(),
                found_at=clock.now(),
                settled_by="",
            )
        )
    page = signed_in(client, role).get("/admin/after-restore").text
    shown = [words in page for words in ("Money without an order", "K7QM-2XWP", "£12.50")]
    assert shown == [role != "editor"] * 3


def test_the_command_says_what_would_leave_and_asks(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_out()
    monkeypatch.setattr(base, "the_shop", lambda: app)
    refused = CliRunner().invoke(main, ["mail", "go", "--yes"])
    assert (refused.exit_code, "No restore holds" in refused.output) == (1, True)
    begin_after_restore(clock.now())
    asked = CliRunner().invoke(main, ["mail", "go"])
    assert asked.exit_code == 1
    assert "edition_notice" in asked.output
    assert is_held()
    gone = CliRunner().invoke(main, ["mail", "go", "--yes"])
    assert (gone.exit_code, "Letters leave again" in gone.output) == (0, True)
    assert not is_held()


def is_held() -> bool:
    db.session.rollback()
    return restores.holding() is not None
