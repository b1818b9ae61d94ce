"""Settings for owners: who sells, what the shop says for itself, staff, connections."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.catalog import statements
from store.catalog.models import StatementKind
from store.catalog.sellers import SellerUnknown, current_seller
from store.kit.database import end_read, transaction
from store.kit.errors import InvalidFields, NotFound
from store.kit.forms import Typed, status, typed
from store.mail import heartbeats
from store.orders.consents import CURRENT_TERMS
from store.payments.transfers import masked
from store.staff import audit, membership
from store.staff.acts import Act
from store.staff.connections import Tried, Wanted, try_all
from store.staff.credentials import demanded_of_all_at
from store.staff.guard import OWNERS, opens_to, signed_in, takes

bp = Blueprint("settings", __name__, url_prefix="/admin/settings")

LARGEST_FORM = 200_000  # bytes, of 20,000 characters
# What the parts are called on the page; the command line's names are shorter.
PARTS = {
    "database": "Database",
    "clock": "Clock",
    "storage": "Storage of files",
    "writing": "Room to write",
    "disk": "Disk",
    "permissions": "Who else may read it",
    "files": "Stored files",
    "journal": "Journal of what a backup must not undo",
    "workers": "Workers",
    "second steps": "Second steps of staff",
    "letter": "A letter, composed",
    "mail": "Mail server",
    "mail names": "What the DNS says of the sender",
    "returned mail": "Mailbox of what comes back",
    "stripe key": "Stripe, the key",
    "stripe webhook": "Stripe, what it tells us",
}
PAGES = {
    StatementKind.TERMS: "Terms",
    StatementKind.PRIVACY: "Privacy",
    StatementKind.ACCESSIBILITY: "Accessibility",
}


@bp.get("")
@opens_to(OWNERS)
def all() -> Any:
    """What holds for the whole shop, and the way to each part of it."""
    return _page([])


@bp.post("/connections")
@opens_to(OWNERS)
def connections() -> Any:
    """Try every outside part, and show what each says."""
    end_read()  # other people's servers are asked
    tried = list(try_all(Wanted(read=0)))
    results = {PARTS[one.name]: "answers" if one.is_well else "at fault" for one in tried}
    with transaction():
        audit.record(Act.CONNECTIONS_TRIED, after=results)
    return _page(tried)


@bp.post("/letter")
@opens_to(OWNERS)
def letter() -> Any:
    """A test letter to the owner who presses, by the way that every letter takes."""
    with transaction():
        person = signed_in()
        membership.mail_a_test(person)
        audit.record(Act.TEST_MAILED, person)
        told = (
            f"A test letter to {person.email} is on its way. If it is not there in some minutes, "
        )
    flash(f"{told}look under “Letters”, and for spam.")
    return redirect(url_for("settings.all"), 303)


@bp.route("/<page>", methods=["GET", "POST"])
@opens_to(OWNERS)
@takes(lambda: LARGEST_FORM)
def statement(page: str) -> Any:
    """Paragraphs of our own behind those that every shop has; earlier versions stay readable."""
    if page not in set(StatementKind):
        raise NotFound
    kind = StatementKind(page)
    standing = statements.standing(kind)
    values, errors = Typed(text=standing.text if standing else ""), dict[str, str]()
    if request.method == "POST":
        values = typed()
        try:
            with transaction():
                _state(kind, values["text"])
        except InvalidFields as refusal:
            errors = refusal.faults
        else:
            flash("Saved. It stands on the page now.")
            return redirect(url_for("settings.statement", page=page), 303)
    shown = render_template(
        "admin/statement.html",
        kind=kind,
        title=PAGES[kind],
        values=values,
        errors=errors,
        versions=statements.versions(kind),
    )
    return shown, status(errors)


def _state(kind: StatementKind, text: str) -> None:
    before = statements.standing(kind)
    stated = statements.state(kind, text)
    if stated is not None:
        old = before.text if before else ""
        audit.record(
            Act.STATEMENT_CHANGED,
            stated,
            before={PAGES[kind].lower(): old},
            after={PAGES[kind].lower(): stated.text},
        )


def _page(tried: list[Tried]) -> Any:
    try:
        seller = current_seller()
    except SellerUnknown:
        seller = None
    members = membership.members()
    return render_template(
        "admin/settings.html",
        seller_stated=seller,
        bank=masked(seller.bank_details) if seller else "none",
        pages=[(kind, title, statements.standing(kind)) for kind, title in PAGES.items()],
        terms=CURRENT_TERMS,
        inside=sum(one.person.active for one in members),
        without=sum(one.lacks_second_step for one in members),
        demanded_at=demanded_of_all_at(),
        tried=tried,
        workers=heartbeats.workers(),
        parts=PARTS,
        me=signed_in(),
    )
