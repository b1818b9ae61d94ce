"""Whether each edition has reached one customer, for all of theirs at once: what staff are asked most."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from store.catalog.models import Asset, Edition, EditionStatus
from store.distribution.coverage import status_in_words
from store.distribution.recipients import IMPORTED, concerned, imported_as_having
from store.entitlements.models import Download, Entitlement
from store.entitlements.received import NOTICE
from store.kit.database import db
from store.kit.formatting import format_day
from store.mail.batches import COLUMNS
from store.mail.models import Attempt, Delivery, DeliveryStatus
from store.orders.models import Customer

# Whose answer is no, and a person can mend it.
TROUBLED = (DeliveryStatus.HELD, DeliveryStatus.FAILED, DeliveryStatus.BOUNCED)
# What came back was accepted first: the server's last word on it would say that all is well.
_REFUSED = (DeliveryStatus.HELD, DeliveryStatus.FAILED)
_NOT_DUE = "not_concerned"


@dataclass(frozen=True)
class Reached:
    """One edition: the column of its coverage, why, and the letter that a person may send again."""

    edition: Edition
    column: str
    because: str
    letter_id: int | None = None


def reached(customer: Customer, editions: Sequence[Edition]) -> list[Reached]:
    """Where a customer stands with each of these editions; six statements however many. Shows no
    address and no link."""
    ids = [one.id for one in editions]
    letters, fetched = _letters(customer.id, ids), _fetched(customer.id, ids)
    words = _server_words([one.id for one in letters.values() if one.status in _REFUSED])
    bare = [one for one in editions if one.id not in letters]
    owed, imported = _owed(customer.id, bare), _imported(customer.id, bare)
    rights = _rights(customer.id)
    told = []
    for edition in editions:
        letter = letters.get(edition.id)
        if letter is None:
            column, because = _without(edition, rights, owed, imported)
            told.append(Reached(edition, column, because))
            continue
        at = fetched.get(edition.id)
        because = words.get(letter.id) or f"The letter {status_in_words(letter)}"
        if at is not None:
            because = f"Downloaded on {format_day(at)}."
        again = letter.id if letter.status in TROUBLED else None
        told.append(Reached(edition, COLUMNS[letter.status], because, again))
    return told


def _letters(customer_id: int, ids: list[int]) -> dict[int, Delivery]:
    """The letter that counts for each edition: that of the release, then another notice, then a
    confirmation; of several those first that were not left out."""
    query = (
        sa.select(Delivery)
        .where(Delivery.customer_id == customer_id, Delivery.edition_id.in_(ids))
        .order_by(
            sa.case((Delivery.batch_id.is_not(None), 0), else_=1),
            sa.case((Delivery.kind == NOTICE, 0), else_=1),
            sa.case((Delivery.status == DeliveryStatus.SKIPPED, 1), else_=0),
            Delivery.id,
        )
    )
    found: dict[int, Delivery] = {}
    for letter in db.session.scalars(query):
        found.setdefault(letter.edition_id or 0, letter)
    return found


def _fetched(customer_id: int, ids: list[int]) -> dict[int, datetime]:
    query = (
        sa.select(Asset.edition_id, sa.func.min(Download.started_at))
        .join(Asset, Asset.id == Download.asset_id)
        .where(Download.customer_id == customer_id, Asset.edition_id.in_(ids))
        .group_by(Asset.edition_id)
    )
    return {row[0]: row[1] for row in db.session.execute(query)}


def _server_words(ids: list[int]) -> dict[int, str]:
    """What the server said last of each letter."""
    query = sa.select(Attempt).where(Attempt.delivery_id.in_(ids), Attempt.reply != "")
    return {
        one.delivery_id: f"The mail server said: {one.reply}"
        for one in db.session.scalars(query.order_by(Attempt.id))
    }


def _owed(customer_id: int, editions: Sequence[Edition]) -> dict[int, str | None]:
    """Of editions without a letter those that are owed all the same, with why they are left out."""
    asked = []
    for edition in editions:
        rows = concerned(edition).subquery()
        number = sa.literal(edition.id).label("edition_id")
        asked.append(sa.select(number, rows.c.left_out).where(rows.c.customer_id == customer_id))
    return {row[0]: row[1] for row in db.session.execute(sa.union_all(*asked))} if asked else {}


def _imported(customer_id: int, editions: Sequence[Edition]) -> set[int]:
    asked = []
    for edition in editions:
        rows = imported_as_having(edition).subquery()
        number = sa.select(sa.literal(edition.id))
        asked.append(number.where(rows.c.customer_id == customer_id))
    return set(db.session.scalars(sa.union_all(*asked))) if asked else set()


def _rights(customer_id: int) -> dict[int, list[Entitlement]]:
    found: dict[int, list[Entitlement]] = {}
    query = sa.select(Entitlement).where(Entitlement.customer_id == customer_id)
    for right in db.session.scalars(query.order_by(Entitlement.id)):
        found.setdefault(right.publication_id, []).append(right)
    return found


def _without(
    edition: Edition,
    rights: dict[int, list[Entitlement]],
    owed: dict[int, str | None],
    imported: set[int],
) -> tuple[str, str]:
    theirs: Any = rights.get(edition.publication_id, [])
    if edition.id in imported:
        return "left_out", f"No letter was owed: {IMPORTED}."
    if edition.status == EditionStatus.WITHDRAWN:
        return _NOT_DUE, "This edition was withdrawn."
    ended = [one for one in theirs if one.revoked_at is not None]
    if ended and len(ended) == len(theirs):
        last = ended[-1]
        return _NOT_DUE, f"{last.revoked_reason.capitalize()} on {format_day(last.revoked_at)}."
    if edition.id not in owed:
        return _NOT_DUE, "This edition is not among those that were bought."
    if owed[edition.id]:
        return "left_out", f"Left out: {owed[edition.id]}."
    return "missing", "The letter is missing; it is owed within a minute."
