"""The demonstration's inbox: the letters that would have left, as HTML, text and source."""

import re

from flask import Blueprint, Response, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from store.kit.config import config
from store.kit.database import db
from store.kit.errors import NotFound
from store.kit.forms import place_in_list
from store.kit.paging import SHORT_PAGE, paginate
from store.kit.web import FRAMING_POLICY, private_page, shut_in
from store.mail.captured import captured, read_message
from store.mail.models import CapturedLetter

bp = Blueprint("inbox", __name__, url_prefix="/demo/inbox")

# Links of a letter open in the window that shows the inbox, and only when they are pressed.
SANDBOX = "allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"
_HEAD = re.compile(r"<head[^>]*>", re.IGNORECASE)


class LetterUnknown(NotFound):
    """No captured letter has this number."""

    sentence = "There is no letter of this number in the inbox."


@bp.before_request
def _not_in_production() -> None:
    if config().env == "production":
        raise LetterUnknown


@bp.get("")
def inbox() -> AnyResponse:
    """All captured letters, newest first; `?to=` shows one address's."""
    to = request.args.get("to", "").strip()
    page = paginate(captured(to), place_in_list(), CapturedLetter.id.desc(), size=SHORT_PAGE)
    linked = page.linked(lambda **there: url_for("inbox.inbox", to=to or None, **there))
    return private_page(render_template("demo/inbox.html", page=linked, to=to))


@bp.get("/<int:letter_id>")
def letter(letter_id: int) -> AnyResponse:
    """One letter: its head, its HTML in a frame of its own, its text part."""
    found = _letter(letter_id)
    message = read_message(found)
    text = message.get_body(("plain",))
    page = render_template(
        "demo/inbox_letter.html",
        letter=found,
        message=message,
        text=text.get_content() if text else "",
        sandbox=SANDBOX,
    )
    answer = private_page(page)
    answer.headers["Content-Security-Policy"] = FRAMING_POLICY
    return answer


@bp.get("/<int:letter_id>/html")
def letter_html(letter_id: int) -> AnyResponse:
    """The HTML part by itself, shut in by its own policy."""
    body = read_message(_letter(letter_id)).get_body(("html",))
    html = body.get_content() if body else ""
    return shut_in(_HEAD.sub(r'\g<0><base target="_top">', html, count=1), SANDBOX)


@bp.get("/<int:letter_id>/source")
def letter_source(letter_id: int) -> AnyResponse:
    """The octets as they would have gone to the mail server."""
    octets = _letter(letter_id).octets
    return private_page(Response(octets, content_type="text/plain; charset=utf-8"))


def _letter(letter_id: int) -> CapturedLetter:
    found = db.session.get(CapturedLetter, letter_id)
    if found is None:
        raise LetterUnknown
    return found
