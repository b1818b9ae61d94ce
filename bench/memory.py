"""The most memory that a worker takes, for 1,000 readers and for 100,000."""

import resource
import tempfile
from pathlib import Path
from typing import Any

from bench.figures import Figure
from bench.letters import drain, need_all_sent, owe_letters, sending_to
from bench.parallel import in_a_process
from bench.shops import KEY, shop
from bench.sink import sink
from store import settings
from store.app import create_app

CONNECTIONS = 4
FEW, MANY = 1_000, 100_000


def measure() -> list[Figure]:
    """Equal within a tenth, and small."""
    with sink() as port, tempfile.TemporaryDirectory() as folder:
        few, many = (_peak(Path(folder) / str(count), port, count) for count in (FEW, MANY))
    what = f"a worker's peak memory at {MANY:,} readers"
    return [
        Figure(what, f"that at {FEW:,}", many / few, 1.1, at_least=False),
        Figure(what, "", many, 150, at_least=False, unit="MB"),
    ]


def _peak(folder: Path, port: int, letters: int) -> float:
    given = {"env": "testing", "secret_key": KEY, "data_dir": folder}
    given |= sending_to(port, CONNECTIONS)
    with shop(folder, **given):
        edition_id = owe_letters(letters)
        peak = in_a_process(_work, given)
        need_all_sent(edition_id, letters)
    return peak


def _work(given: dict[str, Any]) -> float:
    """In MB, as Linux counts in kB."""
    drain(create_app(settings.load({}, **given)), CONNECTIONS)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
