"""Random histories of stops, disputes, recalls, releases, consents and refunds: every notice says
why it comes, nothing bought is held back, nothing taken back is mailed."""

from collections import Counter
from itertools import count

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from store.catalog.models import Edition, EditionStatus, Publication
from store.distribution import recalling
from store.distribution.coverage import coverage
from store.distribution.recipients import batch_of
from store.entitlements import granting
from store.entitlements.granting import confirm_consent
from store.entitlements.models import Entitlement, News
from store.entitlements.news import choose_news, news_of
from store.entitlements.shelves import editions_within
from store.kit import clock
from store.kit.database import db, transaction
from store.mail import outbox
from store.mail.models import BatchStatus, Delivery, DeliveryStatus, Occasion
from store.orders.consents import give_waiver, has_waiver
from store.orders.customers import find_or_add_customer
from store.orders.models import Customer
from tests.conftest import Clock, on_both, on_both_when_long
from tests.counted import counted_otherwise
from tests.distribution.reached import Reached, reached
from tests.editions import drafted_and_released
from tests.factories import a_publication, a_seller
from tests.letters import send
from tests.purchases import buy
from tests.rows import emptied

PEOPLE = st.integers(0, 2)
FIRST = {Occasion.FIRST_COPY, Occasion.DAYS_OVER, Occasion.ASKED}
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
UNSENT = {DeliveryStatus.QUEUED, DeliveryStatus.HELD}
_slugs = count(1)


