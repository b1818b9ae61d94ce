"""A browser of its own for the desk: each request in a context of its own, as on a server."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.admin.contested import desk, order_id  # noqa: F401 - fixtures


class Browser(FlaskClient):
    """The test client; nothing that one request kept in mind reaches the next."""

    def open(self, *args: Any, **given: Any) -> TestResponse:
        with self.application.app_context():
            return super().open(*args, **given)


@pytest.fixture(autouse=True)
def _browser(app: Flask) -> None:
    app.test_client_class = Browser
    # The cheapest hash there is: what it costs is the library's business, not these tests'.
    hashing = app.extensions["security"].pwd_context
    hashing.update(argon2__time_cost=1, argon2__memory_cost=64, argon2__parallelism=1)
