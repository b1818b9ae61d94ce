"""The desk's session: a signed cookie under /admin alone, two hours idle, twelve in all."""

from typing import Any

from flask import Flask, Request, g, request, session
from flask.sessions import SecureCookieSessionInterface
from flask_login import LoginManager, current_user, login_user, logout_user

from store.kit import clock
from store.staff.models import StaffMember
from store.staff.people import staff_by_sign_in_key

IDLE_SECONDS = 2 * 3600
WHOLE_SECONDS = 12 * 3600


class DeskSessions(SecureCookieSessionInterface):
    """Elsewhere there is no session: nothing is read, and writing one is a mistake that raises."""

    def open_session(self, app: Flask, request: Request) -> Any:
        """The session at the desk; none at every other door."""
        return super().open_session(app, request) if is_desk(request.path) else None


def init_app(app: Flask) -> None:
    """Know the staff by their sessions, in this application."""
    app.session_interface = DeskSessions()
    login_manager = LoginManager()
    # Its own processor would look for a person at every page of the shop.
    login_manager.init_app(app, add_context_processor=False)
    login_manager.user_loader(staff_by_sign_in_key)
    app.context_processor(_person_on_page)


def is_desk(path: str) -> bool:
    """Whether an address belongs to the desk."""
    return path == "/admin" or path.startswith("/admin/")


def _person_on_page() -> dict[str, Any]:
    return {"current_user": current_user} if is_desk(request.path) else {}


def person_at_desk() -> StaffMember | None:
    """Who is signed in."""
    if not current_user.is_authenticated:
        return None
    person: StaffMember = current_user._get_current_object()  # noqa: SLF001 - werkzeug's own way
    return person


def begin(person: StaffMember) -> None:
    """Sign the person in, with nothing kept of the session before."""
    session.clear()
    g.pop("csrf_token", None)  # Flask-WTF keeps the old one for this request
    login_user(person)
    session["began_at"] = session["seen_at"] = seconds()


def drop_if_stale() -> None:
    """End a session that idled too long or is too old; else note that somebody is there."""
    if "began_at" not in session:
        return  # nobody signed in
    now = seconds()
    began, seen = session["began_at"], session["seen_at"]
    if now - began > WHOLE_SECONDS or now - seen > IDLE_SECONDS:
        forget()
    elif request.headers.get("Sec-Fetch-Dest") != "empty" and now > seen:
        # A page that refreshes itself is nobody at the desk.
        session["seen_at"] = now


def forget() -> None:
    """Keep nothing of this session."""
    logout_user()  # the person may have been looked up in this request already
    session.clear()


def seconds() -> int:
    """The moment as sessions keep it."""
    return int(clock.now().timestamp())
