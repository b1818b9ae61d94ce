"""One file through the gate: size and first bytes here, the rest in a child process with limits.

The child is this module run as a program. Only it loads the libraries that open strangers' files.
"""

import contextlib
import json
import logging
import math
import os
import resource
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from store.catalog.gate.kinds import describe, kind_of
from store.catalog.gate.report import Format, Notebook, Report, Stop, finding

_VERDICT = "verdict.json"
_COVER = "cover.png"
_REPAIRED = "repaired.epub"
MIB = 1024 * 1024
_PROGRAM = "store.catalog.gate.inspection"
_ROOT = Path(__file__).resolve().parents[3]
_LARGEST_VERDICT = 4 * MIB
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """Bytes and seconds for one child process; what it holds in memory is part of its address
    space."""

    address_space: int = 1_400_000_000
    cpu_seconds: int = 20
    file_size: int = 256 * MIB
    wall_seconds: float = 30.0


_DEFAULT_LIMITS = Limits()


def inspect_file(
    path: Path, work_folder: Path, *, max_bytes: int, limits: Limits = _DEFAULT_LIMITS
) -> Report:
    """Judge one uploaded file by its content alone.

    `work_folder` must exist, belong to this inspection only and be removed by the caller; a
    repaired EPUB stands in it. `max_bytes` is the shop's own size limit. Never raises for
    anything that a file can do: a child that crashes or outstays its limits is a refusal.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            first = stream.read(1024)
    except OSError:
        return Report(None, [finding("missing")])
    if not size:
        return Report(None, [finding("empty")])
    if size > max_bytes:
        said = finding("too-big", limit=_megabytes(max_bytes), size=_megabytes(size))
        return Report(None, [said])
    format_ = kind_of(first)
    if format_ is None:
        return Report(None, [finding("wrong-type", what=describe(first))])
    for name in (_VERDICT, _COVER, _REPAIRED):
        (work_folder / name).unlink(missing_ok=True)
    ended = run_child(_PROGRAM, [format_, str(path.resolve())], work_folder.resolve(), limits)
    return _read_verdict(format_, work_folder, ended)


def run_child(
    program: str, arguments: list[str], work_folder: Path, limits: Limits = _DEFAULT_LIMITS
) -> int | None:
    """Run a module of ours as a program that keeps to these limits: its arguments, then the folder
    and the limits. The answer is its exit status, negative for a signal; None when the clock ended
    it."""
    command = [sys.executable, "-P", "-X", "utf8", "-m", program]
    with (work_folder / "child.log").open("wb") as complaints:
        child = subprocess.Popen(  # noqa: S603 - our own module, arguments are paths of ours
            [*command, *arguments, str(work_folder), json.dumps(asdict(limits))],
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


def _read_verdict(format_: Format, work_folder: Path, ended: int | None) -> Report:
    written = work_folder / _VERDICT
    if ended != 0 or not written.is_file() or written.stat().st_size > _LARGEST_VERDICT:
        _log.warning("The inspection of a file ended with %s", ended)
        out_of_time = ended is None or -ended in {signal.SIGXCPU, signal.SIGALRM}
        code = "checker-out-of-time" if out_of_time else "checker-stopped"
        return Report(format_, [finding(code)])
    report = Report.from_json(json.loads(written.read_bytes()))
    if not report.accepted:
        return report
    cover, repaired = work_folder / _COVER, work_folder / _REPAIRED
    return Report(
        report.format,
        report.findings,
        report.facts,
        cover.read_bytes() if cover.is_file() else None,
        repaired if repaired.is_file() else None,
    )


def _megabytes(count: int) -> str:
    return f"{count / 1_000_000:,.1f} MB".replace(".0 MB", " MB")


def _main(arguments: list[str]) -> None:
    """The child: inspect the file named in the arguments; the verdict is a file in the work folder."""
    format_, path, folder, limits = arguments
    work_folder = Path(folder)
    keep_to(Limits(**json.loads(limits)))
    report = judge("pdf" if format_ == "pdf" else "epub", Path(path), work_folder)
    (work_folder / _VERDICT).write_text(json.dumps(report.to_json()), encoding="utf-8")


def keep_to(limits: Limits) -> None:
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


def judge(format_: Format, path: Path, work_folder: Path) -> Report:
    """The verdict on one file, without the limits of a process."""
    notebook = Notebook()
    try:
        if format_ == "pdf":
            from store.catalog.gate.pdf import inspect_pdf  # noqa: PLC0415 - in the child alone

            inspect_pdf(path, notebook, work_folder / _COVER)
        else:
            from store.catalog.gate.epub import inspect_epub  # noqa: PLC0415 - as above

            inspect_epub(path, notebook, work_folder / _COVER, work_folder / _REPAIRED)
    except Stop:
        pass
    except MemoryError:
        notebook = Notebook()
        notebook.add("checker-out-of-memory")
    findings = notebook.findings()
    is_neither = any(one.code.startswith("wrong-type") for one in findings)
    return Report(None if is_neither else format_, findings, notebook.facts)


if __name__ == "__main__":
    _main(sys.argv[1:])
