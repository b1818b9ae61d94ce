"""`KILLS=200 CUTS=50 HISTORIES=3 python -m tests.trials`: that many kills of each on both databases, then
so many power cuts, which need root, and their tables; then so many times the random histories of the long
run. 1 where anybody was missed, or a test failed.

It goes by parts, each with a seed of its own. What a part found stays in `test-results/trials`, so
that a run that was broken off is taken up again; a change of the code begins from nothing.
"""

import ast
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from tests import tables

from . import power
from .tally import MOST, POWER, SEED, TITLE, TOLD

TESTS = Path(__file__).parent
ROOT = TESTS.parents[1]
IN_PART = 20
_PROCESSES = str((os.cpu_count() or 2) + 1)


def main() -> int:
    usual = {"KILLS": 200, "CUTS": 50, "HISTORIES": 3}
    kills, cuts, times = (int(os.environ.get(name) or many) for name, many in usual.items())
    return _kill(kills) or _cut(cuts) or _tell(times)


def _tell(times: int) -> int:
    """Random histories, in one part."""
    if times == 0:
        return 0
    file = _folder() / f"histories-{times}.xml"
    if not is_whole(file):
        tests = [
            *TESTS.parent.glob("*/test_*histories.py"),
            TESTS.parent / "payments/test_history.py",
        ]
        _run(file, SEED, tests, _PROCESSES, f"--histories={times}")
    return 0 if is_whole(file) else 1


def _cut(cuts: int) -> int:
    """Power cuts, in one part: a disk is made for each database."""
    if cuts == 0:
        return 0
    if lacking := power.missing():
        sys.stdout.write(f"\n{lacking}\n")
        return 0
    file = _folder() / f"cuts-{cuts}.xml"
    if not is_whole(file):
        _run(file, SEED, [TESTS / "test_power_cuts.py"], "2", f"--cuts={cuts}")
    if rows := list(rows_of(file, POWER)) if file.exists() else []:
        sys.stdout.write("\n".join(["", POWER, *tables.lines(rows), ""]))
    return 0 if is_whole(file) else 1


def _kill(kills: int) -> int:
    files: list[Path] = []
    try:
        for number, file in enumerate(_parts(kills)):
            files.append(file)
            if not is_whole(file):
                begun = time.monotonic()
                many = min(IN_PART, kills - number * IN_PART)
                _run(
                    file,
                    SEED + number,
                    TESTS.glob("test_*_kills.py"),
                    _PROCESSES,
                    f"--kills={many}",
                )
                sys.stdout.write(f"{file.name}: {time.monotonic() - begun:.0f} seconds\n")
            if not is_whole(file):
                return 1
    finally:
        rows = [row for file in files if file.exists() for row in rows_of(file)]
        if rows:
            sys.stdout.write("\n".join(["", TITLE, *tables.lines(summed(rows)), ""]))
    return 0


def _parts(kills: int) -> Iterator[Path]:
    """Where the findings of each part are kept."""
    folder = _folder()
    for begun in range(0, kills, IN_PART):
        seed, many = SEED + begun // IN_PART, min(IN_PART, kills - begun)
        yield folder / f"seed-{seed}-kills-{many}.xml"


def _folder() -> Path:
    folder = ROOT / "test-results" / "trials" / _code()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _code() -> str:
    """A name of the code as it stands, with what is not committed."""
    tree = _git("stash", "create", "trials") or "HEAD"
    return _git("rev-parse", "--short=12", f"{tree}^{{tree}}") or "code"


def _git(*words: str) -> str:
    asked = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return asked.stdout.strip() if asked.returncode == 0 else ""


def _run(file: Path, seed: int, tests: Iterable[Path], processes: str, many: str) -> None:
    under_way = file.with_suffix(".part")
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-m", "long", *map(str, tests)),
            *("-n", processes, "--dist", "worksteal"),
            # So many kills take their time, those of the controls too.
            "--timeout=1800",
            *(many, f"--seed={seed}", f"--junitxml={under_way}"),
        ],
        cwd=ROOT,
        stdout=sys.stderr,
        check=False,
    )
    if under_way.exists():
        under_way.replace(file)


def is_whole(file: Path) -> bool:
    """Whether a part ran to its end and every test of it passed."""
    if not file.exists():
        return False
    suite = next(ElementTree.parse(file).iter("testsuite"))
    return int(suite.attrib["tests"]) > 0 and suite.attrib["failures"] == "0" == suite.get("errors")


def rows_of(file: Path, title: str = TITLE) -> Iterator[dict[str, str]]:
    """What the tests of a part noted, and how long each took."""
    for case in ElementTree.parse(file).iter("testcase"):
        for kept in case.iter("property"):
            if kept.attrib["name"] == tables.MARK + title:
                seconds = f"{float(case.attrib['time']):.0f}"
                yield ast.literal_eval(kept.attrib["value"]) | {"seconds": seconds}


def summed(rows: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """One row for each that was killed, on each database."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        key = row["killed"], row["database"]
        of_all = found.setdefault(key, {"killed": key[0], "database": key[1]})
        for name in row.keys() - {"killed", "database", "seed"}:
            values = int(of_all.get(name, 0)), int(row[name])
            of_all[name] = str(max(values) if name == MOST else sum(values))
    names = ["killed", "database", *TOLD, "seconds"]
    return [{name: row[name] for name in names} for row in found.values()]


if __name__ == "__main__":
    sys.exit(main())
