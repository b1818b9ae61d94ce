"""Orders that are placed and paid: the one way in which tests get them.

`pay` is a buyer's: checkout, the demonstration's page, its signed message, the inbox. It opens its
own transactions, as all of that does. Where a test is about something else, `buy` and `apply_payment`
do in the caller's transaction what fulfilment does once a gateway has answered, with the same rows
of money and of rights.
"""

from datetime import datetime

import sqlalchemy as sa

from store.catalog.models import Publication
from store.catalog.publications import publication_by_slug
from store.demo.pay import Arrival, Decision, decide
from store.entitlements.granting import grant_imported
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.tokens import new_reference
from store.orders.gifts import give_copy
from store.orders.models import Customer, Order
from store.orders.placing import Details, place_order
from store.payments.checkout import TIME_TO_PAY, begin_checkout
from store.payments.fulfilment import apply_state
from store.payments.gateways.base import GatewayState, Standing
from store.payments.gateways.demo import NAME, new_name
from store.payments.inbox import apply_event
from store.payments.models import Checkout, CheckoutStatus, EventStatus, GatewayEvent
from tests.editions import a_shop
from tests.factories import a_publication, a_seller
from tests.letters import sent

ANNA = "anna@reader.example"
BUYER = Details(email=ANNA, name="Anna Berg", wants_now=False)
REASON = "Review for a journal"


def placed_order(publication: Publication, details: Details, form_key: str = "") -> Order:
    """A pending order, in the caller's transaction; of a form of its own unless its key is given."""
    key, price = form_key or new_reference(), publication.price_amount
    return place_order(publication, details, form_key=key, seen_amount=price)


def an_order(form_key: str = "f" * 22, slug: str = "send-early-years") -> int:
    """A pending pre-order at £12.50, of a publication that is added where it is missing; its id."""
    with transaction() as session:
        publication = session.scalars(sa.select(Publication).filter_by(slug=slug)).first()
        if publication is None:
            a_seller()
            publication = a_publication(slug)
        return placed_order(publication, BUYER, form_key).id


def start(order_id: int) -> str:
    """Begin a checkout; returns the gateway's reference of it."""
    return begin_checkout(order_id).rsplit("/", 1)[1]


def pay(order_id: int, arrival: Arrival = Arrival.ONCE) -> None:
    """The buyer pays at the demonstration's gateway; what arrives of its news is applied."""
    decide(start(order_id), Decision.PAY, arrival)
    apply_received()


def apply_received() -> None:
    """What the bell would do: apply each event that was received."""
    db.session.rollback()
    query = sa.select(GatewayEvent.id).filter_by(status=EventStatus.RECEIVED)
    for event_id in db.session.scalars(query.order_by(GatewayEvent.id)).all():
        apply_event(event_id)


def a_paid_order(publication: Publication, address: str = ANNA, *, wants_now: bool = True) -> Order:
    """An order placed and paid at this moment."""
    with transaction():
        return buy(publication, address, wants_now=wants_now)


def give(slug: str = "send-early-years", form_key: str = "gift:one", **given: str) -> int:
    """Give Anna a copy as the doors do; returns the order's id."""
    values = {"email": ANNA, "name": "Anna Berg", "reason": REASON, "who": "olga@publisher.example"}
    with transaction():
        order = give_copy(publication_by_slug(slug), form_key=form_key, **(values | given))
        order_id = order.id
    begin_checkout(order_id)
    return order_id


def buy(
    publication: Publication, email: str = ANNA, name: str = "Anna Berg", *, wants_now: bool = True
) -> Order:
    """An order placed and paid at this moment, in the caller's transaction."""
    return apply_payment(
        placed_order(publication, Details(email=email, name=name, wants_now=wants_now))
    )


def apply_payment(order: Order) -> Order:
    """A gateway has answered that an order is paid, in the caller's transaction."""
    now = clock.now()
    checkout = Checkout(
        order_id=order.id,
        gateway=NAME,
        gateway_reference=new_name("try"),
        status=CheckoutStatus.OPEN,
        amount=order.total_amount,
        currency=order.currency,
        created_at=now,
        expires_at=now + TIME_TO_PAY,
    )
    db.session.add(checkout)
    db.session.flush()
    apply_state(
        NAME,
        GatewayState(
            reference=str(checkout.gateway_reference),
            standing=Standing.PAID,
            amount=checkout.amount,
            currency=checkout.currency,
            order_reference=order.reference,
            checkout_id=checkout.id,
            payment_id=new_name("pay"),
            paid_at=now,
        ),
    )
    return order


def annas_order() -> int:
    """A paid order of Anna's in a shop of its own, whose letters have left; its number."""
    made = a_paid_order(a_shop()).id
    sent()
    return made


def give_imported(
    customer: Customer,
    publication: Publication,
    *,
    notify: bool,
    ordered_at: datetime | None = None,
) -> bool:
    """One customer's copy that was bought elsewhere, in the caller's transaction; says whether they
    had none."""
    return bool(grant_imported(publication, {customer.id: ordered_at}, notify=notify))
