"""Random histories in which letters come back and are mended, beside stops, disputes, recalls and
refunds: nobody is missed in silence, and nothing reaches anybody twice."""

from itertools import count

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from store.catalog.models import Publication
from store.distribution import recalling, releasing
from store.distribution.coverage import coverage
from store.entitlements import repairs
from store.entitlements.addresses import correct_address
from store.entitlements.models import SecondAddress
from store.kit import clock
from store.kit.database import db, transaction
from store.mail import outbox, returns
from store.mail.models import AddressHold, Attempt, Delivery, DeliveryStatus, Repair, RepairEnd
from store.mail.returns import ReturnKind, take
from store.orders.customers import address_key, find_or_add_customer
from store.orders.models import Customer
from tests.conftest import Clock, on_both
from tests.distribution.test_occasion_histories import PEOPLE, UNSENT, Tellings, live
from tests.letters import send
from tests.links import given_second
from tests.purchases import buy

KINDS = st.sampled_from([ReturnKind.HARD, ReturnKind.HARD, ReturnKind.SOFT, ReturnKind.COMPLAINT])
UNDER_WAY = {DeliveryStatus.QUEUED, DeliveryStatus.SENDING}
_marks = count(1)


class Returns(Tellings):
    """The same three readers, whose letters come back and who are mended."""

    def _address(self, person: int) -> str:
        return str(self.__dict__.get("moved", {}).get(person) or super()._address(person))

    @initialize()
    def open(self) -> None:
        """Everybody has the first edition, so that there is something to come back."""
        super().open()
        with transaction() as session:
            publication = session.get_one(Publication, self.publication_id)
            for person in range(3):
                buy(publication, self._address(person))
        self.release()
        send()
        self.seen = self._last_id()

    @rule(person=PEOPLE, kind=KINDS, last_try=st.booleans())
    def come_back(self, person: int, kind: ReturnKind, last_try: bool) -> None:
        """What reached the reader last, news before other letters, comes back after all."""
        send()
        with transaction() as session:
            customer = find_or_add_customer(self._address(person))
            theirs = sa.select(Delivery).where(
                Delivery.customer_id == customer.id,
                Delivery.status == DeliveryStatus.SENT,
                Delivery.address.is_(None),
            )
            newest = theirs.order_by(Delivery.occasion.is_(None), Delivery.id.desc())
            letter = session.scalars(newest).first()
            if letter is not None:
                letter.tries = 60 if last_try else letter.tries
                session.flush()
                assert take(letter.id, kind, status="5.1.1", words="no", key=str(next(_marks)))
        self._minute()

    @rule(person=PEOPLE, gives_up=st.booleans())
    def end_repair(self, person: int, gives_up: bool) -> None:
        """A person sends again, or gives the address up with a word."""
        repair = self._open_repair(person)
        if repair is not None:
            with transaction():
                if gives_up:
                    repairs.give_up(repair, "Olga", "moved away")
                else:
                    repairs.resend(repair, "Olga")
        self._minute()

    @rule(person=PEOPLE)
    def correct(self, person: int) -> None:
        """The reader has another address."""
        new = f"moved{next(_marks)}@{self.slug}.example"
        with transaction():
            correct_address(find_or_add_customer(self._address(person)), new, "Olga")
        self.__dict__.setdefault("moved", {})[person] = new
        self._minute()

    @rule(person=PEOPLE)
    def give_second(self, person: int) -> None:
        """The reader has a second address on file."""
        with transaction() as session:
            customer = find_or_add_customer(self._address(person))
            given_second(customer, f"second{next(_marks)}@{self.slug}.example")
            theirs = SecondAddress.customer_id == customer.id
            session.execute(sa.update(SecondAddress).where(theirs).values(on_file_at=clock.now()))
        self._minute()

    @precondition(lambda self: self.number)
    @rule()
    def send_for_long(self) -> None:
        """All waits are over: what is tried again has left."""
        for _ in range(3):
            self.frozen.advance(hours=2)
            send()
            self._minute()

    def wait_and_send(self, days: int) -> None:
        super().wait_and_send(days)
        self._minute()

    wait_and_send = rule(days=st.sampled_from([0, 1, 16]))(wait_and_send)

    @invariant()
    def nothing_bought_is_held_back(self) -> None:
        """Nobody is missed in silence: who has a right to an edition that may be mailed was handed
        one, has one on its way, or is for a person to mend or was given up by one."""
        for customer in self._customers():
            if self._reached(customer).anything or not self._offered(customer):
                continue
            waits = [one for one in self._notices() if one.customer_id == customer.id]
            is_known = any(
                one.status in UNDER_WAY
                or (one.status in UNSENT and one.reason != outbox.ON_HOLD)
                or self._is_for_a_person(customer)
                for one in waits
            )
            assert is_known, customer.email
        db.session.rollback()

    @invariant()
    def what_came_back_or_is_held_has_a_repair_or_was_given_up(self) -> None:
        for one in self._notices():
            is_stuck = one.status is DeliveryStatus.BOUNCED or one.reason == outbox.ON_HOLD
            if is_stuck and one.status is not DeliveryStatus.SENT:
                customer = db.session.get_one(Customer, one.customer_id)
                assert self._is_for_a_person(customer), (one.status, customer.email)
        db.session.rollback()

    @invariant()
    def a_complete_account_has_nothing_left_to_mend(self) -> None:
        for edition in self._standing():
            seen = coverage(edition)
            assert seen.sums_match
            assert not seen.is_complete or seen.came_back == seen.given_up
        db.session.rollback()

    @invariant()
    def no_news_went_to_an_address_on_hold(self) -> None:
        """Counted from the hold on, but for what a person sent again."""
        late = (
            sa.select(Attempt.address, Delivery.occasion)
            .join(Delivery, Delivery.id == Attempt.delivery_id)
            .join(AddressHold, AddressHold.address_key == Attempt.address)
            .where(
                Delivery.occasion.is_not(None),
                Delivery.priority == outbox.NOTICE,
                Attempt.started_at > AddressHold.came_at,
            )
        )
        assert db.session.execute(late).all() == []
        db.session.rollback()

    def _minute(self) -> None:
        """One pass of the timetable."""
        db.session.rollback()
        returns.settle_late()
        repairs.free_accepted()
        repairs.look_after_holds()
        repairs.forget_holds()
        releasing.owe_missing()
        recalling.settle_recalled()
        db.session.rollback()
        self.seen = self._last_id()

    def _open_repair(self, person: int) -> int | None:
        found = sa.select(Repair.id).where(
            Repair.address_key == address_key(self._address(person)), Repair.ended_at.is_(None)
        )
        number = db.session.scalars(found).first()
        db.session.rollback()
        return number

    def _is_for_a_person(self, customer: Customer) -> bool:
        theirs = sa.select(Repair.how, Repair.ended_at).where(
            Repair.customer_id == customer.id, Repair.address_key == customer.email_key
        )
        ends = db.session.execute(theirs).all()
        return any(at is None or how is RepairEnd.GIVEN_UP for how, at in ends)


@on_both
def test_a_few_histories_of_what_comes_back(app: Flask, frozen: Clock) -> None:
    live(Returns, frozen, 3, 20)


@on_both
@pytest.mark.long
@pytest.mark.timeout(600)
def test_control_without_repairs_somebody_is_missed_in_silence(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((returns, "_open_repair"), (repairs, "look_after_holds")):
        monkeypatch.setattr(module, name, lambda *_: None)
    with pytest.raises(AssertionError):
        live(Returns, frozen, 15, 20)


@on_both
@pytest.mark.long
@pytest.mark.timeout(1500)
def test_many_histories_of_what_comes_back(app: Flask, frozen: Clock) -> None:
    live(Returns, frozen, 60, 40)
