"""The edition notice: what a customer reads when a new edition is theirs."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from store.catalog.covers import cover_in_letter
from store.catalog.editions import notes_in_letter
from store.catalog.models import WHAT_MATTERS, Edition, EditionStatus, Publication
from store.catalog.publications import COVER_OF_EDITION, cover_of
from store.distribution.recipients import MATTERS_ONLY, STOPPED, WITHDRAWN
from store.entitlements import links
from store.entitlements.models import (
    HELD,
    REFUNDED,
    SUSPENDED,
    Entitlement,
    News,
    NoticeStop,
    news_by,
)
from store.entitlements.notices import FIRST_COPIES
from store.entitlements.received import NOTICE, has_copy
from store.kit import clock
from store.kit.config import config
from store.kit.database import db, is_listed
from store.kit.formatting import format_day
from store.mail.letters import Hold, Letter, Skip, letter
from store.mail.mime import Mailbox
from store.mail.models import Delivery, DeliveryStatus, Occasion
from store.orders.models import Customer, Order, OrderLine

LINK_DAYS = links.MAX_AGE["library"] // links.DAY

# What differs from reader to reader; all else of a release's letter is cut once.
_OWN = ("name", "bought_on", "updates_until", "library_url", "stop_url")

_SAMPLE = SimpleNamespace(
    title="Effective SEND Practice in the Early Years",
    slug="send-early-years",
    number=2,
    label="",
    severity="guidance",
    notes="- The duties of a setting follow the new code.\n- Two forms were replaced.",
    correction="",
    cover=None,
)


def _sample() -> Letter:
    context = _words(_SAMPLE) | {
        "cover_url": "",  # of no publication that there is
        "bought_on": format_day(clock.now()),
        "library_url": f"{config().base_url}/library/sample",
        "stop_url": f"{config().base_url}/stop/sample",
    }
    return Letter(
        Mailbox("sample.reader@example.org", "Sample Reader"),
        context,
        list_id=_list_id(_SAMPLE.slug),
        unsubscribe_url=f"{config().base_url}/stop/sample",
    )


# What a stop holds back from who has a copy.
_NEWS = frozenset({Occasion.RELEASED, Occasion.CORRECTION, Occasion.ACCESS_BACK})
# Its words hang on what else has reached the reader.
_ASKED_ALONE = frozenset({Occasion.CORRECTION})

_ASKED_FOR_LESS = sa.and_(
    NoticeStop.customer_id == Customer.id,
    NoticeStop.publication_id == Publication.id,
    NoticeStop.stopped_at.is_not(None),
)
_TOLD = (
    Edition.status,
    Edition.number,
    Edition.label,
    Edition.severity,
    Edition.notes,
    Edition.correction,
    Publication.title,
    Publication.slug,
    COVER_OF_EDITION.label("cover"),
)
_RIGHT = (
    Customer.email,
    Customer.name,
    Entitlement.customer_id,
    Entitlement.order_line_id,
    Entitlement.from_edition_id,
    Entitlement.updates_until,
    Order.placed_at,
    links.newest_reference("library", Customer.id).label("library"),
    links.newest_reference("stop", Customer.id, Publication.id).label("stop"),
)
# Bought ones and the earliest first.
_IN_ORDER = (Entitlement.order_line_id.is_(None), Entitlement.id)

# Built once, as these are asked for every letter. A row for each right that the customer has to the
# publication, beside the edition.
_FACTS = (
    sa.select(
        *_TOLD,
        *_RIGHT,
        Entitlement.id.label("right_id"),
        Entitlement.revoked_at,
        Entitlement.suspended_at,
        Entitlement.held_at,
        has_copy(Customer.id, Publication.id).label("has_copy"),
        NoticeStop.stopped_at,
        NoticeStop.matters_pass,
    )
    .select_from(Edition)
    .join(Publication, Publication.id == Edition.publication_id)
    .outerjoin(
        Entitlement,
        sa.and_(
            Entitlement.publication_id == Publication.id,
            Entitlement.customer_id == sa.bindparam("reader"),
        ),
    )
    .outerjoin(Customer, Customer.id == Entitlement.customer_id)
    .outerjoin(OrderLine, OrderLine.id == Entitlement.order_line_id)
    .outerjoin(Order, Order.id == OrderLine.order_id)
    .outerjoin(NoticeStop, _ASKED_FOR_LESS)
    .where(Edition.id == sa.bindparam("edition"))
    .order_by(*_IN_ORDER)
)
_EDITION = (
    sa.select(Publication.id, *_TOLD)
    .join(Publication, Publication.id == Edition.publication_id)
    .where(Edition.id == sa.bindparam("edition"))
)


@lru_cache(maxsize=2)
def _many_rights(_dialect: str) -> sa.Executable:
    """The rights that hold, of readers who asked for no fewer news than this."""
    return (
        sa.select(*_RIGHT)
        .select_from(Entitlement)
        .join(Customer, Customer.id == Entitlement.customer_id)
        .join(Publication, Publication.id == Entitlement.publication_id)
        .outerjoin(OrderLine, OrderLine.id == Entitlement.order_line_id)
        .outerjoin(Order, Order.id == OrderLine.order_id)
        .where(
            Entitlement.publication_id == sa.bindparam("publication"),
            is_listed(Entitlement.customer_id, "readers"),
            Entitlement.revoked_at.is_(None),
            Entitlement.suspended_at.is_(None),
            Entitlement.held_at.is_(None),
            ~sa.exists().where(
                _ASKED_FOR_LESS,
                sa.or_(~NoticeStop.matters_pass, ~sa.bindparam("matters", type_=sa.Boolean)),
            ),
        )
        .order_by(*_IN_ORDER)
    )


def edition_notices(deliveries: Sequence[Delivery]) -> dict[int, Letter]:
    """The facts of many, by delivery: of those that leave whatever else may have reached their
    readers."""
    of_edition: dict[int, list[Delivery]] = defaultdict(list)
    for delivery in deliveries:
        if delivery.edition_id and delivery.customer_id and delivery.occasion not in _ASKED_ALONE:
            of_edition[delivery.edition_id].append(delivery)
    found: dict[int, Letter] = {}
    for edition_id, theirs in of_edition.items():
        edition, rights = _rights_of_many(edition_id, theirs)
        if edition.status == EditionStatus.WITHDRAWN:
            continue
        list_id, words = _list_id(edition.slug), lru_cache(maxsize=None)(partial(_words, edition))
        for delivery in theirs:
            right = rights.get(delivery.customer_id or 0)
            if right is not None and not _is_test(delivery):
                said = words(delivery.occasion or Occasion.RELEASED)
                found[delivery.id] = _notice(delivery, right, said, list_id)
    return found


@letter(NOTICE, sample=_sample, many=edition_notices)
def edition_notice(delivery: Delivery) -> Letter | Skip | Hold:
    """The facts as they are at this moment: a refund or a stop since the release leaves the
    letter out, and of a withdrawn edition it waits to be."""
    if _is_test(delivery):
        return _test_letter(
            db.session.get_one(Edition, delivery.edition_id), delivery.address or ""
        )
    right = _right_now(delivery)
    if isinstance(right, Skip | Hold):
        return right
    said = _words(right, delivery.occasion or Occasion.RELEASED)
    return _notice(delivery, right, said, _list_id(right.slug))


def _is_test(delivery: Delivery) -> bool:
    return bool((delivery.facts or {}).get("test"))


def _notice(delivery: Delivery, right: Any, said: dict[str, Any], list_id: str) -> Letter:
    stop_url = links.url_to("stop", right.stop)
    is_correction = delivery.occasion is Occasion.CORRECTION
    context = said | {
        "bought_on": format_day(right.placed_at) if right.placed_at else "",
        "is_preorder": right.from_edition_id is None and right.order_line_id is not None,
        "replaces": _withdrawn_number(delivery) if is_correction else 0,
        "updates_until": _last_day(right.updates_until),
        "library_url": links.url_to("library", right.library),
        "stop_url": stop_url,
    }
    return Letter(
        Mailbox(delivery.address or right.email, right.name),
        context,
        list_id=list_id,
        unsubscribe_url=stop_url,
        own=_OWN,
    )


def _rights_of_many(edition_id: int, deliveries: Sequence[Delivery]) -> tuple[Any, dict[int, Any]]:
    """An edition, and by customer the first right of theirs that holds."""
    connection = db.session.connection()
    edition = connection.execute(_EDITION, {"edition": edition_id}).one()
    readers = [delivery.customer_id for delivery in deliveries]
    matters = edition.severity in WHAT_MATTERS
    asked = {"publication": edition.id, "readers": readers, "matters": matters}
    rights: dict[int, Any] = {}
    for right in connection.execute(_many_rights(connection.dialect.name), asked):
        rights.setdefault(right.customer_id, right)
    return edition, rights


def _right_now(delivery: Delivery) -> Any:
    """The reader's right, beside the edition, as both stand at this moment; else why the letter
    does not leave."""
    asked = {"edition": delivery.edition_id, "reader": delivery.customer_id or 0}
    rows = db.session.connection().execute(_FACTS, asked).all()
    if rows[0].status == EditionStatus.WITHDRAWN:
        # Only the timetable leaves it out (`settle_recalled`): whose first copy it was is owed another.
        return Hold(WITHDRAWN)
    right = _standing(rows)
    if isinstance(right, Skip):
        return right
    is_news = delivery.occasion in _NEWS and right.has_copy
    news = news_by(right.stopped_at, right.matters_pass)
    if is_news and news is News.NOTHING:
        return Skip(STOPPED)
    is_minor = right.severity not in WHAT_MATTERS and delivery.occasion is not Occasion.CORRECTION
    return Skip(MATTERS_ONLY) if is_news and is_minor and news is News.MATTERS else right


def _standing(rows: Sequence[Any]) -> Any:
    """The first right that holds, else why none does."""
    kept = [row for row in rows if row.right_id is not None and row.revoked_at is None]
    if not kept:
        return Skip(REFUNDED)
    free = [row for row in kept if row.suspended_at is None]
    return next((row for row in free if row.held_at is None), Skip(HELD if free else SUSPENDED))


def _last_day(until: datetime | None) -> str:
    """A term ends with a day: at the first moment of the next."""
    return format_day(until - timedelta(seconds=1)) if until else ""


def _withdrawn_number(delivery: Delivery) -> int:
    """The number of the newest withdrawn edition that this customer was sent."""
    now = sa.select(Edition.publication_id).where(Edition.id == delivery.edition_id)
    query = (
        sa.select(sa.func.max(Edition.number))
        .join(Delivery, Delivery.edition_id == Edition.id)
        .where(
            Edition.publication_id == now.scalar_subquery(),
            Edition.status == EditionStatus.WITHDRAWN,
            Delivery.customer_id == delivery.customer_id,
            Delivery.status == DeliveryStatus.SENT,
        )
    )
    return db.session.scalar(query) or 0


def _test_letter(edition: Edition, address: str) -> Letter:
    """The links of a test open nothing that is a customer's."""
    publication = edition.publication
    desk = f"{config().base_url}/admin/publications/{publication.slug}/editions/{edition.number}"
    told = SimpleNamespace(
        title=publication.title,
        slug=publication.slug,
        number=edition.number,
        label=edition.label,
        severity=edition.severity,
        notes=edition.notes,
        correction="",
        cover=cover_of(publication),
    )
    context = _words(told) | {
        "bought_on": format_day(clock.now()),
        "is_test": True,
        "library_url": desk,
        "stop_url": f"{config().base_url}/publications/{publication.slug}",
    }
    return Letter(Mailbox(address), context)


def _words(told: Any, occasion: Occasion = Occasion.RELEASED) -> dict[str, Any]:
    """What is said alike to all who are told for this reason."""
    notes = notes_in_letter(told.notes)
    return {
        "title": told.title,
        "slug": told.slug,
        "cover_url": cover_in_letter(told.cover, told.slug, told.title),
        "edition_number": told.number,
        "edition_label": told.label,
        "severity": told.severity,
        "notes": notes.text,
        "notes_are_cut": notes.is_cut,
        "link_days": LINK_DAYS,
        "is_test": False,
        "is_to_second": False,
        "occasion": occasion.value,
        "is_first": occasion in FIRST_COPIES,
        "is_preorder": False,
        "replaces": 0,
        "correction": told.correction if occasion is Occasion.CORRECTION else "",
        "updates_until": "",
    }


def _list_id(slug: str) -> str:
    return f"{slug}.editions.{urlsplit(config().base_url).hostname}"
