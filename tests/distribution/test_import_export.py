"""Customers brought in from elsewhere: counted to the last row, as often as one likes."""

import csv
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import given, strategies

from store.catalog.models import Publication
from store.distribution import import_export
from store.distribution.customers_csv import read_customers
from store.distribution.import_export import export_customers, import_customers
from store.distribution.releasing import owe_missing
from store.entitlements import granting
from store.entitlements.models import Entitlement
from store.kit.database import db, transaction
from store.kit.spreadsheets import plain_cell, safe_cell, to_csv
from store.mail.models import Delivery, DeliveryStatus
from store.orders.models import Customer
from store.payments.sums import left_by_order
from tests.conftest import Clock, on_both
from tests.editions import drafted_and_released
from tests.factories import a_publication, a_seller
from tests.letters import deliveries
from tests.purchases import buy
from tests.statements import statements

FORMULAS = [
    "=1+1",
    "-2+3",
    "@SUM(A1)",
    "+44 20 7946 0000",
    "\t1",
    "＝1",
    "-Anna",
    "'=x",
    "''-y",
    "\rz",
]


def _count(model: type) -> int:
    found = db.session.scalar(sa.select(sa.func.count()).select_from(model)) or 0
    db.session.rollback()
    return found


def a_hundred_rows() -> bytes:
    """85 new rows, 5 repeated, 3 of people who are in, 4 bad addresses, 3 that are no rows."""
    new = [f"new-{number}@reader.example,New {number}" for number in range(85)]
    repeated = [f" NEW-{number}@Reader.example ,Again" for number in range(5)]
    known = [f"known-{number}@reader.example,Known" for number in range(3)]
    bad = ["nobody,x", "a@b@c.example,x", "@reader.example,x", "two words@reader.example,x"]
    odd = ["", "short@reader.example", "long@reader.example,x,y"]
    return "\n".join(["email,name", *new, *repeated, *known, *bad, *odd]).encode() + b"\n"


@on_both
def testa_hundred_rows_sum_up_to_a_hundred_with_a_line_for_each_left_out(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_export, "CHUNK", 40)
    with transaction():
        a_seller()
        publication = a_publication()
        for number in range(3):
            buy(publication, f"known-{number}@reader.example")
    given = read_customers(a_hundred_rows())
    seen: list[tuple[int, int]] = []
    dry = import_customers(publication, given, dry_run=True)
    assert _count(Entitlement) == 3
    done = import_customers(publication, given, progress=lambda *so_far: seen.append(so_far))
    assert dry == done
    assert (done.total, done.added, len(done.left_out)) == (100, 85, 15)
    assert [one.line for one in done.left_out] == list(range(87, 102))
    assert {one.reason for one in done.left_out[5:8]} == {import_export.HAS_IT}
    assert seen == [(40, 88), (80, 88), (88, 88)]
    assert (_count(Entitlement), _count(Customer)) == (88, 88)
    again = import_customers(publication, given)
    assert (again.total, again.added) == (100, 0)
    assert (_count(Entitlement), _count(Customer)) == (88, 88)


@on_both
def test_an_import_that_broke_off_is_taken_up_where_it_stood(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_export, "CHUNK", 10)
    with transaction():
        publication = a_publication()
    given = read_customers(
        b"email\n" + b"\n".join(b"r%d@reader.example" % number for number in range(25))
    )
    granted = granting.grant_imported
    calls: list[int] = []

    def dies(*args: object, **given: object) -> set[int]:
        done = granted(*args, **given)  # type: ignore[arg-type]
        calls.append(1)
        if len(calls) == 2:
            raise OSError
        return done

    monkeypatch.setattr(import_export, "grant_imported", dies)
    with pytest.raises(OSError):
        import_customers(publication, given)
    assert _count(Entitlement) == 10
    report = import_customers(publication, given)
    assert (report.added, len(report.left_out)) == (15, 10)


@on_both
def testa_hundred_rows_take_as_many_statements_as_ten(app: Flask, frozen: Clock) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
    drafted_and_released(publication)
    took = []
    for first, count in ((0, 10), (10, 100)):
        rows = b"email,name\n" + b"\n".join(
            b"r%d@reader.example,Reader" % number for number in range(first, first + count)
        )
        with statements() as told:
            assert import_customers(publication, read_customers(rows)).added == count
        took.append(len(told))
    assert took[0] == took[1] > 0


@on_both
def test_the_same_list_brought_in_twice_at_once_gives_each_one_copy(
    app: Flask, frozen: Clock
) -> None:
    with transaction():
        publication_id = a_publication().id
    rows = b"email\n" + b"\n".join(b"r%d@reader.example" % number for number in range(150))
    given, start = read_customers(rows), threading.Barrier(2)

    def bring_in() -> int:
        with app.app_context():
            start.wait(30)
            return import_customers(db.session.get_one(Publication, publication_id), given).added

    with ThreadPoolExecutor(2) as pool:
        added = [done.result() for done in [pool.submit(bring_in) for _ in range(2)]]
    assert (sum(added), _count(Entitlement), _count(Customer)) == (150, 150, 150)


