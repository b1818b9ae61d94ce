"""The answer to a dispute, field by field: gathered from our own rows, then edited by a person.

What speaks for us is downloads, letters, terms, consent and receipt. Times are UTC, to the second, as
a bank compares them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import joinedload

from store.catalog.editions import asset_filename
from store.catalog.models import Asset, Edition
from store.entitlements.models import Download
from store.kit.config import config
from store.kit.database import db
from store.kit.errors import InvalidFields
from store.kit.money import format_money
from store.kit.text import clean_text
from store.mail.models import Attempt, Delivery
from store.orders.consents import accepted_terms, given_consent
from store.orders.models import Order
from store.payments.models import Dispute
from store.payments.receipts import Row, receipt_of

# https://docs.stripe.com/api/disputes/update: all text together.
MOST_IN_ALL = 150_000
LONG = 20_000
SHORT = 5_000
NEWEST_EDITIONS = 5
# Of a long list so many of its beginning and of its end are read; less is kept where they are long.
FIRST = 50
NEWEST = 400
# A third of the room is for the beginning: that the copy was fetched at once says the most.
_SHARE_OF_FIRST = 3
_NOTE_LENGTH = 80


@dataclass(frozen=True)
class Field:
    """One field of the answer: the gateway's name for it, ours, and the characters that it takes."""

    name: str
    label: str
    most: int = LONG
    rows: int = 6


FIELDS = (
    Field("product_description", "What was sold"),
    Field("access_activity_log", "Downloads", rows=14),
    Field("customer_name", "Customer’s name", SHORT, 1),
    Field("customer_email_address", "Customer’s e-mail address", SHORT, 1),
    Field("customer_purchase_ip", "Network address of the order", SHORT, 1),
    Field("billing_address", "Billing address", SHORT, 3),
    Field("service_date", "First day of use", SHORT, 1),
    Field("refund_policy_disclosure", "What the terms say about money back"),
    Field("cancellation_policy_disclosure", "What the terms say about cancelling"),
    Field("uncategorized_text", "Order, consent, receipt and letters", rows=14),
)


def gather_evidence(dispute: Dispute) -> dict[str, str]:
    """What our rows say for us about a disputed payment, by field, within what the bank reads."""
    order = dispute.payment.order
    agreed = _agreement(order)
    first = _download_sums(order)[3]
    found = {
        "product_description": _description(order),
        "access_activity_log": _access_log(order, LONG),
        "customer_name": order.name,
        "customer_email_address": order.email,
        "customer_purchase_ip": order.network,
        "billing_address": order.billing_address or dispute.payment.billing_country,
        "service_date": _utc(first)[:10] if first else "",
        "refund_policy_disclosure": _policy(
            order, ["Your right to cancel", "If something is wrong"]
        ),
        "cancellation_policy_disclosure": _policy(order, ["Your right to cancel"]),
        "uncategorized_text": agreed + "\n\n" + _letters_log(order, LONG - len(agreed) - 2),
    }
    return {field.name: clean_text(found[field.name])[: field.most] for field in FIELDS}


def evidence_of(dispute: Dispute) -> dict[str, str]:
    """The answer as a person left it, or as it is gathered now where nobody edited it."""
    kept = dispute.evidence
    if kept is None:
        return gather_evidence(dispute)
    return {field.name: str(kept.get(field.name, "")) for field in FIELDS}


def check_evidence(values: Mapping[str, str]) -> dict[str, str]:
    """The fields as they may be sent. Refuses (`InvalidFields`) what is longer than the bank reads."""
    texts = {field.name: clean_text(values.get(field.name, "")) for field in FIELDS}
    faults = {
        field.name: (
            f"{field.label}: {len(texts[field.name]):,} characters are more than the "
            f"{field.most:,} that the bank takes."
        )
        for field in FIELDS
        if len(texts[field.name]) > field.most
    }
    total = sum(len(text) for text in texts.values())
    if not faults and total > MOST_IN_ALL:
        faults["form"] = (
            f"All together it is {total:,} characters; the bank takes {MOST_IN_ALL:,}. Shorten it."
        )
    if faults:
        raise InvalidFields(faults)
    return texts


