"""Who we are and what holds: terms, privacy, accessibility; what robots and finders of faults read."""

from datetime import UTC, timedelta
from urllib.parse import quote

from flask import Blueprint, Response, render_template, request

from store.catalog.models import Seller, Statement, StatementKind
from store.catalog.sellers import SellerUnknown, StatedSeller, countries_sold_to, current_seller
from store.catalog.statements import standing, statement_by_id
from store.entitlements.keeping import KEPT
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.kit.errors import NotFound
from store.kit.mailboxes import own_address
from store.kit.paging import id_in
from store.kit.text import listed
from store.kit.web import public_page
from store.orders.consents import CURRENT_TERMS, TERMS_VERSIONS

bp = Blueprint("about", __name__)

SECURITY_HOLDS = timedelta(days=90)


# What the model form asks for, as a mail (Consumer Contracts Regulations 2013, schedule 3, part B).
CANCELLING = """I hereby give notice that I cancel my contract for the supply of this digital content:

Title:
Ordered on:
Order reference:
My name:
My address:
Date:
"""


@bp.get("/terms")
def terms() -> Response:
    """What a buyer and we agree on, to be saved or printed."""
    return _terms_page(CURRENT_TERMS, _seller(), standing(StatementKind.TERMS))


@bp.get("/terms/<version>")
def terms_of(version: str) -> Response:
    """A version of the terms, with `seller` and the shop's `own` paragraphs as they were told to the
    orders that name them."""
    if version not in TERMS_VERSIONS:
        raise NotFound("There are no terms of this version.")
    trader: Seller | StatedSeller | None = _seller()
    if (number := _number("seller")) is not None:
        trader = db.session.get(Seller, number)
        if trader is None:
            raise NotFound("There are no terms of this seller.")
    own = _number("own")
    return _terms_page(
        version, trader, statement_by_id(StatementKind.TERMS, own) if own is not None else None
    )


def _number(name: str) -> int | None:
    """A row's number in the address; one that no row has for what is none."""
    asked = request.args.get(name)
    return None if asked is None else id_in(asked) or 0


@bp.get("/cancellation-form")
def cancellation_form() -> Response:
    """The model form, to be printed or sent as a mail."""
    seller, letter = _seller(), ""
    if seller is not None:
        words = f"subject={quote('I cancel my order')}&body={quote(CANCELLING, safe='')}"
        letter = f"mailto:{quote(seller.email, safe='@')}?{words}"
    return public_page(render_template("storefront/cancellation_form.html", letter=letter))


@bp.get("/privacy")
def privacy() -> Response:
    """Which data we keep, why and how long."""
    own = standing(StatementKind.PRIVACY)
    return public_page(render_template("storefront/privacy.html", own=own, kept=KEPT))


@bp.get("/accessibility")
def accessibility() -> Response:
    """How far everybody can use the shop and the publications, and whom to ask."""
    own = standing(StatementKind.ACCESSIBILITY)
    return public_page(render_template("storefront/accessibility.html", own=own))


@bp.get("/robots.txt")
def robots() -> Response:
    """Search engines may list what is on sale and nothing behind a link."""
    lines = ["User-agent: *", "Disallow: /admin/", "Disallow: /demo/", f"# {config().base_url}"]
    return Response("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")


@bp.get("/.well-known/security.txt")
def security() -> Response:
    """Whom to tell of a weakness (RFC 9116); computed, so that it never runs out."""
    seller = _seller()
    address = own_address(seller.email) if seller else config().mail_sender
    ends = clock.start_of(clock.today(config().zone) + SECURITY_HOLDS, config().zone)
    lines = [
        f"Contact: mailto:{quote(address, safe='@')}",
        f"Expires: {ends.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "Preferred-Languages: en",
    ]
    if config().base_url.startswith("https://"):  # no other address may stand there
        lines.append(f"Canonical: {config().base_url}/.well-known/security.txt")
    return Response("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")


def _terms_page(
    version: str, trader: Seller | StatedSeller | None, own: Statement | None
) -> Response:
    page = render_template(
        "storefront/terms.html",
        own=own,
        version=version,
        since=TERMS_VERSIONS[version],
        is_current=version == CURRENT_TERMS,
        trader=trader,
        countries=listed([name for _, name in countries_sold_to(trader)] if trader else []),
        others=[(name, day) for name, day in TERMS_VERSIONS.items() if name != version],
    )
    return public_page(page)


def _seller() -> StatedSeller | None:
    try:
        return current_seller()
    except SellerUnknown:
        return None
