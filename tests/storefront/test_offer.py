"""Prices that depend on who one is: asked for by address, told by letter, ordered at behind a link."""

import re
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from store.catalog.models import Publication
from store.entitlements.addresses import correct_address
from store.entitlements.links import order_link, token_of
from store.kit.database import db, transaction
from store.kit.limits import RateCount, limiter
from store.kit.status import advance
from store.mail.models import Delivery
from store.orders import placing
from store.orders.customers import find_or_add_customer
from store.orders.discounts import add_discount, discount_by_name, end_discount
from store.orders.models import Customer, Discount, Offer, Order, OrderStatus
from store.orders.offers import OfferUsed, ask_for_offer, forget_offers, is_told_already
from store.orders.placing import Details, place_order
from tests import factories
from tests.conftest import Clock, on_both, on_both_when_long
from tests.letters import sent
from tests.letters import text_of as text_part
from tests.pages import Page, check_page
from tests.rows import every_table
from tests.storefront.forms import fields_of, text_of

PAGE = "/publications/send-early-years"
MEMBER = "mia@nursery.example"
OTHER = "otto@reader.example"


@pytest.fixture(autouse=True)
def publication(app: Flask, frozen: Clock) -> Publication:
    """A pre-order at £12.50, £10.00 for members: everybody with an address of the nursery, and
    one listed reader."""
    with transaction():
        factories.a_seller()
        add_discount(
            "Members", percent=20, domains="nursery.example", members="listed@reader.example"
        )
        return factories.a_publication()


def a_code(**given: object) -> None:
    """20 % by the code EARLY20, once for each person, unless said otherwise."""
    values: dict[str, object] = {"code": "EARLY20", "percent": 20, "max_orders_each": 1}
    with transaction():
        add_discount("Early bird", **(values | given))  # type: ignore[arg-type]


def ask(client: FlaskClient, email: str, network: str = "127.0.0.1") -> TestResponse:
    """Ask for a members' price."""
    where = {"REMOTE_ADDR": network}
    return client.post(f"{PAGE}/members", data={"email": email}, environ_overrides=where)


def ask_with_code(client: FlaskClient, email: str, code: str = "EARLY20") -> TestResponse:
    """Type a code on the order form and press the button that its refusal offers."""
    form = fields_of(client.get(f"{PAGE}/order").text, "email") | {"email": email, "code": code}
    refused = client.post(f"{PAGE}/order", data=form)
    assert refused.status_code == 422
    assert "Mail me the link" in text_of(refused.text)
    kept = fields_of(refused.text, "email") | {"by_letter": "yes"}
    return client.post(f"{PAGE}/order", data=kept)


def letters_to(email: str) -> list[str]:
    """The text of each letter to an address, oldest first."""
    return [text_part(letter) for letter in sent() if email in str(letter["To"])]


def link_for(client: FlaskClient, email: str = MEMBER) -> str:
    """The path that a member's letter leads to."""
    assert ask(client, email).status_code == 200
    return path_in(letters_to(email)[-1])


def path_in(letter: str) -> str:
    found = re.search(r"\S+/offer/\S+", letter)
    assert found is not None, letter
    return urlsplit(found[0]).path


def review(client: FlaskClient, path: str, **typed: str) -> str:
    """The review page after the form behind a link was sent as it stands."""
    form = client.get(path)
    assert form.status_code == 200
    check_page(form.text, path=path)
    answer = client.post(path, data=fields_of(form.text, "name") | typed)
    assert answer.status_code == 200
    check_page(answer.text, path=path)
    return answer.text


def press(client: FlaskClient, path: str, html: str, **more: str) -> TestResponse:
    """Press the review's button."""
    return client.post(path, data=fields_of(html, "seen_amount") | more)


def orders() -> list[Order]:
    db.session.rollback()
    return list(db.session.scalars(sa.select(Order).order_by(Order.id)))


def rows_but_of(*names: str) -> dict[str, int]:
    db.session.rollback()
    return {
        table.name: db.session.scalar(sa.select(sa.func.count()).select_from(table)) or 0
        for table in every_table()
        if table.name not in names
    }


