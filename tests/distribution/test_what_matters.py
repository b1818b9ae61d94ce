"""A reader hears of every new edition, of what matters alone, or of nothing: what a release leaves out
for it, and what comes to who asks for more again."""

import re

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from store.catalog.models import Asset, Publication
from store.distribution.coverage import coverage, coverage_of
from store.distribution.people import WHY_NOT, of_column, people_csv
from store.distribution.recipients import MATTERS_ONLY
from store.distribution.rehearsal import rehearse
from store.distribution.statement import state
from store.entitlements.received import record_download
from store.kit.database import db, transaction
from store.mail.models import DeliveryStatus
from tests.conftest import Clock, on_both
from tests.editions import a_shop, draft, drafted_and_released, release
from tests.letters import deliveries, sent, text_of
from tests.links import anna, path_to
from tests.pages import check_page
from tests.purchases import a_paid_order
from tests.rows import count_rows

pytestmark = pytest.mark.usefixtures("frozen")
LEFT_OUT = (DeliveryStatus.SKIPPED, MATTERS_ONLY)


@pytest.fixture
def publication(client: FlaskClient) -> Publication:
    """Anna has edition 1."""
    publication = a_shop()
    a_paid_order(publication)
    sent()
    return publication


def choose(client: FlaskClient, news: str, **fields: str) -> str:
    """Anna presses the button in her library; the page that answers."""
    path = f"{path_to('library', anna().id)}/news"
    given = {"publication": "1", "news": news} | fields
    answer = client.post(path, data=given, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 200
    check_page(answer.text, path=path)
    return answer.text


def arrived() -> list[int]:
    """The editions that letters have brought so far, one after the other."""
    found = (re.search(r"^Edition (\d) is (?:out|ready)", letter["Subject"]) for letter in sent())
    return [int(one[1]) for one in found if one]


@on_both
def test_what_does_not_matter_is_left_out_under_a_reason_of_its_own_everywhere(
    client: FlaskClient, publication: Publication
) -> None:
    assert "only what matters: changes in law and guidance" in choose(client, "matters")
    with transaction():
        minor = draft(publication, 2)
    assert rehearse(minor).left_out == {MATTERS_ONLY: 1}
    minor = release(minor)
    account = coverage(minor)
    assert (account.left_out, account.total, account.is_complete) == ({MATTERS_ONLY: 1}, 1, True)
    assert state(minor).left_out == [(WHY_NOT[MATTERS_ONLY], 1)]
    listed = "".join(people_csv(of_column(minor, "left_out", MATTERS_ONLY)))
    assert "Asked for news of what matters only" in listed
    assert coverage_of(minor, anna()).sentences[-1] == (
        "The edition notice was left out: asked for what matters only."
    )
    law = drafted_and_released(publication, 3, severity="law")
    assert deliveries(law) == {anna().email: (DeliveryStatus.QUEUED, "")}


def test_who_asks_for_more_again_is_sent_the_newest_that_they_missed_once(
    client: FlaskClient, publication: Publication, frozen: Clock
) -> None:
    choose(client, "matters")
    drafted_and_released(publication, 2)
    third = drafted_and_released(publication, 3)
    assert arrived() == []
    assert "The edition that you missed is on its way" in choose(client, "every")
    assert "you missed" not in choose(client, "nothing") + choose(client, "every")
    assert arrived() == [3]
    assert coverage(third).left_out == {MATTERS_ONLY: 1}

    choose(client, "nothing")
    drafted_and_released(publication, 4, severity="guidance")
    drafted_and_released(publication, 5)
    choose(client, "matters")
    choose(client, "matters")
    assert arrived() == [3, 4]
    choose(client, "every")
    assert arrived() == [3, 4, 5]

    choose(client, "nothing")
    sixth = drafted_and_released(publication, 6)
    asset = db.session.scalars(sa.select(Asset).filter_by(edition_id=sixth.id)).first()
    record_download("token", anna().id, asset.id)
    choose(client, "every")
    assert arrived() == [3, 4, 5]


def test_a_letter_that_waits_is_judged_by_the_choice_of_that_moment_and_says_how_to_choose(
    client: FlaskClient, publication: Publication
) -> None:
    minor = drafted_and_released(publication, 2)
    choose(client, "matters")
    assert arrived() == []
    assert deliveries(minor) == {anna().email: LEFT_OUT}
    drafted_and_released(publication, 3, severity="law")
    letter = sent()[-1]
    words = " ".join(text_of(letter).split())
    assert "Only what matters, or no news at all? Choose here, your copies stay yours:" in words
    path = re.findall(r"http://127\.0\.0\.1:8000(/stop/\S+)", text_of(letter))[-1]
    page = client.post(path, data={"notices": "resume"}, headers={"Sec-Fetch-Site": "same-origin"})
    assert "The edition that you missed" not in page.text
    page = client.post(path, data={"notices": "matters"}, headers={"Sec-Fetch-Site": "same-origin"})
    check_page(page.text, path=path)
    assert "You hear only of what matters" in page.text


def test_a_choice_of_what_is_not_in_the_library_changes_nothing(
    client: FlaskClient, publication: Publication
) -> None:
    a_shop(slug="another")
    path = f"{path_to('library', anna().id)}/news"
    before = count_rows()
    for given in ({"publication": "2", "news": "nothing"}, {"publication": "1", "news": "x"}, {}):
        answer = client.post(path, data=given, headers={"Sec-Fetch-Site": "same-origin"})
        assert answer.status_code == 400
    assert client.post(path, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert count_rows() == before
