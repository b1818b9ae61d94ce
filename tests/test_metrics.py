"""`/metrics`: who may read it, what it says, what a scrape costs, and that rules and dashboard name what is there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from flask import Flask
from flask.testing import FlaskClient

from store.backups.latest import keep_account
from store.kit import measures
from store.kit.database import transaction
from store.kit.exposition import Family, written
from store.mail import heartbeats, restores, standstills
from store.mail.answers import About, Cause
from store.mail.models import Batch, BatchStatus, Delivery, DeliveryStatus, Standstill
from store.mail.smtp import OutcomeKind
from store.storefront import metrics
from tests.conftest import Clock, on_both
from tests.factories import a_seller
from tests.letters import send
from tests.mail.shops import owe_to, readers
from tests.plans import plans
from tests.statements import statements
from tests.stocked import stock

ROOT = Path(__file__).parent.parent
OPS = ROOT / "docs" / "ops"
SAMPLE = re.compile(r'(\w+)(?:\{((?:\w+="(?:[^"\\\n]|\\[\\n"])*",?)*)\})? (-?[\d.e+-]+|\+Inf|NaN)')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
NAME = re.compile(r"\bcolophon_\w+")
TOKEN = "a-token-of-many-characters"


def scrape(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """The samples of a scrape by name and labels, read as strictly as the format is written."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    kind: dict[str, str] = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, what = line.split()
            assert name not in kind, name
            kind[name] = what
        elif not line.startswith("# HELP "):
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            family = sample[1]
            if family not in kind:
                family = re.sub("_(bucket|sum|count)$", "", family)
                assert kind[family] == "histogram", line
            labels = tuple(LABEL.findall(sample[2] or ""))
            samples = found.setdefault(sample[1], {})
            assert labels not in samples, line
            samples[labels] = float(sample[3])
    for name in (one for one, what in kind.items() if what == "histogram"):
        _is_sound(found, name)
    return found


def _is_sound(found: dict[str, Any], name: str) -> None:
    """Ranges of a histogram add up from the smallest to the count."""
    by_label: dict[tuple[tuple[str, str], ...], list[float]] = {}
    for labels, value in found.get(f"{name}_bucket", {}).items():
        by_label.setdefault(labels[:-1], []).append(value)
    for labels, values in by_label.items():
        assert values == sorted(values), labels
        assert values[-1] == found[f"{name}_count"][labels]


def one(client: FlaskClient, name: str, **labels: str) -> float:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return scrape(answer.text)[name][tuple(labels.items())]


@pytest.fixture
def with_token(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydantic import SecretStr

    settings = app.extensions["colophon.settings"]
    monkeypatch.setitem(settings.__dict__, "metrics_token", SecretStr(TOKEN))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.4.5.6", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may_read_it_whatever_host_it_asks_for(
    client: FlaskClient, address: str
) -> None:
    given = {"REMOTE_ADDR": address, "HTTP_HOST": "10.0.0.7:9999"}
    answer = client.get("/metrics", environ_overrides=given)
    assert answer.status_code == 200
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "given",
    [
        {"REMOTE_ADDR": "192.0.2.7"},
        {"REMOTE_ADDR": "2001:db8::7"},
        {"REMOTE_ADDR": ""},
        # A proxy on this machine, and what its client may have written.
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "192.0.2.7"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_FORWARDED": "for=127.0.0.1"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_PROTO": "https"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_VIA": "1.1 proxy"},
    ],
)
def test_nobody_else_learns_that_it_is_there(client: FlaskClient, given: dict[str, str]) -> None:
    refused = client.get("/metrics", environ_overrides=given)
    unknown = client.get("/nothing-here", environ_overrides=given)
    assert (refused.status_code, unknown.status_code) == (404, 404)
    assert refused.text == unknown.text


@pytest.mark.usefixtures("with_token")
def test_with_a_token_the_token_alone_opens(client: FlaskClient) -> None:
    def ask(**headers: str) -> int:
        given = {"REMOTE_ADDR": "192.0.2.7", "HTTP_X_FORWARDED_FOR": "192.0.2.9"}
        return client.get("/metrics", headers=headers, environ_overrides=given).status_code

    assert ask(Authorization=f"Bearer {TOKEN}") == 200
    assert ask(Authorization=f"bearer {TOKEN}") == 200
    wrong = [
        "",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        "Bearer ",
        "Bearer ü",
    ]
    assert [ask(Authorization=one) for one in wrong] == [404] * len(wrong)
    assert client.get("/metrics").status_code == 404  # also from here


