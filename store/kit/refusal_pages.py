"""Refusals as pages: what was refused, why, and the way out; what the web layer refuses alike."""

from flask import Response, make_response, render_template, request
from werkzeug.exceptions import HTTPException

from store.kit.errors import Refusal


def private_page(answer: Response | str, status: int | None = None) -> Response:
    """A page behind a link, with this status or the one it has: kept by no cache, listed by no
    search engine."""
    answer = make_response(answer)
    answer.status_code = status or answer.status_code
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Robots-Tag"] = "noindex"
    return answer


def refusal_page(refusal: Refusal, way_out: tuple[str, str] | None = None) -> Response:
    """The page that says what was refused, why, and the way out: the refusal's own, or this
    address and what its button says."""
    url, label = way_out or refusal.way_out or ("", "")
    is_desk = request.path.startswith("/admin")
    page = render_template(
        "refusal.html",
        heading=refusal.heading,
        sentence=refusal.sentence,
        way_out_url=url,
        way_out_label=label,
        layout="admin/base.html" if is_desk else "base.html",
    )
    answer = private_page(page, refusal.status)
    if refusal.retry_after is not None:
        answer.headers["Retry-After"] = str(refusal.retry_after)
    return answer


class PageRefusal(Refusal):
    """What the web layer itself refuses, by its HTTP status."""

    heading = "This page did not work"
    way_out = ("/", "Go to the front page")

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(SENTENCES.get(status, SENTENCES[500]))


class PageUnknown(PageRefusal):
    """An address without a page."""

    heading = "Page not found"


SENTENCES = {
    400: "We could not read that request.",
    403: "This page is not for you.",
    404: "There is no page at this address.",
    405: "This address does not take that kind of request.",
    413: "That is larger than we can take.",
    500: "Something went wrong on our side. Nothing was lost; please try again.",
}


def http_error_page(error: HTTPException) -> Response:
    """What the web layer refuses, in our words, with the headers that belong to the status."""
    code = error.code or 500
    original = error.get_response()
    if code < 400:
        return make_response(original)
    answer = refusal_page(PageUnknown(code) if code == 404 else PageRefusal(code))
    for name in ("Allow", "Retry-After"):
        if name in original.headers:
            answer.headers[name] = original.headers[name]
    return answer
