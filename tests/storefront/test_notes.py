"""Notes that are longer than a page has room for: it has their beginning, and others have the whole of them."""

import re
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from markupsafe import Markup

from store.catalog.models import Edition, Publication
from store.kit.database import db, transaction
from store.kit.markup import parts_of, render_markdown
from store.orders.models import Order
from store.storefront import notes
from tests.conftest import on_both
from tests.editions import a_shop, guide, put_out
from tests.factories import an_edition
from tests.links import anna, order_path, path_to
from tests.pages import page_at
from tests.purchases import a_paid_order

pytestmark = pytest.mark.usefixtures("frozen")

KINDS = {
    "a list": "".join(
        f"- Sentence {number} of the law is another one now\n" for number in range(900)
    ),
    "short lines": "- a\n" * 9_000,
    "paragraphs": "\n\n".join(
        f"Paragraph {number}: " + "what was said is put otherwise. " * 20 for number in range(90)
    ),
    "no line at all": "word " * 9_000,
    "no word at all": "x" * 40_000,
    "another script": "- 変更された点\n" * 4_000,
}


def public(_order: Order) -> str:
    return "/publications/send-early-years/editions"


def library(_order: Order) -> str:
    return path_to("library", anna().id)


def of_order(order: Order) -> str:
    return order_path(order.id)


DOORS = [public, library, of_order]


def sold(said: str, editions: int = 3) -> tuple[Publication, Order]:
    """An order of a publication with editions that all have these notes."""
    publication = a_shop(editions=1)
    order = a_paid_order(guide(publication.id))
    for number in range(2, editions + 1):
        put_out(guide(publication.id), number)
    with transaction() as session:
        session.execute(sa.update(Edition).values(notes=said))
    return guide(publication.id), order


def ways_to_all(html: str, path: str) -> list[str]:
    """Where a page leads to all that changed in its editions, each once."""
    found = re.findall(rf'href="({re.escape(path)}\?edition=\d+)">All that changed', html)
    return list(dict.fromkeys(found))


def read_on(client: FlaskClient, path: str) -> list[str]:
    """The words of what changed, part by part, as they stand between the day and the ways on."""
    parts = []
    while path:
        html = page_at(client, path)
        assert len(html.encode()) <= 40_000
        said = html.partition("</h1>")[2].partition("</p>")[2].partition('<nav class="pages"')[0]
        parts.append(str(Markup(said).striptags()))
        on = re.search(r'<a href="([^"]+)" rel="next"', html)
        path = on[1].replace("&amp;", "&") if on else ""
    return parts


@pytest.mark.parametrize("said", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("door", DOORS)
def test_long_notes_keep_a_page_light_and_stand_whole_behind_it(
    client: FlaskClient, door: Callable[[Order], str], said: str
) -> None:
    _, order = sold(said)
    path = door(order)
    html = page_at(client, path)
    assert len(html.encode()) <= 40_000
    ways = ways_to_all(html, path)
    assert len(ways) == 3
    told = "".join(" ".join(read_on(client, ways[0])).split())
    # Their words alone: the marks of lists are no part of what is read.
    written = "".join(said.replace("\n- ", " ").removeprefix("- ").split())
    assert told == written


def test_without_the_room_a_library_would_be_far_too_heavy(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, order = sold(KINDS["a list"])
    monkeypatch.setattr(notes.told, "__defaults__", (10**9,))
    assert len(page_at(client, library(order)).encode()) > 120_000


@pytest.mark.parametrize("door", DOORS)
def test_short_notes_stand_whole_where_they_always_did(
    client: FlaskClient, door: Callable[[Order], str]
) -> None:
    _, order = sold("- Sentence four is another one")
    html = page_at(client, door(order))
    assert html.count("Sentence four is another one") >= 3
    assert "All that changed" not in html


@on_both
@pytest.mark.parametrize("door", DOORS)
def test_notes_are_shown_of_no_edition_but_those_behind_the_door(
    client: FlaskClient, door: Callable[[Order], str]
) -> None:
    publication, order = sold("- Sentence four", editions=2)
    other = a_shop(slug="another", editions=1)
    with transaction():
        draft = an_edition(guide(publication.id), 3, notes="A secret to come").id
    path = door(order)
    by_number = door is public
    with transaction() as session:
        newest = session.scalars(sa.select(Edition).where(Edition.number == 2)).one()
        others = session.scalars(
            sa.select(Edition.id).where(Edition.publication_id == other.id)
        ).one()
        number = newest.number if by_number else newest.id
        hidden = [3 if by_number else draft, 99 if by_number else others, 10**6]
    assert "Sentence four" in page_at(client, f"{path}?edition={number}")
    for one in hidden:
        answer = client.get(f"{path}?edition={one}")
        assert (answer.status_code, "secret" in answer.text) == (404, False)
    for part in ("2", "0", "x", "-1", "9999999999999"):
        assert client.get(f"{path}?edition={number}&part={part}").status_code == 404
    # What names no edition says nothing.
    assert client.get(f"{path}?edition=x").status_code == 200
    with transaction() as session:
        session.execute(sa.update(Edition).where(Edition.number == 2).values(status="withdrawn"))
    db.session.remove()
    assert client.get(f"{path}?edition={number}").status_code == 404


@pytest.mark.parametrize("door", [library, of_order])
def test_notes_behind_a_link_are_as_private_as_its_page(
    client: FlaskClient, door: Callable[[Order], str]
) -> None:
    _, order = sold(KINDS["a list"])
    path = door(order)
    page = client.get(path)
    answer = client.get(ways_to_all(page.text, path)[0])
    names = ("Cache-Control", "X-Robots-Tag", "Referrer-Policy", "Content-Security-Policy")
    assert [answer.headers[name] for name in names] == [page.headers[name] for name in names]
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("said", KINDS.values(), ids=KINDS)
def test_parts_hold_all_of_the_notes_and_end_where_these_pause(said: str) -> None:
    parts = parts_of(said, 8_000)
    assert all(0 < len(one) <= 8_000 for one in parts)
    assert [*"".join("".join(parts).split())] == [*"".join(said.split())]
    if "\n" in said:
        assert all(one[0] == said[0] for one in parts)


def test_a_link_works_in_each_part_though_its_address_stands_last() -> None:
    said = (
        "\n\n".join(["See [the law][1], which is new. " * 10] * 90)
        + "\n\n[1]: https://law.example/\n"
    )
    parts = parts_of(said, 8_000)
    assert len(parts) > 3
    assert all('href="https://law.example/"' in render_markdown(one, "") for one in parts)