@on_both
def test_it_says_what_waits_and_since_when(app: Flask, client: FlaskClient, frozen: Clock) -> None:
    stock(app)
    owe_to(*readers(5))
    with transaction() as session:
        states = [DeliveryStatus.HELD, DeliveryStatus.FAILED, DeliveryStatus.BOUNCED]
        for letter, status in zip(
            session.scalars(sa.select(Delivery).order_by(Delivery.id.desc())), states, strict=False
        ):
            letter.status = status
        keep_account("2027-03-01", frozen.at, 1000)
        standstills.begin(session, About.US, Cause.ACCOUNT, "535 no")
    before = one(client, "colophon_letters", state="waiting")
    heartbeats.note_pass()
    heartbeats.beat()
    frozen.advance(minutes=2)
    assert before >= 2
    for state in ("held", "failed", "returned"):
        assert one(client, "colophon_letters", state=state) >= 1
    assert one(client, "colophon_letters_due_age_seconds") >= 120
    assert one(client, "colophon_workers") == 1
    assert 120 <= one(client, "colophon_timetable_age_seconds") < 180
    assert one(client, "colophon_standstill_seconds") == 120
    assert one(client, "colophon_backup_age_seconds") == 120
    with transaction():
        restores.hold(frozen.at, 0)
    heartbeats.note_pass()
    heartbeats.beat()  # a restore forgets the workers of another time
    frozen.advance(minutes=1)
    assert one(client, "colophon_standstill_seconds") == 180
    with transaction() as session:
        standstills.end(session)
        session.execute(sa.delete(Standstill))
    assert one(client, "colophon_standstill_seconds") == 60  # a restored shop holds its letters
    assert one(client, "colophon_disk_free_bytes") > 0
    assert 0 < one(client, "colophon_disk_free_ratio") <= 1
    assert one(client, "colophon_database_up") == 1
    frozen.advance(minutes=10)
    assert one(client, "colophon_troubles", part="worker") == 1
    assert one(client, "colophon_workers") == 0


@on_both
def test_letters_of_a_paused_release_are_not_due(
    app: Flask, client: FlaskClient, frozen: Clock
) -> None:
    owe_to(*readers(3))
    frozen.advance(hours=1)
    assert one(client, "colophon_letters_due_age_seconds") == 3600
    with transaction() as session:
        batch = Batch(
            reason="edition", subject_id=1, status=BatchStatus.PAUSED, created_at=frozen.at
        )
        session.add(batch)
        session.flush()
        session.execute(sa.update(Delivery).values(batch_id=batch.id))
    assert one(client, "colophon_letters_due_age_seconds") == 0
    assert one(client, "colophon_batches_paused") == 1


@on_both
def test_pages_sends_and_errors_are_counted_by_rule_and_outcome_and_added_up(
    app: Flask, client: FlaskClient, shop_of_one: None
) -> None:
    for _ in range(3):
        assert client.get("/terms").status_code == 200
    client.get("/orders/secret-token-of-somebody")
    client.get("/nothing-here")
    send()
    measures.write_down()
    client.get("/terms")
    with app.app_context():  # another process, which adds to the same rows
        measures.write_down()
    text = client.get("/metrics").text
    found = scrape(text)
    pages = found["colophon_page_seconds_count"]
    assert pages[(("rule", "/terms"),)] == 4
    assert pages[(("rule", "/orders/<token>"),)] == 1
    assert pages[(("rule", "none"),)] == 1
    assert found["colophon_page_seconds_sum"][(("rule", "/terms"),)] > 0
    assert found["colophon_send_seconds_count"][(("outcome", "accepted"),)] == 1
    assert "secret" not in text


