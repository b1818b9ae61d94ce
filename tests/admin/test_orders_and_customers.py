"""Orders, customers and letters at the desk."""

import re
import threading
from datetime import timedelta
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import Publication
from store.distribution.rehearsal import send_test
from store.entitlements.addresses import merge_customers
from store.entitlements.links import make_link
from store.entitlements.models import Link
from store.entitlements.order_moves import accept_move, hold_order, request_move
from store.entitlements.received import record_download
from store.kit import clock
from store.kit.database import db, transaction
from store.mail import shown
from store.mail.models import CapturedLetter, Delivery, DeliveryStatus, Repair
from store.orders.models import Customer, Order
from store.orders.placing import Details
from store.payments.models import Refund
from store.staff.credentials import (
    authenticator,
    new_recovery_codes,
    new_secret,
    turn_on_two_step,
)
from store.staff.people import staff_by_address
from tests.admin.sign_in import press, signed_in, token_in
from tests.conftest import Clock, on_both, on_both_when_long, on_postgresql
from tests.editions import a_shop, draft
from tests.factories import a_customer, a_publication, a_seller
from tests.letters import send
from tests.links import anna, given_second, path_to
from tests.news import stop_news
from tests.pages import check_page, page_at
from tests.purchases import (
    ANNA,
    a_paid_order,
    an_order,
    apply_received,
    buy,
    placed_order,
    start,
)
from tests.races import at_once, until_waiting
from tests.rows import count_rows
from tests.statements import statements


def a_really_paid_order(client: FlaskClient) -> str:
    """A pre-order that went through the demonstration's gateway; returns its reference."""
    order_id = an_order()
    reference = start(order_id)
    answer = client.post(f"/demo/pay/{reference}", data={"decision": "pay"})
    assert answer.status_code in {302, 303}, answer.text
    apply_received()
    db.session.rollback()
    order = db.session.get_one(Order, order_id)
    assert order.status == "paid"
    return order.reference


def count_statements(client: FlaskClient, path: str) -> int:
    """How many statements a page takes."""
    with statements() as told:
        assert client.get(path).status_code == 200
    return len(told)


@on_both
def test_an_order_is_found_by_each_thing_that_people_know(
    desk: FlaskClient, database_url: str
) -> None:
    order = a_paid_order(a_shop())
    reference = order.reference
    for text in (reference, reference.lower().replace("-", " "), ANNA, "anna b", "READER.example"):
        page = page_at(desk, f"/admin/orders?q={text}")
        assert f'href="/admin/orders/{reference}"' in page, text
        page = page_at(desk, f"/admin/customers?q={text}")
        assert ANNA in page, text
    assert "No order fits" in page_at(desk, "/admin/orders?q=nobody")
    assert "No customer fits" in page_at(desk, "/admin/customers?q=nobody")
    assert reference in page_at(desk, "/admin/orders?status=paid")
    assert "No order fits" in page_at(desk, "/admin/orders?status=pending")


@on_both_when_long
def test_a_customer_is_found_by_the_address_that_a_letter_came_back_to(
    desk: FlaskClient, database_url: str
) -> None:
    publication = a_shop()
    a_paid_order(publication)
    a_paid_order(publication, "ben@reader.example")
    send()
    query = sa.select(Delivery.message_id).join(Customer).where(Customer.email == ANNA)
    mark = (db.session.scalars(query.limit(1)).one() or "")[1:41]
    db.session.rollback()
    for text in (f"bounces+{mark.upper()}@press.example", f"<{mark}@press.example>"):
        page = page_at(desk, f"/admin/customers?{urlencode({'q': text})}")
        assert (ANNA in page, "ben@reader.example" in page) == (True, False), text
    other = f"{'0' * 40}@press.example"
    assert "No customer fits" in page_at(desk, f"/admin/customers?q={other}")


