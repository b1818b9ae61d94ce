"""The server's side of the gate: size and first bytes, then a child process with a clock."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from store.catalog.gate.limits import MIB, Limits
from store.catalog.gate.report import Finding, Format, Report
from store.catalog.gate.sentences import finding
from store.catalog.gate.sniffing import describe, kind_of

VERDICT = "verdict.json"
COVER = "cover.png"
REPAIRED = "repaired.epub"
_PROGRAM = "store.catalog.gate.child"
_ROOT = Path(__file__).resolve().parents[3]
_LARGEST_VERDICT = 4 * MIB
_DEFAULT_LIMITS = Limits()
_log = logging.getLogger(__name__)


def inspect_file(
    path: Path, work_folder: Path, *, max_bytes: int, limits: Limits = _DEFAULT_LIMITS
) -> Report:
    """Judge one uploaded file by its content alone.

    `work_folder` must exist, belong to this inspection only and be removed by the caller; a
    repaired EPUB stands in it. `max_bytes` is the shop's own size limit. Never raises for
    anything that a file can do: a child that crashes or outstays its limits is a refusal.
    """
    refusal, first = _before_opening(path, max_bytes)
    if refusal:
        return Report(None, [refusal])
    kind = kind_of(first)
    if kind is None:
        return Report(None, [finding("wrong-type", what=describe(first))])
    ended = _run_child(kind, path.resolve(), work_folder.resolve(), limits)
    return _verdict(kind, work_folder, ended)


def _before_opening(path: Path, max_bytes: int) -> tuple[Finding | None, bytes]:
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            first = stream.read(1024)
    except OSError:
        return finding("missing"), b""
    if not size:
        return finding("empty"), b""
    if size > max_bytes:
        return finding("too-big", limit=_megabytes(max_bytes), size=_megabytes(size)), b""
    return None, first


def _megabytes(count: int) -> str:
    return f"{count / 1_000_000:,.1f} MB".replace(".0 MB", " MB")


def _run_child(kind: str, path: Path, work_folder: Path, limits: Limits) -> int | None:
    """The child's exit status, negative for a signal; None when the clock ended it."""
    for name in (VERDICT, COVER, REPAIRED):
        (work_folder / name).unlink(missing_ok=True)
    command = [sys.executable, "-P", "-X", "utf8", "-m", _PROGRAM]
    with (work_folder / "child.log").open("wb") as complaints:
        child = subprocess.Popen(  # noqa: S603 - our own module, arguments are paths of ours
            [*command, kind, str(path), str(work_folder), json.dumps(asdict(limits))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            cwd=work_folder,
            env={"PYTHONPATH": str(_ROOT), "TMPDIR": str(work_folder), "HOME": str(work_folder)},
            start_new_session=True,
        )
    try:
        return child.wait(timeout=limits.wall_seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _verdict(kind: Literal["pdf", "zip"], work_folder: Path, ended: int | None) -> Report:
    format_: Format = "pdf" if kind == "pdf" else "epub"
    written = work_folder / VERDICT
    if ended != 0 or not written.is_file() or written.stat().st_size > _LARGEST_VERDICT:
        _log.warning("The inspection of a file ended with %s", ended)
        return Report(format_, [finding(_cause(ended))])
    stored = json.loads(written.read_bytes())
    report = Report.from_json(stored)
    cover, repaired = work_folder / COVER, work_folder / REPAIRED
    keeps = report.accepted
    return Report(
        report.format,
        report.findings,
        report.facts,
        cover.read_bytes() if keeps and cover.is_file() else None,
        repaired if keeps and repaired.is_file() else None,
    )


def _cause(ended: int | None) -> str:
    if ended is None or -ended in {signal.SIGXCPU, signal.SIGALRM}:
        return "checker-out-of-time"
    return "checker-stopped"
