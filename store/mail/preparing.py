"""From a claimed delivery to octets: facts, words, addresses; what cannot be written is held."""

import logging
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import sqlalchemy as sa

from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.kit.errors import Refusal
from store.kit.mailboxes import AddressUnwritable, OwnAddressUnwritable, own_address
from store.mail.claims import Claim
from store.mail.letters import Hold, Letter, Skip, cut_letter, facts_of, render_letter, seller
from store.mail.mime import (
    Envelope,
    LetterText,
    Mailbox,
    address_envelope,
    compose,
    new_message_id,
)
from store.mail.models import Delivery, DeliveryStatus

log = logging.getLogger(__name__)

# The database is out of reach: no fault of the letter, so it is not held for it.
_DATABASE_FAULTS = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError)

_deliveries = cast(sa.Table, Delivery.__table__)
_CLAIMED = sa.select(_deliveries).where(_deliveries.c.id == sa.bindparam("claimed"))


# How the reason of a letter begins that waits for a setting; it goes on once that is mended.
HELD_FOR_A_SETTING = "a setting of the shop is to be mended: "


class SettingFault(Exception):
    """What stands on every letter cannot be written; says which setting, in words."""


@dataclass(frozen=True)
class Prepared:
    """One letter that could leave now: plain values, no row behind them."""

    claim: Claim
    kind: str
    batch_id: int | None
    message_id: str
    address: str
    subject: str
    envelope: Envelope
    octets: bytes


@dataclass(frozen=True)
class Unsent:
    """A letter that does not leave: left out or held, with the reason. `alert` where staff must
    hear of it."""

    claim: Claim
    kind: str
    status: DeliveryStatus
    reason: str
    alert: bool = False


def prepare(claim: Claim) -> Prepared | Unsent | None:
    """Find the facts of a claimed letter and write it; None where the claim is no longer ours.

    Reads only. One letter that cannot be written is held and never stops the others.
    """
    delivery = _row_of(claim)
    if delivery is None or delivery.claimed_by != claim.worker:
        return None
    try:
        return _prepared(claim, delivery)
    except _DATABASE_FAULTS:
        raise
    except SettingFault as fault:
        return _held(claim, delivery, f"{HELD_FOR_A_SETTING}{fault}")
    except AddressUnwritable as refusal:
        return _held(claim, delivery, refusal.sentence)
    except Exception as fault:
        # Whatever a room's function or a template raises concerns this letter alone.
        log.exception("letter %s (%s) could not be written", claim.delivery_id, delivery.kind)
        return _held(claim, delivery, f"could not be written: {type(fault).__name__}")


def _row_of(claim: Claim) -> Delivery | None:
    """Its plain values: nothing here changes a delivery, and rows of a session cost more."""
    found = db.session.connection().execute(_CLAIMED, {"claimed": claim.delivery_id}).first()
    return cast(Delivery | None, found)


def _held(claim: Claim, delivery: Delivery, reason: str) -> Unsent:
    return Unsent(claim, delivery.kind, DeliveryStatus.HELD, reason, alert=True)


def _prepared(claim: Claim, delivery: Delivery) -> Prepared | Unsent:
    found = facts_of(delivery)
    if isinstance(found, Skip):
        return Unsent(claim, delivery.kind, DeliveryStatus.SKIPPED, found.reason)
    if isinstance(found, Hold):
        return Unsent(claim, delivery.kind, DeliveryStatus.HELD, found.reason)
    who = own_part()
    context = {"seller": who} | found.context
    if found.own:
        text = cut_letter(delivery.kind, context, found.own)
    else:
        text = render_letter(delivery.kind, context)
    message_id = delivery.message_id or new_message_id(_our_domain())
    return Prepared(
        claim=claim,
        kind=delivery.kind,
        batch_id=delivery.batch_id,
        message_id=message_id,
        address=found.to.address,
        subject=text.subject,
        envelope=address_envelope(config().mail_sender, found.to.address),
        octets=octets_of(found, text, message_id, who),
    )


def own_part() -> Any:
    """The seller, once all that every letter bears of the shop's own can be written. Raises
    `SettingFault`."""
    try:
        who = seller()
    except Refusal as refusal:
        raise SettingFault(refusal.sentence) from None
    sender = config().mail_sender
    for address, setting in (
        (sender, "STORE_MAIL_DEFAULT_SENDER"),
        (who.email, "the seller’s e-mail address"),
        (who.reply_to, "the seller’s address for replies"),
    ):
        try:
            _ = own_address(address) if address else ""
        except OwnAddressUnwritable as refusal:
            raise SettingFault(f"{setting}: {refusal.sentence}") from None
    return who


def compose_sample() -> bytes:
    """A letter that goes to nobody, with all that every letter bears. Raises `SettingFault`."""
    who = own_part()
    context = {"seller": who, "title": "A test of the settings", "text": "It is sent to nobody."}
    to = Mailbox(config().mail_sender)
    text = render_letter("staff_alert", context)
    address_envelope(config().mail_sender, to.address)
    return octets_of(Letter(to, context), text, new_message_id(_our_domain()), who)


def octets_of(letter: Letter, text: LetterText, message_id: str, who: Any) -> bytes:
    """The letter as it goes after DATA, from the seller `who` to the address of `letter`."""
    answers = who.reply_to or who.email
    return compose(
        text,
        sender=Mailbox(config().mail_sender, who.trading_name),
        to=letter.to,
        reply_to=Mailbox(answers) if answers else None,
        message_id=message_id,
        date=clock.now(),
        list_id=letter.list_id,
        unsubscribe_url=letter.unsubscribe_url,
    )


def _our_domain() -> str:
    return config().mail_sender.rpartition("@")[2] or str(urlsplit(config().base_url).hostname)
