"""The people behind the numbers of a release: listed, found, written to again, their addresses
corrected; and the account of it on one page."""

from typing import Any

from flask import (
    Blueprint,
    Response,
    flash,
    redirect,
    render_template,
    request,
    url_for,
)

from store.admin import release_pages as pages
from store.admin.editions import find
from store.catalog.models import Edition
from store.distribution import corrections, people
from store.distribution.live import live
from store.kit.database import transaction
from store.kit.errors import NotFound
from store.kit.forms import place_in_list, searched, status, typed
from store.kit.limits import TooOften
from store.kit.paging import PAGE_SIZE, id_in
from store.kit.spreadsheets import csv_file
from store.mail import outbox
from store.mail.models import Delivery
from store.payments.charge import is_money_under_way
from store.staff import audit, recorded
from store.staff.acts import Act
from store.staff.credentials import settles_at
from store.staff.guard import SUPPORT, opens_to, signed_in, who
from store.staff.sign_in import settled_code_faults

bp = Blueprint("coverage", __name__, url_prefix="/admin/publications/<slug>/editions/<int:number>")

COLUMNS = {
    people.GETS: "get the letter",
    "handed_over": "handed over",
    "waiting": "waiting",
    "held": "held",
    "undeliverable": "undeliverable",
    "came_back": "came back",
    "missing": "missing",
    people.LEFT_OUT: "left out",
}


@bp.get("/people/<column>")
@opens_to(SUPPORT)
def listed(slug: str, number: int, column: str) -> Any:
    """Who stands in one column: before the release who would, some at a time by key."""
    edition, why, text = find(slug, number), request.args.get("why", ""), searched()
    rows = _rows(edition, column, why)
    page = people.some_people(rows, text, place_in_list())
    here: dict[str, Any] = {"slug": slug, "number": number, "column": column}
    kept: dict[str, Any] = {"why": why or None, "q": text or None}
    return render_template(
        "admin/release_people.html",
        edition=edition,
        publication=edition.publication,
        column=column,
        why=_why_in_words(why),
        page=page.linked(lambda **there: url_for("coverage.listed", **here, **kept, **there)),
        may_retry=column == "undeliverable",
        may_correct=column in ("undeliverable", "came_back", "held"),
        text=text,
        kept=kept,
        tabs=[
            (words, url_for("coverage.listed", slug=slug, number=number, column=name), name)
            for name, words in COLUMNS.items()
            if name in _columns_of(edition)
        ],
        counts=_counts(edition),
        csv_url=url_for("coverage.csv", **here, **kept),
    )


@bp.get("/people/<column>.csv")
@opens_to(SUPPORT)
def csv(slug: str, number: int, column: str) -> Response:
    """The same list, whole."""
    edition, why = find(slug, number), request.args.get("why", "")
    rows = _rows(edition, column, why)
    with transaction():
        facts = {"column": column, "why": why}
        audit.record(Act.CUSTOMERS_EXPORTED, find(slug, number), after=facts)
    lines = people.people_csv(rows, searched())
    return csv_file(lines, f"{slug}-edition-{number}-{column.replace('_', '-')}.csv")


@bp.post("/people/undeliverable/retry")
@opens_to(SUPPORT)
def retry(slug: str, number: int) -> Any:
    """Send again what could not be delivered to those who are ticked."""
    ticked = [one for one in map(id_in, request.form.getlist("letter")) if one]
    with transaction():
        edition = find(slug, number)
        which = Delivery.id.in_(ticked[:PAGE_SIZE])
        count = outbox.retry_failed(pages.batch(edition), who(), which)
        audit.record(Act.EDITION_RETRIED, edition, after={"letters": count})
    flash(f"{count:,} {'letter is' if count == 1 else 'letters are'} tried again.")
    here: dict[str, Any] = {"slug": slug, "number": number}
    return redirect(url_for("coverage.listed", **here, column="undeliverable"), 303)


@bp.post("/people/correct")
@opens_to(SUPPORT)
def correct(slug: str, number: int) -> Any:
    """Addresses from a pasted list: what would change is shown first, then changed with a code."""
    edition, values = find(slug, number), typed()
    errors: dict[str, str] = {}
    code = 200
    try:
        found = corrections.read_corrections(edition, values["list"], is_money_under_way)
    except corrections.TooManyLines as refusal:
        found, errors = [], {"list": refusal.sentence}
    fit = [one for one in found if not one.fault]
    if not found and not errors:
        errors = {"list": "Paste at least one line with an old and a new address."}
    elif fit and values["step"] == "change":
        try:
            errors = settled_code_faults(signed_in())
        except TooOften as refusal:
            errors, code = {"code": refusal.sentence}, refusal.status
        if not errors:
            left = corrections.correct_all(
                fit, who(), is_money_under_way, recorded.address_corrected
            )
            return _corrected(edition, len(fit) - len(left), left)
    page = render_template(
        "admin/release_correct.html",
        edition=find(slug, number),
        publication=edition.publication,
        found=found,
        fit=len(fit),
        values=values,
        errors=errors,
        has_two_step=signed_in().has_two_step,
        settles_at=settles_at(signed_in()),
    )
    return page, code if code != 200 else status(errors)


def _corrected(edition: Edition, count: int, left: list[corrections.Correction]) -> Any:
    told = "1 address is" if count == 1 else f"{count:,} addresses are"
    flash(f"{told} corrected, and what they missed is on its way.")
    for one in left:
        flash(f"Line {one.line}, {one.old}: {one.fault}", "warn")
    here: dict[str, Any] = {"slug": edition.publication.slug, "number": edition.number}
    return redirect(url_for("coverage.listed", **here, column="undeliverable"), 303)


def _counts(edition: Edition) -> dict[str, int]:
    """How many stand in each column, as far as a page can say so without counting rows."""
    if edition.released_at is None:
        return {}
    now = live(edition)
    columns = {name: getattr(now, name) for name in people.COLUMNS if name != people.LEFT_OUT}
    return columns | {people.LEFT_OUT: sum(now.left_out.values())}


def _columns_of(edition: Edition) -> tuple[str, ...]:
    return people.COLUMNS if edition.released_at else (people.GETS, people.LEFT_OUT)


def _rows(edition: Edition, column: str, why: str) -> Any:
    if column not in _columns_of(edition):
        raise NotFound
    if edition.released_at is None:
        return people.before_release(edition, column, why)
    return people.of_column(edition, column, why)


def _why_in_words(why: str) -> str:
    """The reason that a list was narrowed to; empty for all."""
    words: dict[str, str] = {one.value: told for one, told in people.WHY_TOLD.items()}
    return (words | people.WHY_NOT).get(why, why)