@on_both_when_long
def test_a_member_gets_a_link_and_orders_at_the_price_behind_it(client: FlaskClient) -> None:
    path = link_for(client)
    assert len(path) <= 92
    form = client.get(path).text
    assert fields_of(form, "name")["email"] == MEMBER
    assert [one.get("type") for one in Page(form).all("input") if one.get("name") == "email"] == [
        "hidden"
    ]
    assert "Price £12.50 Members −£2.50 Total no VAT to pay £10.00" in text_of(form)
    html = review(client, path)
    assert "Total no VAT to pay £10.00" in text_of(html)
    assert press(client, path, html, sure="yes").status_code == 303
    (order,) = orders()
    assert (order.email, order.total_amount, order.discount_label) == (MEMBER, 1000, "Members")


def test_the_address_of_the_link_counts_whatever_is_sent(client: FlaskClient) -> None:
    path = link_for(client)
    html = review(client, path, email=OTHER)
    press(client, path, html, sure="yes", email=OTHER)
    assert [order.email for order in orders()] == [MEMBER]


@on_both
def test_everybody_is_told_the_same_and_the_same_rows_are_written(client: FlaskClient) -> None:
    with transaction():
        db.session.add(factories.a_customer("known@reader.example"))
    told, written = [], []
    for email in (MEMBER, OTHER, "listed@reader.example", "known@reader.example"):
        before = rows_but_of()
        answer = ask(client, email)
        check_page(answer.text, path=f"{PAGE}/members")
        told.append((answer.status_code, answer.text.replace(email, "ADDRESS")))
        after = rows_but_of()
        written.append({name: after[name] - before[name] for name in after})
    assert told == [told[0]] * 4
    changed = [
        {name: n for name, n in one.items() if n and name != "rate_counts"} for one in written
    ]
    assert changed == [{"offers": 1, "deliveries": 1}] * 4
    assert db.session.scalar(sa.select(sa.func.count(Customer.id))) == 1


@on_both_when_long
def test_who_is_no_member_is_told_so_once_a_day_whatever_is_asked(
    client: FlaskClient, frozen: Clock
) -> None:
    a_code(max_orders_each=1, publication=None)
    for _ in range(3):
        ask(client, OTHER)
        frozen.advance(minutes=11)
        sent()
    ask(client, OTHER.upper())
    (letter,) = letters_to(OTHER)
    assert "This address has none now." in letter
    assert "/offer/" not in letter
    frozen.advance(hours=24)
    ask(client, OTHER)
    assert len(letters_to(OTHER)) == 2


@on_both_when_long
def test_who_is_no_member_gets_one_letter_for_all_that_was_asked_at_once(
    client: FlaskClient,
) -> None:
    with transaction():
        factories.a_publication("other")
        factories.a_publication("third")
    for slug in ("send-early-years", "other", "third"):
        client.post(f"/publications/{slug}/members", data={"email": OTHER})
    waiting = list(db.session.scalars(sa.select(Offer).order_by(Offer.id)))
    assert [is_told_already(offer) for offer in waiting] == [False, True, True]
    db.session.rollback()
    assert len(letters_to(OTHER)) == 1


def test_a_member_asks_again_after_ten_minutes_and_gets_another_link(
    client: FlaskClient, frozen: Clock
) -> None:
    first = link_for(client)
    assert link_for(client) == first
    frozen.advance(minutes=11)
    assert link_for(client) != first


def test_letters_repeat_nothing_that_was_typed(client: FlaskClient) -> None:
    a_code()
    ask(client, '"Buy pills at evil.example" <otto@reader.example>')
    ask_with_code(client, OTHER, "ear ly-20")
    assert all("evil" not in letter and "ear ly" not in letter for letter in letters_to(OTHER))