class Tellings(RuleBasedStateMachine):
    """One publication and three readers; `frozen` is the shop's clock."""

    frozen: Clock

    @initialize()
    def open(self) -> None:
        next_door()
        self.slug = f"guide-{next(_slugs)}"
        self.number = 0
        self.seen = 0
        with transaction() as session:
            self.publication_id = a_publication(self.slug, expected_on=None).id
            # Somebody whom nothing happens to, so that a release has letters to recall.
            buy(session.get_one(Publication, self.publication_id), f"other@{self.slug}.example")
        self.seen = self._last_id()

    @rule(person=PEOPLE, wants_now=st.booleans())
    def buy(self, person: int, wants_now: bool) -> None:
        with transaction() as session:
            publication = session.get_one(Publication, self.publication_id)
            buy(publication, self._address(person), wants_now=wants_now)
        self._owed({Occasion.DAYS_OVER})

    @rule(person=PEOPLE)
    def consent(self, person: int) -> None:
        """As the order page does: where the copy waits for the 14 days."""
        with transaction():
            for right in self._rights(person):
                order = right.order_line.order if right.order_line else None
                waits = right.available_at > clock.now() and _stands(right)
                if order is not None and waits and not has_waiver(order.id):
                    give_waiver(order)
                    granting.start_supply(order)
                    confirm_consent(order)
                    break
        self._owed(set())

    @rule(person=PEOPLE, news=st.sampled_from(News))
    def choose(self, person: int, news: News) -> None:
        """Who asks for more than before is owed what they missed, if anything is left to send."""
        with transaction():
            customer = find_or_add_customer(self._address(person))
            before, had_copy = self._news(customer), self._reached(customer).has_copy
            choose_news(customer.id, self.publication_id, news)
            if had_copy and news.is_more_than(before):
                self._missed_nothing(customer, news)
        self._owed({Occasion.RELEASED, Occasion.CORRECTION, Occasion.DAYS_OVER})

    def _missed_nothing(self, customer: Customer, news: News) -> None:
        """A letter carries the newest edition that they hear of, or one after it."""
        heard = [one.number for one in self._offered(customer) if news is News.EVERY or one.matters]
        since = self._since(customer)
        carried = [
            db.session.get_one(Edition, one.edition_id).number
            for one in db.session.scalars(
                sa.select(Delivery).where(
                    Delivery.customer_id == customer.id,
                    Delivery.edition_id.in_(self._edition_ids()),
                    Delivery.status != DeliveryStatus.SKIPPED,
                )
            )
            if since is not None and one.created_at >= since  # type: ignore[operator]
        ]
        assert max(heard, default=0) <= max(carried, default=0), customer.email

    @rule(person=PEOPLE, how=st.sampled_from(["is_suspended", "is_refunded", "is_lost", ""]))
    def money_changes(self, person: int, how: str) -> None:
        """A dispute begins, a refund arrives, a dispute is lost, or all of it is undone."""
        with transaction():
            orders = {
                right.order_line.order: None for right in self._rights(person) if right.order_line
            }
            for order in list(orders)[-1:]:
                granting.settle_access(order, **({how: True} if how else {}))
        self._owed({Occasion.ACCESS_BACK, Occasion.DAYS_OVER})

    @precondition(lambda self: self.number < 4)
    @rule(severity=st.sampled_from(["minor", "guidance"]))
    def release(self, severity: str = "minor") -> None:
        self.number += 1
        before = {customer.id: self._reached(customer) for customer in self._customers()}
        edition = drafted_and_released(self._publication(), self.number, severity=severity)
        told = db.session.scalars(
            sa.select(Delivery).where(
                Delivery.edition_id == edition.id, Delivery.batch_id.is_not(None)
            )
        ).all()
        for delivery in told:
            if delivery.status != DeliveryStatus.SKIPPED:
                assert delivery.occasion == _expected(before[delivery.customer_id or 0], delivery)
        db.session.rollback()
        self.seen = self._last_id()

    @precondition(lambda self: self._standing())
    @rule(
        step=st.sampled_from([recalling.recall, recalling.recall, recalling.withdraw]),
        under_way=st.booleans(),
    )
    def take_back(self, step: object, under_way: bool) -> None:
        """Recall the letters of the newest edition, or withdraw it; those that were on their way
        come back unsent."""
        edition = self._standing()[-1]
        batch = batch_of(edition)
        is_over = batch is None or not batch.status.may_become(BatchStatus.RECALLED)
        db.session.rollback()
        on_their_way = [
            one.id
            for one in self._notices()
            if under_way and one.edition_id == edition.id and one.status == DeliveryStatus.QUEUED
        ]
        self._turn(on_their_way, DeliveryStatus.SENDING)
        with transaction() as session:
            newest = session.get_one(Edition, edition.id)
            if step is recalling.withdraw:
                recalling.withdraw(newest, "Olga")
            elif not is_over:
                recalling.recall(newest, "Olga")
        self._turn(on_their_way, DeliveryStatus.QUEUED)
        recalling.settle_recalled()
        self._owed({*FIRST, Occasion.CORRECTION, Occasion.ACCESS_BACK} - {Occasion.ASKED})

    @rule(person=PEOPLE)
    def send_again(self, person: int) -> None:
        """A person sends what was left out last."""
        with transaction() as session:
            customer = find_or_add_customer(self._address(person))
            query = sa.select(Delivery).where(
                Delivery.customer_id == customer.id,
                Delivery.kind == "edition_notice",
                Delivery.status == DeliveryStatus.SKIPPED,
                Delivery.edition_id.in_(self._edition_ids()),
            )
            found = session.scalars(query.order_by(Delivery.id.desc())).first()
            if found is not None:
                assert outbox.retry(found, "Olga")
                assert found.occasion == Occasion.RESENT

    @rule(days=st.sampled_from([0, 1, 16]))
    def wait_and_send(self, days: int) -> None:
        self.frozen.advance(days=days, seconds=1)
        queued = {one.id for one in self._notices() if one.status in UNSENT}
        before = {customer.id: self._reached(customer) for customer in self._customers()}
        db.session.rollback()
        send()
        recalling.settle_recalled()
        for delivery in self._notices():
            if delivery.id in queued and delivery.status == DeliveryStatus.SENT:
                self._may_be_sent(delivery, before[delivery.customer_id or 0])
        db.session.rollback()

    @invariant()
    def nobody_waits_for_two_first_copies(self) -> None:
        waiting = Counter(
            one.customer_id
            for one in self._notices()
            if one.status in UNSENT and one.occasion in {*FIRST, Occasion.ACCESS_BACK}
        )
        assert [number for number in waiting.values() if number > 1] == []
        db.session.rollback()

    @invariant()
    def one_letter_at_most_carries_an_edition_to_a_customer(self) -> None:
        since = {customer.id: self._since(customer) for customer in self._customers()}
        carried = Counter(
            (one.customer_id, one.edition_id)
            for one in self._notices()
            if one.status != DeliveryStatus.SKIPPED
            and one.occasion != Occasion.RESENT
            and since[one.customer_id or 0] is not None
            and one.created_at >= since[one.customer_id or 0]  # type: ignore[operator]
        )
        assert [key for key, number in carried.items() if number > 1] == []
        db.session.rollback()

    @invariant()
    def nothing_bought_is_held_back(self) -> None:
        """Everybody with a standing right who was handed nothing yet has a letter on its way, stopped
        or not, wherever an edition may be mailed."""
        for customer in self._customers():
            if self._reached(customer).anything or not self._offered(customer):
                continue
            waiting = [
                one
                for one in self._notices()
                if one.customer_id == customer.id and one.status in UNSENT
            ]
            assert waiting, customer.email
        db.session.rollback()

    @invariant()
    def the_account_adds_up(self) -> None:
        for edition in self._standing():
            assert coverage(edition).sums_match
            assert coverage(edition).missing == 0
        assert counted_otherwise() == {}

    def teardown(self) -> None:
        db.session.rollback()

    def _may_be_sent(self, delivery: Delivery, before: Reached) -> None:
        customer = db.session.get_one(Customer, delivery.customer_id)
        edition = db.session.get_one(Edition, delivery.edition_id)
        rights = [right for right in self._rights_of(customer) if _stands(right)]
        assert rights, "a refunded or suspended reader was told"
        assert min(right.available_at for right in rights) <= clock.now()
        assert edition.status == EditionStatus.RELEASED, "a withdrawn edition was mailed"
        if delivery.occasion == Occasion.RESENT:
            return
        batch = batch_of(edition)
        if batch is not None and batch.status == BatchStatus.RECALLED:
            assert edition.id in {right.from_edition_id for right in self._rights_of(customer)}
        news = self._news(customer)
        is_minor = not edition.matters and delivery.occasion != Occasion.CORRECTION
        if news is News.NOTHING or (news is News.MATTERS and is_minor):
            assert delivery.occasion in FIRST or not before.has_copy

    def _turn(self, ids: list[int], status: DeliveryStatus) -> None:
        db.session.rollback()
        with transaction() as session:
            of_them = sa.update(Delivery).where(Delivery.id.in_(ids))
            session.execute(of_them.values(status=status))

    def _owed(self, occasions: set[Occasion]) -> None:
        """What was owed since the last look has one of these reasons."""
        found = [one for one in self._notices() if one.id > self.seen]
        assert {one.occasion for one in found} <= occasions
        for one in found:
            waits = one.due_at > one.created_at
            assert waits == (one.occasion == Occasion.DAYS_OVER)
        db.session.rollback()
        self.seen = self._last_id()

    def _offered(self, customer: Customer) -> list[Edition]:
        """What may be mailed to a customer: opened by a right, and no recalled news."""
        released = sorted(self._standing(), key=lambda one: -one.number)
        found = []
        for right in self._rights_of(customer):
            for edition in editions_within(right, released) if _stands(right) else []:
                batch = batch_of(edition)
                is_recalled = batch is not None and batch.status == BatchStatus.RECALLED
                if not is_recalled or edition.id == right.from_edition_id:
                    found.append(edition)
        return found

    def _reached(self, customer: Customer) -> Reached:
        return reached(customer.id, self.publication_id)

    def _news(self, customer: Customer) -> News:
        return news_of(customer.id, self.publication_id)

    def _since(self, customer: Customer) -> object:
        standing = [right for right in self._rights_of(customer) if right.revoked_at is None]
        return min((right.granted_at for right in standing), default=None)

    def _rights(self, person: int) -> list[Entitlement]:
        return self._rights_of(find_or_add_customer(self._address(person)))

    def _rights_of(self, customer: Customer) -> list[Entitlement]:
        query = sa.select(Entitlement).filter_by(
            customer_id=customer.id, publication_id=self.publication_id
        )
        return list(db.session.scalars(query.order_by(Entitlement.id)))

    def _customers(self) -> list[Customer]:
        query = (
            sa.select(Customer)
            .join(Entitlement)
            .where(Entitlement.publication_id == self.publication_id)
        )
        return list(db.session.scalars(query.distinct()))

    def _notices(self) -> list[Delivery]:
        query = sa.select(Delivery).where(
            Delivery.kind == "edition_notice", Delivery.edition_id.in_(self._edition_ids())
        )
        return list(db.session.scalars(query.order_by(Delivery.id)))

    def _last_id(self) -> int:
        found = db.session.scalar(sa.select(sa.func.max(Delivery.id))) or 0
        db.session.rollback()
        return found

    def _publication(self) -> Publication:
        return db.session.get_one(Publication, self.publication_id)

    def _standing(self) -> list[Edition]:
        query = sa.select(Edition).filter_by(
            publication_id=self.publication_id, status=EditionStatus.RELEASED
        )
        return list(db.session.scalars(query.order_by(Edition.number)))

    def _edition_ids(self) -> sa.Select[int]:
        return sa.select(Edition.id).where(Edition.publication_id == self.publication_id)

    def _address(self, person: int) -> str:
        return f"reader{person}@{self.slug}.example"


