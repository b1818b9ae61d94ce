"""What our processes say, each thing in one line of text or of JSON: no token, no key, no password and
no e-mail address stands in any.

Fields beside the words come from code (`kit.happenings`, and the ids of the request, job or letter at
work: `within`), words may come from anywhere; both are masked.
"""

import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from logging import Formatter, LogRecord
from typing import Any

from store.kit import space

Facts = Mapping[str, str | int]
Head = tuple[float, str, str]  # seconds, level, logger

# Each begins where a word does: looked for at every letter of a long word, one line took half a second.
# The three parts of a signed text (`kit.tokens`), the first alone too, as it carries the reference.
_TOKEN = re.compile(r"(?<![\w-])[\w-]{30,}\.[\w-]{5,8}\.[\w-]{20,}|\bI[i-n][\w-]{30}")
# Keys of the payment service, whole or as it shortens them.
_KEY = re.compile(r"\b(?:(?:sk|rk)_(?:test|live)|whsec)_[\w*.]+")
_ADDRESS = re.compile(r"(?<![^\s<>\"(),:;=@])[^\s<>\"(),:;=@]+(?:@|%40)[\w-]+(?:\.[\w-]+)+")
# PostgreSQL quotes the whole row that a constraint refuses: names, notes, whatever is in it.
_ROW, _ROW_ENDS = "Failing row contains (", ").\n"
# A secret that is as short as this may be a word, which lines hold for other reasons.
_SHORTEST_SECRET = 8
_PLAIN_WORD = re.compile(r"[^\s\"=\[\]]+")

_in_json = json.JSONEncoder(ensure_ascii=False).encode

_NOTHING: Facts = {}
_here: ContextVar[Facts] = ContextVar("log_context", default=_NOTHING)


def mask_secrets(text: str) -> str:
    """The text with `[token]`, `[key]`, `[address]` and `[row]` in the place of each."""
    text = _without_rows(text)
    return _ADDRESS.sub("[address]", _KEY.sub("[key]", _TOKEN.sub("[token]", text)))


def _without_rows(text: str) -> str:
    before, *quoting = text.split(_ROW)
    ends = (one.partition(_ROW_ENDS) for one in quoting)
    return before + "".join(f"{_ROW}[row]{_ROW_ENDS}{after}" for _, _, after in ends)


@contextmanager
def within(**ids: str | int) -> Iterator[None]:
    """Every line of this thread, or of what it calls, bears these ids beside those around it."""
    token = _here.set({**_here.get(), **ids})
    try:
        yield
    finally:
        _here.reset(token)


def begin_request(number: str) -> None:
    """From here on this thread answers the request of this number, and nothing else."""
    _here.set({"request": number})


def end_request() -> None:
    """The request is answered. Where nobody says so, the next one ends it."""
    _here.set(_NOTHING)


def request_number() -> str:
    """The number of the request at work; empty outside one."""
    return str(_here.get().get("request", ""))


