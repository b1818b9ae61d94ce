"""What happened, in the margin of a page: sentences with a subject, newest first."""

import html
import re

from flask.testing import FlaskClient

from store.entitlements.received import record_download
from store.kit.database import db, transaction
from store.orders.customers import customer_by_address
from store.payments.refunds import refund_order
from tests.admin.contested import contest
from tests.admin.sign_in import press
from tests.conftest import Clock, on_both
from tests.editions import a_shop
from tests.letters import send
from tests.pages import page_at
from tests.purchases import ANNA, a_paid_order, give
from tests.rows import order_of
from tests.statements import statements

EVENT = re.compile(r"<li>(.*?)<small>(.*?)</small>\s*</li>", re.DOTALL)


def story(desk: FlaskClient, path: str) -> list[tuple[str, str]]:
    """The sentences of a page's margin, each with its moment and reason."""
    listed = page_at(desk, path).partition('<ol class="story">')[2].partition("</ol>")[0]
    return [(_plain(words), _plain(small)) for words, small in EVENT.findall(listed)]


@on_both
def test_an_order_tells_what_happened_in_peoples_words(
    frozen: Clock, desk: FlaskClient, order_id: int
) -> None:
    send()
    frozen.advance(minutes=1)
    contest(order_id, is_inquiry=True)
    frozen.advance(minutes=1)
    refund_order(order_id, who="olga@publisher.example", why="bought twice", key="k", amount=250)
    frozen.advance(minutes=1)
    refund_order(order_id, who="owner@publisher.example", why="", key="l", amount=250)
    told = story(desk, f"/admin/orders/{order_of(order_id).reference}")
    assert [one for one in told if "about the refund" not in one[0]] == [
        ("You refunded £2.50", "today, 10:03"),
        ("olga@publisher.example refunded £2.50", "today, 10:02, bought twice"),
        ("Their bank disputed £12.50", "today, 10:01, product not received"),
        ("The confirmation was handed over to their server", "today, 10:00"),
        ("They paid £12.50", "today, 10:00"),
        (f"They placed order {order_of(order_id).reference}", "today, 10:00"),
    ]


def test_a_customer_tells_of_orders_gifts_links_and_downloads_and_reading_it_stays_as_cheap(
    frozen: Clock, desk: FlaskClient
) -> None:
    publication = a_shop(editions=2)
    give()
    customer = customer_by_address(ANNA)
    assert customer
    customer_id, path = customer.id, f"/admin/customers/{customer.id}"
    frozen.advance(minutes=9)
    press(desk, f"{path}/end-links", seen_on=f"{path}/end-links")
    frozen.advance(minutes=9)
    with transaction() as session:
        asset = session.merge(publication).editions[1].assets[0]
        asset_id, name = asset.id, asset.format.upper()
    record_download("token", customer_id, asset_id)
    told = [sentence for sentence, _ in story(desk, path)]
    assert told[0] == f"They downloaded the {name} of edition 2"
    assert "You ended all links and had fresh ones mailed" in told
    assert told[-1] == "olga@publisher.example gave them a free copy"
    few = _statements(desk, path)
    for number in range(25):
        order = a_paid_order(a_shop(slug=f"another-{number}"), ANNA)
    assert _statements(desk, path) <= few
    assert len(story(desk, path)) == 20
    one = f"/admin/orders/{db.session.merge(order).reference}"
    assert [sentence for sentence, _ in story(desk, one)][-1].startswith("They placed order")


def _statements(desk: FlaskClient, path: str) -> int:
    db.session.rollback()
    with statements() as seen:
        desk.get(path)
    return len(seen)


def _plain(words: str) -> str:
    return " ".join(html.unescape(re.sub("<[^>]+>", "", words)).split())
