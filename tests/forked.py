"""Processes that begin with the shop read in, as forks of one that has done nothing but that: to read it
takes two seconds of a processor, and hundreds of tests start some."""

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_READ_IN = [
    "tests.conftest",
    "tests.trials.acts",
    "tests.payments.processes",
    "tests.payments.stripe_child",
]


def server() -> ForkServerContext:
    """What such processes, and what they share, are made by."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(_READ_IN)
    return found


def begin(work: Callable[..., Any], *given: Any) -> BaseProcess:
    """Begin `work` in a process with this one's environment, folder and errors."""
    errors = Connection(os.dup(2), readable=False)
    inherited = (dict(os.environ), str(Path.cwd()), errors)
    process = server().Process(target=_work, args=(inherited, work, given))
    process.start()
    errors.close()
    return process


def _work(
    inherited: tuple[dict[str, str], str, Connection], work: Callable[..., Any], given: Any
) -> None:
    environment, folder, errors = inherited
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    os.dup2(errors.fileno(), 2)
    errors.close()
    work(*given)
