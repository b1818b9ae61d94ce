"""What may happen to a shop whose letters come back, in any order, and what holds all the same."""

from collections import Counter
from datetime import timedelta
from itertools import count
from typing import Any

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from store.catalog.models import Edition
from store.distribution import recalling, releasing
from store.distribution.coverage import coverage
from store.entitlements import repairs
from store.entitlements.addresses import AddressTaken, correct_address
from store.entitlements.fresh_links import SameAddress, ask_for_copies
from store.entitlements.models import News, NoticeStop, SecondAddress
from store.entitlements.second_addresses import remove_second
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.mailboxes import address_key
from store.mail import outbox, returns
from store.mail.models import (
    AddressHold,
    Attempt,
    Delivery,
    DeliveryStatus,
    Occasion,
    Repair,
    RepairEnd,
)
from store.mail.returns import ReturnKind, take
from store.orders.customers import customer_by_address
from store.orders.models import Customer
from tests.counted import counted_otherwise
from tests.distribution import test_occasion_histories as occasions
from tests.letters import send
from tests.links import given_second
from tests.purchases import buy

PEOPLE, FEW = occasions.PEOPLE, st.integers(0, 3)
KINDS = st.sampled_from([ReturnKind.HARD, ReturnKind.HARD, ReturnKind.SOFT, ReturnKind.COMPLAINT])
CODES = {ReturnKind.HARD: "5.1.1", ReturnKind.SOFT: "4.2.2", ReturnKind.COMPLAINT: ""}
CARRIERS = ("edition_notice", "order_confirmation")
OUT = (DeliveryStatus.SENT, DeliveryStatus.SENDING)
TO_MEND = (DeliveryStatus.BOUNCED, DeliveryStatus.HELD, DeliveryStatus.FAILED)
_keys = count(1)


