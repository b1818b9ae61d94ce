"""A process that has the shop ready: each of its lives is a fork that does one act at once, in a
process group of its own, and may be killed without taking leave.

Run as a program it reads what to do from its input, a line of JSON a life, and answers with the
process's number and, once that has ended, with its exit code (minus the signal that ended it).
"""

import gc
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from store.app import create_app
from store.kit import clock
from store.kit.database import db

ROOT = Path(__file__).parents[2]
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
            self.code = int(self.shop.answer())
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

    process: "subprocess.Popen[bytes]"
    lives: list[Life] = field(default_factory=list)

    def begin(self, act: str, dies: Moment = Moment(), **given: Any) -> Life:
        """Begin a life that does this act of `tests.trials.acts`."""
        told = {"act": act, "given": given, "step": dies.step, "seconds": dies.seconds}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(told).encode() + b"\n")
        self.lives.append(Life(int(self.answer()), self))
        return self.lives[-1]

    def answer(self) -> str:
        """The next line that it says."""
        out = self.process.stdout
        assert out is not None
        assert select.select([out], [], [], PATIENCE_SECONDS)[0], "no answer in time"
        return out.readline().decode().strip()


@contextmanager
def ready_shop(
    folder: Path, seams: dict[str, Any] | None = None, **settings: Any
) -> Iterator[ReadyShop]:
    """A process with a shop of these settings."""
    words = [str(folder), json.dumps(seams or {}), json.dumps(settings)]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.trials.ready", *words],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as process:
        shop = ReadyShop(process)
        try:
            assert shop.answer() == "ready"
            yield shop
        finally:
            for life in shop.lives:
                if life.code is None:
                    life.kill()
            process.kill()


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


def _live(app: Flask, told: dict[str, Any]) -> int:
    from tests.trials import acts

    os.setpgid(0, 0)
    try:
        if told["step"]:
            _arm(app, Moment(told["step"], told["seconds"]))
        acts.ACTS[told["act"]](app, **told["given"])
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main(folder: str, seams: dict[str, Any], settings: dict[str, Any]) -> None:
    from tests.conftest import make_settings

    _put_in(seams)
    app = create_app(make_settings(Path(folder), **settings))
    gc.collect()
    gc.freeze()
    _say("ready")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os._exit(_live(app, json.loads(line)))
        with suppress(PermissionError, ProcessLookupError):
            os.setpgid(pid, pid)
        _say(pid)
        _say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _say(answer: object) -> None:
    sys.stdout.write(f"{answer}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3]))
