"""This process's connections to the mail server, and what each of them may carry."""

from dataclasses import dataclass, field
from queue import PriorityQueue
from typing import Protocol, cast

from flask import current_app

from store.kit.config import config
from store.mail.captured import CapturingLine
from store.mail.mime import Envelope
from store.mail.models import PRIORITIES
from store.mail.outbox import SOMEBODY_WAITS
from store.mail.smtp import Connection, MailServer, Outcome


class Line(Protocol):
    """A connection that is kept, to whatever takes letters."""

    def ready(self) -> None: ...
    def send(self, envelope: Envelope, octets: bytes) -> Outcome: ...
    def close(self) -> None: ...


@dataclass(order=True)
class Place:
    """A line and the priorities of the letters that it carries; those that carry all come first."""

    is_kept_free: bool
    number: int
    line: Line = field(compare=False)

    @property
    def carries(self) -> tuple[int, ...]:
        """A server may need ten minutes for each letter of a release, over all lines at once: one
        more is there for what somebody waits for."""
        return (SOMEBODY_WAITS,) if self.is_kept_free else PRIORITIES


def idle_places() -> "PriorityQueue[Place]":
    """The lines that are not at work: as many as the settings say, and one that is kept free for
    letters that somebody waits for. It comes last, so it is used where all others are at work."""
    extensions = current_app.extensions
    if "colophon.mail_lines" not in extensions:
        count = config().mail_connections
        places: PriorityQueue[Place] = PriorityQueue()
        for number in range(count + 1):
            line = Connection(mail_server()) if config().mail_server else CapturingLine()
            places.put(Place(number == count, number, line))
        extensions.setdefault("colophon.mail_lines", places)
    return cast("PriorityQueue[Place]", extensions["colophon.mail_lines"])


def mail_server() -> MailServer:
    """The server that the settings name."""
    settings = config()
    password = settings.mail_password
    return MailServer(
        host=settings.mail_server or "",
        port=settings.mail_port,
        username=settings.mail_username,
        password=password.get_secret_value() if password else None,
        use_tls=settings.mail_use_tls,
        use_ssl=settings.mail_use_ssl,
        local_hostname=settings.mail_sender.rpartition("@")[2] or "localhost",
    )
