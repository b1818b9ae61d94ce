"""A shop on a database from a backup."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask

from store.app import create_app
from store.kit.database import db
from tests.conftest import make_settings


@contextmanager
def put_back(url: str, tmp_path: Path, **given: Any) -> Iterator[Flask]:
    """A shop on a database from a backup, with the data folder of the shop before."""
    shop = create_app(make_settings(tmp_path, database_url=url, **given))
    with shop.app_context():
        yield shop
        db.session.remove()
        db.engine.dispose()
