"""What one inspection may use, and how the child process binds itself to it."""

import contextlib
import math
import resource
import signal
from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Bytes and seconds for one child process; what it holds in memory is part of its address
    space."""

    address_space: int = 1_400_000_000
    cpu_seconds: int = 20
    file_size: int = 256 * MIB
    wall_seconds: float = 30.0


def bind(limits: Limits) -> None:
    """Put this process under the limits, for good.

    Where the system refuses one (macOS knows no settable address space), the others stand.
    """
    # The parent's clock is the rule; this one ends a child whose parent died.
    signal.alarm(math.ceil(limits.wall_seconds) + 2)
    for kind, soft, hard in (
        # The soft limit's own signal tells the parent what happened; the hard one only kills.
        (resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 1),
        (resource.RLIMIT_FSIZE, limits.file_size, limits.file_size),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_AS, limits.address_space, limits.address_space),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (soft, hard))
