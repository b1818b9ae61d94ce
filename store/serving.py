"""The shop as processes: gunicorn and the worker. Who starts both is in `children`."""

import gc
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from logging import NOTSET
from typing import Any

import sqlalchemy as sa
from flask import Flask
from gunicorn.app.base import Application
from gunicorn.glogging import Logger
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest

from store import tasks
from store.app import create_app, place
from store.children import watch_parent
from store.kit import answered, jobs, logs, measures, revision
from store.kit.happenings import Happening, tell
from store.mail import certificates, heartbeats
from store.settings import Settings
from store.staff import troubles

log = logging.getLogger(__name__)

# Also how long a process waits first: a worker that starts beside it is there by then.
LOOK_SECONDS = 30.0
# "Invalid request from ip=192.0.2.7: Invalid HTTP request line: 'GET …'"
_NO_HTTP = re.compile(r"Invalid request from ip=.*?: ([A-Za-z ]*)")


class WebLog(Logger):  # type: ignore[misc]
    """Gunicorn's own log goes the way of ours, which masks, and says nothing of who asked and for what:
    of requests that fail or cannot be read it quotes network and address. In the place of its access
    log is one that keeps none."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        self.error_log.setLevel(NOTSET)  # as the settings say of `gunicorn`

    def warning(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """A request that is no HTTP: what is wrong with it, and nothing of it."""
        if (found := _NO_HTTP.match(msg)) is not None:
            msg, args = "a request that is no HTTP was refused: %s", (found[1].strip(),)
        super().warning(msg, *args, **kwargs)

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """A request at which the server itself failed, with the traceback."""
        if msg.startswith("Error handling request"):
            msg, args = "a request made the web server fail", ()
        super().exception(msg, *args, **kwargs)

    def access(self, resp: Any, _req: Any, environ: dict[str, Any], request_time: Any) -> None:
        """One request was answered, or broke off."""
        answered.note(environ, str(resp.status), resp.sent, request_time)


class WebServer(Application):  # type: ignore[misc]
    """Gunicorn with the project's `gunicorn.conf.py` and no command line of its own."""

    def __init__(self, make_app: Callable[[], Flask], bind: str | None = None) -> None:
        self._make_app = make_app
        self._bind = bind
        super().__init__()

    def load_config(self) -> None:
        self.load_config_from_file(str(place("gunicorn.conf.py")))
        if self._bind:
            self.cfg.set("bind", [self._bind])

    def load(self) -> Flask:
        return self._make_app()


def refuse_broken_bodies(worker: Any) -> None:
    """A hook of gunicorn's: a body whose chunks are broken shows only when a door reads it, and is
    a bad request then, no fault of ours."""
    app = worker.wsgi

    def careful(environ: dict[str, Any], start_response: Any) -> Any:
        environ["wsgi.input"] = _CarefulBody(environ["wsgi.input"])
        return app(environ, start_response)

    worker.wsgi = careful


def watch_tables(worker: Any) -> None:
    """A hook of gunicorn's, before others wrap the application: where the tables are renewed under a
    process that still runs, it answers 503 from then on."""
    revision.watch(worker.wsgi)


class _CarefulBody:
    def __init__(self, body: Any) -> None:
        self._body = body

    def read(self, *size: int) -> bytes:
        return self._carefully(self._body.read, *size)

    def readline(self, *size: int) -> bytes:
        return self._carefully(self._body.readline, *size)

    @staticmethod
    def _carefully(read: Callable[..., bytes], *size: int) -> bytes:
        try:
            return read(*size)
        except ParseException:
            raise BadRequest from None


def keep_for_good() -> None:
    """Leave out of the search for garbage what is there when a process begins its work: it stays to
    the end, and a search through all of it took a tenth of a second, for which each page, each letter
    and whoever waits for SQLite's lock stood still."""
    gc.collect()
    gc.freeze()


def run_web(settings: Settings, bind: str | None = None) -> None:
    """Serve pages until a signal comes, where `STORE_BIND` says unless told otherwise."""
    _speak(settings)
    WebServer(lambda: create_app(settings), bind).run()


def run_worker(settings: Settings) -> None:
    """Do jobs and keep the timetable until TERM, which finishes the running job."""
    _speak(settings)
    app = create_app(settings)
    watch_parent()
    note_start(web=False)
    # Before the first pass of the timetable, which may take long.
    keep_beating(app, settings.worker_threads)
    keep_watch(app, is_worker=True)
    # It ends in order, and `serve` with it: what starts it again starts what is installed now.
    was_renewed = threading.Event()

    def end() -> None:
        was_renewed.set()
        os.kill(os.getpid(), signal.SIGTERM)

    revision.watch(app, end)
    with app.app_context():
        tasks.begin()
    consumer = jobs.make_consumer(app, settings.worker_threads)
    keep_for_good()
    try:
        consumer.run()
    finally:
        note_end(web=False)
    with app.app_context(), suppress(sa.exc.SQLAlchemyError):
        heartbeats.end()
    write_down(app)
    if was_renewed.is_set():
        sys.exit(1)


def keep_beating(app: Flask, threads: int) -> threading.Event:
    """Say from now on, in a thread of its own, that this worker is there: also while a job runs
    long, and not while all its threads are stuck. Returns what ends it once it is set."""

    def beat() -> None:
        is_moving = jobs.pulse_of(app).is_moving(threads)
        if is_moving:
            heartbeats.beat()
        elif was_moving[0]:
            log.error("every thread of this worker has been at the same work for five minutes")
        was_moving[0] = is_moving

    was_moving = [True]
    return _each(app, heartbeats.EVERY_SECONDS, beat, name="heartbeat", is_at_once=True)


def keep_watch(app: Flask, *, is_worker: bool = False) -> None:
    """Look twice a minute, in a thread of its own, whether all is well with the machines; a worker asks
    for the mail server's certificate, too. Another thread writes down what was measured."""

    def look() -> None:
        if is_worker:
            certificates.look_when_due()
        troubles.look()

    _each(app, LOOK_SECONDS, look, name="watch")
    _each(app, measures.EVERY_SECONDS, measures.write_down, name="measures")


def write_down(app: Flask) -> None:
    """What a process measured, as it ends; a database that is away keeps none from ending."""
    with app.app_context(), suppress(sa.exc.SQLAlchemyError):
        measures.write_down()


def _each(
    app: Flask, seconds: float, do: Callable[[], None], *, name: str, is_at_once: bool = False
) -> threading.Event:
    """Do it again and again until the event is set or the process ends; what fails is tried again
    the next time."""
    ended = threading.Event()

    def run() -> None:
        if not is_at_once:
            ended.wait(seconds)
        while not ended.is_set():
            with app.app_context():
                try:
                    do()
                except Exception as fault:  # noqa: BLE001 - whatever it is, the next time may be better
                    log.warning("%s: %s", name, type(fault).__name__)
            ended.wait(seconds)

    threading.Thread(target=run, daemon=True, name=name).start()
    return ended


def _speak(settings: Settings) -> None:
    logs.log_to_stderr()
    logs.as_told(settings.log_format, settings.log_levels, settings.secrets)


def note_start(*, web: bool) -> None:
    """A server or worker begins its work."""
    tell(Happening.WEB_STARTED if web else Happening.WORKER_STARTED)


def note_end(*, web: bool) -> None:
    """It has ended in order; one that was killed says nothing."""
    tell(Happening.WEB_ENDED if web else Happening.WORKER_ENDED)
