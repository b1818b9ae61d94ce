"""A release through a server that ends connections after the dot and defers, until all is over: who is
missed, who has a letter twice, and whether we know.

Run as a program it is that server: prints its port, then takes letters until it is ended.
"""

import asyncio
import smtplib
import tempfile
from collections import Counter
from pathlib import Path

import sqlalchemy as sa

from bench.figures import Figure
from bench.letters import drain, need_all_sent, owe_letters, sending_to
from bench.shops import shop
from bench.sink import Sink, running, serve
from store.kit import clock
from store.kit.database import db, transaction
from store.mail.models import Delivery, DeliveryStatus

CONNECTIONS = 4
READERS = 1_000
CUT_EACH, DEFERRED_EACH = 100, 20
# Of the letters that are deferred one in twenty is deferred again, and so on.
MOST_ROUNDS = 20


class MoodySink(Sink):
    """Takes the letter and ends without an answer, or answers 451, each so many letters."""

    taken: Counter[bytes] = Counter()  # noqa: RUF012 - of all conversations
    asked = cut = 0

    def _obey(self, verb: bytes, line: bytes) -> bytes:
        if verb == b"XSUM":
            letters, readers = sum(self.taken.values()), len(self.taken)
            return b"250 %d %d %d\r\n" % (letters, readers, MoodySink.cut)
        if verb == b"MAIL":
            self.readers: list[bytes] = []
        elif verb == b"RCPT":
            self.readers.append(line.partition(b"<")[2].partition(b">")[0])
        return super()._obey(verb, line)

    def _take(self) -> bytes:
        MoodySink.asked += 1
        if MoodySink.asked % DEFERRED_EACH == 1:
            return b"451 4.3.0 try again later\r\n"
        self.taken.update(self.readers)
        if MoodySink.asked % CUT_EACH:
            return super()._take()
        MoodySink.cut += 1
        self.out.close()
        return b""


def measure() -> list[Figure]:
    """Readers are counted at the server."""
    with running("bench.weather") as port, tempfile.TemporaryDirectory() as folder:
        marked = _send_all(Path(folder), port)
        letters, readers, cuts = _count(port)
    doubled = letters - readers
    said = (
        f"of {READERS:,} readers, by a server that ends after 1 dot in {CUT_EACH} and defers 1 "
        f"letter in {DEFERRED_EACH}"
    )
    return [
        Figure(f"missed {said}", "", READERS - readers, 0, at_least=False, unit="readers"),
        Figure(
            f"had it twice {said}",
            f"the {cuts} connections that ended",
            doubled / cuts,
            1,
            at_least=False,
        ),
        Figure(
            "of those who had it twice, not marked as possibly twice",
            "",
            max(0, doubled - marked),
            0,
            at_least=False,
            unit="readers",
        ),
    ]


def _send_all(folder: Path, port: int) -> int:
    """Send until nothing waits, what was deferred at once; how many are marked as possibly twice."""
    with shop(folder, **sending_to(port, CONNECTIONS)) as app:
        edition_id = owe_letters(READERS)
        for _ in range(MOST_ROUNDS):
            drain(app, CONNECTIONS)
            waiting = sa.update(Delivery).where(Delivery.status == DeliveryStatus.QUEUED)
            with transaction() as session:
                late = session.execute(waiting.values(due_at=clock.now())).rowcount
            if not late:
                break
        need_all_sent(edition_id, READERS)
        return db.session.query(Delivery).filter_by(is_possibly_twice=True).count()


def _count(port: int) -> tuple[int, int, int]:
    with smtplib.SMTP("127.0.0.1", port, local_hostname="localhost") as server:
        _, told = server.docmd("XSUM")
    letters, readers, cuts = map(int, told.split())
    return letters, readers, cuts


if __name__ == "__main__":
    asyncio.run(serve(MoodySink))
