"""Every link at every customer's door: what it opens, whose data it shows, whose rows it changes.

The doors come from the map of addresses and from the table in architecture.md, which must name the
same; so a new one cannot be forgotten."""

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from store.catalog.models import Asset, Publication
from store.entitlements.erasures import ask_erasure
from store.entitlements.links import make_link, order_link
from store.entitlements.models import Link
from store.entitlements.order_moves import accept_move, request_move
from store.kit import clock, tokens
from store.kit.database import db, transaction
from store.kit.limits import limiter
from store.mail.worker import send_due_letters
from store.orders.customers import customer_by_address, find_or_add_customer, mask
from store.orders.discounts import add_discount
from store.orders.models import Customer, Offer, Order
from store.orders.offers import OFFER, ask_for_offer
from store.orders.placing import Details
from tests.conftest import Clock
from tests.editions import a_shop
from tests.factories import a_publication, a_released_edition
from tests.links import given_second, link_to
from tests.purchases import pay, placed_order
from tests.snapshots import snapshot
from tests.test_routes import PUBLIC_POSTS

pytestmark = pytest.mark.usefixtures("frozen")

PLAN = Path(__file__).parent.parent / "docs" / "architecture.md"
RESUME = "/publications/<slug>/order?resume=<token>"
RENEW = "/find-my-copies/renew"
# What the pages of an order form carry in `form_key` is no token, and opens this door alone.
FORM = "/publications/<slug>/order"
FIELDS: dict[str, dict[str, str]] = PUBLIC_POSTS | {
    RESUME: {"step": "details"},
    "/library/<token>/address": {"email": "new@elsewhere.example"},
    "/library/<token>/second-address": {"email": "new@elsewhere.example", "sure": "yes"},
    "/orders/<token>/move": {"email": "right@elsewhere.example"},
    FORM: {"step": "place", "seen_amount": "1250", "wants_now": "yes", "sure": "yes"},
}
# What each order of a person is called; the first two can be read, the third waits for its 14
# days, the fourth is not paid, and the fifth went to another address of theirs.
ORDERS = ("guide", "atlas", "later", "unpaid", "moved")
KEY = "form key"
PURPOSES = {
    "order, ready": "order",
    "order, waiting": "order",
    "order, unpaid": "order",
    "library": "library",
    "stop": "stop",
    "address": "address",
    "undo": "undo",
    "move": "move",
    "undo of a move": "undo",
    "second address": "second",
    "refusal": "refuse",
    "keep": "keep",
    "offer": OFFER,
    "data": "data",
    "download": "download",
    "order download": "order_download",
    "form key": KEY,
    "form key, unpaid": KEY,
    "form key, moved": KEY,
}
# The order that a link is to, where it is not the guide.
ORDER_OF = {
    "order, waiting": "later",
    "order, unpaid": "unpaid",
    "form key, unpaid": "unpaid",
    "form key, moved": "moved",
}
# A stop holds until it is ended.
TOO_OLD = timedelta(days=401)
# Tables whose rows belong to nobody: how often something was asked, and what moved.
NOBODYS = {"rate_counts", "status_changes", "pace"}


@dataclass
class Person:
    """A customer with orders, and the references of what was mailed to them."""

    name: str
    customer_id: int = 0
    references: dict[str, str] = field(default_factory=dict)
    marks: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def email(self) -> str:
        return f"{self.name}@{self.name}s.example"


@dataclass
class World:
    """Two customers, and the shop's files as they stood before anybody pressed anything."""

    client: FlaskClient
    people: dict[str, Person]
    kept: Path
    rows: dict[str, set[tuple[tuple[str, Any], ...]]]

    def restore(self) -> None:
        db.session.remove()
        db.engine.dispose()
        database = Path(str(db.engine.url.database))
        for leftover in database.parent.glob(f"{database.name}-*"):
            leftover.unlink()
        shutil.copy(self.kept, database)


