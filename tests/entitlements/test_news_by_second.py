"""What came back joins the second address: from the report at the door to the next edition there."""

import pytest
import sqlalchemy as sa
from flask import Flask, current_app

from store.catalog.models import Edition, Publication
from store.entitlements import repairs
from store.entitlements.second_addresses import confirm_second, remove_second, request_second
from store.kit.database import db, end_read, transaction
from store.mail import holds, worker
from store.mail.claims import Claim, Prepared
from store.mail.matching import take_report
from store.mail.models import AddressHold, Attempt, Delivery, DeliveryStatus, Repair
from store.mail.preparing import Known, prepare
from store.mail.reports import Report, read_report
from store.mail.returns import ReturnKind
from tests.conftest import Clock, on_both_when_long
from tests.editions import drafted_and_released, guide
from tests.factories import a_publication, a_seller
from tests.letters import deliveries, html_of, links_in, send, sent, text_of
from tests.links import anna, given_second
from tests.mail.messages import dsn
from tests.purchases import ANNA, buy

HOME = "anna@at-home.example"
WHY = "This comes to your second address, as letters to your first came back."
NOTICES = Delivery.kind == "edition_notice"


def an_edition_to(frozen: Clock, *, second: bool = True) -> Publication:
    """A shop whose Anna was sent edition 1; her second address is on file, if she has one."""
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)
        buy(publication)
    if second:
        with transaction():
            given_second(anna(), HOME)
        frozen.advance(days=15)
    drafted_and_released(publication)
    send()
    return guide(publication.id)


def next_edition(publication: Publication, number: int) -> Edition:
    edition = drafted_and_released(guide(publication.id), number)
    send()
    return edition


def notice_of(number: int) -> Delivery:
    db.session.rollback()
    query = sa.select(Delivery).join(Edition, Edition.id == Delivery.edition_id)
    return db.session.scalars(query.where(NOTICES, Edition.number == number)).one()


def reported(number: int, name: str = "1@mx.reader.example", to: str = ANNA) -> None:
    """The notice of an edition comes back at the door, as its mail server reports it."""
    message_id = notice_of(number).message_id or pytest.fail("it never left")
    octets = dsn(message_id, name=name).replace(ANNA.encode(), to.encode())
    report = read_report(octets) or pytest.fail("it was not read")
    with transaction():
        assert take_report(report)


@on_both_when_long
def test_who_reads_the_second_address_holds_no_other(app: Flask, frozen: Clock) -> None:
    """The mark of a letter that came there says nothing of the first, whatever a report names."""
    publication = an_edition_to(frozen)
    reported(1)
    a_minute()
    with transaction():
        repairs.resend(db.session.scalars(sa.select(Repair.id)).one(), "Olga")
    send()
    reported(1, name="2@forged.example", to=ANNA)
    held = db.session.scalars(sa.select(AddressHold.address_key)).all()
    assert held == [HOME]
    next_edition(publication, 2)
    assert went_to() == [(1, ANNA), (1, HOME), (2, ANNA)]


def a_minute() -> None:
    repairs.free_accepted()
    repairs.look_after_holds()
    send()


def went_to() -> list[tuple[int, str]]:
    """The editions that notices carried, with the addresses they were tried at, in their order."""
    query = sa.select(Edition.number, Attempt.address).select_from(Attempt)
    query = query.join(Delivery, Delivery.id == Attempt.delivery_id)
    query = query.join(Edition, Edition.id == Delivery.edition_id).where(NOTICES)
    rows = db.session.execute(query.order_by(Attempt.id)).all()
    db.session.rollback()
    return [(number, address) for number, address in rows]


def open_repairs() -> list[str]:
    query = sa.select(Repair.address_key).where(Repair.ended_at.is_(None))
    found = list(db.session.scalars(query))
    db.session.rollback()
    return found


@on_both_when_long
def test_after_a_report_the_edition_and_the_next_go_to_the_second_address(
    app: Flask, frozen: Clock
) -> None:
    publication = an_edition_to(frozen)
    reported(1)
    a_minute()
    assert went_to() == [(1, ANNA), (1, HOME)]
    next_edition(publication, 2)
    assert went_to()[2:] == [(2, HOME)]
    # A person is still to mend the first address.
    assert open_repairs() == [ANNA]


@on_both_when_long
def test_control_without_a_report_news_goes_to_the_first(app: Flask, frozen: Clock) -> None:
    publication = an_edition_to(frozen)
    a_minute()
    next_edition(publication, 2)
    assert went_to() == [(1, ANNA), (2, ANNA)]


