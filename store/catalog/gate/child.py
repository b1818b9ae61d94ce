"""The child process of the gate: puts itself under its limits, opens the file, writes a verdict."""

import contextlib
import json
import math
import resource
import signal
import sys
from pathlib import Path

from store.catalog.gate.epub import inspect_epub
from store.catalog.gate.inspection import COVER, REPAIRED, VERDICT, Limits
from store.catalog.gate.pdf import inspect_pdf
from store.catalog.gate.report import Format, Notebook, Report, Stop


def main(arguments: list[str]) -> int:
    """Inspect the file named in the arguments; the verdict is a file in the work folder."""
    format_, path, folder, limits = arguments
    work_folder = Path(folder)
    keep_to(Limits(**json.loads(limits)))
    report = judge("pdf" if format_ == "pdf" else "epub", Path(path), work_folder)
    (work_folder / VERDICT).write_text(json.dumps(report.to_json()), encoding="utf-8")
    return 0


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
            inspect_pdf(path, notebook, work_folder / COVER)
        else:
            inspect_epub(path, notebook, work_folder / COVER, work_folder / REPAIRED)
    except Stop:
        pass
    except MemoryError:
        notebook = Notebook()
        notebook.add("checker-out-of-memory")
    findings = notebook.findings()
    is_neither = any(one.code.startswith("wrong-type") for one in findings)
    return Report(None if is_neither else format_, findings, notebook.facts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
