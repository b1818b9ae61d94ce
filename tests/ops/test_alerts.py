"""The rules for Prometheus: each fires for what it names and stays quiet otherwise, as Prometheus's own
`promtool` sees it where that is installed; without it, each has such a pair of cases about what a scrape has."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from flask import Flask

from store.storefront import metrics

OPS = Path(__file__).parent.parent.parent / "docs" / "ops"
RULES = OPS / "alerts.yml"
SHOP = 'instance="shop",job="colophon"'
OF_SHOP = {"instance": "shop", "job": "colophon"}


class Case(NamedTuple):
    """Series with one value a minute, as promtool writes them; when the rule has fired, and under which
    labels, or that it has not."""

    alert: str
    series: dict[str, str]
    minutes: int
    labels: dict[str, str] | None = OF_SHOP


def of_shop(name: str, values: str, *labels: str) -> dict[str, str]:
    """One series of the shop."""
    inside = ",".join([*labels, SHOP])
    return {f"{name}{{{inside}}}": values}


def wrong_and_well(
    alert: str, name: str, wrong: str, well: str, minutes: int, *labels: str, **told: str
) -> list[Case]:
    """A rule about one series: fires with the one, and not with the other."""
    return [
        Case(alert, of_shop(name, wrong, *labels), minutes, OF_SHOP | told),
        Case(alert, of_shop(name, well, *labels), minutes, None),
    ]


DUE = of_shop("colophon_letters_due_age_seconds", "1000+60x40")
SENT = "colophon_send_seconds_count"
FAILED = "colophon_errors_total"
SLOW = {
    **of_shop("colophon_page_seconds_bucket", "0+5x40", 'le="2.5"', 'rule="/"'),
    **of_shop("colophon_page_seconds_bucket", "0+6x40", 'le="5"', 'rule="/"'),
    **of_shop("colophon_page_seconds_bucket", "0+6x40", 'le="+Inf"', 'rule="/"'),
}
AT_THE_DESK = {name.replace('rule="/"', 'rule="/admin/x"'): told for name, told in SLOW.items()}
QUICK = dict.fromkeys(SLOW, "0+6x40")
DAY = 24 * 60
WATCHED = of_shop("colophon_database_up", f"1x{2 * DAY}")
# One scrape in the night finds nobody, as the machine is started again.
RESTARTED = of_shop("colophon_database_up", f"1x720 stale 1x{DAY}")
AWAY = of_shop("colophon_database_up", f"1x{DAY} 0x{DAY}")

CASES = [
    *wrong_and_well("ColophonAway", "up", "0x9", "1x9", 3),
    Case("ColophonAway", {'up{job="shop",instance="shop"}': "1x9"}, 3, {"job": "colophon"}),
    *wrong_and_well("ColophonDatabaseAway", "colophon_database_up", "0x9", "1x9", 2),
    *wrong_and_well("ColophonNoWorker", "colophon_workers", "0x9", "2x9", 2),
    *wrong_and_well("ColophonTimetableLate", "colophon_timetable_age_seconds", "301x9", "59x9", 3),
    *wrong_and_well("ColophonLettersStandStill", "colophon_standstill_seconds", "601x9", "0x9", 2),
    Case("ColophonLettersWait", DUE | of_shop(SENT, "7x40", 'outcome="accepted"'), 30, OF_SHOP),
    Case("ColophonLettersWait", DUE, 30, OF_SHOP),
    Case("ColophonLettersWait", DUE | of_shop(SENT, "7+1x40", 'outcome="accepted"'), 30, None),
    # The first letters that a shop ever sends.
    Case("ColophonLettersWait", DUE | of_shop(SENT, "0x20 90x9", 'outcome="accepted"'), 29, None),
    *wrong_and_well(
        "ColophonLettersHeld", "colophon_letters", "1x99", "0x99", 61, 'state="held"', state="held"
    ),
    *wrong_and_well(
        "ColophonLettersFail",
        "colophon_letters",
        "3x60 20x30",
        "3x60 9x30",
        70,
        'state="failed"',
        state="failed",
    ),
    *wrong_and_well(
        "ColophonLettersReturn",
        "colophon_letters",
        f"3x{DAY} 90x30",
        f"3x{DAY} 40x30",
        DAY + 10,
        'state="returned"',
        state="returned",
    ),
    *wrong_and_well("ColophonBatchPaused", "colophon_batches_paused", "1x30", "0x30", 16),
    *wrong_and_well(
        "ColophonPaymentsWait", "colophon_gateway_events_age_seconds", "301x9", "0x9", 6
    ),
    *wrong_and_well("ColophonCheckoutsOverdue", "colophon_checkouts_overdue", "1x40", "0x40", 31),
    *wrong_and_well("ColophonDiskLow", "colophon_disk_free_ratio", "0.049x9", "0.051x9", 6),
    *wrong_and_well("ColophonBackupOld", "colophon_backup_age_seconds", "129601x9", "90000x9", 6),
    Case("ColophonNoBackup", WATCHED, DAY + 90, OF_SHOP),
    Case("ColophonNoBackup", RESTARTED, DAY + 90, OF_SHOP),
    Case("ColophonNoBackup", WATCHED, DAY - 60, None),
    Case("ColophonNoBackup", AWAY, DAY + 90, None),
    Case(
        "ColophonNoBackup",
        WATCHED | of_shop("colophon_backup_age_seconds", f"60x{2 * DAY}"),
        DAY + 90,
        None,
    ),
    Case("ColophonErrors", of_shop(FAILED, "0+3x40", 'status="500"'), 15, {"instance": "shop"}),
    Case("ColophonErrors", of_shop(FAILED, "0 1x40", 'status="500"'), 15, None),
    Case("ColophonSlowPages", SLOW, 30, {}),
    Case("ColophonSlowPages", QUICK, 30, None),
    Case("ColophonSlowPages", AT_THE_DESK, 30, None),
    Case(
        "ColophonTrouble", of_shop("colophon_troubles", "1x9", 'part="disk"'), 6, {"part": "disk"}
    ),
    Case("ColophonTrouble", of_shop("colophon_troubles", "0x9", 'part="disk"'), 6, None),
]


@cache
def rules() -> dict[str, dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def as_promtool_reads(case: Case) -> dict[str, Any]:
    rule = rules()[case.alert]
    expected = []
    if case.labels is not None:
        told = {
            name: text.replace("{{ $labels.part }}", case.labels.get("part", ""))
            for name, text in rule["annotations"].items()
        }
        expected = [{"exp_labels": case.labels | rule["labels"], "exp_annotations": told}]
    return {
        "interval": "1m",
        "input_series": [{"series": one, "values": told} for one, told in case.series.items()],
        "alert_rule_test": [
            {"eval_time": f"{case.minutes}m", "alertname": case.alert, "exp_alerts": expected}
        ],
    }


def test_each_rule_fires_for_what_it_names_and_for_nothing_else(app: Flask, tmp_path: Path) -> None:
    for alert in rules():
        assert {case.labels is None for case in CASES if case.alert == alert} == {True, False}, (
            alert
        )
    scraped = {family.name for family in metrics.collected()} | {"up"}
    named = {re.sub(r"(_bucket|_count)?\{.*", "", one) for case in CASES for one in case.series}
    assert named - scraped == set()
    promtool = shutil.which("promtool")
    if promtool is None:
        return
    asked = tmp_path / "rules.yml"
    told = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [as_promtool_reads(case) for case in CASES],
    }
    asked.write_text(yaml.safe_dump(told), encoding="utf-8")
    ran = subprocess.run(
        [promtool, "test", "rules", str(asked)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
