"""The record of acts: every door that changes something writes a line, and no line changes."""

import ast
import inspect
import os
import pwd
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from store.cli import main
from store.commands import base
from store.kit.database import alongside, db, transaction
from store.staff import audit, recorded
from store.staff.acts import Act
from store.staff.models import AuditEntry, StaffMember
from tests.admin.contested import desk_path
from tests.admin.sign_in import press, signed_in
from tests.command_tree import commands_of
from tests.conftest import on_both
from tests.factories import a_customer, a_publication, a_seller

# Commands that change nothing, that machines call, or that begin a shop.
SILENT = {
    "demo",
    "customer erasures list",
    "discount list",
    "edition coverage",
    "letter list",
    "letter preview",
    "log explain",
    "mail repairs",
    "mail returned",
    "order show",
    "publication list",
    "publication show",
    "seller show",
    "serve",
    "staff list",
    "tick",
    "web",
    "worker",
}


def lines() -> list[AuditEntry]:
    """Every line but those of signing in, oldest first."""
    db.session.rollback()
    query = sa.select(AuditEntry).where(AuditEntry.act != Act.SIGNED_IN)
    return list(db.session.scalars(query.order_by(AuditEntry.id)))


def acts_of(function: Callable[..., Any]) -> set[str]:
    """The acts that a function names, itself or by the functions of its module and `recorded`."""
    found, seen, todo = set(), set(), [inspect.unwrap(function)]
    while todo:
        one = todo.pop()
        if one in seen:
            continue
        seen.add(one)
        module: ModuleType | None = inspect.getmodule(one)
        for node in ast.walk(ast.parse(inspect.cleandoc("\n" + inspect.getsource(one)))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.value.id == "Act":
                    found.add(node.attr)
                elif node.value.id == "recorded":
                    todo.append(getattr(recorded, node.attr))
            elif isinstance(node, ast.Name):
                other = getattr(module, node.id, None)
                if inspect.isfunction(other) and other.__module__ == one.__module__:
                    todo.append(other)
    return found


def _commands(command: click.Command = main, path: str = "") -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, below in commands_of(command).items():
        yield from _commands(below, f"{path} {name}".strip())


def test_every_door_of_the_desk_that_takes_a_form_records_an_act(app: Flask) -> None:
    silent = [
        f"{rule.rule} ({rule.endpoint})"
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/admin") and "POST" in (rule.methods or ())
        if not acts_of(app.view_functions[rule.endpoint])
    ]
    assert silent == []


def test_every_command_that_changes_something_records_an_act() -> None:
    commands = {path: command.callback for path, command in _commands()}
    silent = {path for path, function in commands.items() if not acts_of(function)}  # type: ignore[arg-type]
    assert silent == SILENT


def test_every_act_of_the_vocabulary_is_done_somewhere(app: Flask) -> None:
    views = [app.view_functions[rule.endpoint] for rule in app.url_map.iter_rules()]
    doors = [*views, *(command.callback for _, command in _commands())]
    done = {act for door in doors if door.__module__.startswith("store.") for act in acts_of(door)}
    assert done == {act.name for act in Act}


CHANGES = {
    "sqlite": (
        "UPDATE audit_entries SET place = 'elsewhere'",
        "DELETE FROM audit_entries",
        "INSERT OR REPLACE INTO audit_entries SELECT * FROM audit_entries",
    ),
    "postgresql": (
        "UPDATE audit_entries SET place = 'elsewhere'",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
    ),
}


def _try(change: str) -> str:
    """What the database says of a change, which is not kept."""
    with db.engine.connect() as connection:
        try:
            connection.exec_driver_sql(change)
        except sa.exc.DBAPIError as refusal:
            return str(refusal.orig).splitlines()[0]
        finally:
            connection.rollback()
    return "done"


@on_both
def test_the_database_refuses_to_change_or_delete_a_line(app: Flask) -> None:
    with transaction():
        audit.record(Act.SELLER_STATED, a_seller(), after={"phone": "020"})
    kind = db.engine.dialect.name
    refused = [_try(change) for change in CHANGES[kind]]
    for name in _triggers(kind):
        on = " ON audit_entries" if kind == "postgresql" else ""
        with transaction() as session:
            session.execute(sa.text(f"DROP TRIGGER {name}{on}"))
    allowed = [_try(change) for change in CHANGES[kind]]
    assert refused == ["the record of acts is only added to"] * 3
    assert allowed == ["done"] * 3


def _triggers(kind: str) -> list[str]:
    found = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        " AND tbl_name = 'audit_entries'",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
        " AND tgrelid = 'audit_entries'::regclass",
    }
    with db.engine.connect() as connection:
        return [row[0] for row in connection.exec_driver_sql(found[kind])]


