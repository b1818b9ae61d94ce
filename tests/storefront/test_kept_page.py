"""The page of a publication is kept, and is never older than what it is made of."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, cast

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.editions import ever_released
from store.catalog.models import (
    Asset,
    Edition,
    EditionStatus,
    Publication,
    Seller,
    VatTreatment,
)
from store.catalog.publications import (
    edit_publication,
    moves_of,
    newest_released,
    publication_by_slug,
    put_on_sale,
    retire,
)
from store.catalog.sellers import current_seller, state_seller
from store.distribution.recalling import withdraw
from store.kit.database import db, transaction
from store.kit.kept_pages import KeptPages
from store.orders.discounts import add_discount, end_discount
from store.orders.prices import _unfit, has_members_price
from store.staff.sessions import DeskSessions
from store.storefront import window_rows
from store.storefront.history import History, MovedDate, PastEdition
from store.storefront.publication import written
from store.storefront.window_rows import InWindow, read_window, rows_in_window
from tests import factories
from tests.admin.sign_in import press, signed_in
from tests.conftest import Clock, on_both, on_both_when_long
from tests.editions import drafted_and_released
from tests.statements import statements
from tests.storefront.forms import text_of

SLUG = "send-early-years"
PATH = f"/publications/{SLUG}"


@pytest.fixture(autouse=True)
def window(app: Flask, frozen: Clock) -> None:
    """A publication with its first edition, on 1 March 2027."""
    with transaction():
        factories.a_seller()
        publication = factories.a_publication(expected_on=date(2027, 3, 31))
        factories.a_released_edition(publication)
    db.session.remove()


def this() -> Publication:
    return publication_by_slug(SLUG)


def edited(**fields: Any) -> Callable[[], None]:
    def change() -> None:
        with transaction():
            edit_publication(this(), **fields)

    return change


def seller_moved() -> None:
    with transaction():
        state_seller(trading_name="Another Press", countries="GB IE")


def renewed() -> None:
    drafted_and_released(this(), 2, label="Spring")


def withdrawn() -> None:
    with transaction():
        edition = newest_released(this().id)
        assert edition is not None
        withdraw(edition, "Olga")


def with_members() -> None:
    with transaction():
        add_discount("Members", percent="10", domains="reader.example")


def with_sample() -> None:
    with transaction():
        factories.a_sample(this())


CHANGES: dict[str, tuple[Callable[[], None], str]] = {
    "price": (edited(price_amount=1999), "Buy for £19.99"),
    "title": (edited(title="Another title"), "Press Another title"),
    "subtitle": (edited(subtitle="Another subtitle"), "Another subtitle"),
    "author": (edited(author="Anna Berg"), "By Anna Berg, published by"),
    "description": (edited(description="First\n\nNow **more**"), "About this guide Now more"),
    "contents": (edited(contents="Ten chapters"), "What is inside Ten chapters"),
    "audience": (edited(audience="Key persons"), "Who it is for Key persons"),
    "language": (edited(language="cy"), "Language Welsh"),
    "isbn": (edited(isbn="9780000000002"), "ISBN 9780000000002"),
    "VAT": (edited(vat_treatment=VatTreatment.NOT_REGISTERED), "No VAT is charged"),
    "term": (edited(updates_months=24), "free, for 2 years"),
    "seller": (seller_moved, "Sold to United Kingdom and Ireland"),
    "edition": (renewed, "Edition 2, Spring, renewed on 1 March 2027"),
    "withdrawal": (withdrawn, "Pre-order for £12.50"),
    "sample": (with_sample, "Look inside Chapter one Once upon a time."),
    "members": (with_members, "Members: ask for your price"),
}


def words_now(client: FlaskClient) -> str:
    answer = client.get(PATH)
    assert answer.status_code == 200
    return text_of(answer.text)


@on_both_when_long
@pytest.mark.parametrize("what", CHANGES)
def test_a_change_shows_on_the_next_request(what: str, client: FlaskClient) -> None:
    change, words = CHANGES[what]
    before = words_now(client)
    assert words not in before
    assert words_now(client) == before
    change()
    assert words in words_now(client)


@pytest.mark.parametrize("what", CHANGES)
def test_the_control_a_page_kept_by_its_address_alone_is_old(
    what: str, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = KeptPages.page

    def by_name(self: KeptPages, name: str, _made_of: object, write: Callable[[], str]) -> bytes:
        return page(self, name, "", write)

    monkeypatch.setattr(KeptPages, "page", by_name)
    change, words = CHANGES[what]
    words_now(client)
    change()
    assert words not in words_now(client)


def test_what_is_typed_at_the_desk_shows_on_the_next_request(client: FlaskClient) -> None:
    desk = signed_in(client)
    assert "£12.50" in words_now(client)
    form = f"/admin/publications/{SLUG}/edit"
    typed = {"title": "Typed at the desk", "price": "15.00", "currency": "GBP"}
    typed |= {"vat_treatment": "zero_rated", "language": "en-GB", "expected_on": "2027-03-31"}
    too_long = press(desk, form, typed | {"planned_length": "x" * 101})
    assert "What is planned of the length" in too_long.text
    typed |= {"planned_formats": "EPUB alone"}
    assert press(desk, form, typed).status_code == 303
    assert "Typed at the desk" in words_now(client)
    assert this().planned_formats == "EPUB alone"
    assert "Buy for £15.00" in words_now(client)
    seller = {"trading_name": "Press of the desk", "email": "a@press.example", "countries": "GB"}
    assert press(desk, "/admin/seller", seller).status_code == 303
    assert "Published by Press of the desk" in words_now(client)


@on_both_when_long
def test_the_day_and_the_moment_count(client: FlaskClient, frozen: Clock) -> None:
    with transaction():
        factories.a_publication("awaited", expected_on=date(2027, 3, 31))
        add_discount("Members", percent="10", domains="x.example", ends_on="2027-03-30")
    awaited = "/publications/awaited"
    assert "Pre-order: published by the end of March 2027" in text_of(client.get(awaited).text)
    assert "Members: ask for your price" in words_now(client)
    frozen.set(datetime(2027, 3, 30, 22, 59, tzinfo=UTC))
    assert "Members: ask for your price" in words_now(client)
    frozen.set(datetime(2027, 3, 30, 23, 0, tzinfo=UTC))  # midnight in London
    assert "Members: ask for your price" not in words_now(client)
    assert "Pre-order: published by the end of March 2027" in text_of(client.get(awaited).text)
    frozen.set(datetime(2027, 3, 31, 23, 0, tzinfo=UTC))
    assert "Pre-order: not published yet" in text_of(client.get(awaited).text)


@on_both_when_long
def test_off_sale_and_on_again(client: FlaskClient) -> None:
    assert client.get(PATH).status_code == 200
    with transaction():
        retire(this(), "Olga")
    assert client.get(PATH).status_code == 410
    with transaction():
        put_on_sale(this(), "Olga")
    assert client.get(PATH).status_code == 200


def test_without_a_seller_nothing_is_shown(client: FlaskClient) -> None:
    with transaction() as session:
        session.execute(sa.delete(Seller))
    assert client.get(PATH).status_code == 409


@on_both
def test_a_kept_page_takes_one_statement_and_has_the_same_bytes(client: FlaskClient) -> None:
    first = client.get(PATH)
    db.session.remove()  # the test's context outlives a request
    with statements() as told:
        again, head = client.get(PATH), client.head(PATH)
    assert len(told) == 2
    for answer in (first, again, head):
        del answer.headers["X-Request-Id"]  # a number of its own
    assert (again.data, list(again.headers)) == (first.data, list(first.headers))
    assert (head.data, list(head.headers)) == (b"", list(first.headers))


def _other(value: Any) -> Any:
    """Another value of the same kind."""
    match value:
        case bool() | None | dict() | list():
            return value
        case int():
            return value + 1
        case datetime():
            return value.replace(year=value.year - 1)
        case _:
            return value


@pytest.mark.parametrize("model", [Publication, Edition, Asset, Seller])
def test_the_rows_hold_every_column_that_the_page_shows(
    app: Flask, client: FlaskClient, model: type[Any]
) -> None:
    """Whatever column is changed, the page of the rows is that of whole rows in a session."""
    for column in cast(sa.Table, model.__table__).columns:
        if column.primary_key or column.foreign_keys or column.name in {"status", "slug", "format"}:
            continue
        with transaction() as session:
            row = session.scalars(sa.select(model).order_by(model.id)).first()
            value = getattr(row, column.name)
            if isinstance(value, str) and not isinstance(column.type, sa.Enum):
                longest = getattr(column.type, "length", None) or 40
                setattr(row, column.name, "GBP" if longest == 3 else "other"[:longest])
            elif isinstance(value, dict):
                setattr(row, column.name, {"pages": 99, "tagged": True})
            elif isinstance(value, list):
                setattr(row, column.name, [{"verdict": "warn"}])
            else:
                setattr(row, column.name, _other(value))
        assert client.get(PATH).text == _from_a_session(app), column.name


def _from_a_session(app: Flask) -> str:
    db.session.rollback()
    publication = this()
    edition, seller = newest_released(publication.id), current_seller()
    with app.test_request_context(PATH):
        shown = InWindow(
            publication,
            edition,
            seller,
            seller.face,
            has_members_price(publication),
            _past(publication.id),
        )
        return written(shown)


def _past(publication_id: int) -> History:
    """The past as whole rows tell it."""
    out = ever_released(publication_id)[::-1]
    standing = [one for one in out if one.status is EditionStatus.RELEASED]
    moves = [
        MovedDate(one.old_on, one.new_on, one.moved_at, one.reason)
        for one in moves_of(publication_id)[::-1]
    ]
    editions = tuple(PastEdition.whole(one) for one in out)
    return History(editions, len(out), len(standing), tuple(moves))


def test_the_control_a_column_that_is_not_read_is_missed(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_label(rows: Sequence[Any]) -> InWindow:
        found = read_window(rows)
        assert found.edition is not None
        found.edition.label = ""
        return found

    monkeypatch.setattr("store.storefront.publication.read_window", without_label)
    with transaction() as session:
        session.scalars(sa.select(Edition)).one().label = "other"
    assert client.get(PATH).text != _from_a_session(app)


def test_of_long_texts_no_more_is_read_than_the_page_shows(app: Flask) -> None:
    with transaction() as session:
        session.scalars(sa.select(Edition)).one().notes = "x" * 100_000
    assert len(str(rows_in_window(SLUG))) < 10_000
    assert {"editions.notes", "assets.findings"} <= window_rows._LEFT_OUT


@on_both
def test_a_members_rule_is_judged_in_sql_as_in_python(app: Flask, frozen: Clock) -> None:
    """`members_rule` lets pass what `_unfit` does, at each edge."""
    with transaction():
        other = factories.a_publication("other", currency="EUR")
        rules: list[dict[str, Any]] = [
            {"percent": "5"},
            {"percent": "5", "starts_on": "2027-03-02"},
            {"percent": "5", "ends_on": "2027-03-02"},
            {"percent": "5", "starts_on": "2027-03-02", "ends_on": "2027-03-03"},
            {"percent": "5", "publication": SLUG},
            {"percent": "5", "publication": "other"},
            {"amount": "1.00", "currency": "GBP"},
            {"amount": "1.00", "currency": "EUR"},
        ]
    assert other.id
    seen = set()
    for number, rule in enumerate(rules):
        with transaction():
            discount = add_discount(f"Rule {number}", domains="x.example", **rule)
        for day in (1, 2, 3, 4):
            for hour, minute in ((0, 0), (23, 59)):
                frozen.set(datetime(2027, 3, day, hour, minute, tzinfo=UTC))
                for slug in (SLUG, "other"):
                    publication = publication_by_slug(slug)
                    counts = not _unfit(discount, publication)
                    assert has_members_price(publication) is counts, (rule, day, hour, slug)
                    assert read_window(rows_in_window(slug)).has_members_price is counts
                    seen.add(counts)
        with transaction():
            end_discount(discount)
        assert not has_members_price(this())
    assert seen == {True, False}


PUBLIC = ("/", PATH, f"{PATH}/order", "/terms", "/find-my-copies")


def test_public_pages_know_nobody(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a person of the desk looks: no row of staff is asked, no session is opened."""
    opened: list[str] = []
    open_session = DeskSessions.__mro__[1].open_session  # type: ignore[attr-defined]

    def note(self: Any, app: Flask, request: Any) -> Any:
        opened.append(request.path)
        return open_session(self, app, request)

    desk = signed_in(client)
    monkeypatch.setattr(DeskSessions.__mro__[1], "open_session", note)
    for path in PUBLIC:
        with statements() as told, app.app_context():
            answer = desk.get(path)
        assert answer.status_code == 200
        assert "Set-Cookie" not in answer.headers
        assert answer.headers.get("Vary", "Accept-Encoding") == "Accept-Encoding"
        assert not [one for one in told if "staff" in one]
    assert opened == []
    with statements() as told, app.app_context():  # the control
        desk.get("/admin/account")
    assert [one for one in told if "staff" in one]
    assert opened == ["/admin/account"]