class Plain(Formatter):
    """A line of text: when, how bad, where, what; facts and ids behind it. A traceback follows it."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        super().__init__()
        self._secrets = [one for one in secrets if len(one) >= _SHORTEST_SECRET]

    def format(self, record: LogRecord) -> str:
        """The line of a record, with all that may be secret masked."""
        facts: Facts = getattr(record, "facts", _NOTHING)
        return self.line(
            (record.created, record.levelname, record.name),
            {name: self._masked(v) if isinstance(v, str) else v for name, v in facts.items()},
            self._masked(record.getMessage()),
            self._masked(self.formatException(record.exc_info)) if record.exc_info else "",
        )

    def line(self, head: Head, facts: Facts, words: str = "", trace: str = "") -> str:
        """A line of what needs no mask."""
        created, level, name = head
        said = f"{_moment(created)} {level} {name}:"
        if words:
            said += f" {_one_line(words)}"
        for fact, value in facts.items():
            said += f" {fact}={_written(value) if isinstance(value, str) else value}"
        ids = _here.get()
        if ids:  # words of ours without a blank
            said += f" [{' '.join([f'{one}={value}' for one, value in ids.items()])}]"
        return f"{said}\n{trace}" if trace else said

    def _masked(self, words: str) -> str:
        for secret in self._secrets:
            words = words.replace(secret, "[secret]")
        return mask_secrets(words)


class Json(Plain):
    """The same as one object in one line; a traceback is a field of it."""

    def line(self, head: Head, facts: Facts, words: str = "", trace: str = "") -> str:
        """See `Plain`."""
        created, level, name = head
        told: dict[str, Any] = {
            "at": _moment(created),
            "level": level.lower(),
            "logger": name,
            "pid": os.getpid(),
        }
        if words:
            told["text"] = words
        told.update(facts)
        told.update(_here.get())
        if trace:
            told["traceback"] = trace
        return _in_json(told)


FORMATS: dict[str, type[Plain]] = {"text": Plain, "json": Json}


def tell_once(record: LogRecord) -> bool:
    """A filter: what a full disk does to every job and thread is one line a minute, without the
    tracebacks of them all."""
    fault = record.exc_info[1] if record.exc_info else None
    if not space.is_full(fault):
        return True
    record.msg, record.args, record.exc_info, record.exc_text = space.in_words(), (), None, None
    return space.is_time_to_tell()


class _Stderr(logging.StreamHandler[Any]):
    """The handler of this process, known by its class."""

    formatter: Plain
    lock: threading.RLock


def log_to_stderr() -> None:
    """What this process says goes to stderr, masked; warnings and worse, until it is told more."""
    handler = _Stderr()
    handler.setFormatter(Plain())
    handler.addFilter(tell_once)
    root = logging.getLogger()
    for one in _ours():
        root.removeHandler(one)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)


def _ours() -> "list[_Stderr]":
    return [one for one in logging.getLogger().handlers if isinstance(one, _Stderr)]


def as_told(form: str, levels: Mapping[str, str], secrets: Sequence[str] = ()) -> None:
    """Say it in this form (`FORMATS`) and from these levels on: of each logger, and of "" for what is
    ours and gunicorn's; the bell's jobs have lines of their own, so huey is heard from warnings on
    unless it is named. Other people's libraries say warnings and worse, whatever is set: below
    that they quote rows. Changes nothing in a process that does not log to stderr."""
    if not _ours():
        return
    _ours()[0].setFormatter(FORMATS[form](secrets))
    general = levels.get("", "info")
    chosen = {"store": general, "gunicorn": general, "huey": "warning"} | dict(levels)
    for name, level in chosen.items():
        if name:
            logging.getLogger(name).setLevel(level.upper())


def say_plainly(name: str, facts: Facts) -> None:
    """A line at info by the logger of this name, which the caller has asked whether it is heard. All
    facts are numbers and words of ours, so that nothing is masked: a fourth of the cost of a record."""
    for handler in _ours():
        text = handler.formatter.line((time.time(), "INFO", name), facts)
        with handler.lock:
            handler.stream.write(f"{text}\n")  # which flushes, as Python has stderr


def only_warnings_at_a_terminal() -> None:
    """A person who types a command reads its answer, and of the log what is wrong."""
    if sys.stderr.isatty():
        for one in _ours():
            one.setLevel(logging.WARNING)


def _moment(created: float) -> str:
    second = int(created)
    return f"{_to_the_second(second)}.{int((created - second) * 1000):03}Z"


@lru_cache(maxsize=2)
def _to_the_second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


@lru_cache(maxsize=512)
def _written(value: str) -> str:
    return value if _PLAIN_WORD.fullmatch(value) else _in_json(value)


def _one_line(words: str) -> str:
    """Other people's words begin no line of their own."""
    return "\\n".join(words.splitlines())
