"""What each shop makes for itself when it starts, made once for all shops of a test run.

In use a shop is made once and lives for weeks; in tests there is one for every test, and three
quarters of its time went into compiling the same templates, routes and statements.
"""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

import store.app
from store.mail import letters

# What `Rule.compile` makes; `arguments` has the names of the defaults too.
_COMPILED = ("_parts", "_trace", "_converters", "arguments", "_build", "_build_unknown")


class _Codes(BytecodeCache):
    """What templates were compiled to, at hand: from files it is read and put together for each shop."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key, bucket.checksum] = bucket.code


@contextmanager
def templates() -> Iterator[None]:
    """Codes for pages and for each part of a letter: they escape differently, and the name that
    something is kept under does not say how."""
    pages, text, html = _Codes(), _Codes(), _Codes()
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
    """Werkzeug reads each route and makes Python of it, 40 ms a shop. What it found is given to
    the same route of the next shop; converters of a route know no shop's data."""
    compile_rule = Rule.compile
    compiled: dict[tuple[object, ...], dict[str, Any]] = {}

    def compile_once(rule: Rule) -> None:
        host = rule.host if rule.map.host_matching else rule.subdomain
        known = frozenset(rule.map.converters.items())
        made_of = (rule.rule, host, repr(rule.defaults), rule.merge_slashes, known)
        if made_of not in compiled:
            compile_rule(rule)
            compiled[made_of] = {name: getattr(rule, name) for name in _COMPILED}
            return
        for name, found in compiled[made_of].items():
            setattr(rule, name, found)
        rule._build = rule._build.__func__.__get__(rule)
        rule._build_unknown = rule._build_unknown.__func__.__get__(rule)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "compile", compile_once)
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
