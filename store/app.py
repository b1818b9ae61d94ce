"""The one place where the shop is put together."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.middleware.proxy_fix import ProxyFix

import store.backups.models
import store.distribution.letters
import store.entitlements.letters
import store.mail.staff_alerts
import store.orders.offers
import store.payments.date_letters
import store.payments.letters  # noqa: F401 - letters register themselves
from store import tasks
from store.admin import desk
from store.catalog.covers import cover_path
from store.catalog.drawn_covers import DrawnCover, draw_cover
from store.catalog.faces import PLAIN
from store.catalog.sellers import SellerUnknown, current_face, current_seller
from store.demo import inbox, pay
from store.distribution import imports
from store.entitlements import erasing
from store.entitlements.on_file import customers_at
from store.entitlements.stop_links import stop_by_token
from store.kit import answered, jobs, limits, measures, web
from store.kit.database import db
from store.kit.engine import engine_options, prepare_engine
from store.kit.from_here import FromHere
from store.kit.kept_pages import KeptPages
from store.kit.storage import Storage
from store.mail import letters, matching
from store.payments.gateways.registry import gateways
from store.settings import Settings
from store.storefront import (
    about,
    address,
    download,
    erasure,
    front,
    health,
    library,
    lost_links,
    offer,
    order,
    order_move,
    order_page,
    own_data,
    past_editions,
    pictures,
    publication,
    receipt,
    sample,
    second_address,
    seen,
    stop,
    webhooks,
)

PACKAGE = Path(__file__).parent
CUSTOMERS_DOORS = (
    about,
    health,
    front,
    publication,
    pictures,
    past_editions,
    sample,
    order,
    offer,
    order_page,
    receipt,
    address,
    second_address,
    erasure,
    order_move,
    library,
    own_data,
    download,
    lost_links,
    stop,
    webhooks,
    seen,
)


def place(name: str) -> Path:
    """Where `templates`, `static`, `migrations` or `gunicorn.conf.py` stand: beside the package in
    a checkout, inside it in an installed wheel."""
    inside = PACKAGE / "_beside" / name
    return inside if inside.exists() else PACKAGE.parent / name


class Shop(Flask):
    """The application; no door of it is a coroutine."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """As it stands: Flask looks into each function of each request, a dozen times a page."""
        return func

    def log_exception(self, exc_info: Any) -> None:
        """In our words: Flask quotes the address, which may hold a token."""
        answered.note_fault(exc_info)


class Migrations:
    """What flask-migrate looks for in an application. The library, and Alembic with it, is read in
    where tables are made or compared, not in each process of a shop."""

    db = db

    def __init__(self, directory: str) -> None:
        self.directory = directory

    @cached_property
    def migrate(self) -> Any:
        """The library's own part."""
        from flask_migrate import Migrate  # noqa: PLC0415 - see above

        return Migrate(db=db, directory=self.directory)


def create_app(settings: Settings) -> Flask:
    """A shop for these settings; opens no connection and touches no file but the data folder."""
    app = Shop(
        "store", template_folder=str(place("templates")), static_folder=None, root_path=str(PACKAGE)
    )
    app.config.update(_flask_config(settings))
    app.extensions["colophon.settings"] = settings
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    app.extensions["colophon.storage"] = Storage(
        settings.storage,
        has_key=settings.has_bucket_key,
        # The other half makes pages meanwhile.
        at_once=max(1, settings.web_threads // 2),
    )
    app.extensions["colophon.kept_pages"] = KeptPages()
    db.init_app(app)
    app.extensions["migrate"] = Migrations(str(place("migrations")))
    with app.app_context():
        prepare_engine(db.engine)
        gateways()  # the library of one that is set up is read in before processes part
    jobs.init_app(app, settings.database, str(settings.data_dir.absolute() / "bell.db"))
    tasks.register_jobs(app)
    letters.register_seller(current_seller)
    matching.register_customers(customers_at)
    erasing.register_files(imports.forget_addresses)
    matching.register_stop(stop_by_token)
    limits.init_app(app)
    answered.init_app(app)
    measures.init_app(app)
    web.init_app(app, place("static"))
    app.jinja_env.globals.update(draw_cover=_cover_in_our_colour, cover_path=cover_path)
    register_doors(app, settings)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    host = urlsplit(settings.base_url).netloc
    app.wsgi_app = FromHere(app.wsgi_app, host, health.MONITORS)  # type: ignore[method-assign]
    return app


def _house_on_page() -> dict[str, Any]:
    """Who sells, for head and foot of every page, and how the house looks; none where nobody has said,
    or nobody can ask."""
    try:
        seller = current_seller()
    except (SellerUnknown, SQLAlchemyError):
        return {"seller": None, "face": PLAIN}
    return {"seller": seller, "face": seller.face}


def _cover_in_our_colour(slug: str, title: str, subtitle: str, author: str) -> DrawnCover:
    return draw_cover(slug, title, subtitle, author, current_face().accent)


def register_doors(app: Flask, settings: Settings) -> None:
    """The customer's doors, the staff's, and outside production the sample shop's."""
    is_demo = settings.env != "production"
    is_stripe = settings.stripe_secret_key is not None
    app.context_processor(
        lambda: (
            {
                "base_url": settings.base_url,
                "demo_mode": is_demo,
                "stripe_test_mode": is_demo and is_stripe,
            }
            | _house_on_page()
        )
    )
    for door in CUSTOMERS_DOORS:
        app.register_blueprint(door.bp)
    desk.init_app(app)
    if is_demo:
        app.register_blueprint(inbox.bp)
        app.register_blueprint(pay.bp)


def _flask_config(settings: Settings) -> dict[str, Any]:
    address = urlsplit(settings.base_url)
    is_https, host = address.scheme == "https", address.hostname or ""
    return {
        "SECRET_KEY": settings.signing_keys[0],
        "SECRET_KEY_FALLBACKS": settings.signing_keys[1:],
        "TESTING": settings.env == "testing",
        "SQLALCHEMY_DATABASE_URI": settings.database,
        "SQLALCHEMY_ENGINE_OPTIONS": engine_options(settings.database, settings.most_connections),
        "TRUSTED_HOSTS": [host]
        if settings.env == "production"
        else [host, "localhost", "127.0.0.1"],
        "PREFERRED_URL_SCHEME": address.scheme,
        "MAX_CONTENT_LENGTH": 64 * 1024,  # the upload door asks for more
        "MAX_FORM_MEMORY_SIZE": 64 * 1024,
        "MAX_FORM_PARTS": 60,
        "SESSION_COOKIE_NAME": "__Host-desk" if is_https else "desk",
        "SESSION_COOKIE_SECURE": is_https,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "WTF_CSRF_CHECK_DEFAULT": False,  # only the desk has a session, and asks for the token
        "WTF_CSRF_TIME_LIMIT": None,
    }
