"""Readers of a mailbox that are killed amid their work lose no report and take none twice."""

import os
import random
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from store.kit.database import db, transaction
from store.mail.models import Attempt, Delivery, DeliveryStatus, Repair, ReturnedLetter
from tests.conftest import SECRET, on_both
from tests.editions import drafted_and_released
from tests.factories import a_publication, a_seller
from tests.letters import send
from tests.mail import messages
from tests.mail.certificates import make_certificate
from tests.mail.imap_server import CUT, ImapServer
from tests.mail.messages import dsn
from tests.mail.reading import url_of
from tests.purchases import buy
from tests.serving import until

READERS, KILLS = 40, 6


@dataclass
class _Killer:
    """The server's script: kills who reads at one of its commands, before it is answered."""

    reader: "subprocess.Popen[bytes] | None" = None
    left: int | None = None

    def __call__(self, verb: str, line: str) -> str | None:
        if self.left is None or not verb.startswith("UID"):
            return None
        self.left -= 1
        if self.left or self.reader is None:
            return None
        self.reader.kill()
        return CUT


@pytest.mark.long
@on_both
def test_kills_lose_no_report_and_take_none_twice(
    app: Flask, database_url: str, tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    chance, killer = random.Random(12), _Killer()
    with ImapServer(context, killer) as server:
        names = _sent_to_many()
        for name in names:
            server.put(messages.out_of_office(name), datetime.now(UTC).date())
            server.put(dsn(name, name=f"{name[1:9]}@b.example"), datetime.now(UTC).date())
        environment = os.environ | {
            "STORE_ENV": "testing",
            "STORE_SECRET_KEY": SECRET,
            "STORE_DATA_DIR": str(tmp_path),
            "STORE_DATABASE_URL": database_url,
            "STORE_BOUNCE_IMAP": url_of(server),
            "SSL_CERT_FILE": str(certificate),
        }
        amid = 0
        for _ in range(KILLS):
            before = _taken()
            with _reader(environment, killer, after=chance.randint(8, 24)) as reader:
                reader.wait(60)
            amid += before < _taken() < READERS
        with _reader(environment, killer) as reader:
            until(lambda: _taken() == READERS, "all is read")
            reader.kill()
    assert amid == KILLS  # control: the kills fell amid the reading
    assert _taken() == READERS
    assert server.verbs().count("UID FETCH") <= 2 * READERS + 2 * KILLS
    db.session.rollback()
    statuses = sa.select(Delivery.status).where(Delivery.kind == "edition_notice")
    assert set(db.session.scalars(statuses)) == {DeliveryStatus.BOUNCED}
    assert db.session.scalar(sa.select(sa.func.count(Repair.id))) == READERS


def _sent_to_many() -> list[str]:
    """The Message-IDs of an edition's letters."""
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)
        for number in range(READERS):
            buy(publication, f"reader{number}@reader.example")
    drafted_and_released(publication)
    send()
    db.session.rollback()
    query = sa.select(Delivery.message_id).join(Attempt, Attempt.delivery_id == Delivery.id)
    found = db.session.scalars(query.where(Delivery.kind == "edition_notice")).all()
    db.session.rollback()
    return [str(one) for one in found]


def _taken() -> int:
    found = db.session.scalar(sa.select(sa.func.count(ReturnedLetter.id)))
    db.session.rollback()
    return found or 0


@contextmanager
def _reader(
    environment: dict[str, str], killer: _Killer, *, after: int | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that reads, to be killed after so many commands about messages."""
    command = [sys.executable, "-m", "tests.mail.mailbox.reading_process"]
    killer.left = after
    with subprocess.Popen(command, env=environment) as killer.reader:
        try:
            yield killer.reader
        finally:
            killer.reader.kill()