def test_a_line_says_who_did_what_to_what_and_from_where(app: Flask, client: FlaskClient) -> None:
    with transaction():
        a_publication()
    desk = signed_in(client, "editor")
    typed = {"title": "Another title", "price": "15.00", "currency": "GBP", "language": "en-GB"}
    typed |= {
        "vat_treatment": "zero_rated",
        "subtitle": "Next steps following the Improvement Plan 2023",
    }
    path = "/admin/publications/send-early-years/edit"
    old = {"expected_on": "2027-03-31"}
    answer = press(desk, path, typed | old, environ_overrides={"REMOTE_ADDR": "2001:db8::7:8"})
    assert answer.status_code == 303
    (line,) = lines()
    editor = db.session.scalars(sa.select(StaffMember)).one()
    assert (line.act, line.entity, line.entity_id) == ("publication_changed", "publications", 1)
    assert line.before is not None
    assert line.after is not None
    assert (line.before["price"], line.after["price"]) == ("£12.50", "£15.00")
    assert line.before.keys() >= {"price", "title"}
    assert "language" not in line.before
    assert (line.staff_id, line.operator, line.place) == (editor.id, "", "2001:db8::/64")


def test_a_line_of_the_command_line_names_who_the_system_says_it_is(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction():
        a_seller()
    monkeypatch.setattr(base, "the_shop", lambda: app)
    monkeypatch.setattr("socket.gethostname", lambda: "press-vps")
    monkeypatch.setenv("USER", "somebody-else")
    bank = ["seller", "set", "--bank-details", "Sort code 12-34-56, account 12345678"]
    assert CliRunner().invoke(main, bank).exit_code == 0
    (line,) = lines()
    assert (line.act, line.staff_id, line.place) == ("bank_changed", None, "press-vps")
    assert line.operator == pwd.getpwuid(os.getuid()).pw_name
    assert line.after == {"was": "none", "is": "Sort code ••-••-••, account •••••678"}


@on_both
def test_what_is_refused_or_changes_nothing_leaves_no_line(app: Flask, client: FlaskClient) -> None:
    with transaction():
        seller = a_seller()
        audit.record(Act.SELLER_STATED, seller, before={"phone": "1"}, after={"phone": "1"})
    with pytest.raises(RuntimeError, match="no"), transaction():
        audit.record(Act.SELLER_STATED, after={"phone": "2"})
        raise RuntimeError("no")
    assert lines() == []


def test_addresses_are_masked_and_long_numbers_cut(app: Flask) -> None:
    with transaction():
        anna = a_customer()
        audit.record(
            Act.ADDRESS_CORRECTED,
            anna,
            before={"address": "anna@reader.example"},
            after={"address": "Anna <a.berg@reader.example>", "note": "card 4242 4242 4242 4242"},
        )
    (line,) = lines()
    assert line.before == {"address": "a•••@reader.example"}
    assert line.after == {"address": "Anna <a•••@reader.example>", "note": "card …242"}


@on_both
def test_a_refund_pressed_twice_is_one_line_in_its_own_transaction(
    desk: FlaskClient, order_id: int
) -> None:
    path = f"{desk_path(order_id)}/refund"
    for _ in range(2):
        press(desk, path, {"form_key": "k" * 20, "amount": "5.00", "why": "Anna said so"})
    assert [(one.act, one.entity, one.after) for one in lines()] == [
        ("money_refunded", "refunds", {"amount": "£5.00"})
    ]


def test_what_is_written_alongside_waits_for_the_act(app: Flask) -> None:
    asked: list[bool] = []

    def write() -> bool:
        asked.append(db.session().info["writing"])
        return len(asked) == 2

    with alongside(write):
        for _ in range(3):
            with transaction():
                pass
    with transaction():
        pass
    assert asked == [True, True]
