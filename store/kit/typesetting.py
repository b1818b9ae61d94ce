"""Pages and pictures set by typst, with its own fonts: the machine's play no part in them.

A layout reads its facts from `sys.inputs.facts`, as JSON.
"""

import json
from pathlib import Path
from typing import Any


def tagged_pdf(layout: Path, facts: dict[str, Any]) -> bytes:
    """The layout filled in with these facts, as a PDF for everybody (PDF/UA-1)."""
    import typst  # noqa: PLC0415 - 20 MB that few processes ever need

    made = typst.compile(
        layout,
        sys_inputs={"facts": json.dumps(facts)},
        ignore_system_fonts=True,
        pdf_standards="ua-1",
    )
    return made if isinstance(made, bytes) else made[0]


def png(layout: Path, facts: dict[str, Any], dots: float) -> bytes:
    """Its first page as a picture of so many dots an inch."""
    import typst  # noqa: PLC0415 - as above

    made = typst.compile(
        layout,
        format="png",
        ppi=dots,
        sys_inputs={"facts": json.dumps(facts)},
        ignore_system_fonts=True,
    )
    return made if isinstance(made, bytes) else made[0]