@on_both_when_long
def test_a_link_is_for_one_order_and_leads_back_to_it_until_it_is_paid(
    client: FlaskClient,
) -> None:
    path = link_for(client)
    html = review(client, path)
    pay_url = press(client, path, html, sure="yes").location
    assert press(client, path, html, sure="yes").location == pay_url
    again = client.get(path).text
    assert "Total no VAT to pay £10.00" in text_of(again)
    assert press(client, path, again, sure="yes").location == pay_url
    fresh = fields_of(html, "seen_amount") | {"form_key": "n" * 22, "sure": "yes"}
    other = client.post(path, data=fresh)
    assert (other.status_code, other.location) == (303, path)
    (order,) = orders()
    with transaction():
        advance(order, OrderStatus.PAID)
    for answer in (client.get(path), client.post(path, data=fresh)):
        assert answer.status_code == 410
        check_page(answer.text, path=path)
        assert "It was good for one order, and that was placed." in text_of(answer.text)
    assert len(orders()) == 1


def test_going_back_from_the_payment_keeps_the_price_and_the_address(client: FlaskClient) -> None:
    path = link_for(client)
    press(client, path, review(client, path), sure="yes")
    resume = resume_path()
    html = client.get(resume).text
    assert "Total no VAT to pay £10.00" in text_of(html)
    sent_on = client.post(f"{PAGE}/order", data=fields_of(html, "seen_amount"))
    assert sent_on.status_code == 303
    assert [order.total_amount for order in orders()] == [1000]
    forged = fields_of(html, "seen_amount") | {"email": OTHER}
    assert client.post(f"{PAGE}/order", data=forged).status_code == 422
    assert [(order.email, order.total_amount) for order in orders()] == [(MEMBER, 1000)]


def resume_path() -> str:
    """The gateway's way back to the order that was placed last."""
    order = orders()[-1]
    with transaction():
        return f"{PAGE}/order?resume={token_of(order_link(order.id, order.customer_id))}"


def test_a_link_holds_for_a_day(client: FlaskClient, frozen: Clock) -> None:
    path = link_for(client)
    frozen.advance(hours=24)
    assert client.get(path).status_code == 200
    frozen.advance(seconds=1)
    answer = client.get(path)
    assert answer.status_code == 410
    assert "It was good for 24 hours. To order, ask for a new link." in text_of(answer.text)
    assert "Part of it is missing" in text_of(client.get(path[:-3]).text)
    way_out = [one.get("href") for one in Page(answer.text).all("a")]
    assert f"{PAGE}/members" in way_out
    assert client.post(path, data={"name": "Mia"}).status_code == 410


@pytest.mark.parametrize("changed", ["x", "", "%0A"])
def test_a_link_of_nobody_s_is_unknown(client: FlaskClient, changed: str) -> None:
    assert client.get(f"/offer/abc.def.{changed}").status_code == 404


def test_a_link_of_another_purpose_opens_nothing(client: FlaskClient) -> None:
    token = link_for(client).rsplit("/", 1)[1]
    for path in (f"/library/{token}", f"/orders/{token}", f"/address/{token}", f"/stop/{token}"):
        assert client.get(path).status_code == 404


def leave() -> None:
    with transaction() as session:
        session.execute(sa.update(Discount).values(domains=""))


def end() -> None:
    with transaction():
        end_discount(discount_by_name("1"))


@on_both_when_long
@pytest.mark.parametrize("change", [leave, end])
def test_membership_is_judged_again_when_the_order_is_placed(
    client: FlaskClient, change: Callable[[], None]
) -> None:
    path = link_for(client)
    html = review(client, path)
    change()
    refused = press(client, path, html, sure="yes")
    assert refused.status_code == 422
    check_page(refused.text, path=path)
    assert "It is now £12.50." in text_of(refused.text)
    assert orders() == []
    assert "There is no members’ price for this address now." in text_of(client.get(path).text)


def test_a_form_that_is_sent_as_it_stands_orders_nothing(client: FlaskClient) -> None:
    path = link_for(client)
    html = review(client, path)
    refused = press(client, path, html)
    assert refused.status_code == 422
    check_page(refused.text, path=path)
    assert "Tick the box to order." in text_of(refused.text)
    assert orders() == []


def test_opening_a_link_uses_nothing_up(client: FlaskClient) -> None:
    path = link_for(client)
    before = rows_but_of("rate_counts")
    for _ in range(3):
        assert client.get(path).status_code == 200
        assert client.head(path).status_code == 200
    assert rows_but_of("rate_counts") == before


