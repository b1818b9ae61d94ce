"""What speaks for us in a dispute: gathered from our own rows, within the bank's lengths, sent once."""

import re
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import Asset
from store.entitlements.links import library_url
from store.entitlements.models import Download
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.errors import InvalidFields
from store.payments import disputes
from store.payments.disputes import (
    AnswerNotSent,
    AnswerUnderWay,
    NotAnswerable,
    save_draft,
    submit_answer,
)
from store.payments.evidence import (
    FIELDS,
    LONG,
    MOST_IN_ALL,
    check_evidence,
    evidence_of,
    keep_ends,
)
from tests.conftest import on_both, on_both_when_long
from tests.letters import send
from tests.payments.contested_copies import a_bought_copy, can_read, dispute_at_stripe, the_dispute
from tests.payments.stripe_shop import post_all, together
from tests.rows import order_of
from tests.stripe_double import StripeDouble


@pytest.fixture
def order_id(shop: Flask, buyer: FlaskClient, double: StripeDouble) -> int:
    """A bought copy that was mailed, downloaded once and is disputed now."""
    order_id = a_bought_copy(buyer, double)
    send()
    link = library_url(order_of(order_id).customer_id).partition("/library/")[2]
    page = buyer.get(f"/library/{link}").get_data(as_text=True)
    path = re.search(r'href="(/download/[^"]+\.pdf)"', page)
    assert path
    answer = buyer.get(
        path[1],
        headers={"User-Agent": "Reader of a nursery"},
        environ_base={"REMOTE_ADDR": "203.0.113.77"},
    )
    assert answer.status_code == 200
    dispute_at_stripe(double)
    post_all(buyer, double)
    return order_id


def _evidence() -> dict[str, str]:
    found = evidence_of(the_dispute())
    db.session.rollback()
    return found


@on_both_when_long
def test_the_answer_holds_what_our_rows_know(order_id: int) -> None:
    order = order_of(order_id)
    reference, total = order.reference, "£12.50"
    found = _evidence()

    assert list(found) == [field.name for field in FIELDS]
    log = found["access_activity_log"].splitlines()
    assert "once by this customer, " in log[0]
    assert re.fullmatch(
        r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC \| 203\.0\.113\.77 \| Reader of a nursery \| "
        r"send-early-years-edition-1\.pdf \| [\d,]+ bytes \| [0-9a-f]{12}",
        log[1],
    )
    assert found["customer_name"] == "Anna Berg"
    assert found["customer_email_address"] == "anna@reader.example"
    assert found["customer_purchase_ip"] == "203.0.113.9"
    assert found["service_date"] == f"{clock.now():%Y-%m-%d}"
    assert "Effective SEND Practice" in found["product_description"]
    assert "You get all your money back." in found["refund_policy_disclosure"]
    assert "You can cancel within 14 days" in found["cancellation_policy_disclosure"]
    text = found["uncategorized_text"]
    for words in (
        f"Order {reference}, placed ",
        "from network address 203.0.113.9 with Firefox of a nursery",
        "Terms accepted ",
        "Consent given ",
        "Send me the guide straight away.",
        f"Total: {total}.",
        "order confirmation | sent | to anna@reader.example ",
    ):
        assert words in text, words


@on_both_when_long
def test_a_thousand_downloads_keep_the_first_and_the_newest_within_the_length(
    order_id: int,
) -> None:
    with transaction() as session:
        customer_id = order_of(order_id).customer_id
        asset = session.scalars(sa.select(Asset)).first()
        assert asset is not None
        downloads = [
            {
                "grant_digest": f"digest {number}",
                "customer_id": customer_id,
                "asset_id": asset.id,
                "started_at": clock.now(),
                "network": f"198.51.100.{number % 250}",
                "user_agent": f"Browser {number} " + "x" * 90,
            }
            for number in range(1000)
        ]
        session.execute(sa.insert(Download), downloads)
    log = _evidence()["access_activity_log"]

    assert len(log) <= LONG
    assert log.startswith("Files downloaded 1,001 times by this customer, ")
    assert "from 251 network addresses" in log
    lines = log.splitlines()
    assert "Reader of a nursery" in lines[1]
    assert "Browser 0 " in lines[2]
    assert "Browser 999 " in lines[-1]
    left_out = next(line for line in lines if line.startswith("…"))
    named = len(lines) - 2
    assert left_out == f"… {1001 - named:,} downloads between these are not listed one by one …"


@on_both_when_long
@pytest.mark.parametrize("most", [0, 50, 100, 500, 10_000])
def test_whatever_the_room_nothing_is_longer(app: Flask, most: int) -> None:
    lines = [f"line {number}" for number in range(100)]

    assert len(keep_ends(lines, most, 300, "lines")) <= most