def _description(order: Order) -> str:
    told = [
        f"{line.title}: an electronic publication, delivered as files to download from a private "
        f"link that is mailed to the customer. {format_money(line.price_amount, order.currency)}"
        + (", ordered before it was published." if line.is_preorder else ".")
        for line in order.lines
    ]
    released = (
        sa.select(Edition)
        .where(
            Edition.publication_id.in_([line.publication_id for line in order.lines]),
            Edition.released_at.is_not(None),
        )
        .order_by(Edition.released_at.desc())
        .limit(NEWEST_EDITIONS)
    )
    told += [
        f"Edition {edition.number}{f' ({edition.label})' if edition.label else ''} of “"
        f"{edition.publication.title}” was released {_utc(edition.released_at)}."
        for edition in db.session.scalars(released)
    ]
    return "\n".join(told)


def _access_log(order: Order, most: int) -> str:
    """Every download of what was ordered, in at most so many characters: a summary of all, then
    the first and the newest, one a line."""
    count, size, networks, first, last = _download_sums(order)
    if not count:
        return "No file of this order was downloaded."
    head = (
        f"Files downloaded {'once' if count == 1 else f'{count:,} times'} by this customer, {size:,} bytes in all, from "
        f"{networks} network {'address' if networks == 1 else 'addresses'}, between "
        f"{_utc(first)} and {_utc(last)}. Each line: time, network address, browser, file, bytes, "
        "mark of the link."
    )
    oldest = db.session.scalars(_downloads(order).order_by(Download.id).limit(FIRST)).all()
    known = [one.id for one in oldest]
    newest = db.session.scalars(
        _downloads(order)
        .where(Download.id.not_in(known))
        .order_by(Download.id.desc())
        .limit(NEWEST)
    ).all()
    lines = [_download_line(one) for one in [*oldest, *reversed(newest)]]
    return f"{head}\n{keep_ends(lines, most - len(head) - 1, count, 'downloads')}"


def _downloads(order: Order) -> sa.Select[Download]:
    publications = [line.publication_id for line in order.lines]
    return (
        sa.select(Download)
        .join(Asset, Asset.id == Download.asset_id)
        .join(Edition, Edition.id == Asset.edition_id)
        .where(
            Download.customer_id == order.customer_id,
            Edition.publication_id.in_(publications),
            Download.started_at >= order.placed_at,
        )
        .options(joinedload(Download.asset).joinedload(Asset.edition))
    )


def _download_sums(order: Order) -> tuple[int, int, int, datetime | None, datetime | None]:
    query = _downloads(order).with_only_columns(
        sa.func.count(Download.id),
        sa.func.coalesce(sa.func.sum(Asset.size), 0),
        sa.func.count(Download.network.distinct()),
        sa.func.min(Download.started_at),
        sa.func.max(Download.started_at),
    )
    row = db.session.execute(query.options()).one()
    return row[0], int(row[1]), row[2], row[3], row[4]


def _download_line(download: Download) -> str:
    asset = download.asset
    return " | ".join(
        [
            _utc(download.started_at),
            download.network or "–",
            download.user_agent[:120] or "–",
            asset_filename(asset),
            f"{asset.size:,} bytes",
            download.grant_digest[:12],
        ]
    )


def _policy(order: Order, headings: Sequence[str]) -> str:
    """What the terms that the buyer accepted say under some headings, and where they stood."""
    terms = accepted_terms(order)
    if terms is None:
        return ""
    told = (
        f"Linked from the order page, before payment, as the terms of the sale: "
        f"{config().base_url}{terms.path}. Accepted {_utc(terms.accepted_at)}, version "
        f"{terms.version}. They say:"
    )
    source = ""
    environment = current_app.jinja_env
    if environment.loader is not None:
        page = f"storefront/terms/{terms.version}.html"
        source = environment.loader.get_source(environment, page)[0]
    return "\n\n".join([told, *(f"{each}: {_section(source, each)}" for each in headings)])


def _section(source: str, heading: str) -> str:
    """The text under a heading of a page of ours, without marks."""
    found = re.search(rf"<h2[^>]*>{re.escape(heading)}</h2>(.*?)(?:<h2|\Z)", source, re.DOTALL)
    words = re.sub(r"\{[%{].*?[%}]\}", "", found[1], flags=re.DOTALL) if found else ""
    return " ".join(unescape(re.sub(r"<[^>]+>", "", words)).split())


