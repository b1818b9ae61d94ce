"""Whom and what a letter is about, its customer and its edition: while something of them is being
changed their letters are not read, and the other way round.

On SQLite the one writer is enough: during a change nothing is claimed, comes back or is owed. On
PostgreSQL a letter that comes back unsent, or is just owed, could be claimed and read amid a change that
has taken the claims away already, and leave as things stood before it.
"""

from collections.abc import Sequence
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from store.mail.models import DeliveryStatus, deliveries

CUSTOMER, EDITION = deliveries.c.customer_id, deliveries.c.edition_id


def lock_for_change(connection: Connection, subject: sa.Column[int], row_id: int) -> None:
    """Keep the letters of a customer or an edition from being read until this is committed."""
    rows = _rows(subject)
    which = sa.select(rows.c.id).where(rows.c.id == row_id)
    connection.execute(which.with_for_update(key_share=True))


def take_claims(connection: Connection, subject: sa.Column[int], row_id: int) -> bool:
    """Take the claims from its letters that have not begun to leave; says whether there are any."""
    # From here on nobody reads what they say until the commit, so who has read it has its claim.
    lock_for_change(connection, subject, row_id)
    queued = deliveries.c.status == DeliveryStatus.QUEUED
    statement = sa.update(deliveries).where(subject == row_id, queued)
    return connection.execute(statement.values(claimed_by=None, claimed_at=None)).rowcount > 0


def wait_for_changes(connection: Connection, delivery_ids: Sequence[int]) -> None:
    """Wait until nothing is being changed of the subjects of these letters, and keep changes
    waiting until the read ends. What is asked afterwards is as it stands then. For a transaction that
    writes nothing: its commit waits for no disk."""
    if connection.dialect.name == "sqlite":
        return
    connection.execute(_shared(), {"theirs": list(delivery_ids)})


@lru_cache(maxsize=1)
def _shared() -> sa.Executable:
    """Only PostgreSQL runs it: one value for all letters, and one row in answer, as what is locked
    is of no interest."""
    ids = sa.bindparam("theirs", type_=postgresql.ARRAY(sa.Integer))
    found = []
    for subject in (CUSTOMER, EDITION):
        rows, theirs = _rows(subject), sa.select(subject).where(deliveries.c.id == sa.any_(ids))
        # In one order, as they are locked for a change.
        which = sa.select(rows.c.id).where(rows.c.id.in_(theirs)).order_by(rows.c.id)
        locked = which.with_for_update(read=True).subquery()
        found.append(sa.select(sa.func.count()).select_from(locked).scalar_subquery())
    # Locks are written to the disk, too; nobody has to wait for that.
    return sa.select(*found, sa.func.set_config("synchronous_commit", "off", sa.true()))


def _rows(subject: sa.Column[int]) -> sa.Table:
    (key,) = subject.foreign_keys
    return key.column.table