@on_both_when_long
def test_control_without_a_second_address_or_before_its_14_days_news_waits(
    app: Flask, frozen: Clock
) -> None:
    publication = an_edition_to(frozen, second=False)
    reported(1)
    with transaction():
        given_second(anna(), HOME)
    send()
    frozen.advance(days=13)
    a_minute()
    edition = next_edition(publication, 2)
    assert deliveries(edition)[ANNA][0] is DeliveryStatus.HELD
    assert went_to() == [(1, ANNA)]
    frozen.advance(days=2)
    a_minute()
    # What waited goes now, and of two editions the newest.
    assert went_to() == [(1, ANNA), (2, HOME)]


@on_both_when_long
def test_what_comes_back_from_the_second_address_too_waits_for_a_person(
    app: Flask, frozen: Clock
) -> None:
    publication = an_edition_to(frozen)
    reported(1)
    a_minute()
    # The mark of the letter that went there names the same delivery.
    reported(1, name="2@mx.at-home.example", to=HOME)
    for _ in range(2):
        a_minute()
    edition = next_edition(publication, 2)
    assert deliveries(edition)[ANNA][0] is DeliveryStatus.HELD
    assert went_to() == [(1, ANNA), (1, HOME)]
    assert set(db.session.scalars(sa.select(AddressHold.address_key))) == {ANNA, HOME}
    assert open_repairs() == [ANNA]


@on_both_when_long
def test_an_address_that_is_proved_as_the_second_takes_letters_again(
    app: Flask, frozen: Clock
) -> None:
    publication = an_edition_to(frozen)
    reported(1)
    a_minute()
    reported(1, name="2@mx.at-home.example", to=HOME)
    a_minute()
    # Gone, it holds nothing any more; given again, its mailbox is read.
    with transaction():
        link = request_second(anna(), "anna@office.example")
        confirm_second(link)
    send()
    with transaction():
        confirm_second(request_second(anna(), HOME))
    send()
    a_minute()
    assert set(holds.holds_of([ANNA, HOME])) == {ANNA}
    frozen.advance(days=15)
    a_minute()
    next_edition(publication, 2)
    assert went_to()[2:] == [(1, HOME), (2, HOME)]


@on_both_when_long
def test_a_letter_for_the_second_does_not_leave_once_that_is_taken_out(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between preparing and sending."""
    publication = an_edition_to(frozen)
    reported(1)
    drafted_and_released(guide(publication.id), 2)
    done: list[object] = []

    def prepared_then_taken_out(claim: Claim, known: Known | None = None) -> object:
        written = prepare(claim, known)
        if not done and isinstance(written, Prepared) and written.address == HOME:
            done.append(written)
            end_read()
            with current_app.app_context(), transaction():
                remove_second(anna(), "Olga")
        return written

    monkeypatch.setattr(worker, "prepare", prepared_then_taken_out)
    send()
    assert done
    assert went_to() == [(1, ANNA)]


@on_both_when_long
def test_a_report_by_the_relay_s_own_name_is_about_a_letter_to_the_second_address(
    app: Flask, frozen: Clock
) -> None:
    """A provider that made a Message-ID of its own names the letter as it answered for it."""
    an_edition_to(frozen)
    reported(1)
    a_minute()
    name = "0102018d-relay-name-000000"
    with transaction() as session:
        session.execute(sa.update(Attempt).values(reply=f"250 Ok {name}"))
    report = Report(ReturnKind.HARD, "5.1.1", "gone", HOME, "relay:1", relay_ids=(name,))
    with transaction():
        assert take_report(report, is_vouched=True)
    assert set(holds.holds_of([ANNA, HOME])) == {ANNA, HOME}


def test_the_letter_says_why_it_comes_there_and_opens_no_more_than_hers(
    app: Flask, frozen: Clock
) -> None:
    an_edition_to(frozen)
    [first] = [one for one in sent() if "Edition 1" in one["Subject"]]
    reported(1)
    a_minute()
    letter = sent()[-1]
    assert letter["To"].addresses[0].addr_spec == HOME
    for body in (text_of(letter), html_of(letter)):
        assert WHY in " ".join(body.split())
        assert ANNA not in body
    assert WHY not in " ".join(text_of(first).split())
    # The same two links as in the letter to the first: the library, and the stop of news.
    assert links_in(text_of(letter)) == links_in(text_of(first))
    assert letter["List-Unsubscribe"] == first["List-Unsubscribe"]
