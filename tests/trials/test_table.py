"""The table of `make trials`: parts that were whole count, and are summed."""

from pathlib import Path

import pytest

from tests.tables import MARK

from .__main__ import is_whole, rows_of, summed
from .tally import TITLE, TOLD


def _part(folder: Path, *, seed: int, failures: int = 0, **found: int) -> Path:
    counts = dict.fromkeys(TOLD, "0") | {name.replace("_", " "): str(found[name]) for name in found}
    row = {"killed": "worker", "database": "sqlite", "seed": str(seed)} | counts
    file = folder / f"{seed}.xml"
    file.write_text(
        f'<testsuites><testsuite tests="1" errors="0" failures="{failures}"><testcase time="2.6">'
        f'<properties><property name="{MARK}{TITLE}" value="{row}"/></properties>'
        "</testcase></testsuite></testsuites>"
    )
    return file


def test_parts_are_summed_but_for_the_most_at_one_kill(tmp_path: Path) -> None:
    files = [
        _part(tmp_path, seed=1, kills=20, doubled=3, most_at_one_kill=3),
        _part(tmp_path, seed=2, kills=10, doubled=1, most_at_one_kill=1),
    ]
    (row,) = summed(row for file in files for row in rows_of(file))

    assert (row["kills"], row["doubled"], row["most at one kill"]) == ("30", "4", "3")
    assert row["seconds"] == "6"


@pytest.mark.parametrize(("failures", "whole"), [(0, True), (1, False)])
def test_a_part_in_which_a_test_failed_is_run_again(
    tmp_path: Path, failures: int, whole: bool
) -> None:
    assert is_whole(_part(tmp_path, seed=1, failures=failures)) == whole
    assert not is_whole(tmp_path / "2.xml")