def test_only_a_publication_with_a_members_price_asks_who_is_one(
    client: FlaskClient, publication: Publication
) -> None:
    assert "Members: ask for your price" in text_of(client.get(PAGE).text)
    end()
    assert "Members:" not in text_of(client.get(PAGE).text)
    assert client.get(f"{PAGE}/members").status_code == 404
    assert ask(client, MEMBER).status_code == 404


@pytest.mark.parametrize("typed", ["", "nobody", "a b@reader.example"])
def test_what_is_no_address_is_refused_and_kept(client: FlaskClient, typed: str) -> None:
    answer = ask(client, typed)
    assert answer.status_code == 422
    check_page(answer.text, path=f"{PAGE}/members")
    assert fields_of(answer.text, "email")["email"] == typed


SPELLINGS = [
    MEMBER,
    f"Mia <{MEMBER}>",
    f"x <{MEMBER}>",
    f"mailto:{MEMBER}",
    f"y <{MEMBER}>",
    f"\uff4d{MEMBER[1:]}",
]


@on_both_when_long
@pytest.mark.parametrize("with_code", [False, True])
def test_however_an_address_is_spelt_it_is_one_address(
    client: FlaskClient, frozen: Clock, with_code: bool
) -> None:
    a_code(max_orders_each=1)
    answers = []
    for typed in SPELLINGS:
        answer = ask_with_code(client, typed) if with_code else ask(client, typed)
        answers.append(answer.status_code)
        frozen.advance(minutes=10)
    assert answers == [200] * 5 + [429]
    assert len(letters_to(MEMBER)) == 5


@on_both_when_long
@pytest.mark.parametrize("is_limited", [True, False])
@pytest.mark.parametrize("email", [MEMBER, OTHER])
def test_an_address_is_asked_for_five_times_an_hour_from_whatever_networks(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, is_limited: bool, email: str
) -> None:
    monkeypatch.setattr(limiter, "enabled", is_limited)  # without it: the control
    spellings = [email, email.upper()]
    answers = [ask(client, spellings[n % 2], network=f"203.0.113.{n}") for n in range(6)]
    assert [one.status_code for one in answers] == [200] * 5 + [429 if is_limited else 200]
    if is_limited:
        check_page(answers[-1].text, path=f"{PAGE}/members")
        assert 3500 < int(answers[-1].headers["Retry-After"]) <= 3600
        assert fields_of(answers[-1].text, "email")["email"] == email.upper()


def test_a_network_asks_for_twenty_addresses_an_hour_and_of_ipv6_the_household_is_one(
    client: FlaskClient,
) -> None:
    codes = [
        ask(client, f"a{n}@reader.example", network=f"2001:db8:1:2::{n + 1:x}").status_code
        for n in range(21)
    ]
    assert codes == [200] * 20 + [429]
    assert ask(client, "b@reader.example", network="2001:db8:1:3::1").status_code == 200
    keys = " ".join(db.session.scalars(sa.select(RateCount.key)))
    assert keys.count("/offers/") == 1 + 20 + 1 + 1  # two networks, and the addresses that counted
    assert "reader.example" not in keys


@on_both_when_long
def test_a_code_for_one_order_per_person_comes_by_letter_and_is_used_once(
    client: FlaskClient, frozen: Clock
) -> None:
    a_code()
    answer = ask_with_code(client, OTHER)
    assert answer.status_code == 200
    check_page(answer.text, path=f"{PAGE}/order")
    path = path_in(letters_to(OTHER)[-1])
    assert fields_of(client.get(path).text, "name")["code"] == "EARLY20"
    press(client, path, review(client, path), sure="yes")
    assert [order.total_amount for order in orders()] == [1000]
    frozen.advance(minutes=11)
    again = ask_with_code(client, OTHER)
    assert again.text == answer.text
    assert "It cannot be used with this address now" in letters_to(OTHER)[-1]


def its_customer_changes_address(order: Order) -> None:
    correct_address(order.customer, "new@reader.example", "staff")


def it_moves(order: Order) -> None:
    db.session.execute(sa.update(Order).values(status=OrderStatus.PAID))
    order.customer_id = find_or_add_customer("new@reader.example").id


