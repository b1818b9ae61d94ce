"""The release of an edition: looked at, tried, pressed; under way, and the account of it."""

import re
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from store.admin.editions import DRAFT_POLICY, SEVERITIES, files_shown, find
from store.catalog.models import Edition, EditionStatus
from store.distribution import coverage, recalling, releasing
from store.distribution.recipients import batch_of
from store.distribution.rehearsal import TYPED_ABOVE, rehearse, send_test
from store.kit import clock
from store.kit.config import config
from store.kit.database import transaction
from store.kit.forms import Typed, place_in_list, status, typed
from store.kit.status import StatusChange, history
from store.mail import outbox
from store.mail.models import Batch, BatchStatus
from store.orders.customers import customers_of
from store.staff import audit
from store.staff.acts import Act
from store.staff.guard import EDITORS, STAFF, opens_to, who

bp = Blueprint("releases", __name__, url_prefix="/admin/publications/<slug>/editions/<int:number>")

LETTER_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; "
    "frame-ancestors 'self'"
)
# Links in the letter are the customer's own: nobody who reads a preview may come in by them.
_SECRET = re.compile(r"(/(?:library|stop)/)[\w.=-]+")


@bp.get("")
@opens_to(STAFF)
def one(slug: str, number: int) -> Any:
    """A draft to be released, a release to come, or one that is under way or over."""
    edition = find(slug, number)
    match edition.status:
        case EditionStatus.DRAFT:
            return _draft_page(edition)
        case EditionStatus.SCHEDULED:
            return _scheduled_page(edition)
    return _progress_page(edition)


@bp.get("/letter")
@opens_to(EDITORS)
def letter(slug: str, number: int) -> AnyResponse:
    """The very letter with a real customer's values, shut in by a policy of its own."""
    html = _without_secrets(rehearse(find(slug, number)).letter.html)
    answer = Response(html, content_type="text/html; charset=utf-8")
    answer.headers["Content-Security-Policy"] = LETTER_POLICY
    answer.headers["X-Frame-Options"] = "SAMEORIGIN"
    answer.headers["Cross-Origin-Opener-Policy"] = "unsafe-none"
    return answer


@bp.post("/test")
@opens_to(EDITORS)
def test(slug: str, number: int) -> Any:
    """The letter to the person who presses, marked [TEST]."""
    with transaction():
        edition = find(slug, number)
        send_test(edition, who())
        audit.record(Act.EDITION_TESTED, edition, after={"to": who()})
    return _back(slug, number, f"A test is on its way to {who()}.")


@bp.post("/release")
@opens_to(EDITORS)
def release(slug: str, number: int) -> Any:
    """Press Release: now, which leaves time to take it back, or at a moment of one's choice."""
    values, edition = typed(), find(slug, number)
    errors = _faults(edition, values)
    if not errors:
        try:
            is_later = values["when"] == "later"
            at = clock.parse_moment(values["at"], config().zone) if is_later else None
            with transaction():
                edition = find(slug, number)
                leaves_at = releasing.schedule_release(edition, at, who())
                facts = {"at": leaves_at, "people": values["people"]}
                audit.record(Act.EDITION_RELEASED, edition, after=facts)
        except (clock.UnclearTime, releasing.MomentTooSoon) as refusal:
            errors = {"at": refusal.sentence}
        except releasing.NothingToRelease as refusal:
            errors = {"form": refusal.sentence}
    if errors:
        return _draft_page(find(slug, number), values, errors)
    return redirect(url_for("releases.one", slug=slug, number=number), 303)


@bp.post("/take-back")
@opens_to(EDITORS)
def take_back(slug: str, number: int) -> Any:
    """Undo the press; nothing has left."""
    with transaction():
        edition = find(slug, number)
        releasing.take_back(edition, who())
        audit.record(Act.EDITION_TAKEN_BACK, edition)
    return _back(slug, number, "Taken back. Nothing has left.")


@bp.post("/pause")
@opens_to(EDITORS)
def pause(slug: str, number: int) -> Any:
    """Hold what has not left."""
    with transaction():
        edition = find(slug, number)
        recalling.pause(edition, who(), f"{who()} paused it")
        audit.record(Act.EDITION_PAUSED, edition)
    return _back(slug, number, "Paused. What has not left waits until you go on.")


@bp.post("/resume")
@opens_to(EDITORS)
def resume(slug: str, number: int) -> Any:
    """Go on."""
    with transaction():
        edition = find(slug, number)
        recalling.resume(edition, who())
        audit.record(Act.EDITION_RESUMED, edition)
    return _back(slug, number, "The letters go on.")


@bp.post("/retry")
@opens_to(EDITORS)
def retry(slug: str, number: int) -> Any:
    """Send again what could not be delivered, and nothing else."""
    with transaction():
        edition = find(slug, number)
        count = outbox.retry_failed(_batch(edition), who())
        audit.record(Act.EDITION_RETRIED, edition, after={"letters": count})
    letters = "letter is" if count == 1 else "letters are"
    return _back(slug, number, f"{count:,} {letters} tried again.")


@bp.route("/recall", methods=["GET", "POST"])
@opens_to(EDITORS)
def recall(slug: str, number: int) -> Any:
    """Leave out what has not left, after a page that says what that means."""
    if request.method == "POST":
        with transaction():
            edition = find(slug, number)
            count = recalling.recall(edition, who())
            audit.record(Act.EDITION_RECALLED, edition, after={"letters_left_out": count})
        letters = "letter was" if count == 1 else "letters were"
        return _back(slug, number, f"Recalled. {count:,} {letters} left out.")
    return _confirm("recall", slug, number)


