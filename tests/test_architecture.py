"""The house keeps to its plan: `docs/architecture.md` says what stands, and the code is so."""

import ast
import re
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from flask import Flask

from store.catalog.models import EditionStatus, PublicationStatus
from store.distribution.models import ImportStatus
from store.kit.database import db
from store.kit.status import Status
from store.mail.models import BatchStatus, DeliveryStatus
from store.orders.models import OrderStatus
from store.payments.models import CheckoutStatus, EventStatus, RefundStatus

ROOT = Path(__file__).parent.parent
PLAN = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FILES = {
    str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "store").rglob("*.py"))
}
DOORS = (
    "store/storefront/",
    "store/admin/",
    "store/staff/account.py",
    "store/staff/guard.py",
    "store/staff/joining.py",
    "store/staff/sessions.py",
    "store/staff/sign_in.py",
    "store/kit/forms.py",
    "store/demo/",
    "store/kit/web.py",
    "store/kit/answered.py",
    "store/kit/asked.py",
    "store/kit/packed.py",
)
RULES = tuple(
    f"store/{room}/"
    for room in (
        "kit",
        "mail",
        "catalog",
        "orders",
        "entitlements",
        "payments",
        "distribution",
        "staff",
        "backups",
        "stories",
    )
)
STATES = {
    "publication": PublicationStatus,
    "edition": EditionStatus,
    "order": OrderStatus,
    "checkout": CheckoutStatus,
    "import": ImportStatus,
    "refund": RefundStatus,
    "gateway event": EventStatus,
    "delivery": DeliveryStatus,
    "batch": BatchStatus,
}
# Other people's words for what we call by one; names of tables and columns hold none of them.
NOT_OUR_WORDS = set(
    re.findall(
        r"\w+",
        """product book attachment launch push user reader cart transaction reservation optin session
        charge chargeback settlement licence license access account hit notification ledger queue
        campaign blast stats suppression blocklist team""",
    )
)
# HTTP's own name for the program that asks.
LENT_NAMES = {"orders.user_agent", "downloads.user_agent"}


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or 0) - node.lineno + 1


def _attributes(tree: ast.AST) -> set[str]:
    return {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


def _taken_from(tree: ast.AST, module: str) -> set[str]:
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == module
        for alias in node.names
    }


def _table(heading: str) -> list[list[str]]:
    """The cells of the table under a heading of the plan, without its head."""
    part = PLAN.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")]
    return rows[2:]


def test_rooms_are_those_of_the_plan() -> None:
    planned = {name for row in _table("Rooms") for name in re.findall(r"`(\w+)`", row[0])}
    packages = {path.parent.name for path in (ROOT / "store").glob("*/__init__.py")}
    modules = {path.stem for path in (ROOT / "store").glob("*.py")} - {"__init__"}
    assert planned == packages | modules


def test_layers_are_those_that_the_linter_keeps() -> None:
    block = PLAN.split("Imports run downwards only")[1].split("```")[1]
    planned = [re.split(r"\s{2,}", line)[0] for line in block.strip().splitlines()]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    kept = [layer.replace("store.", "") for layer in contracts["contracts"][0]["layers"]]
    assert planned == kept


def test_commands_of_make_are_those_of_the_plan() -> None:
    planned = PLAN.split("**Commands** of `make`:")[1].split("\n\n")[0]
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"`([a-z-]+)`", planned)) <= set(targets)


def _moves(words: str) -> set[tuple[str, str]]:
    """The moves in `a → b, c; b ⇄ d`; what stands in brackets or after a colon is a reason."""
    moves = set()
    for part in re.sub(r"\([^)]*\)|:.*", "", words).split(";"):
        steps = re.split(r"\s*([→⇄])\s*", part.strip())
        groups = [re.split(r",\s*", step) for step in steps[::2]]
        for arrow, (before, after) in zip(steps[1::2], pairwise(groups), strict=True):
            pairs = {(old.strip(), new.strip()) for old in before for new in after}
            moves |= pairs | ({(new, old) for old, new in pairs} if arrow == "⇄" else set())
    return moves


