"""The search in the head of every page: straight to what alone fits, else all that fits, in groups."""

import re
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for

from store.admin.orders import STATUSES
from store.catalog.models import Publication
from store.catalog.publications import publications_with
from store.entitlements.on_file import customers_at
from store.kit.forms import MOST_TYPED, place_in_list, searched
from store.kit.paging import Page
from store.orders.models import Customer, Order
from store.orders.orders import found_exactly, list_orders, reference_in, search_customers
from store.payments.by_card import orders_by_card
from store.staff.guard import STAFF, SUPPORT, opens_to, signed_in

bp = Blueprint("search", __name__, url_prefix="/admin/search")

SHOWN = 5
_CARD = re.compile(r"[0-9]{4}")


@dataclass(frozen=True)
class Found:
    """What fits, of what the person at the desk may open; None for what they may not."""

    publications: Page[Publication]
    customers: Page[Customer] | None = None
    orders: Page[Order] | None = None
    by_card: Page[Order] | None = None

    @property
    def groups(self) -> list[Page[Any]]:
        """Those that may be opened."""
        all_four = self.publications, self.customers, self.orders, self.by_card
        return [one for one in all_four if one is not None]

    @property
    def is_empty(self) -> bool:
        return not any(one.rows for one in self.groups)

    @property
    def alone(self) -> str | None:
        """The address of what alone fits. A person with orders of theirs is one thing."""
        if any(one.total is None for one in self.groups):
            return None
        rows = [row for one in self.groups for row in one.rows]
        people = {row.id for row in rows if isinstance(row, Customer)}
        places = set()
        for row in rows:
            if isinstance(row, Publication):
                places.add(url_for("publications.one", slug=row.slug))
            elif isinstance(row, Customer):
                places.add(url_for("customers.one", customer_id=row.id))
            elif row.customer_id not in people:
                places.add(url_for("orders.one", reference=row.reference))
        return places.pop() if len(places) == 1 else None


@bp.get("")
@opens_to(STAFF)
def search() -> Any:
    """An address, a name, an organisation, a reference, the last four digits of a card, a title."""
    text, is_support = searched()[:MOST_TYPED], signed_in().role in SUPPORT
    if not text:
        return _page(text, None)
    exact = _exactly(text) if is_support else None
    if exact:
        return redirect(exact, 303)
    found = _all(text) if is_support else Found(publications_with(text, SHOWN))
    # Who pages through a group stays with it.
    alone = None if "card_after" in request.args or "card_before" in request.args else found.alone
    return redirect(alone, 303) if alone else _page(text, found)


def _exactly(text: str) -> str | None:
    """Where an order's whole reference or a customer's whole address leads; a second address, too."""
    order_id, customer_id = found_exactly(text)
    if order_id is not None:
        return url_for("orders.one", reference=reference_in(text))
    if customer_id is None and "@" in text:
        customer_id = next(iter(customers_at(text)), None)
    return url_for("customers.one", customer_id=customer_id) if customer_id else None


def _all(text: str) -> Found:
    by_card = orders_by_card(text, place_in_list("card_"), SHOWN) if _CARD.fullmatch(text) else None
    return Found(
        publications_with(text, SHOWN),
        search_customers(text, is_part=True, size=SHOWN),
        list_orders(text=text, is_part=True, size=SHOWN),
        by_card.linked(lambda **there: url_for("search.search", q=text, **there), "card_")
        if by_card
        else None,
    )


def _page(text: str, found: Found | None) -> str:
    return render_template("admin/search.html", text=text, found=found, statuses=STATUSES)