@pytest.mark.parametrize("place", ["customers", "orders"])
def test_whom_an_exact_address_hides_a_link_finds(desk: FlaskClient, place: str) -> None:
    others = ["smith@nursery.co.uk", "j.smith@nursery.co"]
    for number, email in enumerate(["smith@nursery.co", *others]):
        a_paid_order(a_shop(slug=f"guide-{number}"), email)
    exact = page_at(desk, f"/admin/{place}?q=smith@nursery.co")
    assert not any(one in exact for one in others)
    link = re.search(r'href="([^"]*)">Look for it as a part, too<', exact)
    assert link
    parts = page_at(desk, link[1].replace("&amp;", "&"))
    assert all(one in parts for one in ["<td>", *others])
    assert "Look for it as a part" not in parts
    assert "Look for it as a part" not in page_at(desk, f"/admin/{place}?q=smith")


@pytest.mark.parametrize("place", ["customers", "orders"])
def test_a_search_for_parts_stays_one_on_its_next_page(desk: FlaskClient, place: str) -> None:
    publication = a_shop()
    with transaction():
        for number in range(52):
            address = f"{number or ''}anna@reader.example"
            placed_order(publication, Details(address, "Anna"), f"{number:022}")
    page = page_at(desk, f"/admin/{place}?q=anna@reader.example&part=1")
    following = re.search(r'href="([^"]*)" rel="next">Older ones', page)
    assert following
    page = page_at(desk, following[1].replace("&amp;", "&"))
    assert page.count("<td>") > 1
    previous = re.search(r'href="([^"]*)" rel="prev">Newer ones', page)
    assert previous
    assert "part=1" in previous[1]
    assert 'rel="next"' not in page


def test_the_link_to_parts_keeps_the_state_that_was_chosen(desk: FlaskClient) -> None:
    publication = a_shop()
    with transaction():
        placed_order(publication, Details("smith@nursery.co", "Smith"), "s" * 22)
    other = a_paid_order(publication, "smith@nursery.co.uk")
    page = page_at(desk, "/admin/orders?q=smith@nursery.co&status=paid")
    assert "No order fits" in page
    link = re.search(r'href="([^"]*)">Look for it as a part, too<', page)
    assert link
    assert other.reference in page_at(desk, link[1].replace("&amp;", "&"))


def test_empty_lists_say_what_will_stand_there(desk: FlaskClient) -> None:
    assert "No orders yet" in page_at(desk, "/admin/orders")
    assert "No customers yet" in page_at(desk, "/admin/customers")
    assert "No letters yet" in page_at(desk, "/admin/letters")


@on_both_when_long
def test_one_order_shows_lines_money_rights_letters_and_history(desk: FlaskClient) -> None:
    reference = a_really_paid_order(desk)
    send()
    page = page_at(desk, f"/admin/orders/{reference}")
    for words in ("through demo", "Order confirmation", "They paid £12.50", "pre-order"):
        assert words in page, words
    assert "£12.50" in page_at(desk, "/admin/")


@on_both
def test_a_refund_pressed_twice_gives_the_money_back_once(desk: FlaskClient) -> None:
    reference = a_really_paid_order(desk)
    path = f"/admin/orders/{reference}/refund"
    page = page_at(desk, path)
    key = re.search(r'name="form_key" value="([^"]+)"', page)
    assert key
    form = {"csrf_token": token_in(page), "form_key": key[1], "amount": "", "why": "double order"}
    for _ in range(2):
        answer = desk.post(path, data=form)
        assert (answer.status_code, answer.location) == (303, f"/admin/orders/{reference}")
    db.session.rollback()
    refunds = db.session.scalars(sa.select(Refund)).all()
    assert [(one.amount, one.who, one.why) for one in refunds] == [
        (1250, "owner@publisher.example", "double order")
    ]
    page = page_at(desk, f"/admin/orders/{reference}")
    assert "taken back" in page
    assert desk.get(path).status_code == 409


@pytest.mark.parametrize(
    ("amount", "sentence"),
    [
        ("13.00", "At most £12.50"),
        ("free", "must be written like 12.50"),
        ("-1", "must be written"),
    ],
)
def test_an_amount_that_cannot_be_refunded_is_said_and_kept(
    desk: FlaskClient, amount: str, sentence: str
) -> None:
    reference = a_really_paid_order(desk)
    path = f"/admin/orders/{reference}/refund"
    answer = press(desk, path, {"form_key": "k" * 20, "amount": amount, "why": "kept"})
    assert answer.status_code == 422
    assert sentence in answer.text
    assert 'value="kept"' in answer.text
    assert f'value="{amount}"' in answer.text
    check_page(answer.text, path=path)


