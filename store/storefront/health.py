"""What machines ask that watch the shop: whether it is up, whether it is ready, and what is not well."""

import hmac
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, jsonify, request

from store.kit.config import config
from store.kit.database import db
from store.kit.exposition import CONTENT_TYPE, written
from store.kit.from_here import FROM_HERE
from store.kit.revision import tables_fault
from store.kit.space import can_write, unrecorded_downloads
from store.kit.storage import storage
from store.kit.web import private_page
from store.mail import restores, standstills
from store.staff import troubles
from store.storefront.metrics import collected

bp = Blueprint("health", __name__)

# Asked from this machine they answer whatever host is asked for.
MONITORS = frozenset({"/healthz", "/readyz", "/metrics"})


@bp.get("/healthz")
def healthz() -> Response:
    """The process is up."""
    return private_page(jsonify(status="up"))


@bp.get("/readyz")
def readyz() -> Response:
    """Database and storage answer, and take what is written, and the tables are those of this version;
    else 503, and nobody should be led here.
    What else is not well is named, and is no 503, as readers are served all the same: but for who asks
    with `?strict`, to be woken."""
    parts = {"database": _database_answers(), "storage": storage().answered_lately()}
    parts["tables"] = parts["database"] and not tables_fault()
    # A bucket that is away is no full disk.
    parts["writing"] = parts["database"] and parts["tables"] and can_write()
    is_ready = all(parts.values())
    post = _post() if parts["tables"] else {}
    told = _unwell(post) if parts["tables"] else []
    known = {one["part"] for one in told}
    unwell = [{"part": one} for one, is_well in parts.items() if not is_well and one not in known]
    unwell += told
    answer = jsonify(
        status="ready" if is_ready else "not ready",
        **parts,
        **post,
        unrecorded_downloads=unrecorded_downloads(),
        not_well=unwell,
    )
    is_asked_strictly = "strict" in request.args
    is_well = is_ready and not (is_asked_strictly and unwell)
    # A cache in front that kept what was well would hide what is not.
    return private_page(answer, 200 if is_well else 503)


@bp.get("/metrics")
def metrics() -> Response:
    """What is wrong now, in numbers, for Prometheus: to who has the token or, where there is none,
    asks straight from this machine. Nobody else learns that there is such a page."""
    if not _may_measure():
        abort(404)
    answer = private_page(written(collected()))
    answer.content_type = CONTENT_TYPE
    return answer


def _may_measure() -> bool:
    token = config().metrics_token
    if token is None:
        return request.environ.get(FROM_HERE) is True
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    ours = token.get_secret_value().encode()
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), ours)


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