def _stands(right: Entitlement) -> bool:
    return right.revoked_at is None and right.suspended_at is None


def _expected(before: Reached, delivery: Delivery) -> Occasion:
    """Why a release tells a customer, by what had reached them before it."""
    if before.newest_is_withdrawn:
        return Occasion.CORRECTION
    if before.has_copy:
        return Occasion.RELEASED
    waits = delivery.due_at > delivery.created_at
    return Occasion.DAYS_OVER if waits else Occasion.FIRST_COPY


def next_door() -> None:
    """The shop without what a history left in it, which the next would look through again and again;
    somebody else's publication is out in it, so that a history is never alone."""
    emptied("publications", "customers")
    with transaction():
        publication = a_publication("next-door", expected_on=None)
        buy(publication, "neighbour@next-door.example")
    drafted_and_released(publication)
    send()


def live(histories: type[Tellings], frozen: Clock, examples: int, steps: int) -> None:
    """Live so many histories of this kind, in a shop of their own."""
    with transaction():
        a_seller()

    class OfThisShop(histories):  # type: ignore[valid-type,misc]
        pass

    OfThisShop.frozen = frozen
    run_state_machine_as_test(
        OfThisShop,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=PHASES,
        ),
    )


@on_both_when_long
def test_a_few_histories_of_notices(app: Flask, frozen: Clock) -> None:
    live(Tellings, frozen, 2, 15)


@on_both
@pytest.mark.long
@pytest.mark.timeout(1500)
def test_many_histories_of_notices(app: Flask, frozen: Clock, times: int) -> None:
    live(Tellings, frozen, 20 * times, 40)
