"""Whether the shop could write at this moment: to its database, its files and its data folder."""

import tempfile
import time
from contextlib import suppress

import sqlalchemy as sa
from flask import current_app

from store.kit import limits
from store.kit.config import config
from store.kit.database import db
from store.kit.space import is_busy, is_full, tell
from store.kit.storage import storage

# Anybody may ask whether the shop is ready; it writes at most this often to find out.
KEPT_SECONDS = 5.0
_LITTLE = b"." * 65_536


def can_write() -> bool:
    """Whether a little could be written just now; the answer is kept for a few seconds."""
    kept: tuple[float, bool] | None = current_app.extensions.get("colophon.can_write")
    if kept is not None and time.monotonic() - kept[0] < KEPT_SECONDS:
        return kept[1]
    try:
        write_a_little()
        answer = True
    except Exception as fault:  # noqa: BLE001 - whatever it is, nothing can be written
        answer = False
        if is_full(fault):
            tell()
    current_app.extensions["colophon.can_write"] = (time.monotonic(), answer)
    return answer


def write_a_little() -> None:
    """Write everywhere that the shop writes and take it back. Raises what writing raises."""
    config().data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=config().data_dir) as file:
        file.write(_LITTLE)
        file.flush()
    if storage().is_local:
        with suppress(FileNotFoundError):
            storage().delete("probe")
        storage().put_bytes("probe", _LITTLE)
        storage().delete("probe")
    try:
        limits.probe()
    except sa.exc.DBAPIError as fault:
        db.session.rollback()
        if not is_busy(fault):  # others are writing, so it can be done
            raise