@on_both_when_long
@pytest.mark.parametrize("leave_it", [its_customer_changes_address, it_moves])
def test_a_code_counts_for_the_address_that_was_proved_wherever_its_order_is_now(
    client: FlaskClient, frozen: Clock, leave_it: Callable[[Order], None]
) -> None:
    a_code()
    ask_with_code(client, OTHER)
    path = path_in(letters_to(OTHER)[-1])
    press(client, path, review(client, path), sure="yes")
    with transaction() as session:
        leave_it(session.scalars(sa.select(Order)).one())
    frozen.advance(minutes=11)
    for email in (OTHER, "new@reader.example"):
        ask_with_code(client, email)
        assert "It cannot be used with this address now" in letters_to(email)[-1]
    ask_with_code(client, "third@reader.example")  # the control: nobody else's is used up
    assert path_in(letters_to("third@reader.example")[-1])


def test_the_form_says_the_same_of_who_has_used_a_code_and_of_who_has_not(
    client: FlaskClient,
) -> None:
    a_code()
    ask_with_code(client, OTHER)
    path = path_in(letters_to(OTHER)[-1])
    press(client, path, review(client, path), sure="yes")
    answers = []
    for email in (OTHER, "new@reader.example"):
        form = fields_of(client.get(f"{PAGE}/order").text, "email")
        key = form["form_key"]
        refused = client.post(f"{PAGE}/order", data=form | {"email": email, "code": "EARLY20"})
        answers.append(refused.text.replace(email, "ADDRESS").replace(key, "KEY"))
        assert refused.status_code == 422
    assert answers[0] == answers[1]
    assert "is for one order per person: we mail you a link that has it" in answers[0]


def test_a_code_that_counts_for_nobody_brings_no_letter(client: FlaskClient) -> None:
    a_code()
    form = fields_of(client.get(f"{PAGE}/order").text, "email")
    form |= {"email": OTHER, "by_letter": "yes"}
    for code, status in (("WRONG", 422), ("", 200)):
        answer = client.post(f"{PAGE}/order", data=form | {"code": code})
        assert answer.status_code == status, code
    assert db.session.scalar(sa.select(sa.func.count(Offer.id))) == 0


def test_what_nobody_ordered_by_is_forgotten_after_two_days(
    client: FlaskClient, frozen: Clock
) -> None:
    ask(client, OTHER)
    path = link_for(client)
    press(client, path, review(client, path), sure="yes")
    frozen.advance(days=2, seconds=1)
    forget_offers()
    db.session.rollback()
    assert [offer.email for offer in db.session.scalars(sa.select(Offer))] == [MEMBER]
    addresses = sa.select(Delivery.address).where(Delivery.kind == "offer")
    assert set(db.session.scalars(addresses)) == {None}


def _order_at_once(app: Flask, publication_id: int, count: int = 6) -> list[str]:
    """So many forms behind one link, pressed at once."""
    ready, answers = threading.Barrier(count), list[str]()
    with transaction() as session:
        ask_for_offer(session.get_one(Publication, publication_id), MEMBER)
        offer_id = session.scalars(sa.select(Offer.id)).one()

    def order(number: int) -> None:
        with app.app_context():
            ready.wait()
            try:
                with transaction() as session:
                    place_order(
                        session.get_one(Publication, publication_id),
                        Details(MEMBER),
                        form_key=f"{number:022}",
                        seen_amount=1000,
                        offer=session.get_one(Offer, offer_id),
                    )
                answers.append("placed")
            except OfferUsed:
                answers.append("refused")
            finally:
                db.session.remove()

    threads = [threading.Thread(target=order, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(answers)


@on_both
def test_forms_behind_one_link_pressed_at_once_are_one_order(
    app: Flask, publication: Publication
) -> None:
    assert _order_at_once(app, publication.id) == ["placed"] + ["refused"] * 5
    assert len(orders()) == 1


def test_without_the_use_of_a_link_each_form_would_be_an_order(
    app: Flask, publication: Publication, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "use_offer", lambda *_: None)
    assert _order_at_once(app, publication.id) == ["placed"] * 6
