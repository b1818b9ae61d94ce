"""Links that no longer open, and the one button that mails fresh ones to the address on file."""

from flask import Blueprint, Response, render_template, request

from store.entitlements.finding import BY_LINK, send_copies_to
from store.entitlements.links import LinkExpired, LinkUnknown, address_on_file, open_link
from store.entitlements.models import Link
from store.kit.database import transaction
from store.kit.limits import limiter
from store.kit.refusal_pages import private_page
from store.kit.web import same_site

bp = Blueprint("closed_links", __name__)


@bp.app_errorhandler(LinkExpired)
def expired(refusal: LinkExpired) -> Response:
    """What a link that is too old or wrongly signed shows: a button, and nothing of the order."""
    is_address = refusal.link.purpose in {"address", "undo"}
    template = "address_expired" if is_address else "link_expired"
    token = (request.view_args or {}).get("token", "")
    page = render_template(f"storefront/{template}.html", link=refusal.link, token=token)
    answer = private_page(page)
    # A second press of a button that has done its work is no mistake.
    is_done = is_address and refusal.link.used_at is not None
    answer.status_code = 200 if is_done else refusal.status
    return answer


@bp.post("/find-my-copies/renew")
@limiter.limit("30 per hour")
def renew() -> Response:
    """Mail all links to the address on file of whoever holds this one, whatever became of it."""
    same_site(request)
    token = request.form.get("token", "")
    with transaction():
        link = _link_in(token)
        asked = send_copies_to(address_on_file(link), f"link:{link.id}", by=BY_LINK)
    return private_page(render_template("storefront/link_renewed.html", asked=asked))


def _link_in(token: str) -> Link:
    for purpose in ("library", "order", "stop", "download", "order_download"):
        try:
            return open_link(token, purpose)
        except LinkExpired as refusal:
            return refusal.link
        except LinkUnknown:
            continue
    raise LinkUnknown
