"""Grants and releases at the same time, on PostgreSQL: SQLite has one writer and hides it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from flask import Flask

from store.catalog.models import Edition, Publication
from store.distribution import recalling, releasing
from store.entitlements import granting, news
from store.kit.database import db, transaction
from store.mail import subjects
from store.mail.ledger import ledger
from store.mail.models import Delivery, DeliveryStatus
from store.mail.preparing import Known, read_ahead
from store.orders.models import Customer
from tests.conftest import on_postgresql
from tests.editions import draft, drafted_and_released
from tests.factories import a_publication, a_seller
from tests.letters import send
from tests.news import resume_news, stop_news
from tests.purchases import buy
from tests.races import until_waiting

pytestmark = on_postgresql
BUYERS = 8


def _without_lock(publication_id: int, *, alone: bool = False) -> Publication:
    return db.session.get_one(Publication, publication_id)


@pytest.fixture
def no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard taken out, to show what it is for."""
    for module in (granting, releasing, recalling):
        monkeypatch.setattr(module, "lock_publication", _without_lock)


def _in_thread(app: Flask, work: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        with app.app_context():
            work()

    return run


def _prepare(slug: str) -> tuple[int, int]:
    with transaction():
        publication = a_publication(slug, expected_on=None)
        edition = draft(publication)
        releasing.schedule_release(edition, None, "Olga")
        return publication.id, edition.id


def _buy(publication_id: int, number: int) -> None:
    with transaction() as session:
        buy(session.get_one(Publication, publication_id), f"r{publication_id}-{number}@a.example")


def _missed(edition_id: int) -> list[str]:
    """Customers whom neither a notice nor a confirmation brings the edition."""
    carried = sa.select(Delivery.customer_id).where(Delivery.edition_id == edition_id)
    publication_id = db.session.get_one(Edition, edition_id).publication_id
    query = sa.select(Customer.email).where(
        Customer.email.like(f"r{publication_id}-%"), Customer.id.not_in(carried)
    )
    found = list(db.session.scalars(query))
    db.session.rollback()
    return found


def _storm(app: Flask, pool: ThreadPoolExecutor, number: int) -> tuple[int, list[str]]:
    """One release while people pay; who is missed by it."""
    publication_id, edition_id = _prepare(f"guide-{number}")
    together = threading.Barrier(BUYERS + 1)

    def pay(buyer: int) -> None:
        together.wait()
        _buy(publication_id, buyer)

    def release() -> None:
        together.wait()
        releasing.release_due()

    jobs = [pool.submit(_in_thread(app, lambda buyer=buyer: pay(buyer))) for buyer in range(BUYERS)]
    jobs.append(pool.submit(_in_thread(app, release)))
    for job in jobs:
        job.result()
    return edition_id, _missed(edition_id)


def test_nobody_who_pays_during_a_release_is_missed(app: Flask) -> None:
    with transaction():
        a_seller()
    with ThreadPoolExecutor(BUYERS + 1) as pool:
        for number in range(12):
            edition_id, missed = _storm(app, pool, number)
            assert missed == []
            carried = db.session.scalars(
                sa.select(Delivery.dedupe_key).where(
                    Delivery.edition_id == edition_id, Delivery.kind == "edition_notice"
                )
            ).all()
            assert len(carried) == len(set(carried)) <= BUYERS
            db.session.rollback()


@pytest.mark.usefixtures("no_lock")
def test_without_the_lock_some_are_missed_and_the_net_finds_them(app: Flask) -> None:
    with transaction():
        a_seller()
    with ThreadPoolExecutor(BUYERS + 1) as pool:
        for number in range(60):
            edition_id, missed = _storm(app, pool, number)
            if missed:
                break
        else:
            pytest.fail("60 releases against 8 payments each, and the lock was not needed")
    assert releasing.owe_missing() == len(missed)
    assert _missed(edition_id) == []


def _start_and_see(app: Flask, work: Callable[[], object]) -> threading.Thread:
    """Start work elsewhere; come back when it is finished or waits for a lock."""
    thread = threading.Thread(target=_in_thread(app, work))
    thread.start()
    until_waiting(lambda: not thread.is_alive())
    return thread


def _release_during_a_grant(app: Flask) -> list[str]:
    with transaction():
        a_seller()
    publication_id, edition_id = _prepare("guide")
    with transaction() as session:
        buy(session.get_one(Publication, publication_id), f"r{publication_id}-1@a.example")
        thread = _start_and_see(app, releasing.release_due)
    thread.join()
    return _missed(edition_id)


def _grant_during_a_release(app: Flask) -> list[str]:
    with transaction():
        a_seller()
    publication_id, edition_id = _prepare("guide")
    with transaction() as session:
        releasing.release_edition(session.get_one(Edition, edition_id), "Olga")
        thread = _start_and_see(app, lambda: _buy(publication_id, 1))
    thread.join()
    return _missed(edition_id)


@pytest.mark.parametrize("order", [_release_during_a_grant, _grant_during_a_release])
def test_who_comes_second_waits_and_sees_the_first(
    app: Flask, order: Callable[[Flask], list[str]]
) -> None:
    assert order(app) == []


@pytest.mark.usefixtures("no_lock")
@pytest.mark.parametrize("order", [_release_during_a_grant, _grant_during_a_release])
def test_without_the_lock_the_second_passes_the_first_unseen(
    app: Flask, order: Callable[[Flask], list[str]]
) -> None:
    assert len(order(app)) == 1


@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "control"])
@pytest.mark.parametrize("was_there", [True, False], ids=["comes back", "just owed"])
def test_a_letter_that_comes_amid_a_change_is_read_after_it(
    app: Flask, monkeypatch: pytest.MonkeyPatch, was_there: bool, is_guarded: bool
) -> None:
    """Its claim was not there to be taken away; who read it now would read that nothing is stopped."""
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)
        customer_id = buy(publication).customer_id
    drafted_and_released(publication)
    send()
    edition = drafted_and_released(publication, 2)
    publication_id, edition_id, known = publication.id, edition.id, list[Known | None]()
    with transaction():
        _set(edition_id, DeliveryStatus.SENDING if was_there else DeliveryStatus.SKIPPED)
    if not is_guarded:
        monkeypatch.setattr(subjects, "lock_for_change", lambda *_: None)

    def come_and_be_read() -> None:
        with transaction():
            _set(edition_id, DeliveryStatus.QUEUED)
        known.extend(read_ahead(ledger().claim(None, "another-worker")).values())

    with transaction():
        stop_news(customer_id, publication_id)
        thread = _start_and_see(app, come_and_be_read)
    thread.join()
    assert [one is None for one in known] == [is_guarded]


@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "control"])
def test_who_asks_for_news_again_amid_a_release_is_sent_it(
    app: Flask, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)
        customer_id, publication_id = buy(publication).customer_id, publication.id
    drafted_and_released(publication)
    send()
    with transaction() as session:
        stop_news(customer_id, publication_id)
        edition = draft(session.get_one(Publication, publication_id), 2)
        releasing.schedule_release(edition, None, "Olga")
        edition_id = edition.id
    if not is_guarded:
        monkeypatch.setattr(news, "lock_publication", _without_lock)

    def ask_for_news() -> None:
        with transaction():
            resume_news(customer_id, publication_id)

    with transaction() as session:
        releasing.release_edition(session.get_one(Edition, edition_id), "Olga")
        thread = _start_and_see(app, ask_for_news)
    thread.join()
    waiting = sa.select(Delivery.id).filter_by(edition_id=edition_id, status=DeliveryStatus.QUEUED)
    assert len(db.session.scalars(waiting).all()) == is_guarded


def _set(edition_id: int, status: DeliveryStatus) -> None:
    which = sa.update(Delivery).where(Delivery.edition_id == edition_id)
    db.session.execute(which.values(status=status))
