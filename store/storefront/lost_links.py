"""Links that were lost: the form that mails fresh ones, which answers everybody the same, known or
not; the button of a link that no longer opens, which does so to the address on file; and links that
were spelled a little differently on their way, which open all the same."""

from typing import Any
from urllib.parse import unquote

from flask import Blueprint, Response, current_app, redirect, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from store.entitlements import links
from store.entitlements.access import FileUnknown
from store.entitlements.fresh_links import BY_LINK, ask_for_copies, send_copies_to
from store.kit import tokens
from store.kit.database import transaction
from store.kit.errors import InvalidFields
from store.kit.forms import sent
from store.kit.limits import limiter
from store.kit.web import http_error_page, private_page, refusal_page, same_site
from store.payments.order_forms import FormSent

bp = Blueprint("lost_links", __name__)

PURPOSES = {path.strip("/"): purpose for purpose, path in links.PATHS.items()}
DOORS = {*PURPOSES, "download", "offer"}
RENEW = "/find-my-copies/renew"


@bp.get("/find-my-copies")
def form() -> str:
    """The form: an e-mail address or an order reference."""
    return render_template("storefront/find_my_copies.html", typed="", errors={})


@bp.post("/find-my-copies")
@limiter.limit("30 per hour")
def ask() -> Response:
    """Owe the letter; the answer does not say whether anybody will get it."""
    same_site(request)
    who = sent().cut("who")
    try:
        with transaction():
            asked = ask_for_copies(who)
    except InvalidFields as refusal:
        page = render_template("storefront/find_my_copies.html", typed=who, errors=refusal.faults)
        return private_page(page, refusal.status)
    return private_page(render_template("storefront/find_my_copies_sent.html", asked=asked))


@bp.post(RENEW)
@limiter.limit("30 per hour")
def renew() -> Response:
    """Mail all links to the address on file behind this one, even if it was used or ended."""
    same_site(request)
    with transaction():
        link = links.link_named(sent()["token"])
        asked = send_copies_to(links.address_on_file(link), f"link:{link.id}", by=BY_LINK)
    return private_page(render_template("storefront/link_renewed.html", asked=asked))


@bp.app_url_value_preprocessor
def clean(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Every door gets the token as it was made, whatever a mail program put into it."""
    if values and "token" in values and request.path.split("/")[1] in DOORS:
        values["token"] = tokens.cleaned(values["token"])


@bp.app_errorhandler(links.LinkExpired)
def expired(refusal: links.LinkExpired) -> Response:
    """What a link that is too old or wrongly signed shows: a button, and nothing of the order."""
    if refusal.reason == links.Ended.ERASED:
        # Nothing leads to anybody any more, so that there is nobody to mail a link to.
        return private_page(render_template("storefront/link_erased.html"), refusal.status)
    is_address = refusal.link.purpose in {"address", "move", "undo", "second", "refuse", "keep"}
    # A stranger may have placed the order: the page says nothing of what the customer did.
    ended_by_customer = {links.Ended.ADDRESS, links.Ended.ASKED, links.Ended.SECOND}
    is_hidden = refusal.link.purpose == "order" and refusal.reason in ended_by_customer
    template = "address_expired" if is_address else "link_expired"
    page = render_template(
        f"storefront/{template}.html",
        link=refusal.link,
        reason="" if is_hidden else refusal.reason,
        token=tokens.unsigned(refusal.link.reference),
    )
    # A second press of a button that has done its work is no mistake.
    is_done = is_address and refusal.link.used_at is not None
    return private_page(page, 200 if is_done else refusal.status)


@bp.app_errorhandler(FormSent)
def form_sent(refusal: FormSent) -> Response:
    """What a form shows that was sent before, where its key opens no order: the same button."""
    page = render_template("storefront/form_sent.html", refusal=refusal)
    return private_page(page, refusal.status)


@bp.app_errorhandler(FileUnknown)
def file_unknown(refusal: FileUnknown) -> Response:
    """A good link and a name of no file behind it: the button that mails the way to all of them."""
    link = links.open_download((request.view_args or {})["token"])
    page = render_template(
        "refusal.html",
        heading=refusal.heading,
        sentence=refusal.sentence,
        way_out_method="post",
        way_out_url=RENEW,
        way_out_label="Mail me a fresh link",
        way_out_fields={"token": tokens.unsigned(link.reference)},
    )
    return private_page(page, refusal.status)


@bp.app_errorhandler(404)
def not_found(error: HTTPException) -> Response:
    """An address without a page: on to the one that is meant, where marks stand behind it or its
    end is missing, or to the page with the button."""
    if request.method not in {"GET", "HEAD"} or request.path.startswith("/admin"):
        return http_error_page(error)
    # One stroke in front: with two, a browser would take what follows for another host.
    plain = "/" + _without_marks(unquote(request.path)).lstrip("/\\")
    if plain != request.path and _leads_somewhere(plain):
        return private_page(redirect(plain, 302))
    door, _, rest = plain.lstrip("/").partition("/")
    token, _, beyond = rest.partition("/")
    try:
        return _cut_short(door, token, beyond) or http_error_page(error)
    except links.LinkExpired as refusal:
        return expired(refusal)
    except links.LinkUnknown as refusal:
        return refusal_page(refusal)


def _cut_short(door: str, token: str, beyond: str) -> Response | None:
    if door == "download" and token:
        raise links.LinkExpired(links.open_download(token), links.BROKEN)
    if door not in PURPOSES or not token:
        return None
    links.open_link(token, PURPOSES[door])
    rules = (rule.rule for rule in current_app.url_map.iter_rules())
    begun = f"/{door}/<token>/{beyond}"
    if beyond and any(rule.startswith(begun) for rule in rules):
        return private_page(redirect(f"/{door}/{tokens.cleaned(token)}", 302))
    return None


def _without_marks(path: str) -> str:
    end = len(path)
    while end and not (path[end - 1].isalnum() or path[end - 1] in "-_"):
        end -= 1
    return path[:end]


def _leads_somewhere(path: str) -> bool:
    try:
        current_app.url_map.bind("").match(path, "GET")
    except RequestRedirect:
        return True
    except HTTPException:
        return False
    return True
