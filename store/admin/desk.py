"""The staff's doors, put together."""

from flask import Flask

from store.admin import (
    audit,
    coverage,
    customer_import,
    customer_notes,
    customers,
    date_moves,
    discounts,
    disputes,
    editions,
    erasures,
    exports,
    face,
    gifts,
    home,
    letters,
    orders,
    publications,
    refunds,
    releases,
    repairs,
    restores,
    samples,
    search,
    seller,
    settings,
    staff,
    statement,
    transfers,
    two_customers,
)
from store.kit.config import config
from store.mail.outbox import register_alert_recipients
from store.staff import account, guard, joining, people, sign_in

DOORS = (
    sign_in.bp,
    joining.bp,
    account.bp,
    home.bp,
    samples.bp,
    search.bp,
    seller.bp,
    publications.bp,
    date_moves.bp,
    editions.bp,
    releases.bp,
    coverage.bp,
    statement.bp,
    orders.bp,
    exports.bp,
    refunds.bp,
    disputes.bp,
    transfers.bp,
    gifts.bp,
    customer_import.bp,
    discounts.bp,
    customers.bp,
    customer_notes.bp,
    two_customers.bp,
    erasures.bp,
    letters.bp,
    repairs.bp,
    restores.bp,
    staff.bp,
    audit.bp,
    face.bp,
    settings.bp,
)


def init_app(app: Flask) -> None:
    """Open the desk in this application."""
    guard.init_app(app)
    register_alert_recipients(people.owner_addresses)
    for door in DOORS:
        app.register_blueprint(door)
    app.jinja_env.filters["kind"] = letters.kind_in_words
    app.jinja_env.filters["letter_tag"] = letters.tag_of
    app.jinja_env.globals["desk_zone"] = _zone_in_words


def _zone_in_words() -> str:
    """Whose clocks the desk shows: `London`, `Porto-Novo`, `UTC`."""
    return config().zone.key.rpartition("/")[2].replace("_", " ")
