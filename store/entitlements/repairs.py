"""What came back is mended: the address repaired or given up, what was missed sent once; what goes to
the second address meanwhile; and what a complaint stops."""

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from store.catalog.models import Edition, EditionStatus
from store.entitlements.fresh_links import ask_second
from store.entitlements.merging import TOGETHER
from store.entitlements.models import Entitlement, News, SecondAddress
from store.entitlements.news import choose_news
from store.entitlements.notices import NEWER, UNSENT, is_recalled, leave_older_out
from store.entitlements.on_file import is_on_file, second_of
from store.entitlements.received import NOTICE
from store.kit import clock
from store.kit.database import db, insert_once, transaction
from store.kit.errors import InvalidFields, NotFound, Refusal
from store.kit.text import clean_line
from store.mail import holds, outbox
from store.mail.models import (
    AddressHold,
    Delivery,
    DeliveryStatus,
    Occasion,
    Repair,
    RepairEnd,
)
from store.mail.subjects import CUSTOMER, lock_for_change
from store.orders.models import Customer

_LONGEST_WORD = 300
_WHO = "timetable"


class RepairUnknown(NotFound):
    """No repair has this number."""

    sentence = "There is no repair of this number."


class RepairEnded(Refusal):
    """Two people looked at one repair, or its customer was quicker."""

    sentence = "This repair has ended already: somebody mended it, or gave the address up."


class NoSecond(Refusal):
    """There is no other address to write to."""

    sentence = "This customer has no second address on file."


def send_missed(customer_id: int, who: str) -> int:
    """Queue what a customer missed, after the address was repaired (see `release_held`), and end
    what was to be repaired at another address than theirs now. Of several editions of a
    publication the newest alone is sent, and none that has reached them by another letter.
    Returns how many were queued."""
    _end(customer_id, RepairEnd.CORRECTED, who, Repair.address_key != _key_of(customer_id))
    return _of_each_the_newest(customer_id, outbox.release_held(customer_id, who))


def _of_each_the_newest(customer_id: int, missed: list[int]) -> int:
    queued = len(missed) - _leave_out_what_came(customer_id, missed)
    theirs = sa.select(Entitlement.publication_id).where(Entitlement.customer_id == customer_id)
    for publication_id in db.session.scalars(theirs.distinct()).all():
        queued -= leave_older_out(publication_id, [customer_id])
    return queued


def _leave_out_what_came(customer_id: int, missed: list[int]) -> int:
    """Of notices that were missed, leave out those of an edition that another letter has brought
    or is to bring, or a newer one of its publication; what a person sends again stays."""
    older, newer, other = aliased(Edition), aliased(Edition), aliased(Delivery)
    has_come = other.status.in_((DeliveryStatus.SENT, DeliveryStatus.SENDING))
    comes = sa.and_(other.status.in_(UNSENT), ~is_recalled(newer.id))
    of_newer = (
        sa.exists()
        .correlate_except(older, newer, other)
        .where(
            older.id == Delivery.edition_id,
            newer.publication_id == older.publication_id,
            newer.number > older.number,
            newer.status == EditionStatus.RELEASED,
            other.edition_id == newer.id,
            other.customer_id == customer_id,
            other.kind == NOTICE,
            sa.or_(has_come, comes),
        )
    )
    same = aliased(Delivery)
    of_same = (
        sa.exists()
        .correlate_except(same)
        .where(
            same.edition_id == Delivery.edition_id,
            same.customer_id == customer_id,
            same.kind == NOTICE,
            same.id != Delivery.id,
            sa.or_(
                same.status.in_((DeliveryStatus.SENT, DeliveryStatus.SENDING)),
                sa.and_(same.status.in_(UNSENT), same.id < Delivery.id),
            ),
        )
    )
    which = (
        Delivery.id.in_(missed),
        Delivery.kind == NOTICE,
        Delivery.occasion != Occasion.RESENT,
    )
    left_out = outbox.leave_out(TOGETHER, *which, of_same)
    return left_out + outbox.leave_out(NEWER, *which, of_newer)


def _key_of(customer_id: int) -> str:
    query = sa.select(Customer.email_key).where(Customer.id == customer_id)
    return db.session.scalar(query) or ""


def free_address(customer_id: int) -> None:
    """The address that a customer has now is right: letters leave to it again. For who proved it,
    or staff who say so; `send_missed` follows."""
    key = _key_of(customer_id)
    holds.free(key)
    _end(customer_id, RepairEnd.CORRECTED, "", Repair.address_key == key)


