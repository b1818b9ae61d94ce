"""Who sends which letter, and when: claims with a lease, those of the dead, the common pace.

A claim is not a status: claimed rows stay `queued` until just before DATA.
"""

import itertools
import os
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from store.kit import clock
from store.kit.config import config
from store.kit.database import UtcDateTime, insert_once
from store.kit.processes import runs, started
from store.mail.mime import Envelope
from store.mail.models import (
    PRIORITIES,
    Attempt,
    Delivery,
    DeliveryStatus,
    Pace,
    attempts,
    deliveries,
)
from store.mail.shared_clock import shared_now_of
from store.mail.smtp import MailServer

MOST_CLAIMED = 100
# Longer than any wait for a mail server, and a minute for ourselves.
LEASE = timedelta(seconds=MailServer("").longest_send) + clock.MINUTE
# What a connection has claimed waits no longer behind a letter that is under way.
_TAKES_LONG = clock.MINUTE
# Who claimed a letter and has not begun it by then may be a machine that is gone, of which nobody
# can say that it is dead. One that lives loses nothing: it passes over what is no longer its own.
UNBEGUN = 2 * clock.MINUTE
# With a pace, no worker sits on more than it may send in this time.
_SECONDS_AHEAD = 10

# What a person sends again after a recall has the priority of what somebody waits for.
MAY_LEAVE = (
    # After a restore nothing leaves, whatever it is, until a person says so.
    "NOT EXISTS (SELECT 1 FROM restores WHERE let_go_at IS NULL) AND (batch_id IS NULL OR"
    " batch_id NOT IN (SELECT id FROM batches WHERE status = 'paused') AND (priority = 0 OR"
    " batch_id NOT IN (SELECT id FROM batches WHERE status = 'recalled')))"
)
# The condition of ix_deliveries_queue to the letter, or the index does not serve it; `_due` names
# the priority before, or letters that are due in days would be looked at for every bell.
_CLAIMABLE = f"status = 'queued' AND claimed_at IS NULL AND due_at <= :now AND {MAY_LEAVE}"
_numbers = itertools.count(1)

# Runs a statement of plain SQL with its values; returns the rows.
Run = Callable[..., Sequence[Any]]
Priorities = tuple[int, ...]


class Claim(NamedTuple):
    """One claimed letter; it is ours while the row still says so. Each round of claims has a name
    of its own (`new_name`), so that a letter whose claim was taken away is never taken for the one
    that the same worker has claimed again and not read yet."""

    delivery_id: int
    worker: str


_PUT_OFF = (
    sa.update(deliveries)
    .where(
        deliveries.c.id == sa.bindparam("ours"),
        deliveries.c.status == DeliveryStatus.QUEUED,
        deliveries.c.claimed_by == sa.bindparam("worker"),
    )
    .values(due_at=sa.bindparam("until"), claimed_by=None, claimed_at=None)
)


class Prepared(NamedTuple):
    """One letter that could leave now: plain values, no row behind them."""

    claim: Claim
    kind: str
    batch_id: int | None
    message_id: str
    address: str
    subject: str
    envelope: Envelope
    octets: bytes
    is_on_hold: bool = False  # letters to the address came back, and somebody waits for this one


@dataclass(frozen=True)
class Unsent:
    """A letter that does not leave: left out or held, with the reason. `alert` where staff must
    hear of it."""

    claim: Claim
    kind: str
    status: DeliveryStatus
    reason: str
    alert: bool = False


def worker_name() -> str:
    """This thread's name: host:pid.start:thread; the start tells a pid used again."""
    return f"{_process_name(os.getpid())}:{threading.get_native_id()}"


@lru_cache(maxsize=4)
def _process_name(pid: int) -> str:
    return f"{socket.gethostname()[:60]}:{pid}.{started(pid)}"


def new_name() -> str:
    """A name for one round of claims of this thread."""
    return f"{worker_name()}:{next(_numbers)}"


def fair_part(run: Run, moments: dict[str, Any], priorities: Priorities, *, is_sqlite: bool) -> int:
    """How many letters to claim next: fewer when few are waiting so that no connection idles."""
    return _fair_part(*run(_count_sql(priorities, is_sqlite), **moments)[0])


def claim(
    run: Run,
    limit: int,
    worker: str,
    moments: dict[str, Any],
    priorities: Priorities,
    *,
    is_sqlite: bool,
) -> list[Claim]:
    """Claim the next `limit` letters that are due; the most urgent first. `moments` are what is
    `now`, and what is `claimed` by the shared clock for the lease, as the driver takes them."""
    if limit == 0:
        return []
    rows = run(_claim_sql(limit, priorities, is_sqlite), worker=worker, **moments)
    return [Claim(row[0], worker) for row in sorted(rows, key=lambda row: (row[1], row[2], row[0]))]


