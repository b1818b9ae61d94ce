"""The expected date of a publication: moved, after a page that shows who is told and the letter; and the
account of those letters.
"""

import re
from datetime import date
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for

from store.catalog.models import DateMove, Publication
from store.catalog.publications import PublicationUnknown, moves_of, publication_by_slug
from store.distribution.rehearsal import TYPED_ABOVE
from store.kit import clock
from store.kit.config import config
from store.kit.database import transaction
from store.kit.errors import InvalidFields
from store.kit.forms import Reader, Typed, place_in_list, status, typed
from store.kit.paging import id_in
from store.kit.web import FRAMING_POLICY, shut_in
from store.mail import outbox
from store.mail.batches import COLUMNS
from store.orders.consents import promise_in_words
from store.orders.customers import customers_of
from store.payments import date_batches
from store.payments.date_letters import Rehearsal, rehearse, send_test
from store.payments.date_moves import batch_of_move, change_date, is_out, refuse_unfit
from store.payments.promised import WHY_LEFT_OUT, count_promised
from store.staff import audit, recorded
from store.staff.acts import Act
from store.staff.guard import EDITORS, may, opens_to, who

bp = Blueprint("date_moves", __name__, url_prefix="/admin/publications/<slug>/date")

UNREADABLE = "Choose the new date."


@bp.route("", methods=["GET", "POST"])
@opens_to(EDITORS)
def move(slug: str) -> Any:
    """Who was promised what, the new date, the letter; pressed, the date is moved and all are told."""
    publication = publication_by_slug(slug)
    values = typed() if request.method == "POST" else Typed(request.args.items())
    if is_out(publication.id):
        return redirect(url_for("publications.one", slug=slug), 303)
    errors: dict[str, str] = {}
    if request.method == "POST":
        try:
            day = _read(publication, values)
            if values["act"] == "move":
                return _moved(slug, day, values)
            if values["act"] == "test":
                return _tested(slug, day, values)
        except InvalidFields as refusal:
            errors = refusal.faults
    return _page(publication_by_slug(slug), values, errors)


def _read(publication: Publication, values: Typed) -> date:
    """The new date. Refuses (`InvalidFields`) what cannot be told."""
    reader = Reader(values)
    day = reader.day("new_on", UNREADABLE, needed=True)
    reader.check()
    refuse_unfit(publication, day, values["reason"])
    if day is None:
        raise InvalidFields({"new_on": UNREADABLE})
    return day


def _moved(slug: str, day: date, values: Typed) -> Any:
    with transaction():
        publication = publication_by_slug(slug)
        people = count_promised(publication.id)
        _count_again(people, values)
        change = change_date(publication, day, values["reason"], who())
        recorded.date_moved(change, people)
        number = change.number
    flash(f"The date is moved: it comes {promise_in_words(day)}.")
    return redirect(url_for("date_moves.told", slug=slug, number=number), 303)


def _count_again(people: int, values: Typed) -> None:
    """What was typed against what is true now: the number of people may have changed."""
    said = re.sub(r"[\s,.]", "", values["people"])
    if said == str(people):
        return
    if people > TYPED_ABOVE and not said:
        raise InvalidFields({"people": f"Type the number of people, {people:,}, to tell them."})
    raise InvalidFields({"people": f"{people:,} people wait now. Look again, then press again."})


def _tested(slug: str, day: date, values: Typed) -> Any:
    with transaction():
        publication = publication_by_slug(slug)
        send_test(publication, day, values["reason"], who())
        audit.record(Act.DATE_TESTED, publication, after={"to": who()})
    flash(f"A test is on its way to {who()}.")
    return _page(publication_by_slug(slug), values, {})


