"""The one commit between two letters: the server took the last, and the next is about to leave.

Said to the driver itself, as SQLAlchemy costs a statement many times what the database does. Only
the plain case is written here; `outcomes` knows all others, and these conditions are theirs.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import Any, NamedTuple, Protocol, cast

import sqlalchemy as sa
from flask import current_app

from store.kit import clock
from store.kit.database import db
from store.kit.kept_statements import KeptStatements
from store.kit.shared_commit import SharedCommit, in_sqlite, in_words_of, shared_commit
from store.mail import claims
from store.mail.claims import MAY_LEAVE, Claim, Priorities
from store.mail.models import PRIORITIES
from store.mail.shared_clock import ASKED, shared_now

_ENDED = (
    "UPDATE attempts SET ended_at = :now, outcome = 'accepted', reply = :reply WHERE id = :attempt"
)
_SENT = (
    "UPDATE deliveries SET status = 'sent', sent_at = :now, tries = tries + 1, claimed_by = NULL,"
    " claimed_at = NULL WHERE id = :last AND status = 'sending' AND claimed_by = :last_worker"
)
# The lease counts from now: the wait for the server begins here.
_BEGUN = (
    "UPDATE deliveries SET status = 'sending', message_id = :message_id, claimed_at = :claimed"  # noqa: S608
    f" WHERE id = :next AND status = 'queued' AND claimed_by = :worker AND {MAY_LEAVE}"
)
_TRIED = (
    "INSERT INTO attempts (delivery_id, worker, address, started_at, reply)"
    " VALUES (:next, :worker, :address, :now, '')"
)
_RELEASED = (
    "UPDATE deliveries SET claimed_by = NULL, claimed_at = NULL"
    " WHERE id = :next AND status <> 'sending' AND claimed_by = :worker"
)
# Each is one statement, so one round trip and a transaction of its own. Both letters are found as
# they were before it: they are two rows.
_TRIED_IF_BEGUN = (
    "INSERT INTO attempts (delivery_id, worker, address, started_at, reply)"
    " SELECT id, CAST(:worker AS varchar), CAST(:address AS varchar), CAST(:now AS timestamptz), ''"
    " FROM begun RETURNING id"
)
# A claimed letter counts as left, so beginning one and ending another changes no count: to ask the
# trigger all the same (migration 0026) took a twentieth of the pace.
_BEGUN_UNCOUNTED = f"{_BEGUN} AND set_config('colophon.no_count_changes', 'yes', true) = 'yes'"
_BEGIN = f"WITH begun AS ({_BEGUN_UNCOUNTED} RETURNING id) {_TRIED_IF_BEGUN}"
_END = f"WITH ended AS ({_ENDED}) {_SENT}"
_ENDED_BEFORE = f"WITH ended AS ({_ENDED}), sent AS ({_SENT})"
_END_AND_BEGIN = (
    f"WITH ended AS ({_ENDED}), sent AS ({_SENT}),"
    f" begun AS ({_BEGUN_UNCOUNTED} RETURNING id) {_TRIED_IF_BEGUN}"
)

Values = dict[str, Any]


class Taken(NamedTuple):
    """A letter that the server has taken, with its attempt and the server's words."""

    claim: Claim
    attempt_id: int
    reply: str


class Ledger(Protocol):
    """Writes down what happens between letters; each call returns once it is durable."""

    def at_hand(self) -> AbstractContextManager[None]:
        """For a thread that has many steps to write down: what they need is kept meanwhile."""

    def begin(self, taken: Taken | None, claim: Claim, message_id: str, address: str) -> int | None:
        """Write down the letter that was taken, if one was, move a claimed one to `sending` and
        add its attempt: the id of that, or None where the letter is no longer ours, no longer
        queued, or its batch paused or recalled meanwhile."""

    def claim(
        self, taken: Taken | None, worker: str, priorities: Priorities = PRIORITIES
    ) -> list[Claim]:
        """Write down the letter that was taken, if one was, and claim the next few that are due,
        of these priorities, the most urgent first."""


