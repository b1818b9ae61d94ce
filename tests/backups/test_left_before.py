"""What a mail server's log says of letters that left between a backup and its restore."""

from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from store.backups.after_restore import begin_after_restore
from store.cli import main
from store.commands import base
from store.distribution.coverage import coverage
from store.kit import clock
from store.kit.database import db, transaction
from store.mail.marks import new_mark
from store.mail.models import Delivery, DeliveryStatus, ReturnKind
from store.mail.returns import take
from tests.conftest import Clock, on_both_when_long
from tests.editions import a_shop, drafted_and_released, edition_of, guide
from tests.letters import sent
from tests.purchases import ANNA, a_paid_order, buy
from tests.restored import put_back

pytestmark = pytest.mark.usefixtures("frozen")

BEN, CLEO, DORA = "ben@reader.example", "cleo@reader.example", "dora@reader.example"
TAKEN = "dsn=2.0.0, status=sent (250 2.0.0 Ok: queued)"
PUT_OFF = "dsn=4.2.2, status=deferred (host mx said: 452 4.2.2 mailbox full)"


def postfix(number: str, letter: EmailMessage, outcome: str) -> str:
    """The lines of one letter in the log of its relay."""
    at, to = f"Mar  1 12:00:0{len(number)} relay postfix", letter["To"].addresses[0].addr_spec
    return (
        f"{at}/smtpd[70]: {number}: client=shop.example[192.0.2.1]\n"
        f"{at}/cleanup[71]: {number}: message-id={letter['Message-ID']}\n"
        f"{at}/qmgr[9]: {number}: from=<shop@shop.example>, size=9000, nrcpt=1 (queue active)\n"
        f"{at}/smtp[72]: {number}: to=<{to}>, relay=mx.reader.example[192.0.2.9]:25, delay=1, {outcome}\n"
    )


def letter_to(address: str) -> EmailMessage:
    return next(one for one in reversed(sent()) if one["To"].addresses[0].addr_spec == address)


@on_both_when_long
def test_what_was_sent_does_not_leave_again_and_what_may_have_been_does_and_is_marked(
    client: FlaskClient,
    frozen: Clock,
    tmp_path: Path,
    backup: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publication = a_shop()
    for address in (ANNA, BEN, CLEO):
        a_paid_order(publication, address)
    number = publication.id
    sent()
    edition = drafted_and_released(guide(number), 2).id
    made_at, copy = clock.now(), backup()
    frozen.advance(hours=1)
    sent()
    with transaction():
        buy(guide(number), DORA)
    log = tmp_path / "mail.log"
    log.write_text(
        postfix("4Zb1c23XyZzWq", letter_to(ANNA), TAKEN)
        + postfix("4Zb1c23XyZzWr", letter_to(BEN), PUT_OFF)
        + postfix("4Zb1c23XyZzWs", letter_to(DORA), TAKEN)
        + "Mar  1 12:00:09 relay postfix/anvil[7]: statistics: max connection rate 1/60s\n"
    )
    before = letter_to(BEN)["Message-ID"]
    frozen.advance(hours=1)
    with put_back(copy, tmp_path) as shop:
        monkeypatch.setattr(base, "the_shop", lambda: shop)
        begin_after_restore(made_at)
        letters = len(sent())
        for _ in range(2):
            said = CliRunner().invoke(main, ["mail", "sent-after", str(log)])
            assert said.exit_code == 0, said.output
        assert "1 may have been sent" in said.output
        assert "1 were written after the backup" in said.output
        assert CliRunner().invoke(main, ["mail", "go", "--yes"]).exit_code == 0
        again = sent()[letters:]
        readers = {one["To"].addresses[0].addr_spec: one["Message-ID"] for one in again}
        assert set(readers) - {"desk@publisher.example"} == {BEN, CLEO}
        assert readers[BEN] == before
        counts = coverage(edition_of(edition))
        assert (counts.is_complete, counts.possibly_twice) == (True, 2)
        # A report about the letter of before finds it.
        delivery = db.session.scalars(
            sa.select(Delivery).where(Delivery.edition_id == edition, ~Delivery.is_possibly_twice)
        ).one()
        assert delivery.message_id is not None
        with transaction():
            assert take(delivery.id, ReturnKind.HARD, words="no such reader", key="late")
        assert db.session.get_one(Delivery, delivery.id).status is DeliveryStatus.BOUNCED


def test_a_list_marks_and_keeps_back_only_what_is_said_to_have_arrived(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "the_shop", lambda: app)
    a_paid_order(a_shop())
    sent()
    edition = drafted_and_released(guide(1), 2).id
    with transaction():
        letter = db.session.scalars(sa.select(Delivery).filter_by(edition_id=edition)).one()
        listed = f"<{new_mark(letter.id)}@shop.example>\nand {'0' * 40} of somebody else\n"
    asked = ["mail", "sent-after", "-"]
    refused = CliRunner().invoke(main, asked, input=listed)
    assert (refused.exit_code, "No restore holds" in refused.output) == (1, True)
    begin_after_restore(clock.now())
    for options, status in (([], DeliveryStatus.QUEUED), (["--arrived"], DeliveryStatus.SENT)):
        assert CliRunner().invoke(main, [*asked, *options], input=listed).exit_code == 0
        db.session.rollback()
        letter = db.session.scalars(sa.select(Delivery).filter_by(edition_id=edition)).one()
        assert letter.status is status
        assert letter.is_possibly_twice == (status is DeliveryStatus.QUEUED)
