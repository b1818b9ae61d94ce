"""Disputes: found, answered by an edited draft that is submitted once, and staff reminded in time.

`payments.evidence` gathers the answer from our own rows, a person edits the draft, an owner submits
it. One caller at a time speaks to the gateway; `submitted_at` is written once it has taken the answer,
and where only the answer's receipt was lost, the gateway is asked. Staff are reminded two days before
an answer is due, and told when it was missed.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from store.kit import clock
from store.kit.database import db, end_read, transaction
from store.kit.errors import NotFound, Refusal
from store.kit.formatting import format_moment
from store.kit.limits import end_turn, is_turn
from store.kit.paging import BEGINNING, BY_NAME, Page, Place, paginate
from store.mail.outbox import alert_staff, is_alert
from store.payments.evidence import check_evidence, evidence_of, gather_evidence
from store.payments.gateways.base import GatewayRefused, GatewayUnreachable
from store.payments.gateways.registry import gateway_named
from store.payments.inbox import fulfil_checkout
from store.payments.models import FRAUD_WARNING, Dispute, GatewayEvent, Payment
from store.payments.money_back import desk_address

log = logging.getLogger(__name__)

REMIND = timedelta(days=2)
AT_ONCE = 50
# How the keys of the two reminders begin.
_DUE, _MISSED = "dispute_due:{}:", "dispute_missed:{}:"
# Longer than the gateway's own tries take; after it somebody else may submit.
LONGEST_SUBMISSION_SECONDS = 180


class DisputeUnknown(NotFound):
    """No dispute has this number."""

    sentence = "There is no dispute at this address."


class NotAnswerable(Refusal):
    """A dispute that takes no answer any more."""

    heading = "This dispute takes no answer any more"
    sentence = "It is decided, or its answer was submitted: that happens once and is final."


class AnswerUnderWay(Refusal):
    """Somebody else, or another press, submits it at this moment."""

    heading = "The answer is being submitted"
    sentence = "The answer is being submitted at this moment. Look again in a few minutes."


class AnswerNotSent(Refusal):
    """The gateway did not take the answer, or did not say that it did."""

    status = 503
    heading = "The answer was not submitted"
    sentence = "Stripe does not answer. Nothing is lost: your draft is kept. Submit it again later."


def list_disputes(place: Place = BEGINNING) -> Page[Dispute]:
    """Every dispute with its order: those that run first, then the newest."""
    ended = sa.func.coalesce(Dispute.won_at, Dispute.lost_at, Dispute.closed_at)
    runs = sa.case((ended.is_(None), 1), else_=0)
    query = sa.select(Dispute).options(joinedload(Dispute.payment).joinedload(Payment.order))
    return paginate(query, place, runs.desc(), Dispute.id.desc(), words=BY_NAME)


def dispute_by_id(dispute_id: int) -> Dispute:
    """One dispute with its payment and order. Refuses (`DisputeUnknown`)."""
    query = sa.select(Dispute).where(Dispute.id == dispute_id)
    found = db.session.scalars(
        query.options(joinedload(Dispute.payment).joinedload(Payment.order))
    ).first()
    if found is None:
        raise DisputeUnknown
    return found


def fraud_warnings(order_id: int) -> Sequence[GatewayEvent]:
    """Early warnings of a card's bank about an order's payments: a dispute may follow."""
    query = (
        sa.select(GatewayEvent)
        .join(Payment, Payment.gateway_payment_id == GatewayEvent.subject)
        .where(Payment.order_id == order_id, GatewayEvent.kind == FRAUD_WARNING)
    )
    return db.session.scalars(query.order_by(GatewayEvent.id)).all()


def save_draft(dispute_id: int, values: Mapping[str, str]) -> None:
    """Keep the answer as a person edited it; called inside a transaction. Refuses
    (`InvalidFields`, `NotAnswerable`, `DisputeUnknown`)."""
    dispute = _lock(dispute_id)
    if not may_answer(dispute):
        raise NotAnswerable
    dispute.evidence = {**check_evidence(values)}
    db.session.flush()


def gather_again(dispute_id: int) -> None:
    """Drop the draft: the answer is what our rows say. Called inside a transaction. Refuses
    (`NotAnswerable`, `DisputeUnknown`)."""
    dispute = _lock(dispute_id)
    if not may_answer(dispute):
        raise NotAnswerable
    dispute.evidence = {**gather_evidence(dispute)}
    db.session.flush()


def may_answer(dispute: Dispute) -> bool:
    """Whether an answer can still be given."""
    return dispute.is_open and dispute.submitted_at is None


def submit_answer(dispute_id: int, who: str) -> None:
    """Submit the answer for good, once however often it is pressed.

    Opens its own transactions. While one caller speaks to the gateway no other may; where the
    gateway does not take the answer the draft is kept. Refuses (`NotAnswerable`, `AnswerUnderWay`,
    `AnswerNotSent`, `InvalidFields`).
    """
    end_read()
    turn = f"answer to dispute {dispute_id}"
    if not is_turn(turn, LONGEST_SUBMISSION_SECONDS):
        raise AnswerUnderWay
    try:
        with transaction():
            dispute = _lock(dispute_id)
            if not may_answer(dispute):
                raise NotAnswerable
            # What is submitted is what is kept.
            dispute.evidence = {**check_evidence(evidence_of(dispute))}
            name, reference = dispute.gateway, dispute.gateway_dispute_id
            texts = {field: text for field, text in dispute.evidence.items() if text}
        end_read()
        _send(dispute_id, name, reference, texts)
        with transaction():
            dispute = _lock(dispute_id)
            dispute.submitted_at, dispute.submitted_by = clock.now(), who
    finally:
        end_turn(turn)


def _send(dispute_id: int, name: str, reference: str, texts: dict[str, str]) -> None:
    try:
        gateway_named(name).send_evidence(reference, texts, submit=True)
    except GatewayRefused as refused:
        _ask(dispute_id)
        raise AnswerNotSent(f"Stripe refused the answer: {refused}. Your draft is kept.") from None
    except GatewayUnreachable:
        # Perhaps only its answer was lost: then the gateway says so when it is asked.
        _ask(dispute_id)
        end_read()
        if dispute_by_id(dispute_id).submitted_at is None:
            raise AnswerNotSent from None


def _ask(dispute_id: int) -> None:
    checkout_id = dispute_by_id(dispute_id).payment.checkout_id
    end_read()
    try:
        if checkout_id is not None:
            fulfil_checkout(checkout_id)
    except GatewayUnreachable:
        log.warning("the gateway does not answer about dispute %s", dispute_id)


def remind() -> None:
    """For the timetable: two days before an answer is due staff are reminded, and told once it was
    missed. Once each."""
    now = clock.now()
    query = (
        sa.select(Dispute)
        .where(
            Dispute.won_at.is_(None),
            Dispute.lost_at.is_(None),
            Dispute.closed_at.is_(None),
            Dispute.submitted_at.is_(None),
            Dispute.due_at <= now + REMIND,
            ~sa.exists().where(is_alert(_MISSED, Dispute.id)),
            sa.or_(Dispute.due_at <= now, ~sa.exists().where(is_alert(_DUE, Dispute.id))),
        )
        .order_by(Dispute.due_at)
        .limit(AT_ONCE)
    )
    dispute_ids = [dispute.id for dispute in db.session.scalars(query)]
    if not dispute_ids:
        return
    with transaction():
        for dispute_id in dispute_ids:
            _remind(_lock(dispute_id))


def _remind(dispute: Dispute) -> None:
    if dispute.due_at is None or not may_answer(dispute):
        return
    reference, due = dispute.payment.order.reference, format_moment(dispute.due_at)
    if dispute.due_at <= clock.now():
        alert_staff(
            f"The dispute about order {reference} was not answered in time",
            f"The answer was due {due} and was not submitted, so the bank will decide for the "
            f"customer. Look whether Stripe still takes one: {desk_address(dispute)}",
            _MISSED.format(dispute.id),
        )
        return
    alert_staff(
        f"The dispute about order {reference} is due soon",
        f"The bank takes our answer until {due}, and it is not submitted. Without it the money is "
        f"lost. {desk_address(dispute)}",
        _DUE.format(dispute.id),
    )


def _lock(dispute_id: int) -> Dispute:
    dispute_by_id(dispute_id)
    return db.session.scalars(
        sa.select(Dispute)
        .where(Dispute.id == dispute_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
