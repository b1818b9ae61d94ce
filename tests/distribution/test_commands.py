"""The command line of publishing: what people script against."""

import json
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from flask import Flask

from store.catalog.models import Edition, EditionStatus
from store.cli import main
from store.commands import base
from store.distribution.recipients import batch_of
from store.kit.database import db, transaction
from store.mail.models import Delivery
from tests.conftest import Clock
from tests.editions import draft, drafted_and_released
from tests.factories import a_customer, a_publication, a_seller
from tests.letters import send
from tests.purchases import buy

SAMPLE = Path(__file__).parents[2] / "store" / "demo" / "sample"
Run = Callable[..., Result]


@pytest.fixture
def store(app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs `store …` in the test's shop; `code` is the exit status that is expected."""
    monkeypatch.setattr(base, "the_shop", lambda: app)

    def run(*words: str, code: int = 0, typed: str | None = None) -> Result:
        db.session.rollback()
        result = CliRunner().invoke(main, words, input=typed)
        assert result.exit_code == code, result.output
        return result

    yield run
    db.session.rollback()


def _json(result: Result) -> object:
    return json.loads(result.stdout)


def test_the_whole_way_from_nothing_to_a_released_edition(store: Run) -> None:
    store("seller", "set", "--trading-name", "Press", "--email", "a@press.example")
    assert _json(store("seller", "show", "--json"))["trading_name"] == "Press"  # type: ignore[index]
    store(
        *("publication", "add", "guide", "--title", "Guide", "--price", "12.50"),
        *("--expected", "2028-02-29", "--status", "listed", "--updates-months", "24"),
    )
    store("edition", "upload", "guide", str(SAMPLE / "edition-1.pdf"), "--notes", _notes())
    uploaded = _json(store("edition", "upload", "guide", str(SAMPLE / "edition-1.epub"), "--json"))
    assert uploaded["number"] == 1  # type: ignore[index]
    assert [one["format"] for one in uploaded["files"]] == ["pdf", "epub"]  # type: ignore[index]
    result = store("edition", "release", "guide", "1", "--yes")
    assert result.stdout == "Edition 1 is released; 0 letters are on their way.\n"
    shown = _json(store("publication", "show", "guide", "--json"))
    assert shown["editions"] == [  # type: ignore[index]
        {
            "number": 1,
            "label": "",
            "status": "released",
            "released": "1 March 2027, 10:00 GMT",
            "formats": ["pdf", "epub"],
        }
    ]
    assert shown["expected"] == "2028-02-29"  # type: ignore[index]


def test_a_release_says_how_long_it_waits_before_the_question_and_after_it(
    store: Run, app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = app.extensions["colophon.settings"]
    app.extensions["colophon.settings"] = known.model_copy(update={"release_delay": 600})
    monkeypatch.setattr(base, "_need_terminal", lambda: None)
    with transaction():
        a_seller()
        a_publication("guide")
    store("edition", "upload", "guide", str(SAMPLE / "edition-1.pdf"))

    broken_off = store("edition", "release", "guide", "1", typed="", code=1)
    asked = "It goes out 10 minutes after a yes, by the worker; until then"
    assert asked in broken_off.output
    assert "Ctrl-C ends this." in broken_off.output
    assert db.session.scalars(sa.select(Edition.status)).one() == "draft"

    released = store("edition", "release", "guide", "1", typed="y\n")
    assert (
        "Edition 1 will be released in 10 minutes, on 1 March 2027, 10:10 GMT (2027-03-01 10:10 UTC). "
        "The worker does it: nothing waits here. Until then `store edition recall guide 1` takes it "
        "back.\n"
    ) in released.output
    frozen.advance(minutes=10)
    store("tick")
    db.session.rollback()
    assert db.session.scalars(sa.select(Edition.status)).one() == "released"


def test_what_is_odd_in_the_notes_is_said_at_the_upload(store: Run, tmp_path: Path) -> None:
    with transaction():
        a_seller()
        a_publication("guide")
    notes, long = tmp_path / "notes.md", tmp_path / "long.md"
    notes.write_text("- [here](page.html)")
    long.write_text("x" * 600_001)
    book = str(SAMPLE / "edition-1.epub")

    said = store("edition", "upload", "guide", book, "--notes", str(notes)).stdout
    refused = store("edition", "upload", "guide", book, "--notes", str(long), code=1)

    assert "The link “page.html” in the notes leads nowhere in a letter" in said
    assert "What changed may have 600,000 characters. This has 600,001" in refused.output


def _notes() -> str:
    return str(SAMPLE / "edition-1-notes.md")


@pytest.mark.parametrize(
    ("price", "amount"),
    [
        ("19.99", 1999),
        ("8.20", 820),
        ("8.29", 829),
        ("7.77", 777),
        ("5.10", 510),
        ("1.15", 115),
        ("4.35", 435),
        ("32.80", 3280),
    ],
)
def test_prices_keep_every_penny(store: Run, price: str, amount: int) -> None:
    store("publication", "add", "guide", "--title", "Guide", "--price", price)
    assert db.session.scalar(sa.text("SELECT price_amount FROM publications")) == amount


def test_yen_have_no_pennies(store: Run) -> None:
    words = ("publication", "add", "guide", "--title", "Guide", "--currency", "JPY", "--price")
    result = store(*words, "12.50", code=1)
    assert "12.50" in result.stderr
    assert "¥1,500" in store(*words, "1500").stdout


@pytest.mark.parametrize("price", ["12,50", "1.005", "1e3", "-1", "NaN", "", "0"])
def test_a_price_that_is_none_is_refused_by_name(store: Run, price: str) -> None:
    result = store("publication", "add", "guide", "--title", "Guide", f"--price={price}", code=1)
    assert f"“{price}”" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("day", ["2027-02-29", "29/02/2028", "soon", ""])
def test_a_date_that_is_none_is_refused_by_name(store: Run, day: str) -> None:
    words = ("publication", "add", "guide", "--title", "Guide", "--price", "1.00")
    assert f"“{day}”" in store(*words, f"--expected={day}", code=1).stderr


def test_editing_changes_what_is_given_and_nothing_else(store: Run) -> None:
    store("seller", "set", "--trading-name", "Press", "--email", "a@press.example")
    words = ("publication", "add", "guide", "--title", "Guide", "--price", "1.00")
    store(*words, "--expected", "2027-04-01", "--author", "Olga")
    store("publication", "edit", "guide", "--price", "2.50", "--expected", "none")
    shown = _json(store("publication", "show", "guide", "--json"))
    assert (shown["price"], shown["expected"], shown["author"]) == (  # type: ignore[index]
        "2.50",
        None,
        "Olga",
    )
    assert "on sale" in store("publication", "edit", "guide", "--status", "listed").stdout
    assert "retired" in store("publication", "edit", "guide", "--status", "retired").stdout
    (listed,) = _json(store("publication", "list", "--json"))  # type: ignore[misc]
    assert listed["slug"] == "guide"


def test_what_is_unknown_is_refused_on_stderr(store: Run) -> None:
    for words in (
        ("publication", "show", "nothing"),
        ("edition", "coverage", "nothing", "1"),
        ("seller", "show"),
        ("customer", "export", "nothing"),
        ("customer", "correct", "a@b.example", "c@d.example"),
    ):
        result = store(*words, code=1)
        assert result.stderr
        assert result.stdout == ""
    store("edition", "release", "guide", code=2)


def test_a_refused_file_names_itself_and_makes_no_draft(store: Run, tmp_path: Path) -> None:
    with transaction():
        a_publication("guide")
    wrong = tmp_path / "guide.pdf"
    wrong.write_bytes(b"Dear readers")
    result = store("edition", "upload", "guide", str(wrong), code=1)
    assert result.stderr.startswith("guide.pdf: The file must be a PDF or EPUB.")
    assert _json(store("publication", "show", "guide", "--json"))["editions"] == []  # type: ignore[index]


@pytest.fixture
def guide(app: Flask, frozen: Clock) -> None:
    """Two people wait for edition 1, which is a draft."""
    with transaction():
        a_seller()
        publication = a_publication("guide", expected_on=None)
        buy(publication, "anna@reader.example")
        buy(publication, "ben@reader.example", "Ben")
        draft(publication)


@pytest.mark.usefixtures("guide")
def test_a_rehearsal_writes_nothing_and_a_test_letter_counts_nowhere(store: Run) -> None:
    result = store("edition", "release", "guide", "1", "--rehearse")
    assert "pre-ordered" in result.stdout
    assert (
        "Subject: Edition 1 is ready: Effective SEND Practice in the Early Years\n" in result.stdout
    )
    seen = _json(store("edition", "release", "guide", "1", "--rehearse", "--json"))
    assert (seen["recipients"], seen["concerned"]) == (2, 2)  # type: ignore[index]
    store("edition", "release", "guide", "1", "--test-to", "desk@publisher.example")
    assert db.session.scalars(sa.select(Edition.status)).one() == EditionStatus.DRAFT


@pytest.mark.usefixtures("guide")
def test_without_a_terminal_nobody_is_asked(store: Run) -> None:
    for command in ("release", "withdraw"):
        assert "--yes" in store("edition", command, "guide", "1", code=1, typed="y\n").stderr
    assert db.session.scalars(sa.select(Edition.status)).one() == EditionStatus.DRAFT


@pytest.mark.usefixtures("guide")
def test_above_a_hundred_people_the_number_is_typed(
    store: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_need_terminal", lambda: None)
    monkeypatch.setattr("store.distribution.rehearsal.TYPED_ABOVE", 1)
    words = ("edition", "release", "guide", "1")
    assert "Nothing was released." in store(*words, code=1, typed="3\n").stderr
    store(*words, typed="2\n")
    monkeypatch.setattr("store.distribution.rehearsal.TYPED_ABOVE", 100)
    store("edition", "withdraw", "guide", "1", code=1, typed="n\n")
    store("edition", "withdraw", "guide", "1", typed="y\n")


@pytest.mark.usefixtures("guide")
def test_a_release_can_be_set_for_a_local_time_and_taken_back(store: Run, frozen: Clock) -> None:
    words = ("edition", "release", "guide", "1", "--yes", "--at")
    result = store(*words, "2027-04-01T09:00")
    assert "1 April 2027, 09:00 BST (2027-04-01 08:00 UTC)" in result.stdout
    store("edition", "recall", "guide", "1")
    skipped = store(*words, "2027-03-28T01:30", code=1).stderr
    assert "does not exist" in skipped
    assert "2027-03-28T00:30:00+00:00 or 2027-03-28T02:30:00+01:00" in skipped
    assert "comes twice" in store(*words, "2027-10-31T01:30", code=1).stderr
    told = _json(store(*words, "2027-10-31T01:30+00:00", "--json"))
    assert told["release_at"] == "2027-10-31T01:30:00+00:00"  # type: ignore[index]
    frozen.set(datetime(2027, 10, 31, 1, 30, tzinfo=UTC))
    store("tick")
    assert db.session.scalars(sa.select(Edition.status)).one() == EditionStatus.RELEASED


@pytest.mark.usefixtures("guide")
def test_letters_are_paused_resumed_and_recalled(store: Run) -> None:
    store("edition", "release", "guide", "1", "--yes")
    store("edition", "pause", "guide", "1")
    assert store("edition", "pause", "guide", "1", code=1).stderr
    store("edition", "resume", "guide", "1")
    assert "2 letters were recalled" in store("edition", "recall", "guide", "1").stdout
    assert store("edition", "recall", "guide", "1", code=1).stderr


@pytest.mark.usefixtures("guide")
def test_coverage_adds_up_as_table_and_json_and_for_one_customer(store: Run) -> None:
    store("edition", "release", "guide", "1", "--yes")
    send()
    assert _json(store("edition", "coverage", "guide", "1", "--json")) == {
        "handed_over": 2,
        "waiting": 0,
        "held": 0,
        "undeliverable": 0,
        "came_back": 0,
        "given_up": 0,
        "left_out": {},
        "missing": 0,
        "total": 2,
        "sums_match": True,
        "is_complete": True,
        "later": 0,
        "possibly_twice": 0,
        "batch_status": "finished",
    }
    assert (
        "The sums match; the release is complete."
        in store("edition", "coverage", "guide", "1").stdout
    )
    one = _json(
        store("edition", "coverage", "guide", "1", "--customer", "ANNA@reader.example", "--json")
    )
    assert one["column"] == "handed_over"  # type: ignore[index]
    store("edition", "coverage", "guide", "1", "--customer", "x@reader.example", code=1)


@pytest.mark.usefixtures("guide")
def test_sums_that_do_not_match_end_with_1(store: Run) -> None:
    store("edition", "release", "guide", "1", "--yes")
    with transaction() as session:
        edition = session.scalars(sa.select(Edition)).one()
        batch = batch_of(edition)
        session.execute(
            sa.update(Delivery)
            .where(Delivery.batch_id == (batch.id if batch else None))
            .values(customer_id=1)
        )
    assert "do not add up" in store("edition", "coverage", "guide", "1", code=1).stderr


@pytest.mark.usefixtures("guide")
def test_customers_are_imported_exported_and_corrected(store: Run, tmp_path: Path) -> None:
    file = tmp_path / "old shop.csv"
    file.write_bytes("Contact;Wer\nmüller@reader.example;Müller\nnobody;x\n".encode("cp1252"))
    words = ("customer", "import", "guide", str(file), "--column", "email=contact")
    dry = _json(store(*words, "--column", "name=wer", "--dry-run", "--json"))
    assert dry == {
        "total": 2,
        "added": 1,
        "left_out": [
            {
                "line": 3,
                "value": "nobody",
                "reason": "“nobody” has no @. It should look like name@example.com.",
            }
        ],
        "remarks": [],
        "dry_run": True,
    }
    result = store(*words, "--column", "name=wer")
    assert "line 3: “nobody” left out" in result.stdout
    assert "2 rows: 1 added, 1 left out." in result.stdout
    exported = store("customer", "export", "guide").stdout_bytes
    assert exported.startswith(b"\xef\xbb\xbfemail,name,")
    assert "müller@reader.example,Müller".encode() in exported
    # In a folder of everybody's somebody else may have laid a link.
    (tmp_path / "elses").touch()
    (tmp_path / "out.csv.part").symlink_to(tmp_path / "elses")
    store("customer", "export", "guide", "--output", str(tmp_path / "out.csv"))
    assert (tmp_path / "out.csv").read_bytes() == exported
    assert [one.name for one in tmp_path.glob("out*")] == ["out.csv"]
    assert stat.filemode((tmp_path / "out.csv").lstat().st_mode) == "-rw-------"
    assert (tmp_path / "elses").stat().st_size == 0
    with transaction():
        a_customer("benny@reader.example", "Somebody who never paid")
    store("customer", "correct", "ben@reader.example", "benny@reader.example")
    assert b"benny@reader.example,Ben" in store("customer", "export", "guide").stdout_bytes
    assert "ended" in store("customer", "end-links", "benny@reader.example").stdout
    with transaction():
        a_customer("benjamin@reader.example", "")
    store("customer", "merge", "benny@reader.example", "benjamin@reader.example", code=1)
    store("customer", "merge", "benjamin@reader.example", "benny@reader.example")
    assert b"benny@reader.example,Ben" in store("customer", "export", "guide").stdout_bytes
    store("customer", "end-links", "benjamin@reader.example", code=1)
    store("customer", "import", "guide", str(file), "--column", "mail=x", code=2)
    store("customer", "import", "guide", str(file), code=1)


@pytest.mark.usefixtures("guide")
def test_why_one_customer_did_or_did_not_get_it(store: Run, frozen: Clock) -> None:
    def told(email: str, number: str = "1") -> tuple[str, str]:
        words = ("edition", "coverage", "guide", number, "--customer", email, "--json")
        found = _json(store(*words))
        return found["column"], found["sentences"][-1]  # type: ignore[index]

    assert told("anna@reader.example") == (
        "not_concerned",
        "This edition is not released yet.",
    )
    store("edition", "release", "guide", "1", "--yes")
    assert told("anna@reader.example") == (
        "waiting",
        "The edition notice waits to be sent; 0 tries so far.",
    )
    store("edition", "pause", "guide", "1")
    assert told("anna@reader.example")[1] == "The letters of this release are paused."
    store("edition", "resume", "guide", "1")
    send()
    frozen.advance(days=1)
    with transaction() as session:
        publication = session.scalars(sa.select(Edition)).one().publication
        buy(publication, "late@reader.example")
        buy(publication, "slow@reader.example", wants_now=False)
    assert told("late@reader.example") == (
        "later",
        "The order confirmation waits to be sent; 0 tries so far.",
    )
    assert told("slow@reader.example") == (
        "later",
        "The edition notice is not due before 17 March 2027, 00:00 GMT.",
    )
    drafted_and_released(publication, 2)
    store("edition", "recall", "guide", "2")
    assert told("late@reader.example", "2") == (
        "left_out",
        "The edition notice was left out: recalled.",
    )