def test_a_part_is_refunded_and_the_right_stays(desk: FlaskClient) -> None:
    reference = a_really_paid_order(desk)
    path = f"/admin/orders/{reference}/refund"
    press(desk, path, {"form_key": "k" * 20, "amount": "5.00"})
    page = page_at(desk, f"/admin/orders/{reference}")
    assert "given back" in page
    assert "£5.00" in page
    assert "taken back" not in page
    assert "£7.50" in page_at(desk, path)


def test_support_sees_an_order_but_gives_no_money_back(app: Flask, client: FlaskClient) -> None:
    signed_in(client, "support")
    reference = a_really_paid_order(client)
    page = page_at(client, f"/admin/orders/{reference}")
    assert "An owner can refund this order." in page
    assert client.get(f"/admin/orders/{reference}/refund").status_code == 403


@on_both_when_long
def test_the_confirmation_is_sent_again(frozen: Clock, desk: FlaskClient) -> None:
    order = a_paid_order(a_shop())
    path = f"/admin/orders/{order.reference}"
    send()
    frozen.advance(minutes=2)
    for _ in range(2):
        press(desk, f"{path}/resend", seen_on=path)
    assert f"The confirmation is on its way to {ANNA}." in page_at(desk, path)
    send()
    to_anna = sa.select(CapturedLetter).where(CapturedLetter.recipient == ANNA)
    assert len(db.session.scalars(to_anna).all()) == 2


def test_an_order_that_nobody_paid_has_no_confirmation_to_send(desk: FlaskClient) -> None:
    order_id = an_order()
    reference = db.session.get_one(Order, order_id).reference
    page = page_at(desk, f"/admin/orders/{reference}")
    assert "Send the confirmation again" not in page
    answer = press(desk, f"/admin/orders/{reference}/resend", seen_on="/admin/account")
    assert answer.status_code == 409


def with_two_step(email: str) -> str:
    """Connect an app to an account; returns its secret."""
    with transaction():
        person = staff_by_address(email)
        assert person is not None
        secret = new_secret()
        turn_on_two_step(person, secret)
        person.two_step_at = clock.now() - timedelta(hours=24)
    return secret


def test_without_a_second_factor_no_address_is_corrected(desk: FlaskClient) -> None:
    a_paid_order(a_shop())
    path = f"/admin/customers/{anna().id}/address"
    answer = press(desk, path, {"email": "anna.berg@reader.example", "code": "123456"})
    assert answer.status_code == 422
    check_page(answer.text, path=path)
    assert "Turn on two-step sign-in" in answer.text
    db.session.rollback()
    assert anna().email == ANNA


def test_codes_beside_a_correction_cannot_be_tried_without_end(desk: FlaskClient) -> None:
    a_paid_order(a_shop())
    path = f"/admin/customers/{anna().id}/address"
    secret = with_two_step("owner@publisher.example")
    wanted = {"email": "anna.berg@reader.example", "code": "000000"}
    answers = [press(desk, path, wanted).status_code for _ in range(6)]
    assert answers == [422] * 5 + [429]
    right = press(desk, path, wanted | {"code": authenticator(secret).at(clock.now())})
    assert (right.status_code, int(right.headers["Retry-After"]) <= 60) == (429, True)
    check_page(right.text, path=path)
    db.session.rollback()
    assert anna().email == ANNA


@on_both_when_long
def test_a_recovery_code_corrects_an_address_once(desk: FlaskClient) -> None:
    a_paid_order(a_shop())
    path = f"/admin/customers/{anna().id}/address"
    with_two_step("owner@publisher.example")
    with transaction():
        person = staff_by_address("owner@publisher.example")
        assert person is not None
        code = new_recovery_codes(person)[0]
    answers = [
        press(desk, path, {"email": new, "code": code}).status_code
        for new in ("anna.berg@reader.example", "anna.carl@reader.example")
    ]
    assert answers == [303, 422]


