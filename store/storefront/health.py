"""What machines ask that watch the shop: whether it is up, whether it is ready, and what is not well."""

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, jsonify, request

from store.kit.database import db
from store.kit.space import can_write, unrecorded_downloads
from store.kit.storage import storage
from store.mail import restores, standstills
from store.staff import troubles

bp = Blueprint("health", __name__)


@bp.get("/healthz")
def healthz() -> Response:
    """The process is up."""
    return jsonify(status="up")


@bp.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Database and storage answer, and take what is written; else 503, and nobody should be led here.
    What else is not well is named, and is no 503, as readers are served all the same: but for who asks
    with `?strict`, to be woken."""
    parts = {"database": _database_answers(), "storage": _storage_answers()}
    parts["writing"] = all(parts.values()) and can_write()
    is_ready = all(parts.values())
    post = _post() if parts["database"] else {}
    unwell = [{"part": name} for name, is_well in parts.items() if not is_well]
    unwell += _unwell(post) if parts["database"] else []
    answer = jsonify(
        status="ready" if is_ready else "not ready",
        **parts,
        **post,
        unrecorded_downloads=unrecorded_downloads(),
        not_well=unwell,
    )
    is_asked_strictly = "strict" in request.args
    return answer, 200 if is_ready and not (is_asked_strictly and unwell) else 503


def _unwell(post: dict[str, str | None]) -> list[dict[str, Any]]:
    """What each part is called, since when, and plain words, without the names of machines."""
    told = [
        {
            "part": one.part,
            "since": one.since.isoformat(timespec="seconds"),
            "words": troubles.PLAINLY[one.part],
        }
        for one in troubles.standing()
    ]
    if post["no_letters_since"]:
        words = "No letters leave."
        told.append({"part": "mail", "since": post["no_letters_since"], "words": words})
    return told


def _database_answers() -> bool:
    try:
        db.session.execute(sa.text("SELECT 1"))
    except sa.exc.SQLAlchemyError:
        return False
    return True


def _post() -> dict[str, str | None]:
    """Since when no letters leave, and why, in our words: the server's may quote an address."""
    restore = restores.holding()
    if restore is not None:
        since = restore.restored_at.isoformat(timespec="seconds")
        return {"no_letters_since": since, "no_letters_because": restores.HELD}
    standing = standstills.now_standing()
    if standing is None:
        return {"no_letters_since": None}
    since = standing.began_at.isoformat(timespec="seconds")
    return {"no_letters_since": since, "no_letters_because": standing.cause}


def _storage_answers() -> bool:
    try:
        return storage().answers()
    except Exception:  # noqa: BLE001 - whatever the store's library raises, it does not answer
        return False