@pytest.fixture
def world(
    app: Flask, client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> World:
    monkeypatch.setattr(limiter, "enabled", False)
    a_shop(slug="nobodys")
    with transaction():
        add_discount("Members", percent=20, domains="members.example")
    people = {name: _person(name) for name in ("anna", "bea")}
    send_due_letters()
    db.session.remove()
    kept = tmp_path / "kept.db"
    with closing(sqlite3.connect(str(db.engine.url.database))) as connection:
        connection.execute("VACUUM INTO ?", (str(kept),))
    return World(client, people, kept, _rows())


def _person(name: str) -> Person:
    person = Person(name)
    with transaction():
        for title in ORDERS:
            publication = a_publication(f"{name}-{title}", title=f"The {title} of {name}")
            a_released_edition(publication)
    orders = {title: _order(person, title) for title in ORDERS}
    with transaction() as session:
        customer = customer_by_address(person.email)
        assert customer is not None
        person.customer_id = customer.id
        guide = session.get_one(Order, orders["guide"]).lines[0].publication
        ask_for_offer(a_publication(f"{name}-dear"), f"{name}@members.example")
        offer = session.scalars(sa.select(Offer).order_by(Offer.id.desc())).first()
        find_or_add_customer(f"{name}@members.example")
        person.references = {
            "order, ready": order_link(orders["guide"], customer.id).reference,
            "order, waiting": order_link(orders["later"], customer.id).reference,
            "order, unpaid": order_link(orders["unpaid"], customer.id).reference,
            "library": link_to("library", customer.id).reference,
            "stop": _stop(customer.id, guide.id).reference,
            "address": _to(customer.id, "address", f"{name}@new.example").reference,
            "undo": _to(customer.id, "undo", f"{name}@old.example").reference,
            "move": request_move(orders["later"], f"{name}@right.example").reference,
            "undo of a move": _moved(orders["moved"], f"{name}@right.example"),
            "refusal": given_second(customer, f"{name}@second.example").reference,
            "second address": _to(customer.id, "second", f"{name}@third.example").reference,
            "keep": _keep(customer),
            "offer": offer.reference if offer else "",
            "data": make_link("data", customer.id).reference,
            "form key": session.get_one(Order, orders["guide"]).form_key,
            "form key, unpaid": session.get_one(Order, orders["unpaid"]).form_key,
            "form key, moved": session.get_one(Order, orders["moved"]).form_key,
        }
        person.references["download"] = person.references["library"]
        person.references["order download"] = person.references["order, ready"]
        person.marks = {
            "the address": (person.email,),
            "the masked address": (mask(person.email),),
            "the library": ("/library/", person.references["library"]),
            **{
                f"the order “{title}”": (
                    session.get_one(Order, order_id).reference,
                    f"The {title} of {name}",
                    f"{name} {title}",
                )
                for title, order_id in orders.items()
            },
        }
    return person


def _order(person: Person, title: str) -> int:
    with transaction() as session:
        publication = session.scalars(
            sa.select(Publication).filter_by(slug=f"{person.name}-{title}")
        ).one()
        details = Details(
            email=person.email, name=f"{person.name} {title}", wants_now=title != "later"
        )
        order_id = placed_order(publication, details).id
    if title != "unpaid":
        pay(order_id)
    return order_id


def _stop(customer_id: int, publication_id: int) -> Link:
    return make_link("stop", customer_id, publication_id=publication_id)


def _moved(order_id: int, new_email: str) -> str:
    accept_move(request_move(order_id, new_email))
    query = sa.select(Link.reference).where(Link.purpose == "undo", Link.order_id == order_id)
    return db.session.scalars(query).one()


def _keep(customer: Customer) -> str:
    ask_erasure(customer, "customer")
    return link_to("keep", customer.id).reference


def _to(customer_id: int, purpose: str, new_email: str) -> Link:
    return make_link(purpose, customer_id, new_email=new_email)


# Doors ------------------------------------------------------------------------------------------


def doors(app: Flask) -> list[tuple[str, str]]:
    """Method and rule of every door that a customer's token opens."""
    rules = [
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in ("GET", "POST")
        if "<token>" in rule.rule
        and method in (rule.methods or ())
        and not rule.rule.startswith(("/admin", "/demo"))
    ]
    more = [("GET", RESUME), ("POST", RESUME), ("POST", RENEW), ("POST", FORM)]
    return sorted(rules + more, key=lambda door: (door[1], door[0]))


@dataclass(frozen=True)
class Knock:
    """One request at a door. `asked` says what for, where a door has more than one answer; `path`
    is without the token."""

    method: str
    rule: str
    asked: str
    path: str
    email: str = ""

    @property
    def door(self) -> str:
        return f"{self.method} {self.rule}{self.asked}"


def knocks(app: Flask, person: Person, kind: str) -> Iterator[Knock]:
    """Every request that is made with one kind of link."""
    slug = f"{person.name}-{ORDER_OF.get(kind, 'guide')}"
    for method, rule in doors(app):
        path = rule.replace("<slug>", slug)
        if rule == FORM:
            # A press with anything else is a first one: it needs no link, and leads to none.
            if PURPOSES[kind] == KEY:
                yield Knock(method, rule, " (for its address)", path, person.email)
                yield Knock(method, rule, " (for another)", path, f"{person.name}@typo.example")
        elif "<asset>" in rule:
            for asked, asset in _assets(person):
                filled = path.replace("<asset>", asset).replace("<filename>", "any.pdf")
                yield Knock(method, rule, f" ({asked})", filled)
        else:
            yield Knock(method, rule, "", path)


def _assets(person: Person) -> list[tuple[str, str]]:
    other = "bea" if person.name == "anna" else "anna"
    return [
        ("its own", f"{person.name}-guide-1-pdf"),
        ("of another order", f"{person.name}-atlas-1-pdf"),
        ("of another customer", f"{other}-guide-1-pdf"),
    ]


def _token(person: Person, kind: str, at: datetime | None = None) -> str:
    """What is presented: the reference, signed for its purpose at a moment, or the bare key."""
    reference = person.references[kind]
    return reference if PURPOSES[kind] == KEY else tokens.sign(reference, PURPOSES[kind], at)


def _ask(client: FlaskClient, knock: Knock, token: str) -> TestResponse:
    if knock.method == "GET":
        path = knock.path.replace("<token>", token)
        head, answer = client.head(path), client.get(path)
        assert (head.status_code, head.data) == (answer.status_code, b""), path
        assert head.headers.get("Location") == answer.headers.get("Location"), path
        return answer
    more = {
        RESUME: {"resume": token},
        RENEW: {"token": token},
        FORM: {"form_key": token, "email": knock.email},
    }
    path = knock.path.partition("?")[0].replace("<token>", token)
    return client.post(path, data=FIELDS[knock.rule] | more.get(knock.rule, {}))


# What is seen -----------------------------------------------------------------------------------


def _shown(answer: TestResponse, people: dict[str, Person], whose: str) -> list[str]:
    if answer.mimetype in {"application/pdf", "application/epub+zip"}:
        return [_file(answer.data)]
    text = unescape(unquote(answer.get_data(as_text=True) + answer.headers.get("Location", "")))
    told = []
    for name, person in people.items():
        owner = "" if name == whose else "ANOTHER’S "
        for words, marks in person.marks.items():
            if any(mark in text for mark in marks) and not (owner and words == "the library"):
                told.append(owner + words)
    return told


def _file(data: bytes) -> str:
    for asset in db.session.scalars(sa.select(Asset)):
        slug = asset.edition.publication.slug
        made = f"{asset.edition.publication_id}/{asset.edition.number}/{asset.format}\n".encode()
        if data == made * 64:
            return f"the file of “{slug.partition('-')[2]}” of {slug.partition('-')[0]}"
    return "a file that nobody knows"


def _rows() -> dict[str, set[tuple[tuple[str, Any], ...]]]:
    """Every row of the shop, as column and value."""
    db.session.rollback()
    found = {}
    with closing(sqlite3.connect(str(db.engine.url.database))) as connection:
        for table in db.metadata.sorted_tables:
            rows = connection.execute(f"SELECT * FROM {table.name}")
            names = [column[0] for column in rows.description]
            found[table.name] = {tuple(zip(names, row, strict=True)) for row in rows}
    return found


def _changed(world: World, whose: str) -> list[str]:
    now = _rows()
    owners = _owners(world.people)
    told = set()
    for table in db.metadata.sorted_tables:
        if table.name in NOBODYS:
            continue
        for row in world.rows[table.name] ^ now[table.name]:
            if dict(row).get("kind") == "staff_alert":
                told.add("a letter to staff")
                continue
            name = owners(table.name, dict(row))
            told.add(f"{'' if name == whose else f'ANOTHER’S ({name}) '}{table.name}")
    return sorted(told)


def _owners(people: dict[str, Person]) -> Callable[[str, dict[str, Any]], str]:
    """Whose a row is: of the person whose name its customer's address begins with."""
    emails = {row.id: row.email for row in db.session.scalars(sa.select(Customer))}
    orders = {row.id: row.customer_id for row in db.session.scalars(sa.select(Order))}

    def name_of(table: str, values: dict[str, Any]) -> str:
        customer_id = values.get("customer_id") or orders.get(values.get("order_id") or 0)
        if table == "customers":
            customer_id = values["id"]
        if table == "orders":
            customer_id = values["customer_id"]
        email = emails.get(customer_id or 0) or values.get("email") or values.get("address")
        found = [name for name in people if email and str(email).startswith(f"{name}@")]
        return found[0] if found else _by_payment(values, orders, emails, people)

    return name_of


def _by_payment(
    values: dict[str, Any],
    orders: dict[int, int],
    emails: dict[int, str],
    people: dict[str, Person],
) -> str:
    from store.payments.models import Payment

    payment = (
        db.session.get(Payment, values.get("payment_id") or 0)
        if isinstance(values.get("payment_id"), int)
        else None
    )
    email = emails.get(orders.get(payment.order_id if payment else 0, 0), "")
    return next((name for name in people if email.startswith(f"{name}@")), "nobody")


# The matrix -------------------------------------------------------------------------------------


def _good(world: World, app: Flask, whose: str) -> dict[str, dict[str, str]]:
    """For each kind of link, what each door answers, shows and changes."""
    person = world.people[whose]
    found: dict[str, dict[str, str]] = {}
    for kind in PURPOSES:
        token = _token(person, kind)
        for knock in knocks(app, person, kind):
            answer = _ask(world.client, knock, token)
            words = [str(answer.status_code)]
            if knock.rule == FORM and answer.status_code == 303:
                words.append(f"leads to {_way(app, answer)}")
            if shown := _shown(answer, world.people, whose):
                words.append("shows " + ", ".join(shown))
            if changed := _changed(world, whose):
                words.append("changes " + ", ".join(changed))
                world.restore()
            found.setdefault(kind, {})[knock.door] = "; ".join(words)
    return found


def _way(app: Flask, answer: TestResponse) -> str:
    """Where an answer leads: to the page of an order, named by its title, or to another address."""
    path = urlsplit(answer.headers["Location"]).path
    rule, values = app.url_map.bind("127.0.0.1").match(path, return_rule=True)
    if rule.rule != "/orders/<token>":
        return rule.rule
    link = db.session.scalars(
        sa.select(Link).filter_by(reference=tokens.reference_of(values["token"]))
    ).one()
    title = db.session.get_one(Order, link.order_id).lines[0].title
    return f"the page of “{title}”"


def _statuses(world: World, app: Flask, at: datetime | None = None) -> dict[str, dict[str, str]]:
    """The bare answers of every door to Anna's links, signed at a moment, that should open
    nothing."""
    anna = world.people["anna"]
    return {
        kind: {
            knock.door: _bare(world, _ask(world.client, knock, _token(anna, kind, at)))
            for knock in knocks(app, anna, kind)
        }
        for kind in PURPOSES
    }


def _bare(world: World, answer: TestResponse) -> str:
    # What is refused shows nobody's data; a stop does not grow old.
    shown = _shown(answer, world.people, "anna") if answer.status_code in {404, 410} else []
    return f"{answer.status_code}" + (f" SHOWS {', '.join(shown)}" if shown else "")


def _table(matrix: dict[str, dict[str, str]]) -> str:
    doors_of_all = max(matrix.values(), key=len)
    wide = max(len(door) for door in doors_of_all)
    numbers = "".join(f"{number:>6}" for number in range(1, len(matrix) + 1))
    lines = [" " * wide + numbers]
    for door in doors_of_all:
        answers = [cells.get(door, "-").split(";")[0] for cells in matrix.values()]
        lines.append(f"{door:<{wide}}" + "".join(f"{answer:>6}" for answer in answers))
    return "\n".join(lines)


def _legend() -> str:
    return "\n".join(f"{number:>3}  {kind}" for number, kind in enumerate(PURPOSES, 1))


def test_every_link_at_every_door(world: World, app: Flask, frozen: Clock) -> None:
    anna = _good(world, app, "anna")
    assert _tells_of_another(anna) == []

    signed = clock.now()
    frozen.advance(days=401)
    old = _statuses(world, app, signed)
    frozen.set(signed)
    world.restore()
    with transaction() as session:
        session.execute(sa.update(Link).values(revoked_at=clock.now(), revoked_reason="asked"))
    ended = _statuses(world, app)
    world.restore()
    assert "SHOWS" not in str(old) + str(ended)
    snapshot("links.txt", _as_text(anna, old, ended))


def _tells_of_another(matrix: dict[str, dict[str, str]]) -> list[tuple[str, str, str]]:
    return [
        (kind, door, cell)
        for kind, cells in matrix.items()
        for door, cell in cells.items()
        if "ANOTHER’S" in cell
    ]


@pytest.mark.long
def test_links_of_another_customer_open_what_is_theirs(world: World, app: Flask) -> None:
    bea = _good(world, app, "bea")
    assert _tells_of_another(bea) == []
    assert _swapped(bea) == _good(world, app, "anna")


def _swapped(matrix: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    swap = {"anna": "bea", "bea": "anna"}
    return {
        kind: {
            door: re.sub("anna|bea", lambda found: swap[found[0]], cell)
            for door, cell in cells.items()
        }
        for kind, cells in matrix.items()
    }


def _as_text(
    good: dict[str, dict[str, str]],
    old: dict[str, dict[str, str]],
    ended: dict[str, dict[str, str]],
) -> str:
    parts = ["Links\n" + _legend()]
    for heading, matrix in (("Good", good), ("Too old", old), ("Ended", ended)):
        parts.append(f"{heading}\n{_table(matrix)}")
    for kind, cells in good.items():
        opened = [
            f"{door}\n    {cell}" for door, cell in cells.items() if cell[:3] not in {"404", "410"}
        ]
        parts.append(f"What a good link opens: {kind}\n" + "\n".join(opened or ["nothing"]))
    return "\n\n".join(parts) + "\n"


def test_what_opens_nothing_changes_nothing(world: World, app: Flask) -> None:
    """Links that are too old or ended, at every door but the button that mails fresh ones."""
    with transaction() as session:
        session.execute(sa.update(Link).values(revoked_at=clock.now()))
    before = _rows()
    anna = world.people["anna"]
    for kind in PURPOSES:
        for at in (None, clock.now() - TOO_OLD):
            if (kind, at is None) in {("offer", True), ("stop", False)}:
                continue
            token = _token(anna, kind, at)
            for knock in [one for one in knocks(app, anna, kind) if one.rule != RENEW]:
                answer = _ask(world.client, knock, token)
                assert answer.status_code in {404, 410}, (kind, knock.door)
    assert _rows() == before


def test_the_table_of_the_contract_names_every_door(app: Flask) -> None:
    table = PLAN.read_text(encoding="utf-8").split("## Links and doors")[1].split("\n## ")[0]
    named = set(re.findall(r"`((?:GET|POST) /[^`]*)`", table))
    assert named == {f"{method} {rule}" for method, rule in doors(app)}
    missing = [rule for method, rule in doors(app) if method == "POST" and rule not in FIELDS]
    assert missing == []


def test_the_moved_order_is_dead_at_every_door(world: World, app: Flask) -> None:
    with transaction() as session:
        for order in session.scalars(sa.select(Order)):
            order.customer_id = find_or_add_customer("else@elsewhere.example").id
    person = world.people["anna"]
    for kind in ("order, ready", "order, waiting", "order, unpaid", "order download", "form key"):
        token = _token(person, kind)
        answers = {
            knock.door: _ask(world.client, knock, token).status_code
            for knock in knocks(app, person, kind)
            if knock.rule != RENEW
        }
        assert set(answers.values()) == {404, 410}, kind
        more = {"order download": "/download/<token>/<asset>", "form key": f"{FORM} ("}
        own = more.get(kind, "/orders/<token>")
        assert {status for door, status in answers.items() if own in door} == {410}


def test_what_is_no_form_key_leads_to_no_order(world: World, app: Flask) -> None:
    """Links in its place make a first press of the form, for an order of its own."""
    anna = world.people["anna"]
    (press, _) = (one for one in knocks(app, anna, "form key") if one.rule == FORM)
    for kind in [one for one in PURPOSES if PURPOSES[one] != KEY]:
        count = len(world.rows["orders"])
        answer = _ask(world.client, press, _token(anna, kind))
        assert (answer.status_code, _way(app, answer)) == (303, "/demo/pay/<token>"), kind
        new = {tuple(row) for row in _rows()["orders"]} - world.rows["orders"]
        assert (len(new), len(_rows()["orders"])) == (1, count + 1)
        world.restore()


def test_a_form_key_that_opens_nothing_says_so_to_everybody_in_the_same_way(
    world: World, app: Flask
) -> None:
    """Whether the address is that of the order or another, once its links have ended."""
    with transaction() as session:
        session.execute(sa.update(Link).values(revoked_at=clock.now(), revoked_reason="asked"))
    for kind in ("form key", "form key, unpaid", "form key, moved"):
        anna = world.people["anna"]
        presses = [one for one in knocks(app, anna, kind) if one.rule == FORM]
        own, another = (_ask(world.client, one, _token(anna, kind)) for one in presses)
        assert (own.status_code, own.text) == (410, another.text), kind