def _fair_part(awaited: int, notices: int = 0) -> int:
    """How many to claim, where so many wait that somebody waits for, and so many notices.

    A claim costs a commit and a look at the queue, so of notices each connection takes its whole share
    of what is left; of the others half, as behind a letter that takes long they would wait with it.
    """
    rate, shares = config().mail_rate, _shares()
    fair = -(-awaited // (2 * shares)) if awaited else -(-notices // shares)
    ahead = max(1, int(rate * _SECONDS_AHEAD)) if rate else MOST_CLAIMED
    return min(fair, awaited + notices, MOST_CLAIMED, ahead)


def _shares() -> int:
    return config().mail_connections


def _count_sql(priorities: Priorities, is_sqlite: bool) -> str:
    """How many of each priority wait, as far as that matters."""
    enough = _shares() * MOST_CLAIMED
    counts = (
        f"(SELECT count(*) FROM ({_due_of(priority, enough, is_sqlite)}) AS few)"  # noqa: S608
        for priority in priorities
    )
    return f"SELECT {', '.join(counts)}"


def anything_due(session: Session, priorities: Priorities = PRIORITIES) -> bool:
    """Whether a letter waits that could be claimed now. One that another transaction holds could
    not: who asked in a loop would spin until that ends. The caller ends the read."""
    one = _timed(_due(1, priorities, _is_sqlite(session)))
    return session.execute(one, {"now": clock.now()}).first() is not None


def oldest_due(session: Session) -> datetime | None:
    """Since when that letter has been due that has waited longest, of those that may leave or are on
    their way; None where none is due. The caller ends the read."""
    sqlite = _is_sqlite(session)
    firsts = [
        f"SELECT id FROM ({_due_of(one, 1, sqlite)}) AS first_{one}"  # noqa: S608 - constants
        for one in PRIORITIES
    ]
    ids = " UNION ALL ".join([*firsts, "SELECT id FROM deliveries WHERE claimed_at IS NOT NULL"])
    query = _timed(f"SELECT min(due_at) AS due_at FROM deliveries WHERE id IN ({ids})")  # noqa: S608
    typed = query.columns(sa.column("due_at", UtcDateTime))
    found: datetime | None = session.execute(typed, {"now": clock.now()}).scalar()
    return found


def _claim_sql(limit: int, priorities: Priorities, is_sqlite: bool) -> str:
    """ARRAY, as inside IN the planner may run the inner query once per row and claim the whole
    table."""
    chosen = _due(limit, priorities, is_sqlite)
    ids = f"IN ({chosen})" if is_sqlite else f"= ANY(ARRAY({chosen}))"
    return (
        "UPDATE deliveries SET claimed_by = :worker, claimed_at = :claimed"  # noqa: S608 - constants
        f" WHERE id {ids} RETURNING id, priority, due_at"
    )


def _due(limit: int, priorities: Priorities, is_sqlite: bool) -> str:
    """The first letters that could leave now, the most urgent first: those alone that no other
    transaction holds, which PostgreSQL then holds for us."""
    free = "" if is_sqlite else " FOR UPDATE SKIP LOCKED"
    of_each = (
        f"SELECT id FROM ({_due_of(priority, limit, is_sqlite)}{free}) AS due_{priority}"  # noqa: S608
        for priority in priorities
    )
    return f"{' UNION ALL '.join(of_each)} LIMIT {limit}"


def _due_of(priority: int, limit: int, is_sqlite: bool) -> str:
    """LIMIT is a literal: as a parameter PostgreSQL guesses it at a tenth of the table. SQLite, left
    to itself, takes the index on the status and sorts the whole queue."""
    queue = "deliveries INDEXED BY ix_deliveries_queue" if is_sqlite else "deliveries"
    return (
        f"SELECT id FROM {queue} WHERE priority = {priority} AND {_CLAIMABLE}"  # noqa: S608
        f" ORDER BY due_at, id LIMIT {limit}"
    )


def _is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"


def _timed(sql: str) -> sa.TextClause:
    return sa.text(sql).bindparams(sa.bindparam("now", type_=UtcDateTime))


def release(session: Session, claims: list[Claim]) -> None:
    """Give claimed letters back unsent; what is no longer ours is left alone."""
    if claims:
        session.execute(
            sa.update(deliveries)
            .where(
                Delivery.id.in_([claim.delivery_id for claim in claims]),
                Delivery.claimed_by == claims[0].worker,
                Delivery.status != DeliveryStatus.SENDING,
            )
            .values(claimed_by=None, claimed_at=None)
        )


def settle_unsent(session: Session, claim: Claim, status: DeliveryStatus, reason: str) -> bool:
    """Leave a claimed letter out or hold it, with the reason; says whether it was still ours."""
    changed = (
        sa.update(deliveries)
        .where(
            Delivery.id == claim.delivery_id,
            Delivery.status == DeliveryStatus.QUEUED,
            Delivery.claimed_by == claim.worker,
        )
        .values(status=status, reason=reason[:300], claimed_by=None, claimed_at=None)
        .returning(Delivery.id)
    )
    return session.execute(changed).first() is not None


def put_off(session: Session, claims: list[tuple[Claim, datetime]]) -> None:
    """Queue claimed letters for later, as if nobody had looked at them."""
    if claims:
        given = [{"ours": c.delivery_id, "worker": c.worker, "until": at} for c, at in claims]
        session.connection().execute(_PUT_OFF, given)


def bring_forward(session: Session, moments: list[datetime]) -> None:
    """Make due what was put off until one of these moments."""
    session.execute(
        sa.update(deliveries)
        .where(
            # The condition of the queue's index to the letter.
            sa.text("status = 'queued' AND claimed_at IS NULL"),
            deliveries.c.priority.in_(PRIORITIES),
            deliveries.c.due_at.in_(moments),
        )
        .values(due_at=clock.now())
    )


def free_dead_claims(session: Session) -> int:
    """Queue again what dead processes of this host had claimed, and what outlived its lease; a
    letter that was under way is marked as possibly sent twice. Returns how many were freed."""
    holders = session.scalars(
        sa.select(Delivery.claimed_by).where(Delivery.claimed_at.is_not(None)).distinct()
    ).all()
    dead = [name for name in holders if name and is_dead(name)]
    ends_at = shared_now_of(session) - LEASE
    is_over = sa.or_(Delivery.claimed_by.in_(dead), Delivery.claimed_at < ends_at)
    which = sa.and_(Delivery.claimed_at.is_not(None), is_over)
    cut_off = session.scalars(
        sa.update(deliveries)
        .where(which, Delivery.status == DeliveryStatus.SENDING)
        .values(
            status=DeliveryStatus.QUEUED, is_possibly_twice=True, claimed_by=None, claimed_at=None
        )
        .returning(Delivery.id)
    ).all()
    session.execute(
        sa.update(attempts)
        .where(Attempt.delivery_id.in_(cut_off), Attempt.ended_at.is_(None))
        .values(outcome="unknown", ended_at=clock.now(), reply="the worker ended before the answer")
    )
    unsent = session.scalars(
        sa.update(deliveries)
        .where(which, Delivery.status != DeliveryStatus.SENDING)
        .values(claimed_by=None, claimed_at=None)
        .returning(Delivery.id)
    ).all()
    return len(cut_off) + len(unsent)


def free_waiting_claims(session: Session) -> int:
    """Queue again what was claimed and not begun: at once what waits behind a letter for which the
    server takes long, and after two minutes whatever it waits for. Others send it. Returns how many."""
    now = shared_now_of(session)
    other = deliveries.alias("other")
    behind = sa.select(other.c.claimed_by).where(
        other.c.claimed_at < now - _TAKES_LONG,
        other.c.status == DeliveryStatus.SENDING,
    )
    freed = session.execute(
        sa.update(deliveries)
        .where(
            Delivery.claimed_at.is_not(None),
            Delivery.status == DeliveryStatus.QUEUED,
            sa.or_(Delivery.claimed_by.in_(behind), Delivery.claimed_at < now - UNBEGUN),
        )
        .values(claimed_by=None, claimed_at=None)
        .returning(Delivery.id)
    )
    return len(freed.all())


def is_dead(worker: str) -> bool:
    """Whether a worker of this host no longer runs; of another host nobody here can say."""
    host, _, rest = worker.partition(":")
    pid, _, start = rest.partition(":")[0].partition(".")
    if host != socket.gethostname()[:60] or not pid.isdigit():
        return False
    if not runs(int(pid)):
        return True
    now_started = started(int(pid))
    return bool(start and now_started and start != now_started)


def take_slot(session: Session, rate: float) -> float:
    """Reserve the next moment at which a letter may leave, at `rate` letters a second: one row
    that all workers of all machines share. Returns the seconds until then."""
    now = shared_now_of(session)
    insert_once(Pace, id=1, next_at=now)
    row = session.execute(sa.select(Pace).where(Pace.id == 1).with_for_update()).scalar_one()
    slot = max(row.next_at, now)
    row.next_at = slot + timedelta(seconds=1 / rate)
    session.flush()
    return (slot - now).total_seconds()
