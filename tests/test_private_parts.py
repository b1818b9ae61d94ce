"""What we reach into of other people's code is known, is as it was, and is held by a bound."""

import importlib
import inspect
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import flask_mail
import pytest
from flask import Request
from flask_limiter import Limiter
from huey.storage import SqliteStorage

import store

ROOT = Path(__file__).parent.parent
# Each with the parameters that ours hands over or takes, and the distribution that is bounded.
REACHED = {
    ("flask-limiter", Limiter, "_check_request_limit"): ["self", "callable_name", "in_middleware"],
    ("flask", Request, "_load_form_data"): ["self"],
    ("huey", SqliteStorage, "_create_connection"): ["self"],
    ("flask-mail", flask_mail.Connection, "configure_host"): ["self"],
}


def _modules() -> Iterator[object]:
    for found in pkgutil.walk_packages(store.__path__, "store."):
        yield importlib.import_module(found.name)


def _overridden() -> set[str]:
    """`library.Class._method` for each private method of a library's that a class of ours takes."""
    ours = {
        cls
        for module in _modules()
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if cls.__module__.startswith("store.")
    }
    found = set()
    for cls in ours:
        for name, value in vars(cls).items():
            bases = [base for base in cls.__mro__[1:] if name in vars(base)]
            if not (bases and re.match(r"_[a-z]", name) and inspect.isfunction(value)):
                continue
            package = bases[0].__module__.split(".")[0]
            if package not in {"store", "enum"}:
                found.add(f"{package}.{bases[0].__qualname__}.{name}")
    return found


def test_no_other_private_method_is_taken() -> None:
    listed = {
        f"{cls.__module__.split('.')[0]}.{cls.__qualname__}.{name}"
        for _, cls, name in REACHED
        if name.startswith("_")
    }
    assert _overridden() == listed


@pytest.mark.parametrize(
    ("cls", "name", "parameters"),
    [(cls, name, parameters) for (_, cls, name), parameters in REACHED.items()],
    ids=[name for _, _, name in REACHED],
)
def test_what_is_reached_into_is_as_it_was(cls: type, name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(vars(cls)[name]).parameters) == parameters


def test_its_next_minor_version_is_not_taken_without_a_look() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = {
        re.split(r"[><=]", one)[0]: re.search(r",<(\d+)\.(\d+)$", one)
        for one in project["dependencies"]
    }
    assert [name for name, _, _ in REACHED if not bounds[name]] == []
