"""Who we are and what holds: terms, privacy, accessibility; and whether the shop is up."""

import sqlalchemy as sa
from flask import Blueprint, Response, jsonify, render_template

from store.kit.config import config
from store.kit.database import db
from store.kit.storage import storage

bp = Blueprint("about", __name__)


@bp.get("/terms")
def terms() -> str:
    """What a buyer and we agree on, to be saved or printed."""
    return render_template("storefront/terms.html")


@bp.get("/privacy")
def privacy() -> str:
    """Which data we keep, why and how long."""
    return render_template("storefront/privacy.html")


@bp.get("/accessibility")
def accessibility() -> str:
    """How far everybody can use the shop and the publications, and whom to ask."""
    return render_template("storefront/accessibility.html")


@bp.get("/healthz")
def healthz() -> Response:
    """The process is up."""
    return jsonify(status="up")


@bp.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Database and storage answer."""
    parts = {"database": _database_answers(), "storage": _storage_answers()}
    is_ready = all(parts.values())
    return jsonify(status="ready" if is_ready else "not ready", **parts), 200 if is_ready else 503


@bp.get("/robots.txt")
def robots() -> Response:
    """Search engines may list what is on sale and nothing behind a link."""
    lines = ["User-agent: *", "Disallow: /admin/", "Disallow: /demo/", f"# {config().base_url}"]
    return Response("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")


def _database_answers() -> bool:
    try:
        db.session.execute(sa.text("SELECT 1"))
    except sa.exc.SQLAlchemyError:
        return False
    return True


def _storage_answers() -> bool:
    try:
        return storage().answers()
    except Exception:  # noqa: BLE001 - whatever the store's library raises, it does not answer
        return False