def test_what_fails_is_counted_and_a_monitor_that_is_told_no_is_none(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.storefront.health.can_write", lambda: False)
    assert client.get("/readyz").status_code == 503
    for status in ("500", "500", "503"):
        measures.failed(status)
    measures.write_down()
    found = scrape(client.get("/metrics").text)["colophon_errors_total"]
    assert found == {
        (("status", "500"),): 2.0,
        (("status", "503"),): 1.0,
        (("status", "507"),): 0.0,
    }


@on_both
def test_what_is_counted_is_there_before_the_first_time(client: FlaskClient) -> None:
    """Of a number that first shows as 50 Prometheus sees no increase: fifty failed pages woke nobody."""
    found = scrape(client.get("/metrics").text)
    assert set(found["colophon_errors_total"].values()) == {0.0}
    sent = found["colophon_send_seconds_count"]
    assert sent == {(("outcome", one.value),): 0.0 for one in OutcomeKind}


def test_a_page_that_fails_counts_as_one(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError

    app.config["PROPAGATE_EXCEPTIONS"] = False
    monkeypatch.setattr("store.storefront.about.robots", broken)
    app.view_functions["about.robots"] = broken  # type: ignore[assignment]
    assert client.get("/robots.txt").status_code == 500
    measures.write_down()
    assert one(client, "colophon_errors_total", status="500") == 1


def test_what_could_not_be_written_is_kept_for_the_next_time(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    measures.took(measures.SENDS, "accepted", 0.2)
    with monkeypatch.context() as patch:
        patch.setattr(measures, "_adding", lambda: sa.text("no such words"))
        with pytest.raises(sa.exc.SQLAlchemyError):
            measures.write_down()
    measures.took(measures.SENDS, "accepted", 0.2)
    measures.write_down()
    assert one(client, "colophon_send_seconds_count", outcome="accepted") == 2


def test_a_database_that_is_away_is_a_number_too(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> Any:
        raise sa.exc.OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(heartbeats, "workers", away)
    found = scrape(client.get("/metrics").text)
    assert found["colophon_database_up"] == {(): 0.0}
    assert "colophon_disk_free_bytes" in found
    assert "colophon_workers" not in found


@on_both
def test_a_scrape_costs_the_same_few_statements_and_looks_at_no_row_that_rests(
    app: Flask, frozen: Clock
) -> None:
    heartbeats.beat()
    metrics.collected()  # the shared clock is asked once a minute
    with statements() as few:
        metrics.collected()
    stock(app)
    owe_to(*readers(40))
    for number in range(40):
        measures.took(measures.PAGES, f"/{number}", number / 10)
    measures.write_down()
    metrics.collected()
    with statements() as many:
        metrics.collected()
    assert len(many) == len(few) <= 10
    with plans("deliveries", "gateway_events", "checkouts", "repairs", "attempts") as seen:
        metrics.collected()
    assert len(seen.statements) == 3
    assert seen.of_all_rows == []


def test_text_is_escaped_as_the_format_has_it() -> None:
    family = Family("colophon_x", "gauge", "one\\two\nthree")
    family.add(1.5, rule='a"b\\c\nd')
    assert written([family]) == (
        "# HELP colophon_x one\\\\two\\nthree\n# TYPE colophon_x gauge\n"
        'colophon_x{rule="a\\"b\\\\c\\nd"} 1.5\n'
    )


def _names(app: Flask) -> set[str]:
    """Every name under which a scrape may have a sample."""
    names = set()
    for family in metrics.collected():
        ends = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
        names |= {family.name + end for end in ends}
    return names


def test_every_rule_is_one_and_names_what_a_scrape_has(app: Flask) -> None:
    (group,) = yaml.safe_load((OPS / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    rules = group["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 10
    for rule in rules:
        assert rule.keys() == {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[mhd]", rule["for"])
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"].keys() == {"summary", "description"}
        assert rule["expr"].count("(") == rule["expr"].count(")")
    named = {name for rule in rules for name in NAME.findall(rule["expr"])}
    assert named - _names(app) == set()


def test_the_dashboard_shows_what_a_scrape_has(app: Flask) -> None:
    panels = json.loads((OPS / "dashboard.json").read_text(encoding="utf-8"))["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    named = {name for expr in asked for name in NAME.findall(expr)}
    assert named - _names(app) == set()
    assert len({panel["id"] for panel in panels}) == len(panels) > 15
    # What is in neither tells of itself alone.
    rules = (OPS / "alerts.yml").read_text(encoding="utf-8")
    shown = named | set(NAME.findall(rules))
    stems = {re.sub("_(bucket|sum|count)$", "", one) for one in shown}
    assert {re.sub("_(bucket|sum|count)$", "", one) for one in _names(app)} - stems == {
        "colophon_info",
        "colophon_worker_age_seconds",
    }


@pytest.fixture
def shop_of_one(app: Flask) -> None:
    """A shop that owes one letter."""
    with transaction():
        a_seller()
    owe_to(*readers(1))