@bp.route("/withdraw", methods=["GET", "POST"])
@opens_to(EDITORS)
def withdraw(slug: str, number: int) -> Any:
    """Take a wrong edition out of every library, after a page that says what that means."""
    if request.method == "POST":
        with transaction():
            edition = find(slug, number)
            why = request.form.get("why", "")[:300]
            count = recalling.withdraw(edition, who(), why)
            facts = {"why": why, "letters_left_out": count}
            audit.record(Act.EDITION_WITHDRAWN, edition, after=facts)
        return _back(slug, number, "Withdrawn. Every link leads to the newest other edition now.")
    return _confirm("withdraw", slug, number)


def _draft_page(
    edition: Edition, values: Typed | None = None, errors: dict[str, str] | None = None
) -> Any:
    """All that is known before the press: files, notes, people, the letter, warnings."""
    rehearsal = rehearse(edition)
    page = render_template(
        "admin/edition_draft.html",
        edition=edition,
        publication=edition.publication,
        files=files_shown(edition),
        rehearsal=rehearsal,
        must_type=rehearsal.recipients > TYPED_ABOVE,
        press=f"Release edition {edition.number} to {rehearsal.recipients:,} "
        + ("person" if rehearsal.recipients == 1 else "people"),
        values=values or Typed(when="now"),
        errors=errors or {},
        zone=config().zone.key,
        delay=config().release_delay,
        text=_without_secrets(rehearsal.letter.text),
        severities={key: words for key, words, _ in SEVERITIES},
        tester=who(),
        history=_history(edition),
    )
    answer = Response(page, status=status(errors or {}))
    answer.headers["Content-Security-Policy"] = DRAFT_POLICY
    return answer


def _scheduled_page(edition: Edition) -> Any:
    """When it goes out, and how to take it back."""
    return render_template(
        "admin/edition_scheduled.html",
        edition=edition,
        publication=edition.publication,
        people=rehearse(edition).recipients,
        countdown=in_words(edition.release_at),
        zone=config().zone.key,
        history=_history(edition),
    )


def _progress_page(edition: Edition) -> Any:
    """Meter, figures, time left; reloading it is enough to follow."""
    account, batch = coverage.coverage(edition), _batch(edition)
    troubled = coverage.troubled_letters(batch, place_in_list())
    here: dict[str, Any] = {"slug": edition.publication.slug, "number": edition.number}
    later = coverage.count_due_later(batch) if account.waiting else 0
    return render_template(
        "admin/edition_released.html",
        edition=edition,
        publication=edition.publication,
        account=account,
        batch=batch,
        is_going=batch.status is BatchStatus.RUNNING and account.waiting > later,
        later=later,
        time_left=time_left(account.waiting - later, coverage.letters_per_second(batch)),
        troubled=troubled.linked(lambda **there: url_for("releases.one", **there, **here)),
        people=customers_of(troubled.rows),
        files=files_shown(edition),
        parts=_parts(account),
        history=_history(edition),
    )


def _confirm(what: str, slug: str, number: int) -> Any:
    edition = find(slug, number)
    return render_template(
        f"admin/edition_{what}.html",
        edition=edition,
        publication=edition.publication,
        account=coverage.coverage(edition),
    )


def _back(slug: str, number: int, said: str) -> Any:
    flash(said)
    return redirect(url_for("releases.one", slug=slug, number=number), 303)


def _faults(edition: Edition, values: Typed) -> dict[str, str]:
    """What was typed against what is true now: the number of people may have changed."""
    now = rehearse(edition).recipients
    said = re.sub(r"[\s,.]", "", values["people"])
    if said != str(now):
        if now > TYPED_ABOVE and not said:
            return {
                "people": f"Type the number of people, {now:,}, to release the edition to them."
            }
        return {"people": f"The edition goes to {now:,} people now. Look again, then press again."}
    return {}


def _history(edition: Edition) -> list[StatusChange]:
    """What happened to an edition and to the letters of its release."""
    batch = batch_of(edition)
    return history(editions=[edition.id], batches=[batch.id] if batch else [])


def _batch(edition: Edition) -> Batch:
    batch = batch_of(edition)
    if batch is None:
        raise recalling.NotReleased
    return batch


def _parts(account: coverage.Coverage) -> list[tuple[int, str, str]]:
    """The columns as the meter and the figures show them: count, words, kind."""
    return [
        (account.handed_over, "handed over", "over"),
        (account.waiting, "waiting", "wait"),
        (account.held, "held", "wait"),
        (account.undeliverable, "undeliverable", "fail"),
        (account.came_back, "came back", "fail"),
        (sum(account.left_out.values()), "left out", "left"),
        (account.missing, "missing", "fail"),
    ]


def in_words(moment: datetime | None) -> str:
    """`in 9 minutes`, `in 3 days`; what is due now is `in a moment`."""
    seconds = int((moment - clock.now()).total_seconds()) if moment else 0
    if seconds < 1:
        return "in a moment"
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= 2 * size or size == 1:
            count = round(seconds / size)
            return f"in {count} {name}" + ("" if count == 1 else "s")
    raise AssertionError("seconds always fit")


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


def _without_secrets(letter: str) -> str:
    return _SECRET.sub(r"\1…", letter)