@pytest.mark.parametrize("entity", STATES)
def test_statuses_move_as_the_plan_says(entity: str) -> None:
    planned = {row[0]: row[1] for row in _table("States")}
    status: type[Status] = STATES[entity]
    made = {(str(old), str(new)) for old, after in status.moves().items() for new in after}
    assert _moves(planned[entity]) == made


def test_every_status_is_in_the_plan() -> None:
    assert set(STATES.values()) == {
        found for found in Status.__subclasses__() if found.__module__.startswith("store.")
    }


def test_the_environment_is_read_in_one_place() -> None:
    readers = {
        name
        for name, tree in FILES.items()
        if {"os.environ", "os.getenv"} & _attributes(tree) or "environ" in _taken_from(tree, "os")
    }
    # The two that start children hand the environment on.
    assert readers == {"store/settings.py", "store/children.py", "store/commands/demo.py"}


def test_only_transaction_commits() -> None:
    committing = {
        name
        for name, tree in FILES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "commit"
    }
    assert committing == {"store/kit/database.py"}


def test_rules_never_see_the_request() -> None:
    seen = {
        name: found
        for name, tree in FILES.items()
        if not name.startswith(DOORS)
        and (found := _taken_from(tree, "flask") & {"request", "session", "g", "abort", "redirect"})
    }
    assert seen == {}


def test_models_inherit_our_base() -> None:
    assert [name for name, tree in FILES.items() if "db.Model" in _attributes(tree)] == []


def test_every_file_says_what_it_is_for() -> None:
    assert [name for name, tree in FILES.items() if not ast.get_docstring(tree)] == []  # type: ignore[arg-type]


def test_every_public_rule_says_what_goes_in_and_out() -> None:
    silent = [
        f"{name}: {node.name}"
        for name, tree in FILES.items()
        if name.startswith(RULES)
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        if not node.name.startswith("_") and not ast.get_docstring(node)
    ]
    assert silent == []


def test_nothing_is_deleted_along_with_something_else() -> None:
    words = re.compile("cascade", re.IGNORECASE)
    scripts = [*(ROOT / "store").rglob("*.py"), *(ROOT / "migrations").rglob("*.py")]
    assert len(scripts) > 100
    assert [str(path) for path in scripts if words.search(path.read_text(encoding="utf-8"))] == []


def test_tables_and_columns_are_called_by_our_words(app: Flask) -> None:
    foreign = {
        f"{table.name}.{column.name}"
        for table in db.metadatas[None].sorted_tables
        for column in table.columns
        if NOT_OUR_WORDS & {word.removesuffix("s") for word in _words(table.name, column.name)}
    }
    assert foreign - LENT_NAMES == set()


def _words(*names: str) -> set[str]:
    return {word for name in names for word in name.split("_")}


def test_moments_and_amounts_are_called_what_they_are(app: Flask) -> None:
    strange = {
        f"{table.name}.{column.name}: {column.type}"
        for table in db.metadatas[None].sorted_tables
        for column in table.columns
        if ("DATETIME" in str(column.type)) != f"_{column.name}".endswith(("_at", "_until"))
        and f"{table.name}.{column.name}" not in {"rate_counts.ends_at", *LENT_NAMES}
    }
    assert strange == set()


def test_functions_are_short() -> None:
    lengths = {
        f"{name}: {node.name}": _length(node)
        for name, tree in FILES.items()
        for node in _functions(tree)
    }
    assert {where: length for where, length in lengths.items() if length > 45} == {}


def test_files_are_short() -> None:
    lengths = {name: len((ROOT / name).read_text().splitlines()) for name in FILES}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_ruff_keeps_the_complexity() -> None:
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert "C90" in ruff["select"]
    assert ruff["mccabe"]["max-complexity"] <= 10
    ignored = {code for codes in ruff["per-file-ignores"].values() for code in codes}
    assert not {code for code in ignored if code.startswith("C9")}
    quiet = [name for name in FILES if re.search(r"noqa:.*C90", (ROOT / name).read_text())]
    assert quiet == []
