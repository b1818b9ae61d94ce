"""PostgreSQL's own programs: `pg_dump` takes its dump, `pg_restore` reads it and puts it back.

They are looked for on PATH, or in the folder that `STORE_POSTGRESQL_PROGRAMS` names, and are at least
as new as the server. The password goes in a file that they read and nobody else may.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import sqlalchemy as sa

from store.kit.errors import Refusal

_WAY_OUT = (
    "Install the client programs of PostgreSQL (on Debian: apt install postgresql-client), or name the "
    "folder in which they are with STORE_POSTGRESQL_PROGRAMS."
)
_VERSION = re.compile(rb"\(PostgreSQL\) (\d+)")
# The bell's queue is no part of the shop.
_WITHOUT = ("--exclude-table=huey_*",)


class ProgramMissing(Refusal):
    """A program of PostgreSQL is not to be had here."""


class ProgramTooOld(Refusal):
    """An older program does not know what a newer server has."""


class ProgramFailed(Refusal):
    """It said why."""


class Programs:
    """`pg_dump` and `pg_restore` in a folder, or on PATH where none is named."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def major(self, name: str) -> int:
        """The major version of a program. Refuses (`ProgramMissing`)."""
        said = subprocess.run([self.path(name), "--version"], capture_output=True, check=False)  # noqa: S603
        found = _VERSION.search(said.stdout)
        if found is None:
            raise ProgramMissing(f"{name} does not say its version. {_WAY_OUT}")
        return int(found[1])

    def path(self, name: str) -> str:
        """Where a program is. Refuses (`ProgramMissing`)."""
        found = shutil.which(name, path=str(self._folder) if self._folder else None)
        if found is None:
            where = f"in {self._folder}" if self._folder else "on PATH"
            raise ProgramMissing(f"{name} is not {where}. {_WAY_OUT}")
        return found

    def need(self, name: str, server: int) -> None:
        """Refuses (`ProgramTooOld`) where a program is older than a server of this major version."""
        if (major := self.major(name)) < server:
            raise ProgramTooOld(
                f"{name} is of PostgreSQL {major} and the server of {server}; it must be as new. {_WAY_OUT}"
            )

    def dump(self, url: sa.URL, target: Path) -> None:
        """One dump of the whole database, of one moment, in the custom format."""
        options = ["--format=custom", "--no-owner", "--no-privileges", "--encoding=UTF8"]
        with _without_password(url, target.parent) as address:
            self._run("pg_dump", *options, *_WITHOUT, f"--file={target}", f"--dbname={address}")

    def put_back(self, dump: Path, url: sa.URL) -> None:
        """All of a dump into an empty database, or nothing of it."""
        options = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]
        with _without_password(url, dump.parent) as address:
            self._run("pg_restore", *options, "--no-comments", f"--dbname={address}", str(dump))

    @contextmanager
    def rows(self, dump: Path) -> Iterator[IO[bytes]]:
        """The rows of a dump as COPY writes them, line by line."""
        command = [self.path("pg_restore"), "--data-only", "--file=-", str(dump)]
        with subprocess.Popen(  # noqa: S603 - a program of ours on a file of ours
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None  # noqa: S101
            assert process.stderr is not None  # noqa: S101
            yield process.stdout
            if process.stdout.read(1) == b"" and process.wait() != 0:
                raise ProgramFailed(_words("pg_restore", process.stderr.read()))

    def _run(self, name: str, *words: str) -> None:
        done = subprocess.run([self.path(name), *words], capture_output=True, check=False)  # noqa: S603
        if done.returncode:
            raise ProgramFailed(_words(name, done.stderr))


def _words(name: str, said: bytes) -> str:
    """The first line that tells of a fault; an address in it holds no password."""
    lines = said.decode(errors="replace").splitlines()
    first = next((line for line in lines if "error" in line), next(iter(lines), "no words"))
    return f"{name} failed: {first.removeprefix(f'{name}: ')}"


@contextmanager
def _without_password(url: sa.URL, folder: Path) -> Iterator[str]:
    """The address as libpq reads it, with the password in a file beside; what stands on a command
    line can be read by everybody on the machine."""
    plain = url.set(drivername="postgresql", password=None)
    password = url.password or url.query.get("password")
    if not password:
        yield plain.render_as_string(hide_password=False)
        return
    passfile = folder / "pgpass"
    passfile.touch(mode=0o600)
    # Backslash and colon are marks of this file.
    said = re.sub(r"([\\:])", r"\\\1", str(password))
    passfile.write_text(f"*:*:*:*:{said}\n")
    try:
        bare = plain.difference_update_query(["password"])
        yield bare.update_query_dict({"passfile": str(passfile)}).render_as_string(
            hide_password=False
        )
    finally:
        passfile.unlink()
