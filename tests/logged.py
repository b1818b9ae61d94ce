"""What a process would say on stderr, caught inside the tests' own; and read again from a real one."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from store.kit import logs


@contextmanager
def loggers_as_they_were() -> Iterator[None]:
    """Whatever is told to loggers meanwhile is undone."""
    root, names = logging.getLogger(), list(logging.root.manager.loggerDict)
    before = {name: logging.getLogger(name).level for name in names}
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name in list(logging.root.manager.loggerDict):
            logging.getLogger(name).setLevel(before.get(name, logging.NOTSET))


@contextmanager
def told(
    form: str, levels: Mapping[str, str] | None = None, secrets: Sequence[str] = ()
) -> Iterator[Callable[[], list[str]]]:
    """Log as a process of the shop does; gives what has been said so far, line by line."""
    caught, stderr = io.StringIO(), sys.stderr
    with loggers_as_they_were():
        sys.stderr = caught
        try:
            logs.log_to_stderr()
        finally:
            sys.stderr = stderr
        logs.end_request()  # of a page that an earlier test asked for
        logs.as_told(form, levels or {"": "info"}, secrets)
        yield lambda: caught.getvalue().splitlines()


def objects(said: str) -> list[dict[str, Any]]:
    """The lines of a log in JSON."""
    return [json.loads(line) for line in said.splitlines()]


def facts(line: str) -> dict[str, str]:
    """The facts and ids of a line of text."""
    words = line.replace("[", "").replace("]", "").split()
    return dict(word.split("=", 1) for word in words if "=" in word)
