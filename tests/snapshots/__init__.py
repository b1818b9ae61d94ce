"""What stands is kept in files; `UPDATE_SNAPSHOTS=1` renews them where a change is meant."""

import difflib
import os
from pathlib import Path

FOLDER = Path(__file__).parent


def snapshot(name: str, text: str) -> None:
    """Compare `text` with the kept file of that name and show where they differ."""
    path = FOLDER / name
    if os.environ.get("UPDATE_SNAPSHOTS") == "1":
        path.write_text(text, encoding="utf-8")
        return
    kept = path.read_text(encoding="utf-8") if path.exists() else ""
    if kept != text:
        lines = difflib.unified_diff(
            kept.splitlines(), text.splitlines(), f"kept: {name}", "now", lineterm=""
        )
        shown = "\n".join(lines)
        raise AssertionError(f"{shown}\nIf this is meant: UPDATE_SNAPSHOTS=1 make test")
