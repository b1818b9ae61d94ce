"""What the shop holds about somebody: asked for behind the library link, mailed for as a link of its
own, shown as a page and as a file.

A library link is passed on to colleagues, and shows copies; a copy of the data has everything. So it
is for who reads the first mailbox now.
"""

from flask import Blueprint, Response, render_template, request, stream_with_context

from store.entitlements.fresh_links import mail_data_link
from store.entitlements.links import open_link
from store.entitlements.own_data import copy_of, parts_of
from store.kit.database import transaction
from store.kit.limits import limiter
from store.kit.web import private_page, same_site
from store.orders.customers import mask
from store.storefront.form_limits import count_letter

bp = Blueprint("own_data", __name__)


@bp.get("/library/<token>/data")
def ask_page(token: str) -> Response:
    """What is held in general, and the button that mails the link to it."""
    masked = mask(open_link(token, "library").customer.email)
    return _page("data_ask", token=token, masked=masked)


@bp.post("/library/<token>/data")
@limiter.limit("20 per hour")
def ask(token: str) -> Response:
    """Mail the first address a link to the copy."""
    same_site(request)
    customer = open_link(token, "library").customer
    count_letter(f"customer {customer.id}", customer.email)
    with transaction():
        customer = open_link(token, "library").customer
        mail_data_link(customer)
        masked = mask(customer.email)
    return _page("data_asked", token=token, masked=masked)


@bp.get("/your-data/<token>")
def show(token: str) -> Response:
    """The copy to read: the newest of each kind."""
    parts = parts_of(open_link(token, "data").customer_id)
    return _page("your_data", parts=parts, token=token)


@bp.get("/your-data/<token>/copy.json")
def file(token: str) -> Response:
    """The whole copy, written while it is read."""
    customer_id = open_link(token, "data").customer_id
    pieces = (piece.encode() for piece in copy_of(customer_id))
    answer = private_page(Response(stream_with_context(pieces), mimetype="application/json"))
    answer.headers["Content-Disposition"] = 'attachment; filename="your-data.json"'
    return answer


def _page(name: str, **values: object) -> Response:
    return private_page(render_template(f"storefront/{name}.html", **values))
