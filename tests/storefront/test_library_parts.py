"""A library of many titles: some at a time behind the same link, and none of them passed over."""

import re

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from store.catalog.models import Edition
from store.entitlements import shelf_parts
from store.entitlements.shelves import Shelf, place_of
from store.kit.database import db, transaction
from tests.conftest import Clock, on_both_when_long
from tests.editions import a_shop, guide, put_out
from tests.links import anna, path_to
from tests.pages import check_page
from tests.purchases import a_paid_order
from tests.statements import statements

pytestmark = pytest.mark.usefixtures("frozen")


def buy_titles(clock: Clock, first: int, last: int, *, editions: int = 1) -> list[int]:
    """Buy titles of these numbers, one an hour; the ids of their publications, newest first."""
    found: list[int] = []
    for number in range(first, last + 1):
        found.insert(0, a_shop(slug=f"number-{number}", editions=editions).id)
        a_paid_order(guide(found[0]))
        clock.advance(hours=1)
    return found


def page_at(client: FlaskClient, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    check_page(answer.text, path=path)
    return answer.text


def shown(page: str) -> list[int]:
    """The publications of a part, in its order."""
    return [int(found) for found in re.findall(r'<h2 id="copy-(\d+)"', page)]


def way(page: str, rel: str) -> str:
    """Where a part leads on or back; empty where it leads nowhere."""
    found = re.search(rf'<a href="([^"]+)" rel="{rel}"', page)
    return found[1] if found else ""


def walk(client: FlaskClient, path: str, rel: str = "next") -> list[list[int]]:
    """The titles of a part, and of those that it leads to one after the other."""
    found = []
    while path:
        page = page_at(client, path)
        found.append(shown(page))
        path = way(page, rel)
    return found


@on_both_when_long
def test_eight_titles_stand_on_one_page_and_more_follow_behind_the_same_link(
    client: FlaskClient, frozen: Clock
) -> None:
    owned = buy_titles(frozen, 1, 8)
    path = path_to("library", anna().id)
    assert walk(client, path) == [owned]
    assert "titles 1 to" not in page_at(client, path)
    owned = buy_titles(frozen, 9, 18) + owned
    parts = walk(client, path)
    assert parts == [owned[:8], owned[8:16], owned[16:]]
    last = way(page_at(client, way(page_at(client, path), "next")), "next")
    assert last.partition("?")[0] == path
    assert "<title>Your copies, titles 17 to 18 of 18 –" in page_at(client, last)
    assert walk(client, last, "prev") == parts[::-1]


def test_a_later_part_is_as_private_as_the_first(client: FlaskClient, frozen: Clock) -> None:
    buy_titles(frozen, 1, 9)
    path = path_to("library", anna().id)
    first = client.get(path)
    later = client.get(way(first.text, "next"))
    names = ("Cache-Control", "X-Robots-Tag", "Referrer-Policy", "Content-Security-Policy")
    assert [later.headers[name] for name in names] == [first.headers[name] for name in names]
    assert (later.headers["Cache-Control"], later.headers["X-Robots-Tag"]) == (
        "no-store",
        "noindex",
    )
    assert '<meta name="robots" content="noindex">' in later.text
    assert "Set-Cookie" not in later.headers
    # Where a part begins is said by an id, which opens nothing.
    assert re.fullmatch(r"\?after=\d-\d+", way(first.text, "next").removeprefix(path))
    stranger = client.get("/library/nonsense" + way(first.text, "next").removeprefix(path))
    assert stranger.status_code == 404


@on_both_when_long
def test_a_library_of_ten_takes_as_many_statements_as_one_of_one(
    client: FlaskClient, frozen: Clock
) -> None:
    def told(path: str) -> list[str]:
        db.session.remove()
        with statements() as found:
            assert client.get(path).status_code == 200
        return found

    buy_titles(frozen, 1, 1)
    path = path_to("library", anna().id)
    with_one = told(path)
    buy_titles(frozen, 2, 10)
    assert told(path) == with_one
    assert told(way(page_at(client, path), "next")) == with_one


def take_one_and_go_on(client: FlaskClient, frozen: Clock) -> tuple[list[int], list[int], int]:
    """Nine of eleven titles have an edition that is new; the last of the first part is taken, and
    then the link on that page pressed. What one has seen, what one owns, how many the first had."""
    owned = buy_titles(frozen, 1, 11)
    path = path_to("library", anna().id)
    for door in re.findall(r'class="button"\s+href="([^"]+)"', everything(client, path)):
        assert client.get(door).status_code == 200
    for publication in owned[:9]:
        put_out(guide(publication), 2)
    first = page_at(client, path)
    assert shown(first) == owned[: len(shown(first))]
    last = re.findall(r'class="button[^"]*"\s+href="([^"]+-2-pdf/[^"]+)"', first)[-1]
    assert client.get(last).status_code == 200
    seen = shown(first) + [one for part in walk(client, way(first, "next")) for one in part]
    return seen, owned, len(shown(first))


def everything(client: FlaskClient, path: str) -> str:
    """Every part, with its first title's file as the filled button; all others are taken as well."""
    pages = []
    while path:
        pages.append(page_at(client, path))
        path = way(pages[-1], "next")
    return "".join(pages).replace("button second", "button")


def test_no_title_is_passed_over_where_one_moves_down_meanwhile(
    client: FlaskClient, frozen: Clock
) -> None:
    seen, owned, count = take_one_and_go_on(client, frozen)
    assert set(seen) == set(owned)
    # Only what was taken stands in its new place as well.
    assert sorted(seen) == sorted([*owned, owned[count - 1]])


def test_without_the_rank_in_the_address_one_would_be(
    client: FlaskClient, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_it_stands(shelf: Shelf, _rank: int) -> object:
        return place_of(shelf, shelf.rank)

    monkeypatch.setattr(shelf_parts, "place_of", as_it_stands)
    seen, owned, count = take_one_and_go_on(client, frozen)
    assert owned[count] not in seen


@pytest.mark.parametrize(
    "query",
    ["after=9-1", "after=1-99999", "after=x", "before=1", "after=1-", "after=٣-1", "before=0-0"],
)
def test_what_names_no_place_shows_the_beginning(
    client: FlaskClient, frozen: Clock, query: str
) -> None:
    owned = buy_titles(frozen, 1, 9)
    path = path_to("library", anna().id)
    assert shown(page_at(client, f"{path}?{query}")) == owned[:8]


def test_a_choice_on_a_later_part_stays_on_it(client: FlaskClient, frozen: Clock) -> None:
    owned = buy_titles(frozen, 1, 10)
    later = page_at(client, way(page_at(client, path_to("library", anna().id)), "next"))
    action = re.search(r'<form method="post" action="([^"]+/news[^"]*)"', later)
    assert action is not None
    chosen = {"news": "nothing", "publication": str(owned[-1])}
    answer = client.post(action[1], data=chosen)
    assert answer.status_code == 200
    assert shown(answer.text) == owned[8:]
    assert "you now hear nothing more" in answer.text
    assert "News: nothing" in answer.text


@pytest.mark.parametrize("notes", ["- New", "- What was said is said in new words\n" * 60])
def test_no_part_weighs_more_than_40_kilobytes(
    client: FlaskClient, frozen: Clock, notes: str
) -> None:
    owned = buy_titles(frozen, 1, 9)
    # Two editions since the one that was bought, each with what changed in it.
    for number in (2, 3):
        for publication in owned:
            put_out(guide(publication), number)
    with transaction() as session:
        session.execute(sa.update(Edition).values(notes=notes))
    path = path_to("library", anna().id)
    parts = walk(client, path)
    assert [one for part in parts for one in part] == owned
    assert len(parts) == (2 if len(notes) < 100 else 5)
    weights = [len(page) for page in pages_of(client, path)]
    assert min(weights) > 10_000
    assert max(weights) <= 40_000


def test_a_title_with_long_notes_takes_no_more_room_than_it_shows(
    client: FlaskClient, frozen: Clock
) -> None:
    owned = buy_titles(frozen, 1, 3)
    with transaction() as session:
        session.execute(sa.update(Edition).values(notes="- What changed\n" * 4_000))
    path = path_to("library", anna().id)
    assert walk(client, path) == [owned[:2], owned[2:]]
    assert max(len(one) for one in pages_of(client, path)) <= 40_000


def pages_of(client: FlaskClient, path: str) -> list[bytes]:
    """The octets of a part, and of those that it leads to."""
    found = []
    while path:
        page = page_at(client, path)
        found.append(page.encode())
        path = way(page, "next")
    return found
