"""The edition notice: what a customer reads when a new edition is theirs."""

from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from store.catalog.editions import edition_before
from store.catalog.models import Edition, EditionStatus
from store.distribution.recipients import NOTICE, REFUNDED, STOPPED, SUSPENDED, WITHDRAWN
from store.entitlements import links, stops
from store.entitlements.models import Entitlement
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.mail.letters import Letter, Skip, letter
from store.mail.message import Mailbox
from store.mail.models import Delivery
from store.orders.models import OrderLine

LINK_DAYS = links.MAX_AGE["library"] // links.DAY


def _sample() -> Letter:
    context = _words(_SampleEdition(), "Sample Reader") | {
        "bought_at": clock.now(),
        "library_url": f"{config().base_url}/library/sample",
        "stop_url": f"{config().base_url}/stop/sample",
    }
    return Letter(
        Mailbox("sample.reader@example.org", "Sample Reader"),
        context,
        list_id=_list_id(_SamplePublication.slug),
        unsubscribe_url=f"{config().base_url}/stop/sample",
    )


@letter(NOTICE, sample=_sample)
def edition_notice(delivery: Delivery) -> Letter | Skip:
    """The facts as they are at this moment: a refund, a stop or a withdrawal since the release
    leaves the letter out."""
    edition = db.session.get_one(Edition, delivery.edition_id)
    if (delivery.facts or {}).get("test"):
        return _test_letter(edition, delivery.address or "")
    if edition.status == EditionStatus.WITHDRAWN:
        return Skip(WITHDRAWN)
    right = _standing(_rights(delivery.customer_id or 0, edition.publication_id))
    if isinstance(right, Skip):
        return right
    # Outside a release it is the copy itself, held back for the 14 days, and no news of another.
    is_release = delivery.batch_id is not None or edition.released_at is None
    is_first_copy = not is_release and right.order_line_id is not None
    if not is_first_copy and stops.is_stopped(right.customer_id, edition.publication_id):
        return Skip(STOPPED)
    return _letter_to(right, edition, delivery.address, is_first_copy=is_first_copy)


def _standing(rights: list[Entitlement]) -> Entitlement | Skip:
    """The first right that holds, else why none does."""
    kept = [right for right in rights if right.revoked_at is None]
    if not kept:
        return Skip(REFUNDED)
    return next((right for right in kept if right.suspended_at is None), Skip(SUSPENDED))


def _letter_to(
    right: Entitlement, edition: Edition, address: str | None, *, is_first_copy: bool
) -> Letter:
    customer = right.customer
    stop_url = links.stop_url(customer.id, edition.publication_id)
    line = right.order_line
    context = _words(edition, customer.name) | {
        "bought_at": line.order.placed_at if line else None,
        "is_first": _is_first(right, edition),
        "is_first_copy": is_first_copy,
        "updates_until": _last_day(right.updates_until),
        "library_url": links.library_url(customer.id),
        "stop_url": stop_url,
    }
    return Letter(
        Mailbox(address or customer.email, customer.name),
        context,
        list_id=_list_id(edition.publication.slug),
        unsubscribe_url=stop_url,
    )


def _is_first(right: Entitlement, edition: Edition) -> bool:
    """Whether a pre-order comes to its end with this edition."""
    is_preorder = right.from_edition_id is None and right.order_line_id is not None
    return is_preorder and edition_before(edition) is None


def _test_letter(edition: Edition, address: str) -> Letter:
    """The links of a test open nothing that is a customer's."""
    publication = edition.publication
    desk = f"{config().base_url}/admin/publications/{publication.slug}/editions/{edition.number}"
    context = _words(edition, "") | {
        "bought_at": clock.now(),
        "is_test": True,
        "library_url": desk,
        "stop_url": f"{config().base_url}/publications/{publication.slug}",
    }
    return Letter(Mailbox(address), context)


def _words(edition: Any, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "title": edition.publication.title,
        "slug": edition.publication.slug,
        "edition_number": edition.number,
        "edition_label": edition.label,
        "severity": edition.severity,
        "notes": edition.notes,
        "link_days": LINK_DAYS,
        "is_test": False,
        "is_first": False,
        "is_first_copy": False,
        "updates_until": None,
    }


def _rights(customer_id: int, publication_id: int) -> list[Entitlement]:
    """The customer's entitlements to a publication, bought ones and the earliest first."""
    query = (
        sa.select(Entitlement)
        .where(Entitlement.customer_id == customer_id, Entitlement.publication_id == publication_id)
        .options(
            joinedload(Entitlement.customer),
            joinedload(Entitlement.order_line).joinedload(OrderLine.order),
        )
        .order_by(Entitlement.order_line_id.is_(None), Entitlement.id)
        .execution_options(populate_existing=True)
    )
    return list(db.session.scalars(query))


def _last_day(until: datetime | None) -> date | None:
    # The term ends with a day: at the first moment of the next.
    return (until - timedelta(seconds=1)).astimezone(config().zone).date() if until else None


def _list_id(slug: str) -> str:
    return f"{slug}.editions.{urlsplit(config().base_url).hostname}"


class _SamplePublication:
    title = "Effective SEND Practice in the Early Years"
    slug = "send-early-years"


class _SampleEdition:
    publication = _SamplePublication
    number = 2
    label = ""
    severity = "guidance"
    notes = "- The duties of a setting follow the new code.\n- Two forms were replaced."
