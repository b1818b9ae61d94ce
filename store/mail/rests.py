"""When a mail server asks to be left alone: the post as a whole, or one domain among others.

A rest grows while it is of no use and ends with the first letter that is taken. Nothing here is
logged: a domain may be one person's.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from store.kit import clock
from store.kit.database import insert_into
from store.mail.models import Attempt, Delivery, DeliveryStatus, Rest
from store.mail.shared_clock import shared_now_of

# The domain of the post as a whole.
POST = ""
_WAITS = [timedelta(minutes=m) for m in (1, 5, 15, 30)]
# So many answers of a domain that ask for patience, and no letter taken between, are no chance.
# A server that defers every first letter of a sender to a reader would be slow for nothing.
_STRIKES = 10
# A refusal that does not speak of its reader weighs more: five of them, and no letter taken between.
_WEIGHT_OF_REFUSAL = 2
# Two days of them: half an hour each, but for the first three.
MOST_RESTS = 98
# The timetable looks each minute; a little longer than that.
_UNTIL_LOOKED_AT_AGAIN = timedelta(seconds=90)
FORGOTTEN_AFTER = timedelta(days=3)


class Standing(NamedTuple):
    """How a domain's row stood."""

    until: datetime
    rests: int


@dataclass(frozen=True)
class Weather:
    """The rests as they stood when they were last looked at."""

    standing: dict[str, Standing]

    def rests_until(self, domain: str) -> datetime | None:
        """When letters to this domain, or with POST any, may leave again; None: now."""
        row = self.standing.get(domain)
        return row.until if row is not None and row.until > clock.now() else None

    def has_rested(self, domain: str) -> bool:
        """Whether its rest is over, and nobody knows yet whether it was of use."""
        row = self.standing.get(domain)
        return row is not None and row.rests > 0 and row.until <= clock.now()

    def is_foul(self, domain: str) -> bool:
        """Whether a letter that is taken there ends something."""
        return POST in self.standing or domain in self.standing


# Asked with each claim, so built once.
_ALL = sa.select(Rest.domain, Rest.until, Rest.rests)


def weather(session: Session) -> Weather:
    """The rests as they stand; mostly there are none."""
    rows = session.connection().execute(_ALL)
    return Weather({row.domain: Standing(row.until, row.rests) for row in rows})


def domain_of(address: str) -> str:
    """In the one spelling that its row has."""
    return address.rpartition("@")[2].casefold()[:255]


def strike(session: Session, domain: str) -> None:
    """A letter was not taken for nobody's fault: after several the domain rests, each time longer.
    Letters that were under way when a rest began make it no longer."""
    row = _row(session, domain)
    row.strikes += 1
    if row.strikes >= _STRIKES or row.rests:
        _rest(row)
    session.flush()


def refuse(session: Session, domain: str) -> int:
    """A letter was refused in words that do not speak of its reader. How often the domain rests now
    because of such answers: 0 where it may be the reader's matter, 1 from the answer on that shows
    that the whole domain does not want us."""
    row = _row(session, domain)
    row.strikes += _WEIGHT_OF_REFUSAL
    if row.strikes >= _STRIKES or row.rests:
        _rest(row)
    session.flush()
    return row.rests


def ask(session: Session, domain: str) -> datetime | None:
    """Be the one letter that finds out whether a rest was of use: None where it may leave, and the
    next rest begins meanwhile for all others; else until when it waits."""
    here = sa.select(Rest).where(Rest.domain == domain).with_for_update()
    row = session.scalar(here.execution_options(populate_existing=True))
    if row is None:
        return None
    if row.until > clock.now():
        return row.until
    _rest(row)
    session.flush()
    return None


def rest_where_silent(session: Session) -> None:
    """Domains over whose letters several connections have been waiting for a minute, or one since
    a rest: no other begins a letter there meanwhile (timetable)."""
    silent = (
        sa.select(Attempt.address)
        .join(Delivery, Delivery.id == Attempt.delivery_id)
        .where(
            Delivery.claimed_at < shared_now_of(session) - clock.MINUTE,
            Delivery.status == DeliveryStatus.SENDING,
            Attempt.ended_at.is_(None),
        )
    )
    waiting = Counter(domain_of(address) for address in session.scalars(silent))
    rested = weather(session).standing if waiting else {}
    for domain, count in waiting.items():
        if count > 1 or (domain in rested and rested[domain].rests):
            row = _row(session, domain)
            row.until = max(row.until, clock.now() + _UNTIL_LOOKED_AT_AGAIN)
            row.rests = max(row.rests, 1)
    session.flush()


def rest_post(session: Session) -> None:
    """The server refuses us: no letter leaves for a while, each time longer."""
    row = _row(session, POST)
    row.strikes += 1
    _rest(row)
    session.flush()


def mark_post(session: Session) -> None:
    """Something is the matter with the post that the next letter taken ends; nothing rests."""
    _row(session, POST).strikes += 1
    session.flush()


def end(session: Session, domain: str) -> list[datetime]:
    """A letter to this domain was taken: it rests no longer, nor does the post. Returns until when
    they would have rested."""
    gone = sa.delete(Rest).where(Rest.domain.in_([POST, domain])).returning(Rest.until)
    return list(session.scalars(gone))


def try_now(session: Session) -> None:
    """A person says that it is mended: the next letter leaves at once, the wait stays as long."""
    session.execute(sa.update(Rest).where(Rest.domain == POST).values(until=clock.now()))


def forget(session: Session) -> None:
    """Drop what is long past: of domains to which nothing goes any more. Of one that letters were
    given up for is kept that it takes none, until it takes one."""
    old = clock.now() - FORGOTTEN_AFTER
    is_past = Rest.changed_at < old, Rest.rests <= MOST_RESTS
    session.execute(sa.delete(Rest).where(Rest.domain != POST, *is_past))


def _row(session: Session, domain: str) -> Rest:
    """The row of a domain, made where there is none; ours alone until the transaction ends. One
    statement, as a letter that was taken elsewhere may drop it at any moment."""
    now = clock.now()
    made = insert_into(Rest).values(domain=domain, strikes=0, rests=0, until=now, changed_at=now)
    ours = made.on_conflict_do_update(index_elements=["domain"], set_={"changed_at": now})
    populated = {"populate_existing": True}
    row: Rest = session.scalars(ours.returning(Rest), execution_options=populated).one()
    return row


def _rest(row: Rest) -> None:
    if row.until <= clock.now():
        row.until = clock.now() + _WAITS[min(row.rests, len(_WAITS) - 1)]
        row.rests += 1
