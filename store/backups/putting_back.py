"""Files that the storage of a living shop lost or has wrongly are put back from the place of backups, where
each lies under its SHA-256: what is found there is what was sold, whichever backup brought it."""

from dataclasses import dataclass, field
from pathlib import Path

from store.backups.making import Telling
from store.backups.restoring import Chosen
from store.backups.sealed import Damaged, look_at, read
from store.kit.storage import storage
from store.staff.kept_files import Named, is_stored, named_files


@dataclass
class PutBack:
    """How many files rows name, how many were put back, and the keys of those that nobody has."""

    named: int
    put: int = 0
    lost: list[str] = field(default_factory=list)


def put_back_files(chosen: Chosen, room: Path, tell: Telling) -> PutBack:
    """Compare each file that a row of the shop names with its SHA-256, and put back what differs or is not
    there, by way of `room`. Nothing else is changed. May be run again."""
    named = named_files()
    done = PutBack(len(named))
    for count, one in enumerate(named, start=1):
        if not is_stored(one):
            if _put(chosen, one, room / "file"):
                done.put += 1
            else:
                done.lost.append(one.key)
        tell("files", count, len(named))
    return done


def _put(chosen: Chosen, one: Named, taken: Path) -> bool:
    path = chosen.place.file_path(one.sha256, chosen.key)
    try:
        if look_at(path, chosen.key).sha256 != one.sha256:
            return False
    except Damaged:
        return False
    with taken.open("wb") as file:
        file.writelines(read(path, chosen.key))
    storage().put_file(one.key, taken)
    return True
