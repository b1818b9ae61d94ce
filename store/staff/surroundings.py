"""What the shop stands on: room on its disks, its clock beside others', and who on this machine may read
what is people's."""

import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from store.kit import clock
from store.kit.config import config
from store.kit.formatting import format_size
from store.kit.storage import storage

LEAST_FREE = 0.05
# What a server says of the time is whole seconds, and some old when it is here.
CLOCK_SECONDS = 30
# The files of settings that the operator's guide makes.
SETTINGS_FILES = (Path("/etc/colophon.env"), Path("/etc/colophon-pipe.env"))
# Where it has services put, which may write to few places.
UNITS, SERVICES = (
    Path("/etc/systemd/system"),
    ("colophon-web", "colophon-worker", "colophon-backup"),
)
_OTHERS = stat.S_IROTH | stat.S_IWOTH
_OWN = (
    "colophon.db",
    "colophon.db-wal",
    "colophon.db-shm",
    "bell.db",
    "erasures.jsonl",
    "files",
    "work",
)


def disk() -> str:
    """How much is free where the shop writes. Raises where it will not be enough for long."""
    said = []
    for place in _places():
        room = shutil.disk_usage(place)
        nodes = os.statvfs(place)
        left = f"{format_size(room.free)} of {format_size(room.total)} free at {place}"
        if room.free < LEAST_FREE * room.total:
            raise RuntimeError(f"only {left}: make room, or orders will be refused")
        if room.free < 3 * config().max_upload:
            raise RuntimeError(f"only {left}: an upload of two files may not fit")
        if nodes.f_files and nodes.f_favail < LEAST_FREE * nodes.f_files:
            raise RuntimeError(f"{place} has room for {nodes.f_favail} more files only (inodes)")
        said.append(left)
    return "; ".join(said)


def compare_clock(header: str | None, whose: str) -> None:
    """Hold our clock beside the Date header of somebody's answer. Raises where they are 30 seconds apart."""
    if header is None:
        return
    there: datetime = parsedate_to_datetime(header)
    seconds = (clock.machine_time() - there).total_seconds()
    if abs(seconds) > CLOCK_SECONDS:
        raise RuntimeError(
            f"the clock is {clock_words(seconds)} {whose}: let NTP set the clock of this machine"
        )


def clock_words(seconds: float) -> str:
    """`12 seconds ahead of` or `12 seconds behind`."""
    return f"{abs(seconds):.0f} seconds {'ahead of' if seconds > 0 else 'behind'}"


def permissions() -> tuple[str, str]:
    """That nobody else on this machine reads what is people's, and that the shop can write what is
    its own; then a note. Raises in production, where somebody else may read; elsewhere it is a note."""
    found = [*_open_places(), *_open_files(), *_of_others(), *_shut_out()]
    if found and config().env == "production":
        raise RuntimeError("; ".join(found))
    is_root = os.geteuid() == 0 and config().env == "production"
    if is_root and _owner(config().data_dir) != "root":
        found.append(
            f"this runs as root: run it as {_owner(config().data_dir)}, so that it tries what the shop may"
        )
    return "data folder and settings are the shop's own", "; ".join(found)


def _places() -> Iterator[Path]:
    """The data folder, and the folder of the files where that is another disk."""
    yield config().data_dir.absolute()
    folder = storage().folder
    if folder and folder.stat().st_dev != config().data_dir.stat().st_dev:
        yield folder


def _open_places() -> Iterator[str]:
    data, files = config().data_dir.absolute(), storage().folder
    for place in {data, files} - {None}:
        assert place is not None  # noqa: S101 - taken out above
        is_inside = place != data and data in place.parents and not _lets_in(data)
        if _lets_in(place) and not is_inside:
            yield f"everybody on this machine may read {place}: chmod o= {place}"


def _open_files() -> Iterator[str]:
    for file in (*SETTINGS_FILES, config().erasures_file):
        inside = config().data_dir.absolute() in file.parents
        if not inside and file.exists() and file.stat().st_mode & _OTHERS:
            yield f"everybody on this machine may read {file}: chmod o= {file}"


def _of_others() -> Iterator[str]:
    """What belongs to somebody else, most often root by a command: the shop cannot write it."""
    data = config().data_dir.absolute()
    # Whose the shop is: who runs this, unless that is root, who may do all.
    number = os.geteuid() or data.stat().st_uid
    owner = _name(number)
    for path in (data, *(data / name for name in _OWN)):
        if path.exists() and path.stat().st_uid != number:
            yield f"{path} belongs to {_name(path.stat().st_uid)}, the shop to {owner}: chown {owner} {path}"


def _shut_out() -> Iterator[str]:
    """What the units of this machine keep from the shop: a command that is typed may write there, and sees
    nothing of it."""
    folders = (config().data_dir.absolute(), config().erasures_file.parent, storage().folder)
    for name in SERVICES:
        files = [UNITS / f"{name}.service", *sorted((UNITS / f"{name}.service.d").glob("*.conf"))]
        lines = [
            line.strip()
            for file in files
            if file.is_file()
            for line in file.read_text().splitlines()
        ]
        if "ProtectSystem=strict" not in lines:
            continue
        said = " ".join(one.partition("=")[2] for one in lines if one.startswith("ReadWritePaths="))
        opened = {Path(one.lstrip("-+")) for one in said.split()}
        for place in sorted({one for one in folders if one}):
            if opened.isdisjoint({place, *place.parents}):
                yield (
                    f"{name} may not write to {place}: `systemctl edit {name}`, and there [Service] and "
                    f"ReadWritePaths={place}"
                )


def _lets_in(place: Path) -> bool:
    return bool(place.stat().st_mode & (_OTHERS | stat.S_IXOTH))


def _owner(path: Path) -> str:
    return _name(path.stat().st_uid)


def _name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
