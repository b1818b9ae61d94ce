"""The staff's doors, put together."""

from flask import Flask

from store.admin import account, accounts, guard, home, signing_in

DOORS = (signing_in.bp, account.bp, home.bp)


def init_app(app: Flask) -> None:
    """Open the desk in this application."""
    accounts.init_app(app)
    guard.init_app(app)
    for door in DOORS:
        app.register_blueprint(door)