@pytest.mark.parametrize("act", ["address", "end-links", "resend"])
def test_nothing_is_done_for_a_customer_who_is_one_with_another(
    desk: FlaskClient, act: str
) -> None:
    a_paid_order(a_shop())
    gone, kept_id = anna(), a_paid_order(_shop(), "ben@reader.example").customer_id
    path, gone_id = f"/admin/customers/{kept_id}", gone.id
    token = token_in(page_at(desk, f"{path}/end-links"))
    with transaction() as session:
        merge_customers(session.get_one(Customer, gone_id), session.get_one(Customer, kept_id), "x")
    send()
    before = count_rows()
    data = {"csrf_token": token, "email": "c@reader.example", "code": "000000"}
    answer = desk.post(f"/admin/customers/{gone_id}/{act}", data=data)
    assert answer.status_code == 409
    assert f'href="{path}"' in answer.text
    assert count_rows() == before
    assert desk.get(f"/admin/customers/{gone_id}").location == path


@on_postgresql
@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "control"])
def test_links_sent_again_wait_for_who_merges_the_customer_at_that_moment(
    app: Flask, desk: FlaskClient, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    a_paid_order(a_shop())
    gone_id, kept_id = anna().id, a_paid_order(_shop(), "ben@reader.example").customer_id
    send()
    token = token_in(page_at(desk, f"/admin/customers/{gone_id}"))
    if not is_guarded:
        monkeypatch.setattr("store.orders.customers.lock_customers", lambda _ids: None)
    merged, answers = threading.Event(), []

    def merge() -> None:
        with transaction() as session:
            gone, kept = session.get_one(Customer, gone_id), session.get_one(Customer, kept_id)
            merge_customers(gone, kept, "Olga")
            session.flush()
            merged.set()
            until_waiting()

    def resend() -> None:
        merged.wait(60)
        path = f"/admin/customers/{gone_id}/resend"
        answers.append(desk.post(path, data={"csrf_token": token}).status_code)

    assert at_once(app, merge, resend) == []
    owed = sa.select(sa.func.count(Delivery.id)).where(Delivery.customer_id == gone_id)
    assert (answers, db.session.scalar(owed)) == (([409], 0) if is_guarded else ([303], 1))


def _shop() -> Publication:
    return db.session.scalars(sa.select(Publication)).one()


@on_both_when_long
def test_staff_end_the_links_of_a_customer(client: FlaskClient, desk: FlaskClient) -> None:
    a_paid_order(a_shop())
    old, path = path_to("library", anna().id), f"/admin/customers/{anna().id}"
    send()
    check_page(page_at(desk, f"{path}/end-links"), path=path)
    assert press(desk, f"{path}/end-links").status_code == 303
    assert client.get(old).status_code == 410
    assert "You ended all links and had fresh ones mailed" in page_at(desk, path)
    assert send()[-1].recipient == ANNA
    db.session.rollback()
    assert client.get(path_to("library", anna().id)).status_code == 200


@on_both_when_long
def test_an_address_is_corrected_and_the_letters_follow(desk: FlaskClient) -> None:
    a_paid_order(a_shop())
    customer = anna()
    path = f"/admin/customers/{customer.id}"
    send()
    secret = with_two_step("owner@publisher.example")
    page_at(desk, f"{path}/address")
    for bad in ("no address", ANNA, "carl@reader.example"):
        if bad.startswith("carl"):
            a_paid_order(_shop(), bad)
        answer = press(desk, f"{path}/address", {"email": bad})
        assert answer.status_code == 422, bad
        assert f'value="{bad}"' in answer.text
        check_page(answer.text, path=path)
    good = {"email": "anna.berg@reader.example"}
    for wrong in ("", "123456"):
        answer = press(desk, f"{path}/address", {**good, "code": wrong})
        assert (answer.status_code, 'value="anna.berg' in answer.text) == (422, True)
    code = authenticator(secret).at(clock.now())
    answer = press(desk, f"{path}/address", {**good, "code": code})
    assert answer.status_code == 303
    again = {"email": "carla@reader.example", "code": code}
    assert press(desk, f"{path}/address", again).status_code == 422, "a code counts once"
    page = page_at(desk, path)
    assert "anna.berg@reader.example" in page
    assert "You changed the address" in page
    letters = {(one.recipient, one.subject.split()[0]) for one in send()[-2:]}
    assert {to for to, _ in letters} == {ANNA, "anna.berg@reader.example"}


@on_both_when_long
def test_one_customer_shows_rights_orders_letters_downloads(desk: FlaskClient) -> None:
    publication = a_shop(editions=2)
    a_paid_order(publication)
    send()
    customer = anna()
    path = f"/admin/customers/{customer.id}"
    record_download("t" * 20, customer.id, publication.editions[1].assets[0].id)
    page = page_at(desk, path)
    for words in ("May download edition 2.", "Order confirmation", "edition 2, PDF", "Paid"):
        assert words in page, words
    press(desk, f"{path}/resend", seen_on=path)
    assert send()[-1].recipient == ANNA


@on_both_when_long
def test_all_links_are_sent_once_in_ten_minutes_and_staff_are_told_so(
    frozen: Clock, desk: FlaskClient
) -> None:
    a_paid_order(a_shop())
    send()
    path = f"/admin/customers/{anna().id}"
    desk.post("/find-my-copies", data={"who": ANNA})
    send()
    frozen.advance(minutes=2)
    press(desk, f"{path}/resend", seen_on=path)
    page = page_at(desk, path)
    assert (
        "All links were asked for at 10:00 already, by the customer, with the form: the letter is "
        "handed over at 10:00. You can send another from 10:10." in page
    )
    assert "asked for by the customer, with the form" in page
    frozen.advance(minutes=8)
    press(desk, f"{path}/resend", seen_on=path)
    assert f"All links are on their way to {ANNA}." in page_at(desk, path)
    press(desk, f"{path}/resend", seen_on=path)
    page = page_at(desk, path)
    assert (
        "asked for at 10:10 already, by owner@publisher.example: the letter is on its way" in page
    )
    assert "asked for by owner@publisher.example" in page
    send()
    to_anna = sa.select(CapturedLetter.subject).where(CapturedLetter.recipient == ANNA)
    assert db.session.scalars(to_anna).all().count("Here are your copies and orders") == 2


@on_both_when_long
def test_why_somebody_did_or_did_not_get_an_edition_is_answered(desk: FlaskClient) -> None:
    publication = a_shop(editions=2)
    a_paid_order(publication)
    send()
    customer = anna()
    page = page_at(desk, f"/admin/customers/{customer.id}")
    links = re.findall(r'href="(/admin/customers/\d+/editions/\d+)"', page)
    assert len(links) == 2
    newest, older = (page_at(desk, link) for link in links)
    assert "The order confirmation was handed over" in newest
    assert "This edition is not among those that were bought." in older
    assert desk.get(f"/admin/customers/{customer.id}/editions/999").status_code == 404
    assert desk.get("/admin/customers/999").status_code == 404


def test_a_letter_shows_its_tries_and_is_tried_again(desk: FlaskClient) -> None:
    a_paid_order(a_shop())
    send()
    db.session.rollback()
    letter = db.session.scalars(sa.select(Delivery)).first()
    assert letter
    path = f"/admin/letters/{letter.id}"
    page = page_at(desk, path)
    assert "Try again" not in page
    assert ANNA in page
    refused = press(desk, f"{path}/retry", seen_on="/admin/account")
    assert refused.status_code == 409
    with transaction() as session:
        held = session.get_one(Delivery, letter.id)
        held.status, held.reason = DeliveryStatus.FAILED, "550 no such mailbox"
    assert "550 no such mailbox" in page_at(
        desk, "/admin/letters?status=failed&kind=order_confirmation"
    )
    assert press(desk, f"{path}/retry", seen_on=path).status_code == 303
    assert "The letter is tried again." in page_at(desk, path)
    assert desk.get("/admin/letters/999999").status_code == 404


def test_letters_are_found_by_whom_they_went_to(desk: FlaskClient) -> None:
    publication = a_shop()
    a_paid_order(publication)
    press(desk, f"/admin/customers/{anna().id}/resend", seen_on=f"/admin/customers/{anna().id}")
    with transaction() as session:
        edition = draft(publication, 2)
        session.flush()
        send_test(edition, "olga@publisher.example")
    for text, found in (
        (ANNA, ["Find my copies", "Order confirmation"]),
        (" ANNA@reader.example ", ["Find my copies", "Order confirmation"]),
        ("berg", ["Find my copies", "Order confirmation"]),
        ("olga@publisher.example", ["Edition notice"]),
        ("nobody@reader.example", []),
    ):
        page = page_at(desk, f"/admin/letters?{urlencode({'q': text})}")
        kinds = re.findall(r"(Order confirmation|Find my copies|Edition notice)<span", page)
        assert kinds == found, text
        assert ('class="tag off">Test' in page) is (found == ["Edition notice"]), text


def test_a_letter_is_shown_with_links_that_open_nothing(
    desk: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_paid_order(a_shop())
    path = f"/admin/letters/{db.session.scalars(sa.select(Delivery.id)).one()}"
    links = db.session.scalar(sa.select(sa.func.count(Link.id)))
    facts_of = shown.facts_of

    def facts_with_a_fresh_link(letter: Delivery) -> object:
        make_link("stop", anna().id)
        return facts_of(letter)

    monkeypatch.setattr(shown, "facts_of", facts_with_a_fresh_link)
    plain = page_at(desk, path)
    assert "Show the letter" in plain
    assert "Anna Berg" not in plain.partition("Its words")[2].partition("</section>")[0]
    words = page_at(desk, f"{path}?show=words").partition("Its words")[2].partition("</section>")[0]
    assert "Anna Berg" in words
    found = re.findall(r"https?://\S+/(?:library|orders|stop)/(\S+)", words)
    assert found
    assert {re.sub(r"[./].*|&gt;.*", "", one) for one in found} == {"…"}
    db.session.rollback()
    assert db.session.scalar(sa.select(sa.func.count(Link.id))) == links


def test_a_letter_that_came_back_to_a_mailbox_is_entered_by_hand(desk: FlaskClient) -> None:
    a_paid_order(a_shop())
    send()
    db.session.rollback()
    letter_id = db.session.scalars(sa.select(Delivery.id)).one()
    path = f"/admin/letters/{letter_id}/returned"
    assert path in page_at(desk, f"/admin/letters/{letter_id}")
    check_page(desk.get(path).text, path=path)
    unsaid = press(desk, path, {"words": "Gone fishing"})
    assert (unsaid.status_code, "Choose what the message says." in unsaid.text) == (422, True)
    assert "Gone fishing" in unsaid.text
    check_page(unsaid.text, path=path)
    answer = press(desk, path, {"kind": "hard", "words": "no such user here"})
    assert (answer.status_code, answer.location) == (303, "/admin/repairs")
    repairs = page_at(desk, "/admin/repairs")
    assert ANNA in repairs
    assert "no such user here" in repairs
    again = press(desk, path, {"kind": "hard"})
    assert (again.status_code, "not with a mail server now" in again.text) == (422, True)


def test_what_comes_back_once_more_is_entered_once_more_unless_it_is_old(
    desk: FlaskClient, frozen: Clock
) -> None:
    a_paid_order(a_shop())
    send()
    db.session.rollback()
    letter_id = db.session.scalars(sa.select(Delivery.id)).one()
    letter = f"/admin/letters/{letter_id}"
    for said in ("first", "second"):
        answer = press(desk, f"{letter}/returned", {"kind": "hard", "words": f"the {said} time"})
        assert answer.status_code == 303, said
        assert f"the {said} time" in page_at(desk, "/admin/repairs")
        db.session.rollback()
        repair = db.session.scalars(sa.select(Repair.id).where(Repair.ended_at.is_(None))).one()
        press(desk, f"/admin/repairs/{repair}/resend", seen_on="/admin/repairs")
        press(desk, f"{letter}/retry", seen_on=letter)
        send()
    assert press(desk, f"{letter}/returned", {"kind": "complaint"}).status_code == 422
    frozen.advance(days=31)
    late = press(signed_in(desk), f"{letter}/returned", {"kind": "hard"})
    assert (late.status_code, "left more than 30 days ago" in late.text) == (422, True)


def test_no_letter_to_staff_is_entered_as_returned(desk: FlaskClient) -> None:
    a_shop()
    press(desk, "/admin/settings/letter", seen_on="/admin/settings")
    send()
    db.session.rollback()
    path = f"/admin/letters/{db.session.scalars(sa.select(Delivery.id)).one()}/returned"
    answer = press(desk, path, {"kind": "hard", "words": "no such user here"})
    assert (answer.status_code, "This letter went to staff." in answer.text) == (422, True)
    db.session.rollback()
    assert db.session.scalars(sa.select(Delivery.status)).one() is DeliveryStatus.SENT


def test_a_notice_shows_why_it_is_owed_and_why_it_was_left_out(desk: FlaskClient) -> None:
    order = a_paid_order(a_shop(), wants_now=False)
    with transaction() as session:
        stands = session.scalars(sa.select(Delivery).filter_by(kind="edition_notice")).one()
        letter_id, customer_id = stands.id, order.customer_id
        stands.status, stands.reason = DeliveryStatus.SKIPPED, "a newer edition came out"
    page = page_at(desk, f"/admin/letters/{letter_id}")
    assert "<dt>Owed because</dt><dd>the 14 days are over</dd>" in page
    assert "<dt>Left out because</dt><dd>a newer edition came out</dd>" in page
    with transaction() as session:
        publication_id = session.scalars(sa.select(Publication.id)).one()
        stop_news(customer_id, publication_id)
    shown = page_at(desk, f"/admin/customers/{customer_id}")
    assert "Asked us to stop news of new editions; a first copy still comes." in shown


def test_a_copy_of_something_else_is_given_from_the_page_of_a_customer(
    app: Flask, desk: FlaskClient
) -> None:
    a_paid_order(a_shop())
    with transaction():
        other = a_publication(slug="other", title="Another guide")
    page = page_at(desk, f"/admin/customers/{anna().id}")
    ways = re.findall(r'href="(/admin/publications/[a-z-]+/give\?to=\d+)"', page)
    assert ways == [f"/admin/publications/{other.slug}/give?to={anna().id}"]
    form = page_at(desk, ways[0])
    assert (f'value="{ANNA}"' in form, 'value="Anna Berg"' in form) == (True, True)
    editor = signed_in(app.test_client(), "editor")
    assert ANNA not in editor.get(ways[0]).text  # an editor learns no address by a number
    assert desk.get("/admin/publications/other/give?to=999999").status_code == 404


LISTS = ("/admin/orders", "/admin/customers", "/admin/letters", "/admin/publications", "/admin/")


def test_a_long_list_takes_as_many_statements_as_a_short_one(desk: FlaskClient) -> None:
    publication = a_shop()
    a_paid_order(publication)
    for path in LISTS:
        desk.get(path)
    few = {path: count_statements(desk, path) for path in LISTS}
    for number in range(30):
        a_paid_order(db.session.merge(publication), f"reader{number}@reader.example")
        a_shop(slug=f"another-{number}")
    assert {path: count_statements(desk, path) for path in LISTS} == few


def test_the_page_of_a_customer_takes_as_many_statements_for_much_as_for_little(
    desk: FlaskClient,
) -> None:
    publication = a_shop(editions=2)
    a_paid_order(publication)
    customer_id = anna().id
    path = f"/admin/customers/{customer_id}"

    def download(number: int) -> None:
        with transaction() as session:
            kept = session.get_one(Publication, publication.id)
            asset_id = kept.editions[1].assets[number % 2].id
        record_download(f"token {number}", customer_id, asset_id)

    download(0)
    desk.get(path)
    few = count_statements(desk, path)
    for number in range(1, 30):
        download(number)
        a_paid_order(a_shop(slug=f"another-{number}"), ANNA)
    assert count_statements(desk, path) <= few


def test_long_lists_have_pages(desk: FlaskClient) -> None:
    with transaction():
        for number in range(60):
            a_customer(f"reader{number}@reader.example", f"Reader {number}")
    page = page_at(desk, "/admin/customers?q=reader")
    following = re.search(r'href="(/admin/customers\?[^"]*)" rel="next">Older ones', page)
    assert following
    late = page_at(desk, following[1].replace("&amp;", "&"))
    assert re.findall(r"reader\d+@", late) == [f"reader{number}@" for number in range(9, -1, -1)]
    # Pages were counted once; who kept such an address sees the beginning.
    assert "reader59@" in page_at(desk, "/admin/customers?page=2")
    db.session.rollback()
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Customer)) == 60


