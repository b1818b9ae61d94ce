"""The upload gate's door: content decides, every refusal is a sentence."""

import inspect as python_inspect
import json
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from store.catalog.gate import sentences
from store.catalog.gate.inspection import Limits, inspect_file
from store.catalog.gate.report import Report, finding, shorten
from tests.catalog.files import MIMETYPE, Entry, archive, book, fails, inspect, pdf, warns

NAMES = [
    "Guide.EPUB",
    "guide",
    "cover.png",
    "x.pdf",
    unicodedata.normalize("NFD", "Frühe Hilfe.pdf"),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("content", "format_"), [(pdf(), "pdf"), (book(), "epub")])
def test_a_file_is_what_its_content_says_whatever_it_is_called(
    tmp_path: Path, name: str, content: bytes, format_: str
) -> None:
    report = inspect(content, tmp_path, name=name)

    assert (report.format, report.accepted) == (format_, True)


def test_the_type_that_a_browser_declares_is_not_even_asked_for() -> None:
    asked = set(python_inspect.signature(inspect_file).parameters)

    assert asked == {"path", "work_folder", "max_bytes", "limits"}


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    report = inspect(b"", tmp_path)

    assert (report.format, fails(report)) == (None, ["empty"])


def test_a_file_that_vanished_is_refused(tmp_path: Path) -> None:
    report = inspect_file(tmp_path / "nothing", tmp_path, max_bytes=1)

    assert fails(report) == ["missing"]


def test_a_file_above_the_shops_limit_is_refused_with_both_sizes(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(pdf() + b"\n" * 2_000_000)

    report = inspect_file(path, tmp_path, max_bytes=1_000_000)

    said = "The file must be 1 MB or smaller. This one is 2 MB."
    assert [(one.code, one.sentence) for one in report.findings] == [("too-big", said)]


def test_a_file_of_exactly_the_limit_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(pdf())

    assert inspect_file(path, tmp_path, max_bytes=len(pdf())).accepted


def test_an_epub_without_its_container_file_says_so(tmp_path: Path) -> None:
    content = archive([Entry(b"mimetype", MIMETYPE, stored=True), Entry(b"a.txt", b"a")])

    assert fails(inspect(content, tmp_path)) == ["epub-no-package"]


def test_a_report_survives_being_stored(tmp_path: Path) -> None:
    report = inspect(book(), tmp_path)

    stored = json.dumps(report.to_json())

    assert Report.from_json(stored) == Report(report.format, report.findings, report.facts)
    assert Report.from_json(json.loads(stored)).to_json() == report.to_json()


def test_nothing_of_a_former_inspection_in_the_folder_is_taken_for_the_new_one(
    tmp_path: Path,
) -> None:
    assert inspect(pdf(), tmp_path).cover_png is not None

    report = inspect(pdf(), tmp_path, limits=Limits(wall_seconds=0.01))

    assert (fails(report), report.cover_png) == (["checker-out-of-time"], None)


def test_every_sentence_can_be_said_and_tells_what_to_do() -> None:
    for code, (level, template) in sentences.SENTENCES.items():
        gaps = dict.fromkeys(re.findall(r"{(\w+)}", template), "x")
        said = finding(code, **gaps)

        assert (said.level, said.code) == (level, code)
        assert not set("{}") & set(said.sentence)
        assert said.sentence.endswith(".")


def test_a_value_out_of_a_strangers_file_is_shown_on_one_line_without_tricks() -> None:
    shown = shorten("evil\u202efdp.exe\r\nBcc: x\x00" + "a" * 500)

    assert shown.startswith("evilfdp.exeBcc: xaaa")
    assert (len(shown), shown[-1]) == (160, "…")


def test_the_tenth_finding_of_a_kind_is_the_last_one_shown(tmp_path: Path) -> None:
    links = "".join(f"<p><a href='gone{number}.xhtml'>x</a></p>" for number in range(25))
    content = book(
        {
            "EPUB/c1.xhtml": f"<html xmlns='http://www.w3.org/1999/xhtml'><body>{links}</body></html>".encode()
        }
    )

    found = warns(inspect(content, tmp_path))

    assert found.count("epub-broken-link") == 10
    assert found.count("and-more") == 1


def test_the_child_process_loads_neither_web_framework_nor_database() -> None:
    program = (
        "import sys; from store.catalog.gate import epub, inspection, pdf;"
        "print(sorted({'flask', 'sqlalchemy', 'pydantic', 'store.settings'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert ran.stdout.strip() == "[]"
