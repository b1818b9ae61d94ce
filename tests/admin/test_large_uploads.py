"""The largest file that is taken passes through the shop piece by piece."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from store.kit import clock
from store.kit.database import transaction
from tests.admin.sign_in import signed_in, token_in
from tests.factories import a_publication, a_seller

pytestmark = pytest.mark.long

UPLOAD = "/admin/publications/send-early-years/upload"
SAMPLE = Path("store/demo/sample/edition-1.pdf")
LARGEST = 250_000_000
MOST_MEMORY = 30_000_000


# In a process of its own, whose memory is not this one's.
MAKE = """
import sys
import pikepdf

with pikepdf.open(sys.argv[1]) as pdf:
    padding = pdf.make_stream(bytes(range(256)) * 937_500)
    pdf.Root.PieceInfo = pikepdf.Dictionary(Padding=pikepdf.Dictionary(Private=padding))
    pdf.save(sys.argv[2], compress_streams=False)
"""


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Path]:
    """A PDF of 240 MB: the sample with padding."""
    path = tmp_path / "large.pdf"
    subprocess.run([sys.executable, "-c", MAKE, SAMPLE, path], check=True)
    yield path
    path.unlink()


def test_a_file_of_the_largest_size_never_sits_in_memory(
    app: Flask, client: FlaskClient, large: Path
) -> None:
    with transaction():
        a_seller()
        a_publication(expected_on=clock.now().date() + timedelta(days=5))
    desk = signed_in(client)
    token = token_in(desk.get(UPLOAD).text)
    body = _form(large, token)
    assert 239_000_000 < body.stat().st_size < LARGEST
    before = _memory_from_now()

    with body.open("rb") as stream:
        answer = desk.post(
            UPLOAD, input_stream=stream, content_type="multipart/form-data; boundary=x"
        )

    grown = _most_memory() - before
    assert answer.status_code == 303, answer.text
    assert grown <= MOST_MEMORY, f"{grown:,} bytes"
    held = body.read_bytes()  # the measure sees what does sit there
    assert _most_memory() - before > len(held) - MOST_MEMORY


def _form(large: Path, token: str) -> Path:
    """The body of the form, on the disk."""
    head = (
        f'--x\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n{token}\r\n'
        '--x\r\nContent-Disposition: form-data; name="files"; filename="large.pdf"\r\n'
        "Content-Type: application/pdf\r\n\r\n"
    )
    path = large.with_name("form")
    with path.open("wb") as out, large.open("rb") as file:
        out.write(head.encode())
        shutil.copyfileobj(file, out)
        out.write(b"\r\n--x--\r\n")
    return path


def _memory_from_now() -> int:
    """What the process holds; its peak is counted from here."""
    Path("/proc/self/clear_refs").write_text("5")
    return _most_memory()


def _most_memory() -> int:
    status = Path("/proc/self/status").read_text()
    (line,) = [one for one in status.splitlines() if one.startswith("VmHWM")]
    return int(line.split()[1]) * 1024