@pytest.mark.parametrize("place", ["customers", "orders"])
@pytest.mark.parametrize(
    "query",
    [
        "q=anna%2Bsend@reader.example",
        "q=anna+send@reader.example",
        "email=anna%2Bsend@reader.example",
    ],
)
def test_an_address_with_a_plus_is_found_however_it_is_written(
    desk: FlaskClient, place: str, query: str
) -> None:
    with transaction():
        a_seller()
        buy(a_publication(), "anna+send@reader.example")

    assert "anna+send@reader.example" in page_at(desk, f"/admin/{place}?{query}")
    assert "anna+send@reader.example" not in page_at(
        desk, f"/admin/{place}?email=ben@reader.example"
    )


@on_both_when_long
def test_staff_decide_about_a_held_order(client: FlaskClient, desk: FlaskClient) -> None:
    order = a_paid_order(a_shop())
    order_id, path = order.id, f"/admin/orders/{order.reference}"
    send()
    with transaction():
        link = request_move(order_id, "carl@other.example")
        link_id = link.id
    with transaction() as session:
        accept_move(session.get_one(Link, link_id))
    a_paid_order(_shop(), "ben@reader.example")
    assert "is held" not in page_at(desk, path)
    assert "is held:" not in page_at(desk, "/admin/")
    press(desk, f"{path}/held", {"outcome": "back"}, seen_on=path)
    with transaction() as session:
        hold_order(session.scalars(sa.select(Link).where(Link.purpose == "undo")).one())
    page = page_at(desk, path)
    assert "from anna@reader.example to carl@other.example" in page
    assert "Leave it where it is" in page
    home = " ".join(page_at(desk, "/admin/").split())
    way = "/admin/orders?status=held"
    assert "<b>1 order is held:</b> somebody objects to its new address." in home
    assert f'href="{way}">Decide whose it is</a>' in home
    listed = page_at(desk, way)
    assert re.findall(r'href="(/admin/orders/[^"/]+)"', listed) == [path]
    assert '<option value="held" selected>held</option>' in listed
    assert press(desk, f"{path}/held", {"outcome": "odd"}, seen_on=path).status_code == 400
    answer = press(desk, f"{path}/held", {"outcome": "back"}, seen_on=path)
    assert answer.status_code == 303
    page = page_at(desk, path)
    assert "You gave the order back to its first address" in page
    assert "Give it back" not in page
    assert "is held:" not in page_at(desk, "/admin/")
    assert "No order fits" in page_at(desk, way)
    again = press(desk, f"{path}/held", {"outcome": "stay"}, seen_on=path)
    assert again.status_code == 409
    db.session.rollback()
    assert db.session.get_one(Order, order_id).customer.email == ANNA


@on_both_when_long
def test_staff_take_a_second_address_out(frozen: Clock, desk: FlaskClient) -> None:
    a_paid_order(a_shop())
    path = f"/admin/customers/{anna().id}"
    assert "Second address" not in page_at(desk, path)
    check_page(page_at(desk, f"{path}/second-address/remove"), path=path)
    with transaction():
        given_second(anna(), "anna@at-home.example")
    assert "anna@at-home.example, from 15 March 2027" in page_at(desk, path)
    check_page(page_at(desk, f"{path}/second-address/remove"), path=path)
    assert press(desk, f"{path}/second-address/remove").status_code == 303
    shown = page_at(desk, path)
    assert "from 15 March 2027" not in shown
    assert "You took the second address out" in shown
    assert send()[-1].recipient == "anna@at-home.example"
