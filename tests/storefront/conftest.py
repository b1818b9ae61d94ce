"""The doors of customers, asked by themselves or through a real nginx."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from store.settings import Settings
from tests.front import HOST, PREFIX, Front, ThroughFront, front, served
from tests.serving import free_port


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """One in front of whatever application a test has at its port."""
    with front(tmp_path_factory.mktemp("nginx"), free_port()) as running:
        yield running


@pytest.fixture
def client(
    request: pytest.FixtureRequest, app: Flask, tmp_path: Path
) -> Iterator[FlaskClient | ThroughFront]:
    """The application asked by itself, or through nginx: sending the bytes itself, or letting it."""
    way = getattr(request, "param", "alone")
    if way == "alone":
        yield app.test_client()
        return
    running: Front = request.getfixturevalue("nginx")
    known: Settings = app.extensions["colophon.settings"]
    app.config["TRUSTED_HOSTS"] = [*app.config["TRUSTED_HOSTS"], HOST]
    if way == "by nginx":
        app.extensions["colophon.settings"] = known.model_copy(update={"accel_redirect": PREFIX})
    running.sends_from(tmp_path / "files")
    with served(app, running.shop_port), running.pool() as pool:
        yield ThroughFront(pool)