def _agreement(order: Order) -> str:
    """Where and when the order was placed, what was accepted in which wording, and the receipt."""
    lines = [
        f"Order {order.reference}, placed {_utc(order.placed_at)}"
        + (f" from network address {order.network}" if order.network else "")
        + (f" with {order.user_agent}" if order.user_agent else "")
        + "."
    ]
    terms = accepted_terms(order)
    if terms is not None:
        lines.append(
            f"Terms accepted {_utc(terms.accepted_at)}: version {terms.version}, readable at "
            f"{config().base_url}{terms.path}."
        )
    consent = given_consent(order.id)
    if consent is not None:
        lines.append(f"Consent given {_utc(consent.given_at)}: “{consent.wording}”")
    receipt = receipt_of(order)
    seller = order.seller.legal_name or order.seller.trading_name
    lines += ["", f"Receipt of {seller} for {order.email}:"]
    lines += map(_receipt_line, [*receipt.lines, *filter(None, [receipt.discount])])
    lines.append(f"Total: {format_money(order.total_amount, order.currency)}. {receipt.note}.")
    lines += map(_receipt_line, [*receipt.received, *receipt.returned])
    return "\n".join(lines)


def _receipt_line(row: Row) -> str:
    return f"- {row.words}: {row.amount}" + (f", {_utc(row.at)}" if row.at else "")


def _letters_log(order: Order, most: int) -> str:
    """The letters about an order and its editions with each try to hand them over, the first and
    the newest, in at most so many characters."""
    editions = sa.select(Edition.id).where(
        Edition.publication_id.in_([line.publication_id for line in order.lines])
    )
    theirs = sa.select(Delivery).where(
        Delivery.customer_id == order.customer_id,
        sa.or_(Delivery.order_id == order.id, Delivery.edition_id.in_(editions)),
    )
    count = db.session.scalar(sa.select(sa.func.count()).select_from(theirs.subquery())) or 0
    if not count:
        return "No letter was written about this order."
    oldest = db.session.scalars(theirs.order_by(Delivery.id).limit(FIRST)).all()
    known = [one.id for one in oldest]
    newest = db.session.scalars(
        theirs.where(Delivery.id.not_in(known)).order_by(Delivery.id.desc()).limit(NEWEST)
    ).all()
    letters = [*oldest, *reversed(newest)]
    tries: dict[int, list[Attempt]] = {letter.id: [] for letter in letters}
    attempts = sa.select(Attempt).where(Attempt.delivery_id.in_(tries)).order_by(Attempt.id)
    for attempt in db.session.scalars(attempts):
        tries[attempt.delivery_id].append(attempt)
    lines = [_letter_line(letter, tries[letter.id]) for letter in letters]
    head = f"Letters about this order ({count}), with each try to hand them over:"
    return f"{head}\n{keep_ends(lines, most - len(head) - 1, count, 'letters')}"


def _letter_line(letter: Delivery, tries: Sequence[Attempt]) -> str:
    told = "; ".join(
        f"to {one.address} {_utc(one.started_at)}: {one.outcome or 'under way'}"
        + (f" ({' '.join(one.reply.split())[:80]})" if one.reply else "")
        for one in tries[-3:]
    )
    kind = letter.kind.replace("_", " ")
    return f"{_utc(letter.created_at)} | {kind} | {letter.status} | {told or 'no try yet'}"


def keep_ends(lines: Sequence[str], most: int, count: int, what: str) -> str:
    """The first and the newest of some lines in at most `most` characters, with a line between
    that says how many of the `count` there are in all were left out."""
    whole = "\n".join(lines)
    if len(lines) == count and len(whole) <= most:
        return whole
    room = max(most - _NOTE_LENGTH, 0)
    first = _fitting(lines, room // _SHARE_OF_FIRST)
    rest = lines[len(first) :]
    newest = _fitting(rest[::-1], room - sum(len(line) + 1 for line in first))[::-1]
    left_out = count - len(first) - len(newest)
    note = [f"… {left_out:,} {what} between these are not listed one by one …"]
    return "\n".join([*first, *(note if left_out else []), *newest])[:most]


def _fitting(lines: Sequence[str], room: int) -> list[str]:
    kept = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    return kept


def _utc(moment: datetime | None) -> str:
    """`2027-03-01 09:00:00 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if moment else "–"
