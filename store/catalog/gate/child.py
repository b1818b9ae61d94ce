"""The child process of the gate: binds itself to its limits, opens the file, writes a verdict."""

import json
import sys
from pathlib import Path

from store.catalog.gate.epub import inspect_epub
from store.catalog.gate.inspection import COVER, REPAIRED, VERDICT
from store.catalog.gate.limits import Limits, bind
from store.catalog.gate.notes import Notes, Stop
from store.catalog.gate.pdf import inspect_pdf
from store.catalog.gate.report import Format, Report


def main(arguments: list[str]) -> int:
    """Inspect the file named in the arguments; the verdict is a file in the work folder."""
    kind, path, folder, limits = arguments
    work_folder = Path(folder)
    bind(Limits(**json.loads(limits)))
    report = _judge(kind, Path(path), work_folder)
    (work_folder / VERDICT).write_text(json.dumps(report.to_json()), encoding="utf-8")
    return 0


def _judge(kind: str, path: Path, work_folder: Path) -> Report:
    notes = Notes()
    format_: Format | None = "pdf" if kind == "pdf" else "epub"
    try:
        if kind == "pdf":
            inspect_pdf(path, notes, work_folder / COVER)
        else:
            inspect_epub(path, notes, work_folder / COVER, work_folder / REPAIRED)
    except Stop:
        pass
    except MemoryError:
        notes = Notes()
        notes.add("checker-out-of-memory")
    findings = notes.findings()
    if any(one.code.startswith("wrong-type") for one in findings):
        format_ = None
    return Report(format_, findings, notes.facts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
