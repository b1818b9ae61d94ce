"""A browser of its own for the desk: each request in a context of its own, as on a server."""

from typing import Any

import pytest
from argon2 import PasswordHasher
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
def _browser(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    app.test_client_class = Browser
    # The cheapest hash there is: what it costs is the library's business, not these tests'.
    cheapest = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr("store.staff.credentials.HASHER", cheapest)
