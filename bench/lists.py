"""Library and desk of a shop with 100,000 orders beside the same of a small one."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient

from bench.figures import Figure, rounds
from bench.shops import shop
from bench.stock import SLUG, STAFF, links, reference, stock
from store.distribution import live, rehearsal
from store.entitlements.links import token_of
from store.kit.database import db
from store.payments import day_sums

MANY, FEW, FEWEST = 100_000, 100, 10
REPEATED = 20
# Each page of the desk: at most so many times the time in the small shop, and the aim.
DESK = (
    ("first page of orders", "/admin/orders", 1.5, None),
    ("first page of customers", "/admin/customers", 1.5, None),
    ("first page of letters", "/admin/letters", 1.5, None),
    ("late page of orders", "/admin/orders?after={late}", 1.5, None),
    ("late page of customers", "/admin/customers?after={late}", 1.5, None),
    ("late page of letters", "/admin/letters?after={late}", 1.5, None),
    ("an order by its reference", f"/admin/orders?q={reference(42)}", 2, None),
    ("an order by its address", "/admin/orders?q=reader42@reader.example", 2, None),
    ("a customer by an address", "/admin/customers?q=reader42@reader.example", 2, None),
    ("customers by part of a name", "/admin/customers?q=eader+42", 5, None),
    ("customers of no such name", "/admin/customers?q=nobodyatall", 5, None),
    ("orders by part of a name", "/admin/orders?q=eader+42", 5, None),
    ("orders of no such name", "/admin/orders?q=nobodyatall", 5, None),
    ("the search of the head by an address", "/admin/search?q=reader42@reader.example", 2, None),
    ("the search of the head by part of a name", "/admin/search?q=eader+42", 5, None),
    ("the search of the head for nothing known", "/admin/search?q=nobodyatall", 5, None),
    ("home", "/admin/", 2, None),
    ("a draft", f"/admin/publications/{SLUG}/editions/2", 2, None),
    ("an edition that was released", f"/admin/publications/{SLUG}/editions/1", 2, None),
    ("a release’s column", f"/admin/publications/{SLUG}/editions/1/people/handed_over", 1.5, None),
)


def measure() -> list[Figure]:
    """Processor time of each page on SQLite, which works in the same process."""
    with tempfile.TemporaryDirectory() as folder:
        with shop(Path(folder) / "few") as few, shop(Path(folder) / "many") as many:
            _stock(few, FEW)
            _stock(many, MANY)
            desks = {app: _signed_in(app) for app in (few, many)}
            figures = [_desk(desks[many], desks[few], *row) for row in DESK]
        with shop(Path(folder) / "fewest") as fewest, shop(Path(folder) / "many") as many:
            _stock(fewest, FEWEST)
            figures += _of_ten(many, fewest)
    return figures


def _stock(app: Flask, count: int) -> None:
    with app.app_context():
        stock(count)
        live.recount_due()  # as the timetable does each minute
        rehearsal.count_due()
        day_sums.keep_days()
        db.session.remove()


def _signed_in(app: Flask) -> FlaskClient:
    client = app.test_client()
    page = client.get("/admin/sign-in").get_data(as_text=True)
    token = page.partition('name="csrf_token"')[2].partition('value="')[2].partition('"')[0]
    answer = client.post("/admin/sign-in", data=STAFF | {"csrf_token": token})
    if answer.status_code != 303:
        raise RuntimeError(f"the desk answered {answer.status_code}")
    return client


def _desk(
    many: FlaskClient, few: FlaskClient, name: str, path: str, must: float, aim: float | None
) -> Figure:
    ratio = rounds(
        3,
        lambda: _work(many, path.format(late=MANY // 6)),
        lambda: _work(few, path.format(late=FEW // 2)),
    )
    return Figure(
        f"the desk with {MANY:,} orders, processor time: {name}",
        f"the same with {FEW}",
        ratio,
        must,
        aim,
        at_least=False,
    )


def _of_ten(many: Flask, fewest: Flask) -> list[Figure]:
    paths = {app: _library_path(app) for app in (many, fewest)}
    desks = {app: _signed_in(app) for app in (many, fewest)}
    pages: dict[str, Callable[[Flask], float]] = {
        "library": lambda app: _work(app.test_client(), paths[app]),
        "a customer with their orders, at the desk,": lambda app: _work(
            desks[app], "/admin/customers/1"
        ),
    }
    return [
        Figure(
            f"{name} with {MANY:,} orders, processor time",
            f"the same with {FEWEST}",
            rounds(5, lambda page=page: page(many), lambda page=page: page(fewest)),
            1.2,
            1.05,
            at_least=False,
        )
        for name, page in pages.items()
    ]


def _library_path(app: Flask) -> str:
    with app.app_context():
        path = f"/library/{token_of(links(1)[0])}"
        db.session.remove()
    return path


def _work(client: FlaskClient, path: str) -> float:
    """Seconds of the processor for a page asked for some times, once in vain."""
    start = 0.0
    for number in range(REPEATED + 1):
        if number == 1:
            start = time.process_time()
        with client.application.app_context():
            answer = client.get(path)
        if answer.status_code not in {200, 303}:  # a search leads on to what alone fits
            raise RuntimeError(f"{path} answered {answer.status_code}")
    return time.process_time() - start
