"""`KILLS=200 python -m tests.trials`: that many kills of each on both databases, and their table; 1
where anybody was missed, or a test failed.

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

from .tally import MOST, SEED, TITLE, TOLD

ROOT = Path(__file__).parents[2]
IN_PART = 20


def main() -> int:
    kills = int(os.environ.get("KILLS") or 200)
    files: list[Path] = []
    try:
        for number, file in enumerate(_parts(kills)):
            files.append(file)
            if not is_whole(file):
                begun = time.monotonic()
                _run(file, SEED + number, min(IN_PART, kills - number * IN_PART))
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
    folder = ROOT / "test-results" / "trials" / _code()
    folder.mkdir(parents=True, exist_ok=True)
    for begun in range(0, kills, IN_PART):
        seed, many = SEED + begun // IN_PART, min(IN_PART, kills - begun)
        yield folder / f"seed-{seed}-kills-{many}.xml"


def _code() -> str:
    """A name of the code as it stands, with what is not committed."""
    tree = _git("stash", "create", "trials") or "HEAD"
    return _git("rev-parse", "--short=12", f"{tree}^{{tree}}") or "code"


def _git(*words: str) -> str:
    asked = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return asked.stdout.strip() if asked.returncode == 0 else ""


def _run(file: Path, seed: int, kills: int) -> None:
    under_way = file.with_suffix(".part")
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-m", "long"),
            *map(str, Path(__file__).parent.glob("test_*_kills.py")),
            *("-n", str((os.cpu_count() or 2) + 1), "--dist", "worksteal"),
            *(f"--kills={kills}", f"--seed={seed}", f"--junitxml={under_way}"),
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


def rows_of(file: Path) -> Iterator[dict[str, str]]:
    """What the tests of a part noted, and how long each took."""
    for case in ElementTree.parse(file).iter("testcase"):
        for kept in case.iter("property"):
            if kept.attrib["name"] == tables.MARK + TITLE:
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
