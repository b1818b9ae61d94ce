"""Processes of this machine: whether one runs, and which it is, as numbers are used again."""

import os
from pathlib import Path


def runs(pid: int) -> bool:
    """Whether there is such a process. One that ended is none before its parent has asked for its end,
    which some never do, as the first process of a container."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _told(pid)[:1] not in (["Z"], ["X"])


def started(pid: int) -> str:
    """When it began, in the kernel's ticks; empty where none can say."""
    return "".join(_told(pid)[19:20])


def _told(pid: int) -> list[str]:
    """What Linux tells of it behind its name (proc_pid_stat(5)): its state, and so on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