@on_both_when_long
def test_what_is_longer_than_the_bank_reads_is_refused_with_the_field(app: Flask) -> None:
    with pytest.raises(InvalidFields) as refused:
        check_evidence({"access_activity_log": "x" * (LONG + 1)})
    assert list(refused.value.faults) == ["access_activity_log"]
    longest = {field.name: "x" * field.most for field in FIELDS}
    assert sum(len(text) for text in check_evidence(longest).values()) <= MOST_IN_ALL


@on_both_when_long
def test_what_a_person_changed_is_what_is_submitted_and_only_once(
    order_id: int, double: StripeDouble, buyer: FlaskClient
) -> None:
    dispute_id = the_dispute().id
    with transaction():
        save_draft(dispute_id, {"product_description": "As I know it.", "customer_name": ""})
    submit_answer(dispute_id, "olga")

    (sent,) = double.control.state()["dispute"]
    assert sent["evidence"]["product_description"] == "As I know it."
    assert sent["evidence"]["customer_name"] is None
    assert sent["evidence_details"]["submission_count"] == 1
    assert sent["status"] == "under_review"
    assert (the_dispute().submitted_by, the_dispute().submitted_at is not None) == ("olga", True)
    with pytest.raises(NotAnswerable):
        submit_answer(dispute_id, "olga")
    with pytest.raises(NotAnswerable), transaction():
        save_draft(dispute_id, {})
    post_all(buyer, double)
    assert the_dispute().submitted_by == "olga"


def _submit_twice_at_once(app: Flask, dispute_id: int) -> list[str]:
    def press() -> str:
        with app.app_context():
            try:
                submit_answer(dispute_id, "olga")
            except (AnswerUnderWay, NotAnswerable, AnswerNotSent) as refusal:
                return type(refusal).__name__
            finally:
                db.session.remove()
        return "submitted"

    return together(press, press)


def _answers(double: StripeDouble) -> int:
    return len(
        [
            1
            for entry in double.control.log()
            if entry["method"] == "POST" and entry["path"].startswith("/v1/disputes/")
        ]
    )


@on_both
def test_two_presses_at_once_send_one_answer(
    order_id: int, shop: Flask, double: StripeDouble
) -> None:
    dispute_id = the_dispute().id
    double.control.fault("late", method="POST", path="/v1/disputes", seconds=1)
    answers = _submit_twice_at_once(shop, dispute_id)

    assert "submitted" in answers
    assert len(set(answers)) == 2
    assert _answers(double) == 1


@on_both
def test_without_taking_turns_both_presses_reach_stripe(
    order_id: int, shop: Flask, double: StripeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disputes, "is_turn", lambda *_: True)
    double.control.fault("late", method="POST", path="/v1/disputes", seconds=1)
    _submit_twice_at_once(shop, the_dispute().id)

    assert _answers(double) == 2


@on_both_when_long
def test_while_stripe_is_away_nothing_is_lost_and_it_can_be_submitted_later(
    order_id: int, double: StripeDouble
) -> None:
    dispute_id = the_dispute().id
    with transaction():
        save_draft(dispute_id, {"product_description": "As I know it."})
    double.control.fault("unavailable", times=50)
    with pytest.raises(AnswerNotSent, match="your draft is kept"):
        submit_answer(dispute_id, "olga")
    double.control.no_faults()
    assert the_dispute().submitted_at is None

    submit_answer(dispute_id, "olga")

    assert double.control.state()["dispute"][0]["evidence"]["product_description"] == (
        "As I know it."
    )


@on_both_when_long
def test_an_answer_whose_receipt_was_lost_counts_as_submitted(
    order_id: int, double: StripeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    from store.payments.gateways.base import GatewayUnreachable
    from store.payments.gateways.stripe import StripeGateway

    real = StripeGateway.send_evidence

    def lost(gateway: StripeGateway, *args: Any, **given: Any) -> None:
        real(gateway, *args, **given)
        raise GatewayUnreachable

    monkeypatch.setattr(StripeGateway, "send_evidence", lost)
    submit_answer(the_dispute().id, "olga")

    assert the_dispute().submitted_by == "olga"


@on_both_when_long
@pytest.mark.parametrize("verdict", ["winning_evidence", "losing_evidence"])
def test_what_the_bank_says_to_our_answer_decides(
    order_id: int, double: StripeDouble, buyer: FlaskClient, verdict: str
) -> None:
    dispute_id = the_dispute().id
    with transaction():
        save_draft(dispute_id, {"uncategorized_text": verdict})
    submit_answer(dispute_id, "olga")
    post_all(buyer, double)

    assert can_read(buyer, order_id) is (verdict == "winning_evidence")


@on_both_when_long
def test_a_download_keeps_where_it_went_once(order_id: int) -> None:
    rows = db.session.execute(sa.select(Download.network, Download.user_agent)).all()

    assert [tuple(row) for row in rows] == [("203.0.113.77", "Reader of a nursery")]
    assert the_dispute().opened_at - clock.now() < timedelta(minutes=5)
