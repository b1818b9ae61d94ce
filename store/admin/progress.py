"""A release under way and the account of it: who has it, who waits, who could not be reached."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.admin import looking
from store.admin.edition_parts import files_shown, find
from store.catalog.models import Edition
from store.distribution import pacing, recalling
from store.distribution.coverage import Coverage, coverage
from store.distribution.recipients import batch_of
from store.kit import clock
from store.kit.config import config
from store.kit.database import db, transaction
from store.mail import outbox
from store.mail.models import Batch, BatchStatus, Delivery, DeliveryStatus
from store.staff.guard import EDITORS, opens_to, who

bp = Blueprint("progress", __name__, url_prefix="/admin/publications/<slug>/editions/<int:number>")

LATELY = timedelta(minutes=1)


def page(edition: Edition) -> Any:
    """Meter, figures, time left; reloading it is enough to follow."""
    account, batch = coverage(edition), _batch(edition)
    troubled = looking.troubled(batch.id, request.args.get("page", 1, int))
    here: dict[str, Any] = {"slug": edition.publication.slug, "number": edition.number}
    later = _due_later(batch) if account.waiting else 0
    return render_template(
        "admin/edition-released.html",
        edition=edition,
        publication=edition.publication,
        account=account,
        batch=batch,
        is_going=batch.status is BatchStatus.RUNNING and account.waiting > later,
        later=later,
        time_left=time_left(account.waiting - later, _pace(batch)),
        troubled=troubled.linked(lambda other: url_for("editions.one", page=other, **here)),
        people=looking.people(troubled.rows),
        files=files_shown(edition),
        parts=_parts(account),
        history=looking.edition_history(edition.id),
    )


@bp.post("/pause")
@opens_to(EDITORS)
def pause(slug: str, number: int) -> Any:
    """Hold what has not left."""
    with transaction():
        pacing.pause(find(slug, number), who(), f"{who()} paused it")
    return _back(slug, number, "Paused. What has not left waits until you go on.")


@bp.post("/resume")
@opens_to(EDITORS)
def resume(slug: str, number: int) -> Any:
    """Go on."""
    with transaction():
        pacing.resume(find(slug, number), who())
    return _back(slug, number, "The letters go on.")


@bp.post("/retry")
@opens_to(EDITORS)
def retry(slug: str, number: int) -> Any:
    """Send again what could not be delivered, and nothing else."""
    with transaction():
        count = outbox.retry_failed(_batch(find(slug, number)), who())
    letters = "letter is" if count == 1 else "letters are"
    return _back(slug, number, f"{count:,} {letters} tried again.")


@bp.route("/recall", methods=["GET", "POST"])
@opens_to(EDITORS)
def recall(slug: str, number: int) -> Any:
    """Leave out what has not left, after a page that says what that means."""
    if request.method == "POST":
        with transaction():
            count = recalling.recall(find(slug, number), who())
        letters = "letter was" if count == 1 else "letters were"
        return _back(slug, number, f"Recalled. {count:,} {letters} left out.")
    return _confirm("recall", slug, number)


@bp.route("/withdraw", methods=["GET", "POST"])
@opens_to(EDITORS)
def withdraw(slug: str, number: int) -> Any:
    """Take a wrong edition out of every library, after a page that says what that means."""
    if request.method == "POST":
        with transaction():
            recalling.withdraw(find(slug, number), who(), request.form.get("why", "")[:300])
        return _back(slug, number, "Withdrawn. Every link leads to the newest other edition now.")
    return _confirm("withdraw", slug, number)


def time_left(waiting: int, per_second: float) -> str:
    """`About 4 minutes left at 2 letters a second.`; nothing where nothing can be said."""
    if waiting < 1 or per_second <= 0:
        return ""
    minutes = waiting / per_second / 60
    pace = f"{per_second:.1f}".removesuffix(".0") if per_second < 10 else f"{per_second:,.0f}"
    if minutes < 1:
        return f"Less than a minute left at {pace} letters a second."
    if minutes < 90:
        count = round(minutes)
        return f"About {count} minute{'' if count == 1 else 's'} left at {pace} letters a second."
    return f"About {round(minutes / 60)} hours left at {pace} letters a second."


def _confirm(what: str, slug: str, number: int) -> Any:
    edition = find(slug, number)
    return render_template(
        f"admin/edition-{what}.html",
        edition=edition,
        publication=edition.publication,
        account=coverage(edition),
    )


def _back(slug: str, number: int, said: str) -> Any:
    flash(said)
    return redirect(url_for("editions.one", slug=slug, number=number), 303)


def _batch(edition: Edition) -> Batch:
    batch = batch_of(db.session, edition)
    if batch is None:
        raise recalling.NotReleased
    return batch


def _pace(batch: Batch) -> float:
    """Letters a second: what left in the last minute, else what the settings allow."""
    lately = sa.select(sa.func.count(), sa.func.min(Delivery.sent_at)).where(
        Delivery.batch_id == batch.id,
        Delivery.status == DeliveryStatus.SENT,
        Delivery.sent_at > clock.now() - LATELY,
    )
    count, first = db.session.execute(lately).one()
    if count < 2 or first is None:
        return config().mail_rate
    seconds = (clock.now() - first).total_seconds()
    return float(count) / max(seconds, 1.0)


def _due_later(batch: Batch) -> int:
    query = sa.select(sa.func.count()).where(
        Delivery.batch_id == batch.id,
        Delivery.status == DeliveryStatus.QUEUED,
        Delivery.due_at > clock.now(),
    )
    return db.session.scalar(query) or 0


def _parts(account: Coverage) -> list[tuple[int, str, str]]:
    """The columns as the meter and the figures show them: count, words, kind."""
    return [
        (account.handed_over, "handed over", "over"),
        (account.waiting, "waiting", "wait"),
        (account.held, "held", "wait"),
        (account.undeliverable, "undeliverable", "fail"),
        (sum(account.left_out.values()), "left out", "left"),
        (account.missing, "missing", "fail"),
    ]
