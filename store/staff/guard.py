"""Who may open which door of the desk. What no door says is refused.

owner: everything. editor: seller, publications, editions, releases. support: orders, customers,
letters. Money goes back by an owner's hand alone. Home, the progress of a release and one's own
account are open to all staff. Editors see of customers only the one whose letter a release shows.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from flask import Flask, current_app, redirect, request, url_for
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response

from store.kit.config import config
from store.kit.errors import Refusal
from store.kit.formatting import format_size
from store.staff import sessions
from store.staff.credentials import due_at, is_overdue
from store.staff.models import Role, StaffMember

View = TypeVar("View", bound=Callable[..., Any])

ANYBODY = frozenset({"anybody"})
STAFF = frozenset(Role)
EDITORS = frozenset({Role.OWNER, Role.EDITOR})
SUPPORT = frozenset({Role.OWNER, Role.SUPPORT})
OWNERS = frozenset({Role.OWNER})

csrf = CSRFProtect()
# What opens to somebody who must turn on two-step sign-in first.
WITHOUT_SECOND_FACTOR = {"account.two_step", "sign_in.sign_out"}


class NotYours(Refusal):
    """A door that the person's role does not open."""

    status = 403
    heading = "This is not yours to open"
    sentence = "Your role does not open this page. An owner can do it, or change your role."
    way_out = ("/admin/", "Go to your desk")


class FormTooOld(Refusal):
    """A form without the token of this session."""

    status = 400
    heading = "This form is too old"
    sentence = (
        "You signed in or out since this form was opened. Nothing was changed. "
        "Go back, load the page again and send it once more."
    )
    way_out = ("/admin/", "Go to your desk")


class FormTooLarge(Refusal):
    """More than this form takes."""

    status = 413
    heading = "That is too large"


def opens_to(roles: frozenset[Any]) -> Callable[[View], View]:
    """Say for a door which roles open it."""

    def mark(view: View) -> View:
        view.opens_to = roles  # type: ignore[attr-defined]
        return view

    return mark


def takes(most: Callable[[], int]) -> Callable[[View], View]:
    """Say for a door that its form may be larger than others: `most()` bytes."""

    def mark(view: View) -> View:
        view.takes = most  # type: ignore[attr-defined]
        return view

    return mark


def init_app(app: Flask) -> None:
    """Stand before every address of the desk."""
    sessions.init_app(app)
    csrf.init_app(app)
    app.before_request(_check)
    app.after_request(_keep_private)
    app.jinja_env.globals["may"] = may
    app.jinja_env.globals["second_factor_due"] = _second_factor_due


def signed_in() -> StaffMember:
    """Who sits at the desk; only behind a door that opens to staff."""
    person = sessions.person_at_desk()
    if person is None:
        raise RuntimeError("nobody is signed in")
    return person


def who() -> str:
    """Who the history names for what is done at the desk."""
    return signed_in().email


def may(roles: str) -> bool:
    """Whether the person may do what editors, support or owners do; for templates."""
    wanted = {"editors": EDITORS, "support": SUPPORT, "owners": OWNERS}[roles]
    person = sessions.person_at_desk()
    return person is not None and person.role in wanted


def _second_factor_due() -> datetime | None:
    """By when the person at the desk must have turned on two-step sign-in; for templates."""
    person = sessions.person_at_desk()
    return due_at(person) if person is not None else None


def _check() -> Response | None:
    if not sessions.is_desk(request.path) or request.endpoint is None:
        return None
    view = current_app.view_functions[request.endpoint]
    roles: frozenset[Any] = getattr(view, "opens_to", frozenset())
    sessions.drop_if_stale()
    if roles is not ANYBODY:
        person = sessions.person_at_desk()
        if person is None:
            asked = None if request.method == "POST" else request.full_path.rstrip("?")
            wanted = asked if asked != "/admin/" else None
            return redirect(url_for("sign_in.sign_in", next=wanted), 303)
        if person.role not in roles:
            raise NotYours
        if is_overdue(person) and request.endpoint not in WITHOUT_SECOND_FACTOR:
            return redirect(url_for("account.two_step"), 303)
    most = getattr(view, "takes", None)
    if most is not None:  # only after the sign-in: nobody else fills our disk
        request.max_content_length = most()
        request.max_form_memory_size = min(most(), 8_000_000)
    _check_token()
    return None


def _check_token() -> None:
    if request.method in {"GET", "HEAD", "OPTIONS"}:
        return
    try:
        csrf.protect()
    except CSRFError:
        raise FormTooOld from None
    except RequestEntityTooLarge:
        most = request.max_content_length or 0
        raise FormTooLarge(
            f"What you sent is larger than the {format_size(most)} that this form takes. "
            f"One file may have up to {format_size(config().max_upload)}."
        ) from None


def _keep_private(answer: Any) -> Any:
    if sessions.is_desk(request.path):
        answer.headers.setdefault("Cache-Control", "no-store")
        answer.headers.setdefault("X-Robots-Tag", "noindex")
    return answer
