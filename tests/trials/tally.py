"""What the kills of one trial did, for the assertion and for the table that `make trials` prints."""

import random
from dataclasses import dataclass, field
from typing import Any

from tests.tables import Note

from .ready import Moment

SEED = 12
TITLE = "kill -9 at random moments"
POWER = "power cuts at random moments"
MOST = "most at one kill"
TOLD = {
    "kills": "kills",
    "of": "of",
    "missed": "missed",
    "doubled": "doubled",
    "marked": "marked",
    MOST: "most_doubled",
    "half done": "half_done",
    "other Message-IDs": "other_ids",
}


@dataclass
class Tally:
    """Counted over all kills of a trial: `of` is how many letters, orders, recipients or rows."""

    what: str
    database_url: str
    seed: int
    kills: int = 0
    of: int = 0
    missed: int = 0
    doubled: int = 0
    most_doubled: int = 0  # at one kill
    marked: int = 0  # of these, as possibly twice
    half_done: int = 0
    other_ids: int = 0  # copies under another Message-ID
    chance: random.Random = field(init=False)
    _reach: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(f"{self.seed} {self.what}")

    def moment(self, most: int) -> Moment:
        """A moment within the first so many steps, at which half of the lives end at once."""
        step = self.chance.randint(1, min(most, self._reach or most))
        return Moment(step, self.chance.choice([0.0, 0.0, self.chance.uniform(0.0, 0.004)]))

    def count(self, moment: Moment, *, was_killed: bool) -> None:
        """A kill, or a life that had ended before: the next are killed earlier."""
        self.kills += was_killed
        if not was_killed and moment.step > 1 and not moment.seconds:
            self._reach = moment.step - 1

    def note(self, note: Note) -> None:
        """A row of the table."""
        row: dict[str, Any] = {
            "killed": self.what,
            "database": self.database_url.partition(":")[0].partition("+")[0],
            "seed": self.seed,
        }
        note(TITLE, row | {told: getattr(self, name) for told, name in TOLD.items()})

    def check(self, most_doubled: int = 0) -> None:
        """Nobody missed, nothing half done, doubled at most so many at each kill and marked."""
        assert self.missed == 0, self
        assert self.half_done == 0, self
        assert self.most_doubled <= most_doubled, self
        assert self.marked == self.doubled, self
        assert self.other_ids == 0, self
