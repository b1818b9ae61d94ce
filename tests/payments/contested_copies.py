"""Copies that were bought over Stripe's page and can be read, to be disputed and given back."""

from typing import Any

import sqlalchemy as sa
from flask.testing import FlaskClient

from store.catalog.models import Edition, Publication
from store.entitlements.access import readable_editions
from store.entitlements.links import library_url
from store.kit.database import db, transaction
from store.mail.models import Delivery
from store.orders.placing import Details, place_order
from store.payments.checkout import begin_checkout
from store.payments.models import Dispute
from tests.editions import drafted_and_released
from tests.factories import a_publication, a_released_edition, a_seller
from tests.payments.stripe_shop import GOOD_CARD, post_all, session_behind
from tests.rows import order_of
from tests.stripe_double import StripeDouble

BUYER = Details(
    email="anna@reader.example",
    name="Anna Berg",
    organisation="",
    purchase_order_number="",
    wants_now=True,
    network="203.0.113.9",
    user_agent="Firefox of a nursery",
)


def a_placed_order(form_key: str = "f" * 22) -> int:
    """A pending order of an edition that is there, to be had at once; returns its id."""
    with transaction() as session:
        publication = session.scalars(sa.select(Publication)).first()
        if publication is None:
            a_seller()
            publication = a_publication(price_amount=1250)
            a_released_edition(publication)
        return place_order(publication, BUYER, form_key=form_key, seen_amount=1250).id


def a_bought_copy(buyer: FlaskClient, double: StripeDouble, card: str = GOOD_CARD) -> int:
    """The same, paid over Stripe's page, all news of it applied; returns the order's id."""
    order_id = a_placed_order()
    pay(double, order_id, card)
    post_all(buyer, double)
    return order_id


def pay(double: StripeDouble, order_id: int, card: str = GOOD_CARD) -> None:
    """The buyer pays on Stripe's page; the shop has heard nothing yet."""
    session = session_behind(begin_checkout(order_id))
    outcome = double.control.complete(session, email="anna@reader.example", card=card)
    assert outcome["kind"] == "complete"


def intent_of(double: StripeDouble) -> str:
    """The name of the newest payment at Stripe."""
    return str(double.control.state()["payment_intent"][-1]["id"])


def can_read(buyer: FlaskClient, order_id: int) -> bool:
    """Whether the library, asked now over its page, offers the file."""
    customer_id = order_of(order_id).customer_id
    path = library_url(customer_id).partition("/library/")
    page = buyer.get(f"/library/{path[2]}").get_data(as_text=True)
    db.session.rollback()
    editions = readable_editions(customer_id, db.session.scalars(sa.select(Publication.id)).one())
    offers = "Download PDF" in page
    assert offers == bool(editions)
    return offers


def the_dispute() -> Dispute:
    """The one dispute, as it stands."""
    db.session.rollback()
    return db.session.scalars(sa.select(Dispute)).one()


def alerts() -> list[str]:
    """What staff were told, oldest first; not that the double's cards come from elsewhere."""
    db.session.rollback()
    query = sa.select(Delivery.facts).where(Delivery.kind == "staff_alert").order_by(Delivery.id)
    told = [facts["subject"] for facts in db.session.scalars(query) if facts]
    return [subject for subject in told if not subject.endswith("countries do not agree")]


def release_another(number: int = 2) -> Edition:
    """One more edition is released, by the rules."""
    publication = db.session.scalars(sa.select(Publication)).one()
    return drafted_and_released(publication, number)


def notices() -> list[str]:
    """The letters that carry an edition, by status, oldest first."""
    db.session.rollback()
    query = sa.select(Delivery.status).where(Delivery.kind == "edition_notice")
    return [status.value for status in db.session.scalars(query.order_by(Delivery.id))]


def dispute_at_stripe(double: StripeDouble, **how: Any) -> str:
    """The newest payment is disputed; nobody has heard of it. Returns the dispute's name."""
    return double.control.dispute(intent_of(double), **how)
