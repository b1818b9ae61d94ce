"""What the system refuses of a file, in words."""

import errno
import os

import pytest

from store.kit.system_words import refused_place


def test_who_may_not_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    fault = PermissionError(errno.EACCES, "whatever", "/backup")
    assert refused_place(fault) == (
        "/backup: Permission denied. This runs as root: let root read and write there, or name another place."
    )
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    assert "This runs as user 4000000: " in refused_place(fault)


@pytest.mark.parametrize(
    "fault",
    [
        ValueError("no fault of a place"),
        ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
        OSError(errno.ENOSPC, "full", "/backup"),
        PermissionError("without a place"),
    ],
)
def test_other_faults_are_none_of_a_place(fault: Exception) -> None:
    assert refused_place(fault) == ""
