"""While no mail server is set: letters are kept where the demo's inbox shows them."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from store.kit import clock
from store.mail.claims import Prepared
from store.mail.mime import Envelope
from store.mail.models import CapturedLetter
from store.mail.smtp import Outcome, OutcomeKind


class CapturingLine:
    """Takes every letter; what it takes is stored with the outcome."""

    def ready(self) -> None:
        pass

    def close(self) -> None:
        pass

    def send(self, envelope: Envelope, octets: bytes) -> Outcome:  # noqa: ARG002 - as a server's
        return Outcome(OutcomeKind.ACCEPTED, "captured: no mail server is set")


def capture(session: Session, letter: Prepared) -> None:
    """Keep a letter instead of sending it; it stands with the outcome or not at all."""
    session.add(
        CapturedLetter(
            recipient=letter.address.casefold(),
            subject=letter.subject[:300],
            octets=letter.octets,
            captured_at=clock.now(),
        )
    )


def captured(to: str = "") -> sa.Select[Any]:
    """The captured letters; with `to` only those to that address."""
    query = sa.select(CapturedLetter)
    return query.where(CapturedLetter.recipient == to.strip().casefold()) if to.strip() else query


def read_message(letter: CapturedLetter) -> EmailMessage:
    """The letter as a mail program would read it."""
    return message_from_bytes(letter.octets, policy=policy.default)