@on_both
def test_only_with_notify_the_imported_hear_of_the_newest_edition(
    app: Flask, frozen: Clock
) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
    drafted_and_released(publication)
    frozen.advance(days=1)
    newest = drafted_and_released(publication, 2)
    frozen.advance(days=1)
    import_customers(publication, read_customers(b"email\nquiet@reader.example\n"))
    told = read_customers(b"email\ntold@reader.example\n")
    import_customers(publication, told, notify=True)
    assert deliveries(newest) == {"told@reader.example": (DeliveryStatus.QUEUED, "")}
    assert _count(Delivery) == 1
    db.session.rollback()
    assert owe_missing() == 0, "the net must not owe them the editions before it"


def test_who_was_refunded_is_not_given_a_copy_by_an_import(app: Flask, frozen: Clock) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
        granting.revoke_order(buy(publication), "refunded")
    report = import_customers(publication, read_customers(b"email\nanna@reader.example\n"))
    assert [one.reason for one in report.left_out] == [import_export.GAVE_IT_BACK]


@on_both
def test_our_own_export_read_three_times_leaves_every_name_as_it_was(
    app: Flask, frozen: Clock
) -> None:
    names = ["=1+1", "-2+3", "@SUM(A1)", "+44 20 7946 0000", "-Anna", "Müller, Anna", "'t Hooft"]
    with transaction():
        a_seller()
        publication, other = a_publication(), a_publication("other")
        for number, name in enumerate(names):
            buy(publication, f"reader-{number}@reader.example", name)
        granting.revoke_order(buy(publication, "back@reader.example"), "refunded")
    exported = "".join(export_customers(publication, left_by_order))
    table = list(csv.reader(io.StringIO(exported, newline="")))
    assert table[0] == ["email", "name", "since", "order", "price", "currency"]
    assert table[1][1:3] == ["'=1+1", "2027-03-01"]
    assert table[1][4:] == ["12.50", "GBP"]
    data = exported.encode("utf-8-sig")
    for target in (publication, other, other):
        import_customers(target, read_customers(data))
    assert "".join(export_customers(publication, left_by_order)) == exported
    found = db.session.execute(sa.select(Customer.name).order_by(Customer.id)).scalars().all()
    assert found == [*names, "Anna Berg"]
    again = read_customers("".join(export_customers(other, left_by_order)).encode("utf-8-sig"))
    assert [row.name for row in again.rows] == names
    db.session.rollback()


@on_both
def test_an_export_in_pieces_is_the_same_as_one_in_one(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
        for number in range(3):
            for _ in range(2):  # two rights of each, of which one piece holds the first alone
                buy(publication, f"reader-{number}@reader.example")
    whole = list(export_customers(publication, left_by_order))
    monkeypatch.setattr(import_export, "PIECE", 1)
    pieces = list(export_customers(publication, left_by_order))
    assert "".join(pieces) == "".join(whole)
    assert (len(whole), len(pieces)) == (2, 7)
    assert len("".join(pieces).splitlines()) == 4
    db.session.rollback()


def test_formulas_become_text_and_numbers_stay_numbers() -> None:
    written = to_csv([["text", "amount"], *([text, Decimal("-5.00")] for text in FORMULAS)])
    table = list(csv.reader(io.StringIO(written, newline="")))
    assert [row[0] for row in table[1:]] == ["'" + text for text in FORMULAS]
    assert {row[1] for row in table[1:]} == {"-5.00"}
    assert [plain_cell(safe_cell(text)) for text in FORMULAS] == FORMULAS
    assert safe_cell("'t Hooft") == "'t Hooft"


@pytest.mark.parametrize("divider", [";", "\t", "|", "\n", "\r"])
def test_a_program_that_divides_by_another_sign_finds_no_formula_either(divider: str) -> None:
    written = to_csv([["Anna" + divider + "=HYPERLINK(A1)", "Ben" + divider + "'@x"]])
    cells = [cell for line in written.splitlines() for cell in line.split(divider)]
    assert [cell for cell in cells if cell.lstrip('",').startswith(("=", "@"))] == []
    assert written.count("'=") == 1
    assert written.count("''@") == 1


@given(strategies.text(alphabet="'=+-@;|\t\r\n＝a ", max_size=9))
def test_what_was_made_text_is_read_as_it_was(text: str) -> None:
    assert plain_cell(safe_cell(text)) == text


@on_both
def test_a_list_names_who_had_no_name_and_renames_nobody(app: Flask) -> None:
    with transaction():
        a_seller()
        first, second = a_publication("first"), a_publication("second")
    earlier = b"email,name\nanna@reader.example,\nben@reader.example,Ben Holt\n"
    later = b"email,name\nanna@reader.example,Anna Berg\nben@reader.example,Benjamin\n"
    import_customers(first, read_customers(earlier))
    import_customers(second, read_customers(later))
    names = db.session.scalars(sa.select(Customer.name).order_by(Customer.id)).all()
    assert names == ["Anna Berg", "Ben Holt"]