def _end(
    customer_id: int | None,
    how: RepairEnd,
    who: str,
    *which: sa.ColumnElement[bool],
) -> None:
    db.session.execute(
        sa.update(Repair)
        .where(Repair.customer_id == customer_id, Repair.ended_at.is_(None), *which)
        .values(ended_at=clock.now(), how=how, who=who)
        .execution_options(synchronize_session=False)
    )


def resend(repair_id: int, who: str) -> int:
    """A person says that the address is right: letters go there again, first what was missed;
    returns how many. Should they come back once more, another repair opens. Refuses
    (`RepairEnded`)."""
    repair = _open(repair_id)
    holds.free(repair.address_key)
    _close(repair, RepairEnd.RESENT, who)
    if repair.customer_id is not None:
        return send_missed(repair.customer_id, who)
    return int(outbox.retry(db.session.get_one(Delivery, repair.delivery_id), who))


def write_to_second(repair_id: int, who: str) -> str:
    """Mail all links to the customer's second address, where they can make it the first; returns
    it. The repair stays open until they have. Refuses (`RepairEnded`, `NoSecond`)."""
    repair = _open(repair_id)
    second = second_of(repair.customer_id) if repair.customer_id is not None else None
    if second is None or not is_on_file(second):
        raise NoSecond
    ask_second(second, by=who)
    return second.email


def give_up(repair_id: int, who: str, word: str) -> None:
    """A person gives the address up: what waits for it is left out, and what is owed from now on,
    until its customer has another one. Nothing is taken away. Who it was is kept, with the word.

    Refuses (`InvalidFields`) without a word, and with `RepairEnded`.
    """
    said = clean_line(word)
    if not said:
        raise InvalidFields({"word": "Say in a few words why, for who asks later."})
    if len(said) > _LONGEST_WORD:
        raise InvalidFields({"word": f"A word has at most {_LONGEST_WORD} characters."})
    repair = _open(repair_id)
    holds.give_up(repair.address_key)
    _close(repair, RepairEnd.GIVEN_UP, who, said)
    if repair.customer_id is not None:
        theirs = Delivery.customer_id == repair.customer_id, Delivery.address.is_(None)
        outbox.leave_out(outbox.GIVEN_UP, *theirs, Delivery.reason == outbox.ON_HOLD)


