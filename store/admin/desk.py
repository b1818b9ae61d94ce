"""The staff's doors, put together."""

from flask import Flask

from store.admin import (
    account,
    accounts,
    covers,
    customers,
    discounts,
    disputes,
    editions,
    giving,
    guard,
    home,
    importing,
    letters,
    orders,
    progress,
    publications,
    refunds,
    releases,
    seller,
    signing_in,
    transfers,
)

DOORS = (
    signing_in.bp,
    account.bp,
    home.bp,
    seller.bp,
    publications.bp,
    covers.bp,
    editions.bp,
    releases.bp,
    progress.bp,
    orders.bp,
    refunds.bp,
    disputes.bp,
    transfers.bp,
    giving.bp,
    importing.bp,
    discounts.bp,
    customers.bp,
    letters.bp,
)


def init_app(app: Flask) -> None:
    """Open the desk in this application."""
    accounts.init_app(app)
    guard.init_app(app)
    for door in DOORS:
        app.register_blueprint(door)
    app.jinja_env.filters["kind"] = letters.kind_in_words
