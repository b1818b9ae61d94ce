"""A member of staff at the desk, for tests: signed in through the form like anybody."""

import re

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from store.kit.database import transaction
from store.staff.people import add_staff

PASSWORD = "three plain words"


def a_member(email: str = "olga@publisher.example", role: str = "owner") -> str:
    """Somebody who may sign in; returns the address."""
    with transaction():
        add_staff(email, role, PASSWORD)
    return email


def token_in(page: str) -> str:
    """The form token of a page of the desk."""
    found = re.search(r'name="csrf_token"\s+value="([^"]+)"', page)
    assert found, "no form token on the page"
    return found[1]


def press(client: FlaskClient, url: str, data: dict | None = None, **more: object) -> TestResponse:
    """Send a form as a browser would: the page is opened first and its token goes along."""
    page = client.get(more.pop("seen_on", url)).text
    return client.post(url, data={"csrf_token": token_in(page), **(data or {})}, **more)


def sign_in(
    client: FlaskClient, email: str = "olga@publisher.example", **more: str
) -> TestResponse:
    """Through the sign-in form."""
    return press(client, "/admin/sign-in", {"email": email, "password": PASSWORD, **more})


def signed_in(client: FlaskClient, role: str = "owner") -> FlaskClient:
    """A client at which somebody of this role sits."""
    email = a_member(f"{role}@publisher.example", role)
    answer = sign_in(client, email)
    assert answer.status_code == 303, answer.text
    return client
