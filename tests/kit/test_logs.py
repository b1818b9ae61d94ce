"""Lines of the log: tokens and addresses are masked wherever they come from."""

import json
import logging
import re
import time
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from store.kit import logs
from store.kit.database import transaction
from store.kit.happenings import Facts, Happening, tell, tell_now
from store.orders.models import Customer
from tests.conftest import on_postgresql
from tests.logged import told

ROOT = Path(__file__).parent.parent.parent

TOKEN = "IjZuTnRpZmhKVkQ2SVJka1ZMZUFCRHci.awanpg.Rv5SJUMgjT8MtwCbvP8iZ1wuh4jXO6e5WgB9QTz5xsA"


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        (f"Exception on /library/{TOKEN} [GET]", "Exception on /library/[token] [GET]"),
        (f"'{TOKEN.split('.', maxsplit=1)[0]}' unknown", "'[token]' unknown"),
        ("Key (email_key)=(anna@reader.example) exists", "Key (email_key)=([address]) exists"),
        ("to <Änne.o'neil+x@bücher.example>", "to <[address]>"),
        ("GET /search?q=anna%40reader.example&x=1", "GET /search?q=[address]&x=1"),
        ("Invalid API Key provided: rk_live_********abcd", "Invalid API Key provided: [key]"),
        ("sk_test_51Abc, whsec_12ab", "[key], [key]"),
        ("Exception on /publications/send [GET]", "Exception on /publications/send [GET]"),
        (
            "version 1.2.3 of sqlalchemy.exc at 10:00:01",
            "version 1.2.3 of sqlalchemy.exc at 10:00:01",
        ),
    ],
)
def test_tokens_and_addresses_are_masked(line: str, masked: str) -> None:
    assert logs.mask_secrets(line) == masked


@pytest.mark.parametrize("letter", ["a", "-", "%40", "."])
def test_a_line_of_one_long_word_is_masked_as_fast_as_any(letter: str) -> None:
    """All lines of a process wait for the one that is written."""
    began = time.process_time()
    logs.mask_secrets(letter * 200_000)
    assert time.process_time() - began < 2  # minutes, where it is looked for at every letter


@pytest.mark.parametrize(
    ("formatter", "shows"),
    [(logs.Plain, False), (logs.Json, False), (logging.Formatter, True)],
)
def test_tracebacks_are_masked_and_would_show_without(
    formatter: type[logging.Formatter], shows: bool
) -> None:
    try:
        {}[TOKEN]
    except KeyError as error:
        found = (KeyError, error, error.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "%s fails", (TOKEN,), found)
    assert (TOKEN in formatter().format(record)) is shows


@on_postgresql
def test_a_row_that_the_database_refuses_is_quoted_in_no_line(app: Flask) -> None:
    with told("text") as lines:
        with pytest.raises(sa.exc.IntegrityError) as refused, transaction() as session:
            session.add(Customer(name="Anna\nZwick", email=None, email_key="anna"))
        assert "Zwick" in str(refused.value)  # the control
        logging.getLogger("store.x").error("a page failed", exc_info=refused.value)
    said = "\n".join(lines())
    assert "Failing row contains ([row])" in said
    assert [word for word in ("Anna", "Zwick") if word in said] == []


# What must never be written, wherever it comes from.
NEVER = [TOKEN, "anna@reader.example", "sk_test_51Abc", "a password of the mail server"]


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("field", Facts.__annotations__)
def test_no_field_of_a_happening_lets_a_secret_through(form: str, field: str) -> None:
    for secret in NEVER:
        with told(form, secrets=[NEVER[-1]]) as lines:
            tell_now(Happening.LETTER_NOT_SENT, **{field: f"550 {secret}\nno such user"})
        (line,) = lines()
        assert secret not in line
        assert "letter.not_sent" in line
        assert field in line


def test_words_of_others_begin_no_line_of_their_own() -> None:
    for form in logs.FORMATS:
        with told(form) as lines:
            logging.getLogger("store.x").warning("it said %s", "550 no\n2027-01-01 ERROR forged")
        assert len(lines()) == 1


def test_a_line_of_text_says_when_how_bad_where_and_what_with_the_ids_at_work() -> None:
    with told("text") as lines, logs.within(job="tick", job_id="12ab"), logs.within(delivery=7):
        tell_now(Happening.LETTER_SENT, kind="order_confirmation", ms=12)
        logging.getLogger("store.x").warning("it waits")
    sent, waits = lines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO store\.events: event=letter\.sent "
        r"kind=order_confirmation ms=12 \[job=tick job_id=12ab delivery=7\]",
        sent,
    )
    assert waits.partition("Z ")[2] == (
        "WARNING store.x: it waits [job=tick job_id=12ab delivery=7]"
    )


def test_a_line_of_json_is_one_object_with_its_traceback_in_a_field() -> None:
    with told("json") as lines, logs.within(request="ab12"):
        try:
            {}["x"]
        except KeyError:
            logging.getLogger("store.x").exception("it %s", "failed")
    (line,) = lines()
    said = json.loads(line)
    assert datetime.fromisoformat(said["at"]).tzinfo is not None
    assert (said["level"], said["logger"], said["text"]) == ("error", "store.x", "it failed")
    assert said["request"] == "ab12"
    assert said["traceback"].startswith("Traceback")
    assert said["traceback"].endswith("KeyError: 'x'")


def test_each_logger_is_heard_from_its_own_level_on() -> None:
    with told("text", {"": "warning", "store.mail": "debug"}) as lines:
        for name in ("store.orders", "store.mail.worker", "huey", "sqlalchemy.engine"):
            logging.getLogger(name).debug("low")
            logging.getLogger(name).info("middle")
            logging.getLogger(name).warning("high")
    assert [line.split()[2:] for line in lines()] == [
        ["store.orders:", "high"],
        ["store.mail.worker:", "low"],
        ["store.mail.worker:", "middle"],
        ["store.mail.worker:", "high"],
        ["huey:", "high"],
        ["sqlalchemy.engine:", "high"],
    ]


def test_what_is_rolled_back_never_happened_in_the_log(app: Flask) -> None:
    with told("text") as lines:
        with pytest.raises(ZeroDivisionError), transaction():
            tell(Happening.ORDER_PAID, order_id=1)
            raise ZeroDivisionError
        with transaction():
            tell(Happening.ORDER_PAID, order_id=2)
            assert lines() == []
    assert [line.partition("order_id=")[2] for line in lines()] == ["2"]


def test_the_guide_lists_every_happening_and_no_other() -> None:
    guide = (ROOT / "docs" / "operators-guide.md").read_text(encoding="utf-8")
    chapter = guide.partition("## What the shop writes down")[2].partition("\n## ")[0]
    rows = [line for line in chapter.splitlines() if line.startswith("| `")]
    listed = [name for row in rows for name in re.findall(r"`([a-z_]+\.[a-z_]+)`", row)]
    assert sorted(listed) == sorted(one.value for one in Happening)
