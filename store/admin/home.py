"""The first page of the desk: the next step of the main job, what needs a person, what goes out
next, and the money of thirty days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, redirect, render_template, url_for
from sqlalchemy.orm import joinedload

from store.admin.needs import Need, needs
from store.admin.today import today_at_the_shop
from store.backups.latest import last_backup
from store.catalog.models import Edition, EditionStatus, Publication, PublicationStatus, Seller
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.kit.space import unrecorded_downloads
from store.mail import standstills
from store.mail.models import PRIORITIES, Batch, BatchStatus, Delivery, open_letters
from store.payments.day_sums import sums_by_day
from store.payments.sums import Sums
from store.staff import troubles
from store.staff.guard import STAFF, may, opens_to

bp = Blueprint("home", __name__, url_prefix="/admin")

DAYS = 30
# Beyond this nobody needs the exact number here.
MOST_WAITING = 10_000
_FEW = 20
_NEXT = 500
Step = tuple[str, str]


@bp.get("/")
@opens_to(STAFF)
def home() -> Any:
    """What there is to know and to do today."""
    # First of all, as it gives the connection back.
    unrecorded = unrecorded_downloads()
    steps = _first_steps() if may("editors") else []
    scheduled, going, drafts = _on_their_way()
    waiting, due = _waiting_letters()
    return render_template(
        "admin/home.html",
        steps=steps,
        acts=_next_steps(steps, [*going, *scheduled], drafts),
        standstills=standstills.unseen(),
        needs=[*_troubles(), *needs(unrecorded)],
        scheduled=scheduled,
        going=going,
        drafts=drafts,
        waiting=waiting,
        most_waiting=MOST_WAITING,
        next_due=due if due and due > clock.now() else None,
        now=clock.now(),
        backup=last_backup() if may("owners") else None,
        month=_month(),
        story=today_at_the_shop() if may("support") else [],
    )


def _troubles() -> list[Need]:
    """What is not well with the machines, before all else: what is below may be of long ago."""
    return [Need(one.words, more=one.to_do) for one in troubles.standing()]


@bp.get("", strict_slashes=False)
@opens_to(STAFF)
def bare() -> Any:
    """The address without its slash."""
    return redirect(url_for("home.home"), 301)


def _on_their_way() -> tuple[list[Edition], list[Edition], list[Edition]]:
    """Editions that are scheduled, whose letters leave now, and that are drafts."""
    open_ones = (EditionStatus.SCHEDULED, EditionStatus.DRAFT)
    which = sa.or_(Edition.status.in_(open_ones), Edition.id.in_(_leaving()))
    query = sa.select(Edition).where(which).options(joinedload(Edition.publication))
    found: dict[str, list[Edition]] = {"scheduled": [], "draft": [], "going": []}
    for edition in db.session.scalars(query.order_by(Edition.id.desc()).limit(_FEW)):
        found.get(edition.status, found["going"]).append(edition)
    found["scheduled"].sort(key=lambda one: one.release_at or clock.now())
    return found["scheduled"], found["going"], found["draft"]


def _leaving() -> sa.Select[int]:
    """The editions of those letters that are the next to leave. A batch of which letters wait for
    the end of their readers' 14 days alone does not go out now."""
    found = open_letters(Delivery.batch_id, Delivery.due_at).subquery("open_letters")
    next_ones = sa.select(found.c.batch_id).where(found.c.due_at <= clock.now()).limit(_NEXT)
    return sa.select(Batch.subject_id).where(
        Batch.reason == "edition",
        Batch.status == BatchStatus.RUNNING,
        Batch.id.in_(sa.select(next_ones.subquery().c.batch_id)),
    )


def _waiting_letters() -> tuple[int, datetime | None]:
    """How many letters wait, as far as that matters, and when the first of them falls due; while a
    release goes out neither looks at all of them."""
    some = open_letters(Delivery.id).limit(MOST_WAITING + 1).subquery("some")
    first_ones = [
        sa.select(Delivery.due_at)
        # The condition of the queue's index to the letter.
        .where(sa.text("status = 'queued' AND claimed_at IS NULL"), Delivery.priority == priority)
        .order_by(Delivery.due_at)
        .limit(1)
        .subquery(f"first_of_{priority}")
        for priority in PRIORITIES
    ]
    # What is claimed leaves now.
    claimed = sa.select(Delivery.due_at).where(sa.text("claimed_at IS NOT NULL")).limit(1)
    first_ones.append(claimed.subquery("claimed"))
    first = sa.union_all(*(sa.select(one.c.due_at) for one in first_ones)).subquery("first_ones")
    due = sa.select(sa.func.min(first.c.due_at)).scalar_subquery()
    waiting, at = db.session.execute(sa.select(sa.func.count(), due).select_from(some)).one()
    return waiting, at


