"""The release of an edition: looked at, tried, pressed; paused, recalled, withdrawn."""

import re
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from store.admin import release_pages as pages
from store.admin.editions import find
from store.catalog.models import Edition, EditionStatus
from store.distribution import live, recalling, releasing
from store.distribution.checks import Rank, check_edition, ranked
from store.distribution.rehearsal import count_people, must_be_typed, send_test
from store.kit import clock
from store.kit.config import config
from store.kit.database import transaction
from store.kit.forms import Typed, status, typed
from store.mail import outbox
from store.staff import audit
from store.staff.acts import Act
from store.staff.guard import EDITORS, STAFF, opens_to, who

bp = Blueprint("releases", __name__, url_prefix="/admin/publications/<slug>/editions/<int:number>")


@bp.get("")
@opens_to(STAFF)
def one(slug: str, number: int) -> Any:
    """A draft to be released, a release to come, or one that is under way or over."""
    edition = find(slug, number)
    match edition.status:
        case EditionStatus.DRAFT:
            return pages.draft(edition)
        case EditionStatus.SCHEDULED:
            return pages.scheduled(edition)
    return pages.progress(edition)


@bp.get("/part")
@opens_to(STAFF)
def part(slug: str, number: int) -> Any:
    """The part of the page that turns with the state, alone: what its script asks for."""
    edition = find(slug, number)
    if edition.status is EditionStatus.SCHEDULED:
        return pages.scheduled_part(edition)
    return pages.progress_part(edition) if edition.released_at else ("", 204)


@bp.get("/letter")
@opens_to(EDITORS)
def letter(slug: str, number: int) -> AnyResponse:
    """The very letter with a real customer's values, shut in by a policy of its own."""
    return pages.letter(find(slug, number))


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
        except clock.UnclearTime as refusal:
            errors = {"at": refusal.in_picker}
        except releasing.MomentTooSoon as refusal:
            errors = {"at": refusal.sentence}
        except releasing.NothingToRelease as refusal:
            errors = {"form": refusal.sentence}
    if errors:
        return pages.draft(find(slug, number), values, errors)
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
        count = outbox.retry_failed(pages.batch(edition), who())
        audit.record(Act.EDITION_RETRIED, edition, after={"letters": count})
    letters = "letter is" if count == 1 else "letters are"
    return _back(slug, number, f"{count:,} {letters} tried again.")


@bp.post("/count")
@opens_to(EDITORS)
def count(slug: str, number: int) -> Any:
    """Compare what the page says with every letter."""
    account, agreed = live.recount(find(slug, number))
    with transaction():
        audit.record(Act.EDITION_COUNTED, find(slug, number), after={"agreed": agreed})
    people = "person" if account.total == 1 else "people"
    said = f"Counted once more: {account.total:,} {people}, each in one column."
    if not account.sums_match:
        said = "Counted once more: the sums do not match. Who is missing is owed a letter."
    and_so = "Everything agrees." if agreed else "The page had counted otherwise and is put right."
    return _back(slug, number, f"{said} {and_so}")


@bp.route("/recall", methods=["GET", "POST"])
@opens_to(EDITORS)
def recall(slug: str, number: int) -> Any:
    """Leave out what has not left, after a page that says what that means."""
    values, errors = typed(), {}
    if request.method == "POST":
        errors = _recall_faults(values)
        if not errors:
            with transaction():
                edition = find(slug, number)
                count = recalling.recall(edition, who())
                audit.record(Act.EDITION_RECALLED, edition, after={"letters_left_out": count})
            letters = "letter was" if count == 1 else "letters were"
            return _back(slug, number, f"Recalled. {count:,} {letters} left out.")
    return _confirm("recall", slug, number, values, errors)


def _recall_faults(values: Typed) -> dict[str, str]:
    """The number is that which the page showed: meanwhile the letters go on leaving."""
    shown = int(values.matching("shown", r"\d{1,9}") or 0)
    said = re.sub(r"[\s,.]", "", values["people"])
    if not must_be_typed(shown) or said == str(shown):
        return {}
    return {"people": "Type the number of letters that have not left, as it stands on this page."}


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
    return _confirm("withdraw", slug, number, Typed(), {})


def _confirm(what: str, slug: str, number: int, values: Typed, errors: dict[str, str]) -> Any:
    edition = find(slug, number)
    account = live.live(edition)
    page = render_template(
        f"admin/edition_{what}.html",
        edition=edition,
        publication=edition.publication,
        account=account,
        must_type=must_be_typed(account.waiting + account.held),
        values=values,
        errors=errors,
    )
    return page, status(errors)


def _back(slug: str, number: int, said: str) -> Any:
    flash(said)
    return redirect(url_for("releases.one", slug=slug, number=number), 303)


def _faults(edition: Edition, values: Typed) -> dict[str, str]:
    """What was typed and ticked against what is true now: the number of people may have changed."""
    now = count_people(edition)
    said = re.sub(r"[\s,.]", "", values["people"])
    faults: dict[str, str] = {}
    is_faulty = edition.assets and ranked(check_edition(edition), Rank.MEND)
    if is_faulty and not values.is_ticked("unmended"):
        faults["unmended"] = "Mend it, or tick that you release the edition as it is."
    if said != str(now):
        faults["people"] = (
            f"Type the number of people, {now:,}, to release the edition to them."
            if must_be_typed(now) and not said
            else f"The edition goes to {now:,} people now. Look again, then press again."
        )
    return faults