def _page(publication: Publication, values: Typed, errors: dict[str, str]) -> Response:
    reader = Reader(values)
    day = reader.day("new_on", UNREADABLE)
    seen = rehearse(publication, day, values["reason"], _after(values))
    shown = {"slug": publication.slug, "new_on": values["new_on"], "reason": values["reason"]}
    page = render_template(
        "admin/date_move.html",
        publication=publication,
        promised=promise_in_words(publication.expected_on) if publication.expected_on else "",
        has_passed=publication.expected_on and publication.expected_on < _today(),
        values=values,
        errors=errors,
        seen=seen,
        why_left_out=WHY_LEFT_OUT,
        press=_press(seen),
        must_type=seen.people > TYPED_ABOVE,
        earliest=_today().isoformat(),
        moves=moves_of(publication.id)[::-1],
        letter_url=url_for("date_moves.letter", after=values["after"], **shown),
        other_url=url_for("date_moves.move", after=seen.next_id, **shown) if may("support") else "",
        tester=who(),
    )
    answer = Response(page, status=status(errors))
    answer.headers["Content-Security-Policy"] = FRAMING_POLICY
    return answer


def _press(seen: Rehearsal) -> str:
    if not seen.people:
        return "Move the date"
    people = "1 person" if seen.people == 1 else f"{seen.people:,} people"
    return f"Move the date and tell {people}"


def _today() -> date:
    return clock.today(config().zone)


def _after(values: Typed) -> int:
    """Behind whom the customer comes whose letter is shown. Who may not see customers sees the first
    alone: one after the other would be the list of them."""
    return (id_in(values["after"]) or 0) if may("support") else 0


@bp.get("/letter")
@opens_to(EDITORS)
def letter(slug: str) -> Response:
    """The very letter with a real customer's values, shut in by a policy of its own."""
    values = Typed(request.args.items())
    day = Reader(values).day("new_on", UNREADABLE)
    found = rehearse(publication_by_slug(slug), day, values["reason"], _after(values))
    return shut_in(found.letter.html if found.letter else "")


@bp.get("/<int:number>")
@opens_to(EDITORS)
def told(slug: str, number: int) -> Any:
    """The account of a change: everybody in one column, and what could not be delivered."""
    change = _change(slug, number)
    account = date_batches.account_of(change)
    column = request.args.get("column", "")
    column = column if column in COLUMNS.values() else "handed_over"
    rows = date_batches.letters_in(change, column, place_in_list())
    here: dict[str, Any] = {"slug": slug, "number": number, "column": column}
    return render_template(
        "admin/date_told.html",
        publication=change.publication,
        change=change,
        old=promise_in_words(change.old_on) if change.old_on else "",
        new=promise_in_words(change.new_on) if change.new_on else "",
        account=account,
        column=column,
        rows=rows.linked(lambda **there: url_for("date_moves.told", **there, **here)),
        people=customers_of(rows.rows),
        why_left_out=WHY_LEFT_OUT,
    )


@bp.post("/<int:number>/pause")
@opens_to(EDITORS)
def pause(slug: str, number: int) -> Any:
    """Hold what has not left."""
    with transaction():
        change = _change(slug, number)
        date_batches.pause(change, who())
        audit.record(Act.DATE_PAUSED, change.publication)
    return _back(slug, number, "Paused. What has not left waits until you go on.")


@bp.post("/<int:number>/resume")
@opens_to(EDITORS)
def resume(slug: str, number: int) -> Any:
    """Go on."""
    with transaction():
        change = _change(slug, number)
        date_batches.resume(change, who())
        audit.record(Act.DATE_RESUMED, change.publication)
    return _back(slug, number, "The letters go on.")


@bp.post("/<int:number>/retry")
@opens_to(EDITORS)
def retry(slug: str, number: int) -> Any:
    """Send again what could not be delivered, and nothing else."""
    with transaction():
        change = _change(slug, number)
        count = outbox.retry_failed(batch_of_move(change), who())
        audit.record(Act.DATE_RETRIED, change.publication, after={"letters": count})
    letters = "letter is" if count == 1 else "letters are"
    return _back(slug, number, f"{count:,} {letters} tried again.")


def _back(slug: str, number: int, said: str) -> Any:
    flash(said)
    return redirect(url_for("date_moves.told", slug=slug, number=number), 303)


def _change(slug: str, number: int) -> DateMove:
    for change in moves_of(publication_by_slug(slug).id):
        if change.number == number:
            return change
    raise PublicationUnknown("This publication’s date was not moved so often.")
