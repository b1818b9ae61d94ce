"""Every job and the timetable: what a bell may ask for, and what falls due each minute."""

import logging
from collections.abc import Callable

from flask import Flask

from store.kit import jobs, limits
from store.kit.database import end_read

log = logging.getLogger(__name__)


def register_jobs(app: Flask, huey: jobs.Huey) -> None:
    """Make the jobs ringable in this application."""
    app.extensions["colophon.huey"] = huey
    jobs.register(app, huey, tick, each_minute=True)


def tick() -> None:
    """One pass of everything that falls due. Safe many times and at once."""
    for step in TIMETABLE:
        try:
            step()
        except Exception:
            # One step that fails must not keep the others from their work.
            log.exception("timetable step %s failed", step.__name__)
        finally:
            end_read()


TIMETABLE: tuple[Callable[[], object], ...] = (limits.forget_ended_windows,)
