"""A setting that no letter can bear: what is held for it blames it, and goes on by itself."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from flask import Flask

from store import tasks
from store.catalog.models import Seller
from store.catalog.sellers import state_seller
from store.kit import mailboxes
from store.kit.database import db, transaction
from store.kit.errors import InvalidFields
from store.mail import outbox, worker
from store.mail.models import Delivery, DeliveryStatus
from tests.conftest import on_both_when_long
from tests.factories import a_seller

Letters = list[tuple[str, str]]


def _letters(kind: str = "staff_alert") -> Letters:
    db.session.rollback()
    query = sa.select(Delivery.status, Delivery.reason).where(Delivery.kind == kind)
    return [(str(status), reason) for status, reason in db.session.execute(query)]


def _owe() -> None:
    with transaction():
        outbox.owe("staff_alert", "one", address="a@x.example", facts={"subject": "S", "text": "T"})


def _break_seller() -> None:
    with transaction() as session:
        session.execute(sa.update(Seller).values(email="press"))


def _mend_seller() -> None:
    with transaction():
        state_seller(email="hello@press.example")


def _no_seller() -> None:
    with transaction() as session:
        session.execute(sa.delete(Seller))


def _first_seller() -> None:
    with transaction():
        a_seller()


CASES = {
    "an address": (
        _break_seller,
        _mend_seller,
        "the seller’s e-mail address: The shop’s own e-mail",
    ),
    "no seller": (_no_seller, _first_seller, "It is not said yet who sells."),
}


@on_both_when_long
@pytest.mark.parametrize("case", CASES)
def test_what_is_held_for_a_setting_goes_on_once_that_is_mended(app: Flask, case: str) -> None:
    breaks, mends, words = CASES[case]
    with transaction():
        a_seller()
    breaks()
    _owe()
    worker.send_due_letters()
    ((status, reason),) = _letters()
    assert status == "held"
    assert reason.startswith(f"a setting of the shop is to be mended: {words}")
    tasks.tick()
    assert [one for one, _ in _letters()] == ["held"]
    mends()
    tasks.tick()
    worker.send_due_letters()
    assert _letters() == [("sent", "")]


def test_the_sender_of_the_settings_is_blamed_and_not_the_reader(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction():
        a_seller()
    settings = app.extensions["colophon.settings"]
    _owe()
    with monkeypatch.context() as patch:
        patch.setitem(settings.__dict__, "mail_sender", "nobody")  # as read before it was judged
        worker.send_due_letters()
        ((status, reason),) = _letters()
        assert (status, "STORE_MAIL_DEFAULT_SENDER: " in reason) == ("held", True)
    tasks.tick()
    worker.send_due_letters()
    assert _letters() == [("sent", "")]


def test_what_is_held_for_another_reason_stays(app: Flask) -> None:
    with transaction():
        a_seller()
    _owe()
    with transaction() as session:
        session.execute(
            sa.update(Delivery).values(status=DeliveryStatus.HELD, reason="a person shall look")
        )
    tasks.tick()
    assert _letters() == [("held", "a person shall look")]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "press"),
        ("email", "Press <hello@press.example>"),
        ("email", "hëllo@press.example"),
        ("reply_to", "desk@"),
        ("reply_to", "desk@press..example"),
    ],
)
def test_a_seller_is_not_saved_with_an_address_that_no_letter_can_bear(
    app: Flask, field: str, value: str
) -> None:
    with transaction():
        a_seller()
    with pytest.raises(InvalidFields) as refused, transaction():
        state_seller(**{field: value})
    assert list(refused.value.faults) == [field]
    assert value in refused.value.faults[field]


def test_one_judge_for_settings_desk_and_letters() -> None:
    judge: Callable[[str], str] = mailboxes.own_address
    assert judge("shop@bücher.example") == "shop@xn--bcher-kva.example"
    assert judge("shop@127.0.0.1") == "shop@127.0.0.1"
