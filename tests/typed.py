"""Commands that are typed into this process, each with a shop of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from flask import Flask

from store.app import create_app
from store.commands import check
from store.kit.database import db
from store.settings import Settings


@contextmanager
def shops_are_closed() -> Iterator[None]:
    """The connections of each shop that is put together meanwhile end with this, as they do with the
    process of a command."""
    made: list[Flask] = []

    def make(settings: Settings) -> Flask:
        made.append(create_app(settings))
        return made[-1]

    try:
        with (
            mock.patch("store.app.create_app", make),
            mock.patch.object(check, "create_app", make),
        ):
            yield
    finally:
        for shop in made:
            with shop.app_context():
                db.session.remove()
                db.engine.dispose()
