"""Customers who bought elsewhere, brought in safely, as often as one likes; and the way out:
everybody who holds a publication, as a file."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from store.catalog.models import Publication
from store.distribution.customers_csv import CustomerRows, LeftOut, Row
from store.entitlements.access import customers_with_rights
from store.entitlements.granting import grant_imported
from store.entitlements.models import Entitlement
from store.kit.config import config
from store.kit.database import db, transaction
from store.kit.mailboxes import address_key
from store.kit.money import to_decimal
from store.kit.spreadsheets import Cell, to_csv
from store.mail import outbox
from store.orders.customers import find_or_add_customers, rename
from store.orders.models import Customer, Order, OrderLine

CHUNK = 100
PIECE = 500
HAS_IT = "has this publication already"
GAVE_IT_BACK = "had this publication and was refunded"


@dataclass(frozen=True)
class ImportReport:
    """What became of each row: `added` and `left_out` sum up to `total`. `remarks` are about rows
    that are added."""

    total: int
    added: int
    left_out: list[LeftOut]
    remarks: list[LeftOut] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "total": self.total,
            "added": self.added,
            "left_out": [one.as_dict() for one in self.left_out],
            "remarks": [one.as_dict() for one in self.remarks],
        }


def import_customers(
    publication: Publication,
    given: CustomerRows,
    *,
    notify: bool = False,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> ImportReport:
    """Give every customer of the file a copy, a hundred to a transaction of its own, so that
    an order beside it waits for some of them only.

    Who has it already is left out, so an import can be repeated or taken up again. With `notify`
    they hear of the newest edition, unless their order says that they have it; `dry_run` reports
    the same and writes nothing.
    """
    publication_id = publication.id
    left_out = list(given.left_out)
    added = 0
    for start in range(0, len(given.rows), CHUNK):
        rows = given.rows[start : start + CHUNK]
        refused = _import_chunk(publication_id, rows, notify=notify, dry_run=dry_run)
        left_out += refused
        added += len(rows) - len(refused)
        progress(start + len(rows), len(given.rows))
    left_lines = {one.line for one in left_out}
    return ImportReport(
        given.total,
        added,
        sorted(left_out, key=lambda one: one.line),
        [one for one in given.remarks if one.line not in left_lines],
    )


def _import_chunk(
    publication_id: int, rows: list[Row], *, notify: bool, dry_run: bool
) -> list[LeftOut]:
    """The rows of the chunk that are left out; the others are granted."""
    if dry_run:
        return have_it(publication_id, rows)
    with transaction() as session:
        return grant_rows(session.get_one(Publication, publication_id), rows, notify=notify)


def have_it(publication_id: int, rows: Sequence[Row]) -> list[LeftOut]:
    """The rows of those who have the publication, or had it."""
    known = _known(publication_id, rows)
    return [_told(row, known) for row in rows if address_key(row.email) in known]


def grant_rows(publication: Publication, rows: Sequence[Row], *, notify: bool) -> list[LeftOut]:
    """Give everybody of these rows a copy, in as many statements as for one; those who have it, or
    had it, are left out and come back."""
    known = _known(publication.id, rows)
    new = [row for row in rows if address_key(row.email) not in known]
    found = find_or_add_customers({row.email: row.name for row in new})
    customers = [(found[address_key(row.email)], row) for row in new]
    _name([(customer, row.name) for customer, row in customers])
    ordered_at = {customer.id: row.ordered_at for customer, row in customers}
    granted = grant_imported(publication, ordered_at, notify=notify)
    added = {row.line for customer, row in customers if customer.id in granted}
    return [_told(row, known) for row in rows if row.line not in added]


def _name(customers: list[tuple[Customer, str]]) -> None:
    """By the publisher's list, not a form that anybody fills in: who never had a right, and who
    has no name."""
    had_rights = customers_with_rights([customer.id for customer, _ in customers])
    for customer, name in customers:
        if customer.id not in had_rights:
            rename(customer, name)
        elif not customer.name:
            rename(customer, name)
            outbox.look_again(customer.id)


def _known(publication_id: int, rows: Sequence[Row]) -> dict[str, bool]:
    """Keys of those who have an entitlement: whether one of theirs stands."""
    standing = sa.func.max(sa.case((Entitlement.revoked_at.is_(None), 1), else_=0))
    found = db.session.execute(
        sa.select(Customer.email_key, standing)
        .join(Entitlement, Entitlement.customer_id == Customer.id)
        .where(
            Entitlement.publication_id == publication_id,
            Customer.email_key.in_([address_key(row.email) for row in rows]),
        )
        .group_by(Customer.email_key)
    )
    return {key: bool(stands) for key, stands in found}


def _told(row: Row, known: dict[str, bool]) -> LeftOut:
    stands = known.get(address_key(row.email), True)
    return LeftOut(row.line, row.email, HAS_IT if stands else GAVE_IT_BACK)


def export_customers(
    publication: Publication, paid: Callable[[list[Order]], dict[int, int]]
) -> Iterator[str]:
    """Who holds the publication, one row each, as CSV in pieces of some hundred rows, read while
    they are written so that no list is too long; `email` and `name` can be imported again.
    `paid` says what is left of the money that came for orders, by id, in minor units.

    Write it with `utf-8-sig`. Who was refunded is not in it.
    """
    yield to_csv([("email", "name", "since", "order", "price", "currency")])
    zone = config().zone
    holders = db.session.execute(
        sa.select(Entitlement.granted_at, Customer.id, Customer.email, Customer.name, Order)
        .join(Customer, Customer.id == Entitlement.customer_id)
        .outerjoin(OrderLine, OrderLine.id == Entitlement.order_line_id)
        .outerjoin(Order, Order.id == OrderLine.order_id)
        .where(Entitlement.publication_id == publication.id, Entitlement.revoked_at.is_(None))
        .order_by(Customer.email_key, Entitlement.id)
        .execution_options(yield_per=PIECE)
    )
    last = None
    for piece in holders.partitions():
        left = paid([order for *_, order in piece if order is not None])
        rows: list[Sequence[Cell]] = []
        for granted_at, customer_id, email, name, order in piece:
            if customer_id == last:
                continue  # the first right of each is the one that is told
            last = customer_id
            bought: tuple[Cell, ...] = (None, None, None)
            if order is not None:
                price = to_decimal(left[order.id], order.currency)
                bought = (order.reference, price, order.currency)
            rows.append((email, name, granted_at.astimezone(zone).date(), *bought))
        yield to_csv(rows)