def _open(repair_id: int) -> Repair:
    # The customer first, as for whatever comes back meanwhile: else each could wait for the other.
    whose = sa.select(Repair.customer_id).where(Repair.id == repair_id)
    customer_id = db.session.scalar(whose)
    if customer_id is not None:
        lock_for_change(db.session.connection(), CUSTOMER, customer_id)
    found = db.session.get(Repair, repair_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise RepairUnknown
    if found.ended_at is not None:
        raise RepairEnded
    return found


def _close(repair: Repair, how: RepairEnd, who: str, word: str = "") -> None:
    repair.ended_at, repair.how, repair.who, repair.word = clock.now(), how, who, word
    db.session.flush()


def look_after_holds() -> None:
    """Leave nobody behind a hold in silence (timetable): news goes to a second address that came on
    file since, a customer with letters held has a repair, and what one customer was given up for is
    not held against the next one of that address."""
    _take_up_again()
    _send_by_second()
    _open_lacking()


def _take_up_again() -> None:
    is_theirs = sa.exists().where(
        Customer.email_key == AddressHold.address_key,
        Repair.customer_id == Customer.id,
        Repair.address_key == AddressHold.address_key,
        Repair.how == RepairEnd.GIVEN_UP,
    )
    stale = (
        sa.select(AddressHold.address_key)
        .where(AddressHold.given_up_at.is_not(None), ~is_theirs)
        .where(sa.exists().where(Customer.email_key == AddressHold.address_key))
    )
    for key in db.session.scalars(stale).all():
        with transaction() as session:
            of_it = AddressHold.address_key == key
            session.execute(sa.update(AddressHold).where(of_it).values(given_up_at=None))
            owner = session.scalar(sa.select(Customer.id).where(Customer.email_key == key))
            if owner is not None:
                left_out = Delivery.reason == outbox.GIVEN_UP
                outbox.release_held(
                    owner, _WHO, left_out, why="it was given up for another customer"
                )


def _send_by_second() -> None:
    first, second = aliased(AddressHold), aliased(AddressHold)
    waits = sa.or_(
        Delivery.status == DeliveryStatus.BOUNCED,
        sa.and_(Delivery.status == DeliveryStatus.HELD, Delivery.reason == outbox.ON_HOLD),
        sa.and_(Delivery.status == DeliveryStatus.SKIPPED, Delivery.reason == outbox.GIVEN_UP),
    )
    is_news = Delivery.kind == NOTICE, Delivery.address.is_(None), waits
    who = (
        sa.select(Customer.id)
        .join(first, first.address_key == Customer.email_key)
        .join(SecondAddress, SecondAddress.customer_id == Customer.id)
        .where(
            SecondAddress.on_file_at <= clock.now(),
            ~sa.exists().where(second.address_key == SecondAddress.email_key),
            sa.exists().where(Delivery.customer_id == Customer.id, *is_news),
        )
        .order_by(Customer.id)
    )
    for customer_id in db.session.scalars(who).all():
        with transaction():
            sent = outbox.release_held(customer_id, _WHO, *is_news, why="to the second address")
            _of_each_the_newest(customer_id, sent)


def _open_lacking() -> None:
    """Letters held at an address that was on hold before it was anybody's open a repair, too."""
    is_open = sa.exists().where(
        Repair.customer_id == Customer.id,
        Repair.address_key == Customer.email_key,
        Repair.ended_at.is_(None),
    )
    lacking = (
        sa.select(AddressHold, Customer.id, sa.func.min(Delivery.id))
        .join(Customer, Customer.email_key == AddressHold.address_key)
        .join(Delivery, Delivery.customer_id == Customer.id)
        .where(
            AddressHold.given_up_at.is_(None),
            Delivery.status == DeliveryStatus.HELD,
            Delivery.reason == outbox.ON_HOLD,
            Delivery.address.is_(None),
            ~is_open,
        )
        .group_by(AddressHold.id, Customer.id)
    )
    for hold, customer_id, delivery_id in db.session.execute(lacking).all():
        opened = {"kind": hold.kind, "words": hold.words, "address_key": hold.address_key}
        with transaction():
            insert_once(
                Repair,
                **opened,
                delivery_id=delivery_id,
                customer_id=customer_id,
                code="",
                opened_at=clock.now(),
                who="",
                word="",
            )


def free_accepted() -> None:
    """End the soft holds of addresses that took a letter since, and any of one that was proved, and
    send what was missed there (timetable)."""
    taken = sa.select(AddressHold.address_key).where(AddressHold.accepted_at.is_not(None))
    for key in db.session.scalars(taken).all():
        with transaction() as session:
            owner = session.scalar(sa.select(Customer.id).where(Customer.email_key == key))
            if owner is not None:
                lock_for_change(session.connection(), CUSTOMER, owner)
            is_still = AddressHold.accepted_at.is_not(None)
            freed = session.execute(
                sa.delete(AddressHold)
                .where(AddressHold.address_key == key, is_still)
                .returning(AddressHold.id)
            ).first()
            if freed is not None and owner is not None:
                _end(owner, RepairEnd.ACCEPTED, "shop", Repair.address_key == key)
                send_missed(owner, "shop")


def forget_holds() -> None:
    """Forget what came back from addresses that are no customer's any more (timetable)."""
    with transaction() as session:
        is_first = sa.exists().where(Customer.email_key == AddressHold.address_key)
        is_second = sa.exists().where(SecondAddress.email_key == AddressHold.address_key)
        session.execute(
            sa.delete(AddressHold)
            .where(AddressHold.came_at < outbox.long_past(), ~is_first, ~is_second)
            .execution_options(synchronize_session=False)
        )
        is_on_file = sa.exists().where(Customer.email_key == Repair.address_key)
        session.execute(
            sa.update(Repair)
            .where(
                Repair.ended_at < outbox.long_past(),
                Repair.address_key != "",
                ~is_on_file,
            )
            .values(address_key="", words="")
            .execution_options(synchronize_session=False)
        )


def _complained(delivery: Delivery) -> None:
    """News of that publication stops; the copy stays. Only news can be unwanted so: an order that
    a letter confirms may be a stranger's."""
    is_news = delivery.kind == NOTICE and delivery.edition_id is not None
    if delivery.customer_id is None or not is_news:
        return
    edition = db.session.get_one(Edition, delivery.edition_id)
    choose_news(delivery.customer_id, edition.publication_id, News.NOTHING, complained=True)


def _second_of(customer_id: int) -> str:
    second = second_of(customer_id)
    return second.email if second is not None and is_on_file(second) else ""


holds.register_rules(
    holds.Rules(
        key_of=_key_of,
        second_of=_second_of,
        send_missed=lambda customer_id: send_missed(customer_id, "shop"),
        complained=_complained,
    )
)
