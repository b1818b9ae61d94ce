"""Whether the tables are those of this version of the program; said before it starts, and while it runs.

A process that runs while the tables are renewed under it writes rows of another form than they have: it
looks every few seconds, and from then on does nothing but say so.
"""

import logging
import re
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import sqlalchemy as sa
from flask import Flask, current_app

from store.kit.database import db
from store.kit.engine import connecting
from store.kit.errors import Refusal
from store.kit.system_words import refused_database

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
NONE = (
    "There are no tables yet: run `store db upgrade` for a new shop, or `store restore` for one that was here "
    "before."
)
EARLIER = "The tables are of an earlier version ({present}, not {newest}): run `store db upgrade`."
LATER = (
    "The tables are of a later version of the shop ({present}, and this one knows {newest}): install "
    "that one, or restore the backup from before the upgrade."
)
OTHER_LETTERS = (
    "The database is in {encoding}, which cannot keep the letters of all languages: make another one in UTF8 "
    "(`createdb --encoding UTF8 --template template0`)."
)
_LINE = re.compile(r'^(revision|down_revision) = "([^"]+)"', re.MULTILINE)
_KEY = "colophon.other_tables"


class OtherTables(Refusal):
    """This process is of another version than the tables; it is about to be replaced."""

    status = 503
    heading = "The shop is being renewed"
    sentence = "It takes a few minutes. Nothing was done; please come back and try again."
    retry_after = 60


def fault_of(connection: sa.Connection, directory: str) -> str:
    """What is wrong with the tables, and the way out; "" where they are those of the migrations there."""
    if fault := _encoding_fault(connection):
        return fault
    present = _present(connection)
    head, known = _revisions(directory)
    if present == head:
        return ""
    if present is None:
        return NONE
    return (EARLIER if present in known else LATER).format(present=present, newest=head)


class OtherEncoding(Refusal):
    """A database that keeps letters in another way than ours."""


def must_keep_all_letters() -> None:
    """Refuses (`OtherEncoding`) before tables are made in a database that is not in UTF8."""
    if db.engine.dialect.name == "sqlite":
        return
    with db.engine.connect() as connection:
        if fault := _encoding_fault(connection):
            raise OtherEncoding(fault)


def _encoding_fault(connection: sa.Connection) -> str:
    if connection.dialect.name == "sqlite":
        return ""
    encoding = str(connection.scalar(sa.text("SHOW server_encoding")))
    return "" if encoding == "UTF8" else OTHER_LETTERS.format(encoding=encoding)


def fault_at(url: str, directory: str) -> str:
    """The same of the database at this address, before there is an application; or that PostgreSQL does not
    answer. What else SQLite says, the shop says once it has started."""
    place = sa.make_url(url)
    if place.drivername == "sqlite" and not Path(place.database or "").exists():
        return NONE
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool, **connecting(url))
    try:
        with engine.connect() as connection:
            return fault_of(connection, directory)
    except sa.exc.SQLAlchemyError as fault:
        return refused_database(fault)


def newest(directory: str) -> str | None:
    """The newest revision of the migrations there."""
    return _revisions(directory)[0]


def tables_fault() -> str:
    """The same of the application at work. Raises what the database raises."""
    directory = current_app.extensions["migrate"].directory
    return fault_of(db.session.connection(), directory)


def watch(app: Flask, then: Callable[[], None] = lambda: None) -> None:
    """Look every few seconds, in a thread of its own; once the tables are others, `refuse` does and
    `then` is called, once."""

    def look() -> None:
        while not stopping.wait(LOOK_SECONDS):
            try:
                with app.app_context():
                    fault = tables_fault()
            except sa.exc.SQLAlchemyError:  # away, which others say
                continue
            if fault:
                log.error("this process does nothing any more: %s", fault)
                app.extensions[_KEY] = fault
                then()
                return

    stopping = threading.Event()
    threading.Thread(target=look, daemon=True, name="watch-tables").start()


def refuse(endpoint: str | None) -> None:
    """Refuse (`OtherTables`) once `watch` has seen others, but for what says how the process is."""
    if _KEY in current_app.extensions and endpoint not in (
        "static",
        "health.healthz",
        "health.readyz",
    ):
        raise OtherTables


def _present(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


@lru_cache(maxsize=4)
def _revisions(directory: str) -> tuple[str | None, frozenset[str]]:
    """The newest revision there, and all of them: read as text, for the library that makes the tables
    would stay in the memory of every process."""
    known, before = set(), set()
    for file in (Path(directory) / "versions").glob("*.py"):
        said = dict(_LINE.findall(file.read_text(encoding="utf-8")))
        known.add(said["revision"])
        before.add(said.get("down_revision"))
    newest = known - before
    return (newest.pop() if len(newest) == 1 else None), frozenset(known)
