"""A process that has the shop ready: each of its lives is a fork that does one act at once, in a
process group of its own, and may be killed without taking leave.

It is told what each life does, and answers with the number of the life's process and, once that has
ended, with its exit code (minus the signal that ended it).
"""

import gc
import itertools
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from store.app import create_app
from store.kit import clock
from store.kit.database import db
from tests import forked

PATIENCE_SECONDS = 120


@dataclass
class Life:
    """One fork under way."""

    pid: int
    shop: "ReadyShop"
    code: int | None = None

    def kill(self) -> None:
        """kill -9, its children too."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def ended(self) -> bool:
        """Wait for its end; says whether it was killed, and fails where it failed by itself."""
        if self.code is None:
            self.code = self.shop.answer()
        assert self.code in (0, -signal.SIGKILL), f"a life ended with {self.code}"
        return self.code != 0


@dataclass(frozen=True)
class Moment:
    """When a life kills itself: at its so-many-th step of the database, and how much later (0:
    never). A step is a statement about to be run, and a commit about to be made or just made."""

    step: int = 0
    seconds: float = 0.0


@dataclass
class ReadyShop:
    """The process, seen from the test. `seams` are those of `_put_in`."""

    process: BaseProcess
    told: Connection
    lives: list[Life] = field(default_factory=list)

    def begin(self, act: str, dies: Moment = Moment(), **given: Any) -> Life:
        """Begin a life that does this act of `tests.trials.acts`."""
        self.told.send((act, given, dies))
        self.lives.append(Life(self.answer(), self))
        return self.lives[-1]

    def answer(self) -> int:
        """The next thing that it says."""
        assert self.told.poll(PATIENCE_SECONDS), "no answer in time"
        return int(self.told.recv())


@contextmanager
def ready_shop(
    folder: Path, seams: dict[str, Any] | None = None, **settings: Any
) -> Iterator[ReadyShop]:
    """A process with a shop of these settings."""
    ours, its = forked.server().Pipe()
    process = forked.begin(_main, its, folder, seams or {}, settings)
    its.close()
    shop = ReadyShop(process, ours)
    try:
        assert shop.answer() == process.pid
        yield shop
    finally:
        for life in shop.lives:
            if life.code is None:
                life.kill()
        process.kill()
        process.join()
        ours.close()


# Inside the process


def _put_in(seams: dict[str, Any]) -> None:
    """Another host's name, a clock that is so many seconds ahead, a guard taken out."""
    from tests.trials import without

    if "host" in seams:
        socket.gethostname = lambda: str(seams["host"])
    if "ahead" in seams:
        ahead = timedelta(seconds=seams["ahead"])
        clock.machine_time = clock.read = lambda: datetime.now(UTC) + ahead
    if "without" in seams:
        without.GUARDS[seams["without"]]()


def _arm(app: Flask, moment: Moment) -> None:
    steps = itertools.count(1)

    def step(*_: object) -> None:
        if next(steps) == moment.step:
            if moment.seconds:
                threading.Thread(target=lambda: (time.sleep(moment.seconds), die())).start()
            else:
                die()

    with app.app_context():
        sa.event.listen(db.engine, "before_cursor_execute", step)
        sa.event.listen(db.engine, "commit", step)
    sa.event.listen(Session, "after_commit", step)


def die() -> None:
    """kill -9 of this life, its children too."""
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _live(app: Flask, act: str, given: dict[str, Any], dies: Moment) -> int:
    from tests.trials import acts

    os.setpgid(0, 0)
    try:
        if dies.step:
            _arm(app, dies)
        acts.ACTS[act](app, **given)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _main(told: Connection, folder: Path, seams: dict[str, Any], settings: dict[str, Any]) -> None:
    from tests.conftest import make_settings

    _put_in(seams)
    app = create_app(make_settings(folder, **settings))
    gc.collect()
    gc.freeze()
    told.send(os.getpid())
    with suppress(EOFError):
        while True:
            life = told.recv()
            pid = os.fork()
            if pid == 0:
                os._exit(_live(app, *life))
            with suppress(PermissionError, ProcessLookupError):
                os.setpgid(pid, pid)
            told.send(pid)
            told.send(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
