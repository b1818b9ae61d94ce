"""An eleven-year-old can read what a buyer is told (journeys G18): Flesch-Kincaid grade 6 at most."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from store.mail.letters import kinds, preview
from tests.readability import grade, prose_of, syllables, text_of
from tests.stocked import stock

HIGHEST = 6.0
# The publication's own words are not ours to simplify.
TITLES = ("Effective SEND Practice in the Early Years", "Next steps following the Improvement Plan")
PAGES = [
    "/",
    "/publications/<slug>",
    "/publications/<slug>/editions",
    "/publications/<slug>/order",
    "/orders/<token>",
    "/orders/<token>/cancel",
    "/orders/<token>/consent",
    "/library/<token>/address",
    "/orders/<token>/billing",
    "/orders/<token>/receipt",
    "/library/<token>",
    "/stop/<token>",
    "/address/<token>",
    "/find-my-copies",
    "/terms",
    "/terms/<version>",
    "/cancellation-form",
    "/privacy",
    "/accessibility",
]
BUYERS = sorted(set(kinds()) - {"staff_alert"})


@pytest.mark.parametrize(
    ("word", "count"),
    [("the", 1), ("order", 2), ("used", 1), ("wanted", 2), ("files", 1), ("pages", 2), ("able", 2),
     ("publication", 4), ("edition", 3), ("accessibility", 6), ("mailed", 1), ("addresses", 3)],
)  # fmt: skip
def test_syllables_are_counted(word: str, count: int) -> None:
    assert syllables(word) == count


def test_a_plain_text_is_easy_and_an_official_one_is_not() -> None:
    assert grade("We mail you the link on the day. You can then read it.") < 2
    assert (
        grade("Notwithstanding applicable regulations, cancellation necessitates notification.")
        > 12
    )


@pytest.fixture
def pages(app: Flask, client: FlaskClient) -> dict[str, str]:
    """Every page that a buyer reads."""
    shop = stock(app)
    found = {rule: client.get(shop.path(rule)).text for rule in PAGES}
    for path in ("/no-such-page", "/library/x", "/publications/nothing"):
        found[path] = client.get(path).text
    details = {"email": "not an address"}
    found["errors"] = client.post("/publications/later/order", data=details).text
    found["review"] = client.post(
        "/publications/later/order", data={"email": "dora@reader.example"}
    ).text
    return found


def test_every_page_that_a_buyer_reads_is_easy(pages: dict[str, str]) -> None:
    grades = {path: grade(text_of(html, leave_out=TITLES)) for path, html in pages.items()}
    prose = {path: grade(prose_of(html, leave_out=TITLES)) for path, html in pages.items()}
    hard = {path: (grades[path], prose[path]) for path in pages
            if max(grades[path], prose[path]) > HIGHEST}  # fmt: skip
    assert hard == {}


@pytest.mark.parametrize("kind", BUYERS)
def test_every_letter_to_a_buyer_is_easy(app: Flask, kind: str) -> None:
    stock(app)
    html = preview(kind).html
    assert grade(prose_of(html, "body", TITLES)) <= HIGHEST
    assert grade(text_of(html, "body", TITLES)) <= HIGHEST
