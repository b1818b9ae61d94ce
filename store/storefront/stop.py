"""Stopping news of new editions, in one press from the mail program or by a button; asking for what
matters alone; and undoing both."""

from flask import Blueprint, Response, render_template, request

from store.catalog.models import Publication
from store.entitlements.links import open_link
from store.entitlements.models import Link, News
from store.entitlements.news import choose_by_press, news_of
from store.kit.database import db, transaction
from store.kit.errors import Refusal
from store.kit.forms import sent
from store.kit.web import private_page, same_site

bp = Blueprint("stop", __name__)


# What a button says.
_WANTED = {"stop": News.NOTHING, "matters": News.MATTERS, "resume": News.EVERY}


class NothingAsked(Refusal):
    """A POST to a stop link that does not say what is wanted."""

    status = 400
    heading = "Nothing was changed"
    sentence = "This request did not say what to do. Open the link and press the button."


@bp.get("/stop/<token>")
def page(token: str) -> Response:
    """The page with the button; opening it changes nothing, for scanners open links too."""
    return _page(open_link(token, "stop"), token)


@bp.post("/stop/<token>")
def change(token: str) -> Response:
    """Stop at once (RFC 8058: no cookie, no referrer, no redirect), or what the button says."""
    form = sent()
    by_mail_program = form["List-Unsubscribe"] == "One-Click"
    wanted = News.NOTHING if by_mail_program else _WANTED.get(form["notices"])
    if wanted is None:
        raise NothingAsked
    if not by_mail_program:
        same_site(request)
    with transaction():
        link = open_link(token, "stop")
        if link.publication_id is None:
            raise NothingAsked
        is_owed = choose_by_press(link.customer_id, link.publication_id, wanted)
    return _page(link, token, is_done=True, is_owed=is_owed)


def _page(link: Link, token: str, *, is_done: bool = False, is_owed: bool = False) -> Response:
    publication = db.session.get_one(Publication, link.publication_id)
    page = render_template(
        "storefront/stop.html",
        publication=publication,
        news=news_of(link.customer_id, publication.id),
        is_done=is_done,
        is_owed=is_owed,
        token=token,
    )
    return private_page(page)
