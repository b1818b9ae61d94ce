"""The release of an edition: looked at, tried, pressed, taken back."""

import re
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from store.admin import looking
from store.admin.edition_parts import SEVERITIES, files_shown, find
from store.catalog.models import Edition
from store.distribution import releasing
from store.distribution.rehearsing import Rehearsal, rehearse
from store.kit import clock
from store.kit.config import config
from store.kit.database import transaction
from store.kit.forms import Typed, status, typed
from store.kit.web import PAGE_POLICY
from store.staff.guard import EDITORS, opens_to, who

bp = Blueprint("releases", __name__, url_prefix="/admin/publications/<slug>/editions/<int:number>")

# Above this the number is typed, so that nobody writes to a thousand people by a slip.
TYPED_ABOVE = 100
DRAFT_POLICY = f"{PAGE_POLICY}; frame-src 'self'"
LETTER_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; "
    "frame-ancestors 'self'"
)
# Links in the letter are the customer's own: whoever reads a preview must not come in by them.
_SECRET = re.compile(r"(/(?:library|stop)/)[\w.=-]+")


def draft_page(
    edition: Edition, values: Typed | None = None, errors: dict[str, str] | None = None
) -> Any:
    """All that is known before the press: files, notes, people, the letter, warnings."""
    rehearsal = rehearse(edition)
    page = render_template(
        "admin/edition-draft.html",
        edition=edition,
        publication=edition.publication,
        files=files_shown(edition),
        rehearsal=rehearsal,
        must_type=rehearsal.recipients > TYPED_ABOVE,
        press=_press_words(edition, rehearsal),
        values=values or Typed(when="now"),
        errors=errors or {},
        zone=config().zone.key,
        delay=config().release_delay,
        text=_without_secrets(rehearsal.letter.text),
        severities={key: words for key, words, _ in SEVERITIES},
        tester=who(),
        history=looking.edition_history(edition.id),
    )
    answer = Response(page, status=status(errors or {}))
    answer.headers["Content-Security-Policy"] = DRAFT_POLICY
    return answer


def scheduled_page(edition: Edition) -> Any:
    """When it goes out, and how to take it back."""
    return render_template(
        "admin/edition-scheduled.html",
        edition=edition,
        publication=edition.publication,
        people=rehearse(edition).recipients,
        countdown=in_words(edition.release_at),
        zone=config().zone.key,
        history=looking.edition_history(edition.id),
    )


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
    """The letter to whoever presses, marked [TEST]."""
    with transaction():
        releasing.send_test(find(slug, number), who())
    flash(f"A test is on its way to {who()}.")
    return redirect(url_for("editions.one", slug=slug, number=number), 303)


@bp.post("/release")
@opens_to(EDITORS)
def release(slug: str, number: int) -> Any:
    """Press Release: now, which leaves time to take it back, or at a moment of one's choice."""
    values, edition = typed(), find(slug, number)
    errors = _faults(edition, values)
    if not errors:
        try:
            at = clock.parse_moment(values["at"], config().zone) if _is_later(values) else None
            with transaction():
                releasing.schedule_release(find(slug, number), at, who())
        except (clock.UnclearTime, releasing.MomentTooSoon) as refusal:
            errors = {"at": refusal.sentence}
        except releasing.NothingToRelease as refusal:
            errors = {"form": refusal.sentence}
    if errors:
        return draft_page(find(slug, number), values, errors)
    return redirect(url_for("editions.one", slug=slug, number=number), 303)


@bp.post("/take-back")
@opens_to(EDITORS)
def take_back(slug: str, number: int) -> Any:
    """Undo the press; nothing has left."""
    with transaction():
        releasing.take_back(find(slug, number), who())
    flash("Taken back. Nothing has left.")
    return redirect(url_for("editions.one", slug=slug, number=number), 303)


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


def _without_secrets(letter: str) -> str:
    return _SECRET.sub(r"\1…", letter)


def _is_later(values: Typed) -> bool:
    return bool(values["when"] == "later")


def _press_words(edition: Edition, rehearsal: Rehearsal) -> str:
    people = rehearsal.recipients
    return f"Release edition {edition.number} to {people:,} " + (
        "person" if people == 1 else "people"
    )
