"""Limits: who counts as one, how long to wait, and that a refusal says so to people and programs."""

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.kit.database import transaction
from store.kit.formatting import format_span
from store.kit.limits import RateCount, TooOften, count_try, network_of, take_back
from tests.conftest import on_both
from tests.pages import check_page


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:a:b:c:d", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix:", "unix:"),
        (None, "nowhere"),
    ],
)
def test_a_network_is_an_address_of_ipv4_and_a_64_of_ipv6(
    address: str | None, network: str
) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"),
        (59, "59 seconds"),
        (90, "90 seconds"),
        (91, "2 minutes"),
        (3540, "59 minutes"),
        (3541, "1 hour"),
        (3601, "61 minutes"),
        (5401, "2 hours"),
    ],
)
def test_a_span_is_never_said_too_short(seconds: int, words: str) -> None:
    assert format_span(seconds) == words


@on_both
def test_a_try_is_counted_before_it_is_judged_and_taken_back_where_it_was_right(app: Flask) -> None:
    allowed = {"anna": "2 per minute;3 per hour"}
    for _ in range(5):
        take_back(count_try("proof", allowed))
    count_try("proof", allowed)
    count_try("proof", allowed)
    with pytest.raises(TooOften):
        count_try("proof", allowed)
    count_try("proof", {"ben": "2 per minute"})


@on_both
def test_the_span_is_what_is_left_of_the_longest_limit_that_is_used_up(app: Flask) -> None:
    allowed = {"anna": "1 per minute;2 per hour"}
    count_try("proof", allowed)
    with pytest.raises(TooOften) as refused:
        count_try("proof", allowed)
    assert 55 <= (refused.value.retry_after or 0) <= 60
    _let_pass(60)
    count_try("proof", allowed)
    with pytest.raises(TooOften) as refused:
        count_try("proof", allowed)
    assert 3535 <= (refused.value.retry_after or 0) <= 3540
    _let_pass(1800)
    with pytest.raises(TooOften) as refused:
        count_try("proof", allowed)
    assert 1735 <= (refused.value.retry_after or 0) <= 1740
    assert refused.value.sentence == (
        "That was asked for too often from here. Wait 29 minutes, then try again."
    )


@on_both
def test_a_form_beyond_its_limit_says_when_to_come_back(app: Flask, client: FlaskClient) -> None:
    networks = [f"2001:db8:1:2::{number:x}" for number in range(31)]
    codes = [_find(client, network).status_code for network in networks]
    assert codes == [200] * 30 + [429]
    _let_pass(2000)
    answer = _find(client, networks[0])
    left = int(answer.headers["Retry-After"])
    assert (answer.status_code, 1590 <= left <= 1600) == (429, True)
    check_page(answer.text, path="/find-my-copies")
    assert "Wait 27 minutes, then try again." in answer.text
    assert _find(client, "2001:db8:1:3::1").status_code == 200
    _let_pass(left)
    assert _find(client, networks[0]).status_code == 200


def _find(client: FlaskClient, network: str):
    form = {"who": "anna@reader.example"}
    return client.post("/find-my-copies", data=form, environ_overrides={"REMOTE_ADDR": network})


def _let_pass(seconds: float) -> None:
    with transaction() as session:
        session.execute(sa.update(RateCount).values(ends_at=RateCount.ends_at - seconds))