def _next_steps(
    steps: list[tuple[str, str, bool]], moving: list[Edition], drafts: list[Edition]
) -> list[Step]:
    """What to press next, the first first: words and address."""
    undone = [(words, url) for words, url, is_done in steps if not is_done]
    if undone:
        return undone[:1]
    acts = [(_watch(one), _edition_url(one)) for one in moving[:1]]
    if may("editors"):
        if not acts and drafts:
            acts.append((f"Go on with edition {drafts[0].number}", _edition_url(drafts[0])))
        acts += _uploads(is_first=not acts)
    return acts


def _watch(edition: Edition) -> str:
    if edition.status is EditionStatus.SCHEDULED:
        return f"Look at edition {edition.number} before it goes out"
    return f"Watch edition {edition.number} go out"


def _uploads(*, is_first: bool) -> list[Step]:
    """To upload the next edition of what was released last, or else of what was added last."""
    newest = (
        sa.select(Publication.title, Publication.slug)
        .outerjoin(Edition, Edition.publication_id == Publication.id)
        .where(Publication.status == PublicationStatus.LISTED)
        .order_by(Edition.released_at.desc().nulls_last(), Publication.id.desc())
    )
    found = db.session.execute(newest.limit(1)).first()
    if found is None:
        return []
    if not is_first:
        return [("Upload an edition", url_for("publications.all"))]
    words = f"Upload the next edition of {found.title}"
    return [(words, url_for("editions.upload", slug=found.slug))]


def _edition_url(edition: Edition) -> str:
    return url_for("releases.one", slug=edition.publication.slug, number=edition.number)


@dataclass(frozen=True)
class Day:
    """Orders that were paid and the money of one day, and the orders 30 days before."""

    day: date
    sales: int
    sums: Sequence[Sums]
    before: int


@dataclass(frozen=True)
class Month:
    """Thirty days, oldest first, and their money by currency."""

    days: Sequence[Day]
    sums: Sequence[Sums]

    @property
    def sales(self) -> int:
        """Orders that were paid."""
        return sum(one.sales for one in self.days)

    @property
    def before(self) -> int:
        """Orders that were paid in the thirty days before."""
        return sum(one.before for one in self.days)

    @property
    def most(self) -> Day:
        """The day with the most orders."""
        return max(self.days, key=lambda one: one.sales)

    @property
    def height(self) -> int:
        """What the highest bar stands for."""
        return max(1, *(max(one.sales, one.before) for one in self.days))


def _month() -> Month | None:
    """None where nothing moved in sixty days."""
    zone = config().zone
    today = clock.today(zone)
    moved = sums_by_day(today - timedelta(days=2 * DAYS - 1), zone)
    if not moved:
        return None

    def sales(day: date) -> int:
        return sum(sums.sales for sums in moved.get(day, ()))

    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    by_currency: dict[str, list[Sums]] = {}
    for day in days:
        for sums in moved.get(day, ()):
            by_currency.setdefault(sums.currency, []).append(sums)
    return Month(
        [
            Day(day, sales(day), moved.get(day, ()), sales(day - timedelta(days=DAYS)))
            for day in days
        ],
        [_together(some) for _, some in sorted(by_currency.items())],
    )


def _together(some: Sequence[Sums]) -> Sums:
    names = ("sales", "received", "returned", "lost")
    sums = {name: sum(getattr(one, name) for one in some) for name in names}
    return Sums(some[0].currency, **sums)


def _first_steps() -> list[tuple[str, str, bool]]:
    """What a new shop does first: words, address, whether it is done; empty once all is."""
    steps = [
        ("Say who sells", "/admin/seller", _exists(Seller)),
        ("Add a publication", "/admin/publications/new", _exists(Publication)),
        (
            "Put it on sale",
            "/admin/publications",
            _exists(Publication, Publication.status != PublicationStatus.DRAFT),
        ),
        ("Upload its first edition", "/admin/publications", _exists(Edition)),
    ]
    return [] if steps[-1][2] and steps[0][2] and steps[2][2] else steps


def _exists(table: Any, *only: Any) -> bool:
    return bool(db.session.scalar(sa.select(sa.exists().select_from(table).where(*only))))
