"""`store mail returned`: what a mail server's pipe hands in, and when it is to try again."""

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from store.app import create_app
from store.cli import main
from store.kit.database import db
from store.mail.models import DeliveryStatus
from store.settings import load
from tests.conftest import SECRET
from tests.mail import messages
from tests.mail.messages import dsn
from tests.mail.returned import sent_edition, stand


@pytest.fixture
def in_shop(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(sqlite_template, tmp_path / "colophon.db")
    for name, value in {
        "STORE_ENV": "testing",
        "STORE_SECRET_KEY": SECRET,
        "STORE_DATA_DIR": str(tmp_path),
        "STORE_RELEASE_DELAY": "0",
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def _run(octets: bytes, *options: str) -> Result:
    return CliRunner().invoke(main, ["mail", "returned", *options], input=io.BytesIO(octets))


def test_a_pipe_hands_in_what_came_back(in_shop: Path) -> None:
    app = create_app(load())
    with app.app_context():
        message_id = sent_edition()
    path = f"bounces+{message_id[1:41]}@shop.example.org"
    lost = dsn(head="Subject: the head is lost\n", name="1@x")
    for octets, options in (
        (messages.out_of_office(message_id), []),
        (b"", []),
        (lost, []),
        (lost, ["--sent-to", "bounces@shop.example.org"]),
    ):
        assert _run(octets, *options).exit_code == 0
        with app.app_context():
            assert stand().status is DeliveryStatus.SENT
    assert _run(lost, "--sent-to", path).exit_code == 0
    with app.app_context():
        assert stand()[0::2] == (DeliveryStatus.BOUNCED, 1)
        db.session.remove()
        db.engine.dispose()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STORE_DATABASE_URL", "postgresql://shop@127.0.0.1:1/shop"),
        ("STORE_DATA_DIR", "/dev/null/nowhere"),
        ("STORE_SECRET_KEY", "short"),
    ],
)
def test_the_mail_server_is_to_try_again_where_the_shop_cannot_take_it(
    in_shop: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    told = _run(dsn("<a@b.example>"))
    assert told.exit_code == 75
    assert "anna" not in told.output
    # What says nothing needs no shop.
    assert _run(messages.out_of_office("<a@b.example>")).exit_code == 0


@pytest.mark.long
def test_the_whole_message_is_taken_off_the_pipe(in_shop: Path) -> None:
    """A mail server takes a pipe that breaks for a failure."""
    octets = dsn("<a@b.example>") + b"x" * 3_000_000
    ran = subprocess.run(
        [sys.executable, "-m", "store.cli", "mail", "returned"], input=octets, check=False
    )
    assert ran.returncode == 0
