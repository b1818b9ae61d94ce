"""What each shop makes for itself when it starts, made once for all shops of a test run.

In use a shop is made once and lives for weeks; in tests there is one for every test, and three
quarters of its time went into compiling the same templates, routes and statements.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from jinja2 import Environment, FileSystemBytecodeCache
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

import store.app
from store.mail import letters


@contextmanager
def templates(folders: Iterator[Path]) -> Iterator[None]:
    """One folder for pages and one for each part of a letter: they escape differently, and the
    name that something is kept under does not say how."""
    pages, text, html = (FileSystemBytecodeCache(str(next(folders))) for _ in range(3))
    make_environment = letters._environment

    def environment(*, escapes: bool) -> Environment:
        made = make_environment(escapes=escapes)
        made.bytecode_cache = html if escapes else text
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "jinja_options", {"bytecode_cache": pages})
        patch.setattr(letters, "_environment", environment)
        yield


@contextmanager
def routes() -> Iterator[None]:
    """Werkzeug makes Python of each route, 30 ms a shop."""
    compile_builder = Rule._compile_builder
    compiled: dict[tuple[object, ...], Callable[..., tuple[str, str]]] = {}

    def compile_once(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        made_of = (rule.rule, repr(rule.defaults), tuple(rule._trace), append_unknown)
        if made_of not in compiled:
            compiled[made_of] = compile_builder(rule, append_unknown)
        return compiled[made_of]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", compile_once)
        yield


class _Statements:
    """The cache of an engine's compiled statements, shared by all engines of one kind: where the
    engine's own has the dialect in a key, this has the dialect's name."""

    compiled: LRUCache[Any, Any] = LRUCache(4000)

    def get(self, key: tuple[Any, ...]) -> Any:
        return self.compiled.get(self._shared(key))

    def __setitem__(self, key: tuple[Any, ...], statement: Any) -> None:
        self.compiled[self._shared(key)] = statement

    @staticmethod
    def _shared(key: tuple[Any, ...]) -> Hashable:
        dialect, *rest = key
        return dialect.name, *rest


@contextmanager
def statements() -> Iterator[None]:
    """SQLAlchemy makes SQL of each statement, a third of what a request takes in a new shop."""
    prepare_engine = store.app.prepare_engine

    def prepare(engine: sa.Engine) -> None:
        prepare_engine(engine)
        engine._compiled_cache = _Statements()  # type: ignore[assignment]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.app, "prepare_engine", prepare)
        yield
