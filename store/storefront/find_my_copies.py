"""One field, one answer: everybody is told the same, whether we know them or not."""

from flask import Blueprint, Response, render_template, request

from store.entitlements.fresh_links import ask_for_copies
from store.kit.database import transaction
from store.kit.errors import InvalidFields
from store.kit.limits import limiter
from store.kit.web import private_page, same_site

bp = Blueprint("find_my_copies", __name__)


@bp.get("/find-my-copies")
def form() -> str:
    """The form: an e-mail address or an order reference."""
    return render_template("storefront/find_my_copies.html", typed="", errors={})


@bp.post("/find-my-copies")
@limiter.limit("30 per hour")
def ask() -> Response:
    """Owe the letter; the answer does not say whether anybody will get it."""
    same_site(request)
    who = request.form.get("who", "")[:400]
    try:
        with transaction():
            asked = ask_for_copies(who)
    except InvalidFields as refusal:
        page = render_template("storefront/find_my_copies.html", typed=who, errors=refusal.faults)
        return private_page(page, refusal.status)
    return private_page(render_template("storefront/find_my_copies_sent.html", asked=asked))