class Returns(occasions.Tellings):
    """Those histories, with reports of what came back and all that mends it."""

    @initialize()
    def open(self) -> None:
        super().open()
        self.emails = {person: f"reader{person}@{self.slug}.example" for person in range(3)}
        self.stopped: set[int] = set()
        self.left: set[str] = set()
        for person in range(3):
            self.buy(person, wants_now=True)
        self.release()  # so that there is something to come back
        send()

    def _address(self, person: int) -> str:
        return self.emails[person]

    @rule(person=PEOPLE, news=st.sampled_from(News))
    def choose(self, person: int, news: News) -> None:
        super().choose(person, news)
        change = self.stopped.add if news is News.NOTHING else self.stopped.discard
        change(self._customer(person).id)

    @rule(person=PEOPLE, kind=KINDS, nth=FEW, is_last=st.booleans(), times=st.integers(1, 2))
    def come_back(self, person: int, kind: ReturnKind, nth: int, is_last: bool, times: int) -> None:
        """A letter that left comes back, within a month; of a full mailbox perhaps after two days of
        tries. Who reports it may do so twice. A complaint counts for news, from an address that is
        on file."""
        customer = self._customer(person)
        out = sa.select(Delivery).filter_by(customer_id=customer.id, status=DeliveryStatus.SENT)
        out = out.where(Delivery.sent_at > clock.now() - timedelta(days=30))
        letters = db.session.scalars(out.order_by(Delivery.id.desc())).all()
        if not letters:
            return
        letter = letters[nth % len(letters)]
        letter_id, key = letter.id, f"{self.slug}:{next(_keys)}"
        if kind is ReturnKind.COMPLAINT and letter.kind == "edition_notice":
            last = sa.select(Attempt.address).where(Attempt.delivery_id == letter_id)
            address = db.session.scalars(last.order_by(Attempt.id.desc())).first()
            if address in (customer.email, self._second(customer)):
                self.stopped.add(customer.id)
        db.session.rollback()
        with transaction() as session:
            if is_last:
                session.execute(
                    sa.update(Delivery).where(Delivery.id == letter_id).values(tries=60)
                )
            given = {"status": CODES[kind], "words": "it came back", "key": key}
            taken = [take(letter_id, kind, **given) for _ in range(times)]
        assert taken == [True, False][:times]
        self._look_on()
        if times == 2:
            self._minutes_pass()

    @rule(person=PEOPLE, which=FEW)
    def correct_the_address(self, person: int, which: int) -> None:
        address = f"reader{person}-{which}@{self.slug}.example"
        missed = self._missed(person)
        try:
            with transaction():
                correct_address(self._customer(person), address, "Olga")
        except (SameAddress, AddressTaken):
            return
        self.left.add(self.emails[person])
        self.emails[person] = address
        self._mended(person, missed)

    @rule(which=FEW)
    def somebody_else_takes_an_address(self, which: int) -> None:
        """Who has an address that was another customer's orders there."""
        free = [one for one in sorted(self.left) if customer_by_address(one) is None]
        db.session.rollback()
        if free:
            with transaction():
                buy(self._publication(), free[which % len(free)])
            self._look_on()

    @rule(person=PEOPLE)
    def say_that_the_address_is_right(self, person: int) -> None:
        repair = self._repair(person)
        if repair is not None:
            missed = self._missed(person)
            with transaction():
                repairs.resend(repair.id, "Olga")
            self._mended(person, missed)

    @rule(person=PEOPLE)
    def give_up(self, person: int) -> None:
        repair = self._repair(person)
        if repair is not None:
            with transaction():
                repairs.give_up(repair.id, "Olga", "moved away")

    @rule(person=PEOPLE, which=st.integers(0, 1))
    def give_a_second_address(self, person: int, which: int) -> None:
        address = f"second{person}-{which}@{self.slug}.example"
        try:
            with transaction():
                given_second(self._customer(person), address)
        except SameAddress:
            return
        self._look_on()

    @rule(person=PEOPLE)
    def take_the_second_out(self, person: int) -> None:
        with transaction():
            remove_second(self._customer(person), "Olga")
        self._look_on()

    @rule(person=PEOPLE, by_second=st.booleans())
    def ask_for_copies(self, person: int, by_second: bool) -> None:
        second = self._second(self._customer(person))
        with transaction():
            ask_for_copies(second if second and by_second else self._address(person))
        self._look_on()

    @rule(days=st.sampled_from([0, 0, 1, 16]))
    def wait_and_send(self, days: int) -> None:
        """A minute of the timetable, or the first one after some days."""
        held, last = self._on_hold(), self._last_attempt()
        super().wait_and_send(days)
        self._left_rightly(held, last)
        self._minutes_pass()

    def _minutes_pass(self) -> None:
        for _ in range(2):
            _timetable()
            held, last = self._on_hold(), self._last_attempt()
            send()
            recalling.settle_recalled()
            self._left_rightly(held, last)
        self._look_on()
        for customer in self._customers():
            self._is_not_missed(customer)
        db.session.rollback()

    @invariant()
    def nothing_bought_is_held_back(self) -> None:
        """Asked of all that wait, once the timetable has looked (`_is_not_missed`)."""

    @invariant()
    def a_bounce_stops_no_news(self) -> None:
        stops = sa.select(NoticeStop.customer_id).where(
            NoticeStop.publication_id == self.publication_id,
            NoticeStop.stopped_at.is_not(None),
            ~NoticeStop.matters_pass,
        )
        assert set(db.session.scalars(stops)) == self.stopped
        db.session.rollback()

    @invariant()
    def the_account_adds_up(self) -> None:
        """And is complete only when all that came back is mended or given up."""
        to_mend = sa.exists().where(
            Repair.customer_id == Delivery.customer_id, Repair.ended_at.is_(None)
        )
        for edition in self._standing():
            account = coverage(edition)
            assert account.sums_match
            assert account.missing == 0
            lacking = sa.select(Delivery.id).where(
                Delivery.edition_id == edition.id,
                Delivery.batch_id.is_not(None),
                Delivery.status == DeliveryStatus.BOUNCED,
                to_mend,
            )
            has_lacking = db.session.scalars(lacking).first() is not None
            assert not (has_lacking and account.is_complete)
        assert counted_otherwise() == {}

    def _left_rightly(self, held: set[str], last: int) -> None:
        """What left since an attempt, while these addresses were on hold: where to, and once."""
        rows = db.session.execute(
            sa.select(Attempt.address, Delivery, Customer.email)
            .join(Delivery, Delivery.id == Attempt.delivery_id)
            .join(Customer, Customer.id == Delivery.customer_id)
            .where(Attempt.id > last, Customer.email.endswith(f"@{self.slug}.example"))
        ).all()
        for address, delivery, email in rows:
            if address_key(address) in held:
                assert delivery.priority == outbox.SOMEBODY_WAITS, (address, delivery.dedupe_key)
            if delivery.kind == "edition_notice" and address != email:
                assert address_key(email) in held
                customer = db.session.get_one(Customer, delivery.customer_id)
                assert address == self._second(customer)
        for customer in self._customers():
            self._came_once(customer)
        db.session.rollback()

    def _came_once(self, customer: Customer) -> None:
        since = self._since(customer)
        came = Counter(
            one.edition_id
            for one in self._carriers(customer)
            if one.status in OUT and one.occasion != Occasion.RESENT
            if since is not None and one.created_at >= since  # type: ignore[operator]
            if one.kind == "edition_notice"
        )
        assert all(number == 1 for number in came.values()), customer.email

    def _is_not_missed(self, customer: Customer) -> None:
        """The newest edition that is theirs has come, comes, waits behind an open repair, or the
        address was given up for this customer."""
        offered = self._offered(customer)
        if not offered:
            return
        newest = max(offered, key=lambda one: one.number)
        found = [one for one in self._carriers(customer) if one.edition_id == newest.id]
        assert any(self._is_accounted_for(one, customer) for one in found), [
            (one.kind, one.status, one.reason) for one in found
        ]

    def _is_accounted_for(self, letter: Delivery, customer: Customer) -> bool:
        theirs = sa.select(Repair).filter_by(
            customer_id=customer.id, address_key=customer.email_key
        )
        found = db.session.scalars(theirs).all()
        is_open = any(one.ended_at is None for one in found)
        was_given_up = any(one.how is RepairEnd.GIVEN_UP for one in found)
        if letter.status in (*OUT, DeliveryStatus.QUEUED):
            return True
        if letter.status in TO_MEND:
            second = self._second(customer)
            works = second is not None and address_key(second) not in self._on_hold()
            if works and letter.kind == "edition_notice":
                return False  # it goes to the second address
            return is_open or (was_given_up and letter.status is DeliveryStatus.BOUNCED)
        if letter.reason == outbox.GIVEN_UP:
            return was_given_up
        if letter.reason == "asked for what matters only":
            return self._news(customer) is not News.EVERY
        return letter.reason == "asked us to stop" and customer.id in self.stopped

    def _missed(self, person: int) -> list[int]:
        """The notices that a customer did not get, and may get once their address is right."""
        given_up = Delivery.reason == outbox.GIVEN_UP
        missed = sa.select(Delivery.id).where(
            Delivery.customer_id == self._customer(person).id,
            Delivery.kind == "edition_notice",
            Delivery.occasion != Occasion.RESENT,
            sa.or_(Delivery.status.in_(TO_MEND), given_up),
        )
        found = list(db.session.scalars(missed))
        db.session.rollback()
        return found

    def _mended(self, person: int, missed: list[int]) -> None:
        """Of what was missed the newest alone leaves, and none where a newer one has come."""
        held, last = self._on_hold(), self._last_attempt()
        send()
        self._left_rightly(held, last)
        letters = self._carriers(self._customer(person))
        number = {one.id: one.number for one in self._editions()}
        left = [
            number[one.edition_id or 0] for one in letters if one.id in missed and one.status in OUT
        ]
        came = [number[one.edition_id or 0] for one in letters if one.status in OUT]
        assert left in ([], [max(came, default=0)])
        db.session.rollback()
        assert self._repair(person) is None
        self._look_on()

    def _carriers(self, customer: Customer) -> list[Delivery]:
        query = sa.select(Delivery).where(
            Delivery.customer_id == customer.id,
            Delivery.kind.in_(CARRIERS),
            Delivery.edition_id.in_(self._edition_ids()),
        )
        return list(db.session.scalars(query.order_by(Delivery.id)))

    def _editions(self) -> list[Edition]:
        return list(db.session.scalars(self._edition_ids().with_only_columns(Edition)))

    def _customer(self, person: int) -> Customer:
        found = customer_by_address(self._address(person))
        assert found is not None
        return found

    def _repair(self, person: int) -> Any:
        theirs = sa.select(Repair).where(
            Repair.customer_id == self._customer(person).id, Repair.ended_at.is_(None)
        )
        found = db.session.scalars(theirs).all()
        db.session.rollback()
        assert len(found) <= 1
        return found[0] if found else None

    def _second(self, customer: Customer) -> str | None:
        theirs = SecondAddress.customer_id == customer.id, SecondAddress.on_file_at <= clock.now()
        return db.session.scalar(sa.select(SecondAddress.email).where(*theirs))

    def _on_hold(self) -> set[str]:
        return set(db.session.scalars(sa.select(AddressHold.address_key)))

    def _last_attempt(self) -> int:
        found = db.session.scalar(sa.select(sa.func.max(Attempt.id))) or 0
        db.session.rollback()
        return found

    def _look_on(self) -> None:
        self.seen = self._last_id()


def _timetable() -> None:
    """What each minute does with letters."""
    for step in (
        releasing.owe_missing,
        returns.settle_late,
        repairs.free_accepted,
        repairs.look_after_holds,
        repairs.forget_holds,
    ):
        step()
        db.session.rollback()
