"""Customers as a file: what a row of an import costs, and how much memory an export takes."""

import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bench.figures import Figure
from bench.parallel import in_a_process
from bench.shops import KEY, add_publication, shop
from bench.stock import stock
from store import settings
from store.app import create_app
from store.catalog.models import Publication
from store.distribution.customers_csv import read_customers
from store.distribution.import_export import export_customers, import_customers
from store.kit.database import db
from store.payments.sums import left_by_order

ROWS = 5_000
HOLDERS = 100_000


def measure() -> list[Figure]:
    """Milliseconds of the processor, and megabytes above those of a process at rest."""
    with tempfile.TemporaryDirectory() as folder:
        row = _import(Path(folder) / "import")
        more = _export(Path(folder) / "export")
    return [
        Figure("import, processor time a row", "", row, 0.5, at_least=False, unit="ms"),
        Figure(
            f"export of {HOLDERS:,} customers, memory above idle",
            "",
            more,
            20,
            at_least=False,
            unit="MB",
        ),
    ]


def _import(folder: Path) -> float:
    lines = ["email,name", *(f"new{i}@reader.example,Reader {i}" for i in range(ROWS))]
    data = "\n".join(lines).encode()
    with shop(folder):
        add_publication(1)
        publication = db.session.scalars(sa.select(Publication)).one()
        start = time.process_time()
        report = import_customers(publication, read_customers(data))
        took = time.process_time() - start
    if report.added != ROWS:
        raise RuntimeError(f"{report.added} of {ROWS} rows were imported")
    return 1000 * took / ROWS


def _export(folder: Path) -> float:
    given = {"env": "testing", "secret_key": KEY, "data_dir": folder}
    with shop(folder):
        stock(HOLDERS)
    return in_a_process(_memory, given)


def _memory(given: dict[str, Any]) -> float:
    """In MB, as Linux counts in kB."""
    with create_app(settings.load({}, **given)).app_context():
        publication = db.session.scalars(sa.select(Publication)).one()
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        before = _kilobytes("VmRSS")
        deque(export_customers(publication, left_by_order), maxlen=0)
        return (_kilobytes("VmHWM") - before) / 1000


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (found,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(found.split()[1])
