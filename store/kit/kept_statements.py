"""Statements of a few words that a thread repeats over one connection to PostgreSQL, said to libpq itself:
what psycopg does for each of them takes this process several times what libpq does."""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, cast

_NAMED = re.compile(r"(?<!:):(\w+)")
# A thread that has one thing to write is through before a plan of it pays.
_OFTEN = 2
# ExecStatusType of libpq.
_COMMAND_OK, _TUPLES_OK = 1, 2


class KeptStatements:
    """Those of one connection, which is in autocommit, from when it is taken out of the pool until it is
    given back."""

    def __init__(self, driver: Any) -> None:
        self._driver, self._libpq, self._cursor = driver, driver.pgconn, driver.cursor()
        self._encoding: str = driver.info.encoding
        self._kept: dict[str, bytes] = {}
        self._asked: dict[str, int] = {}

    def run(self, sql: str, **values: Any) -> Sequence[Any]:
        """The rows of any statement with `:names`, said by psycopg. Raises as it does."""
        return cast(Sequence[Any], self._cursor.execute(_in_psycopg(sql), values).fetchall())

    def number(self, sql: str, values: dict[str, Any]) -> int | None:
        """The number that a statement with `:names` returns, None where it returns no row. Values are
        text, numbers, moments and None. Raises as the driver does."""
        kept, written = self._kept.get(sql) or self._keep(sql), self._written(sql, values)
        if kept is not None and written is not None:
            found = self._libpq.exec_prepared(kept, written)
            if found.status == _TUPLES_OK:
                return int(found.get_value(0, 0)) if found.ntuples else None
            # The server refused it, and it changed nothing; or the connection is lost, and nothing more
            # is said over it. Either way psycopg tells which, in the words that all know.
        rows = self.run(sql, **values)
        return rows[0][0] if rows else None

    def let_go(self) -> None:
        """Have the server forget them: the next to have the connection may keep others."""
        for name in self._kept.values():
            if not self._driver.closed:
                self._libpq.exec_(b"DEALLOCATE " + name)
        self._kept.clear()

    def _keep(self, sql: str) -> bytes | None:
        self._asked[sql] = self._asked.get(sql, 0) + 1
        if self._asked[sql] <= _OFTEN:
            return None
        name = b"kept_%d" % len(self._kept)
        text, _ = _numbered(sql)
        if self._libpq.prepare(name, text).status != _COMMAND_OK:
            return None
        self._kept[sql] = name
        return name

    def _written(self, sql: str, values: dict[str, Any]) -> list[bytes | None] | None:
        """As libpq takes them; None where one has a NUL, at which it would end."""
        written: list[bytes | None] = []
        for name in _numbered(sql)[1]:
            value = values[name]
            if value is None:
                written.append(None)
                continue
            if isinstance(value, datetime):
                value = value.isoformat()
            octets = str(value).encode(self._encoding)
            if b"\0" in octets:
                return None
            written.append(octets)
        return written


@lru_cache(maxsize=16)
def _numbered(sql: str) -> tuple[bytes, tuple[str, ...]]:
    """With `$1` in the place of the first name and so on, and the names in that order."""
    names = tuple(dict.fromkeys(_NAMED.findall(sql)))
    text = _NAMED.sub(lambda found: f"${names.index(found[1]) + 1}", sql)
    return text.encode(), names


@lru_cache(maxsize=64)
def _in_psycopg(sql: str) -> str:
    return _NAMED.sub(r"%(\1)s", sql)