class SharedLedger:
    """SQLite has one writer, and each commit waits for the disk: the connections of a process share
    one (`kit.shared_commit`)."""

    def __init__(self, commit: SharedCommit) -> None:
        self._shared = commit

    def at_hand(self) -> AbstractContextManager[None]:
        """See `Ledger`: it is kept all the time, for all threads."""
        return nullcontext()

    def begin(self, taken: Taken | None, claim: Claim, message_id: str, address: str) -> int | None:
        """See `Ledger`."""
        values = _begun(claim, message_id, address, in_sqlite(clock.now()))
        values["claimed"] = values["now"]

        def write(driver: Any) -> int | None:
            _write_taken(driver, taken, values["now"])
            if driver.execute(_BEGUN, values).rowcount:
                return cast(int, driver.execute(_TRIED, values).lastrowid)
            driver.execute(_RELEASED, values)
            return None

        return self._shared.write(write)

    def claim(
        self, taken: Taken | None, worker: str, priorities: Priorities = PRIORITIES
    ) -> list[Claim]:
        """See `Ledger`."""
        now = in_sqlite(clock.now())

        def write(driver: Any) -> list[Claim]:
            def run(sql: str, **given: Any) -> Sequence[Any]:
                return cast(Sequence[Any], driver.execute(sql, given).fetchall())

            _write_taken(driver, taken, now)
            moments = {"now": now, "claimed": now}
            limit = claims.fair_part(run, moments, priorities, is_sqlite=True)
            return claims.claim(run, limit, worker, moments, priorities, is_sqlite=True)

        return self._shared.write(write)


class SingleLedger:
    """PostgreSQL: one statement, which is its own transaction; the server waits for the disk once
    for several."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._here = threading.local()

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """See `Ledger`. A statement that the server has prepared is lost with each read that ends
        on its connection, so these steps have one of their own."""
        with self._connected() as steps:
            self._here.steps = steps
            try:
                yield
            finally:
                del self._here.steps
                steps.let_go()

    def begin(self, taken: Taken | None, claim: Claim, message_id: str, address: str) -> int | None:
        """See `Ledger`."""
        values = _begun(claim, message_id, address, clock.now()) | _ended(taken)
        with self._steps() as steps:
            values["claimed"] = _shared_now(steps.run)
            attempt_id = steps.number(_END_AND_BEGIN if taken else _BEGIN, values)
            if attempt_id is None:
                steps.run(f"{_RELEASED} RETURNING id", **values)
        return attempt_id

    def claim(
        self, taken: Taken | None, worker: str, priorities: Priorities = PRIORITIES
    ) -> list[Claim]:
        """See `Ledger`."""
        now, ended = clock.now(), _ended(taken)
        with self._steps() as steps:
            run = steps.run
            moments = {"now": now, "claimed": _shared_now(run)}
            limit = claims.fair_part(run, moments, priorities, is_sqlite=False)
            if taken and not limit:
                run(f"{_END} RETURNING id", **ended, now=now)

            def run_both(sql: str, **given: Any) -> Sequence[Any]:
                return run(f"{_ENDED_BEFORE} {sql}", **ended, **given)

            claim_by = run_both if taken else run
            return claims.claim(claim_by, limit, worker, moments, priorities, is_sqlite=False)

    @contextmanager
    def _steps(self) -> Iterator[KeptStatements]:
        steps: KeptStatements | None = getattr(self._here, "steps", None)
        if steps is None:
            with self._connected() as steps:
                yield steps
        else:
            with in_words_of(self._engine, "a step of the ledger"):
                yield steps

    @contextmanager
    def _connected(self) -> Iterator[KeptStatements]:
        with in_words_of(self._engine, "a step of the ledger"):
            pooled = self._engine.raw_connection()
            driver: Any = pooled.driver_connection
            try:
                driver.autocommit = True
                yield KeptStatements(driver)
            finally:
                if driver.closed:
                    pooled.invalidate()
                else:
                    driver.autocommit = False
                pooled.close()


def _write_taken(driver: Any, taken: Taken | None, now: str) -> None:
    if taken is not None:
        values = _ended(taken) | {"now": now}
        driver.execute(_ENDED, values)
        driver.execute(_SENT, values)


def _ended(taken: Taken | None) -> Values:
    if taken is None:
        return {}
    return {
        "last": taken.claim.delivery_id,
        "last_worker": taken.claim.worker,
        "attempt": taken.attempt_id,
        "reply": taken.reply[:1000],
    }


def _begun(claim: Claim, message_id: str, address: str, now: Any) -> Values:
    return {
        "next": claim.delivery_id,
        "worker": claim.worker,
        "message_id": message_id,
        "address": address,
        "now": now,
    }


def _shared_now(run: claims.Run) -> datetime:
    return shared_now(lambda: cast(datetime, run(ASKED)[0][0]))


def ledger() -> Ledger:
    """The ledger of this process."""
    extensions = current_app.extensions
    if "colophon.ledger" not in extensions:
        is_sqlite = db.engine.dialect.name == "sqlite"
        made = SharedLedger(shared_commit()) if is_sqlite else SingleLedger(db.engine)
        extensions.setdefault("colophon.ledger", made)
    return cast(Ledger, extensions["colophon.ledger"])
