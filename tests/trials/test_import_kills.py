"""An import killed by kill -9 and run again: each row of the file is there once."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from store.distribution.customers_csv import read_customers
from store.distribution.import_export import import_customers
from store.entitlements.models import Entitlement, Link
from store.kit.database import db
from store.orders.models import Customer
from tests.conftest import on_both, on_both_when_long
from tests.editions import a_shop, guide
from tests.tables import Note

from .ready import Moment, ReadyShop, ready_shop
from .tally import Tally

# More than the import takes into one transaction.
ROWS = 105
MOST_STEPS = 60


def _file(folder: Path, number: int) -> Path:
    """Readers who are new, but for five of the file before."""
    first = number * (ROWS - 5)
    lines = [f"reader{row:06}@reader.example,Reader {row}" for row in range(first, first + ROWS)]
    file = folder / f"customers-{number}.csv"
    file.write_text("\n".join(["email,name", *lines]) + "\n")
    return file


def _rights(file: Path) -> list[int]:
    """How many rights each row of the file has."""
    rights, links = sa.func.count(Entitlement.id.distinct()), sa.func.count(Link.id.distinct())
    query = (
        sa.select(Customer.email, rights, links)
        .outerjoin(Entitlement, Entitlement.customer_id == Customer.id)
        .outerjoin(Link, Link.customer_id == Customer.id)
        .group_by(Customer.id)
    )
    found = {email: (count, links > 0) for email, count, links in db.session.execute(query)}
    db.session.remove()
    emails = [line.split(",")[0] for line in file.read_text().splitlines()[1:]]
    assert all(found.get(email, (0, True))[1] for email in emails), "a right without a link"
    return [found.get(email, (0, True))[0] for email in emails]


def _try(tally: Tally, ready: ReadyShop, publication_id: int, file: Path, moment: Moment) -> None:
    """One import, killed at this moment; then once more, to its end."""
    slug = guide(publication_id).slug
    life = ready.begin("import", moment, slug=slug, file=str(file))
    tally.count(moment, was_killed=life.ended())
    import_customers(guide(publication_id), read_customers(file.read_bytes()))
    rights = _rights(file)
    tally.of += ROWS
    tally.missed += rights.count(0)
    doubled = sum(max(0, count - 1) for count in rights)
    tally.doubled += doubled
    tally.most_doubled = max(tally.most_doubled, doubled)


def _kill_imports(url: str, folder: Path, seed: int, kills: int) -> Tally:
    tally, number, publication_id = Tally("import", url, seed), 0, a_shop().id
    with ready_shop(folder, database_url=url) as ready:
        while tally.kills < kills:
            _try(tally, ready, publication_id, _file(folder, number), tally.moment(MOST_STEPS))
            number += 1
    return tally


@on_both_when_long
def test_an_import_that_is_killed_and_run_again_has_each_row_once(
    app: Flask, database_url: str, tmp_path: Path, seed: int
) -> None:
    _kill_imports(database_url, tmp_path, seed, kills=3).check()


@pytest.mark.long
def test_control_an_import_that_asks_for_customers_and_not_for_rights_loses_a_row(
    app: Flask, database_url: str, tmp_path: Path, seed: int
) -> None:
    tally, slug = Tally("import", database_url, seed), a_shop().slug
    seams = {"without": "what they have"}
    with ready_shop(tmp_path, seams, database_url=database_url) as ready:
        for number, step in enumerate(range(10, 40)):
            file = _file(tmp_path, number)
            ready.begin("import", Moment(step), slug=slug, file=str(file)).ended()
            ready.begin("import", slug=slug, file=str(file)).ended()
            tally.missed += _rights(file).count(0)
            if tally.missed:
                break

    assert tally.missed > 0


@pytest.mark.long
@pytest.mark.timeout(1800)
@on_both
def test_imports_killed_at_many_moments(
    app: Flask, database_url: str, tmp_path: Path, seed: int, kills: int, note: Note
) -> None:
    tally = _kill_imports(database_url, tmp_path, seed, kills)
    tally.note(note)
    tally.check()
