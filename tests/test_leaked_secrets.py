"""Secrets beside the key that leaked, each changed as the operator's guide says: from then on the old one
opens nothing, `store check` names who still uses it, and nothing that waited is lost."""

import base64
import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask

from store import tasks
from store.cli import main
from store.kit.database import db
from store.mail import worker
from store.mail.models import Attempt, Delivery
from store.mail.worker import send_due_letters
from tests.backups.shops import Somewhere
from tests.buckets import Keys, way_to
from tests.conftest import SECRET, on_both_when_long, on_postgresql
from tests.editions import a_shop
from tests.mail.certificates import make_certificate
from tests.mail.imap_server import PASSWORD, ImapServer
from tests.mail.reading import url_of
from tests.mail.scripted_server import ScriptedServer, Talk
from tests.mail.shops import a_shop as a_shop_with_mail
from tests.mail.shops import hang_up, owe_to, readers
from tests.serving import until
from tests.typed import shops_are_closed

OLD, NEW = "the-old-secret-0123456789", "the-new-secret-0123456789"
Check = Callable[..., str]


@pytest.fixture
def check(tmp_path: Path, database_url: str) -> Check:
    """What `store check` says of a part with these settings, on one line."""

    def run(part: str, **given: str) -> str:
        settings = {"STORE_ENV": "testing", "STORE_SECRET_KEY": SECRET}
        settings |= {"STORE_DATA_DIR": str(tmp_path), "STORE_DATABASE_URL": database_url}
        with shops_are_closed():
            done = CliRunner().invoke(main, ["check"], env=settings | given)
        assert OLD not in done.output
        assert NEW not in done.output
        found = [line for line in done.output.splitlines() if f" {part}: " in line]
        return found[0] if found else done.output

    return run


# Mail


def _signs_in_by(password: str) -> Callable[[Talk, str, str], str | None]:
    known = base64.b64encode(f"\0shop\0{password}".encode()).decode()

    def script(talk: Talk, verb: str, line: str) -> str | None:
        return "535 5.7.8 Bad credentials" if verb == "AUTH" and known not in line else None

    return script


@on_both_when_long
def test_letters_wait_for_the_next_password_of_the_mail_server(
    app: Flask, database_url: str, tmp_path: Path, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "sleep", lambda _seconds: None)
    with ScriptedServer(_signs_in_by(NEW), offers=("AUTH PLAIN",)) as server:
        at = {"STORE_MAIL_SERVER": "127.0.0.1", "STORE_MAIL_PORT": str(server.port)}
        at |= {"STORE_MAIL_USERNAME": "shop"}
        assert check("mail", **at, STORE_MAIL_PASSWORD=OLD).startswith("fault  mail: ")

        account = {"mail_username": "shop", "mail_password": OLD}
        with a_shop_with_mail(database_url, tmp_path, server.port, **account):
            owe_to(*readers(3))
            send_due_letters()
        assert server.letters == []
        assert db.session.scalar(sa.select(sa.func.count(Attempt.id))) == 0
        db.session.rollback()

        assert check("mail", **at, STORE_MAIL_PASSWORD=NEW) == "ok     mail: 127.0.0.1 answers"
        # As after the restart, which asks the server at once.
        with a_shop_with_mail(
            database_url, tmp_path, server.port, **account | {"mail_password": NEW}
        ):
            tasks.begin()
            assert send_due_letters() == 3
            hang_up()
        assert sorted(letter.rcpt[0] for letter in server.letters) == [
            f"RCPT TO:<{address}>" for address in readers(3)
        ]
        assert set(db.session.scalars(sa.select(Delivery.tries))) == {1}


def test_the_next_password_of_the_mailbox_is_taken(
    app: Flask, tmp_path: Path, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ImapServer(context) as server:
        url = url_of(server)
        old = url.replace(url.split("@")[0].rsplit(":", 1)[1], OLD)
        assert check("returned mail", STORE_BOUNCE_IMAP=old).startswith("fault  returned mail: ")
        found = check("returned mail", STORE_BOUNCE_IMAP=url)
        assert found == "ok     returned mail: 127.0.0.1 answers, INBOX has 0 messages"
    assert PASSWORD not in found


# Database


@pytest.fixture
def role(postgres: str) -> Iterator[str]:
    """A role whose password the server asks for, as on a machine of its own."""
    name = f"shop_{os.getpid()}"
    with psycopg.connect(postgres, autocommit=True) as server:
        hba = Path(str(server.execute("SHOW hba_file").fetchone()[0]))  # type: ignore[index]
        before = hba.read_text()
        hba.write_text(f"local all {name} scram-sha-256\n{before}")
        server.execute("SELECT pg_reload_conf()")
        server.execute(f"CREATE ROLE {name} LOGIN SUPERUSER PASSWORD '{OLD}'")  # type: ignore[arg-type]
        yield name
        hba.write_text(before)
        server.execute("SELECT pg_reload_conf()")
        server.execute(f"DROP ROLE {name}")  # type: ignore[arg-type]


def _statements_of_the_guide() -> list[str]:
    """As its administrator types them."""
    guide = (Path(__file__).parent.parent / "docs" / "operators-guide.md").read_text(
        encoding="utf-8"
    )
    return guide.split("```sql\n")[1].split("```")[0].splitlines()


def _opens(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def _answers(session: "psycopg.Connection[Any]") -> bool:
    try:
        session.execute("SELECT count(*) FROM customers")
    except psycopg.OperationalError:
        return False
    return True


@on_postgresql
def test_the_old_password_of_the_database_opens_nothing_once_its_sessions_are_ended(
    app: Flask, postgres: str, database_url: str, role: str, check: Check
) -> None:
    a_shop()
    db.session.remove()

    def url(password: str) -> str:
        return str(
            sa.make_url(database_url)
            .set(username=role, password=password)
            .render_as_string(hide_password=False)
        )

    until(lambda: not _opens(url("a-guess")), "the server asks for the password")
    change, end = _statements_of_the_guide()
    with psycopg.connect(url(OLD), autocommit=True) as thief:
        with psycopg.connect(postgres, autocommit=True) as server:
            server.execute(change.replace("colophon", role).replace("the new one", NEW))  # type: ignore[arg-type]
            # Who is in stays in: a password is asked for at the door alone.
            assert thief.execute("SELECT count(*) FROM customers").fetchone() is not None
            server.execute(end.replace("colophon", role))  # type: ignore[arg-type]
        until(lambda: not _answers(thief), "the session of the old one is ended")
    fault = check("shop", STORE_DATABASE_URL=url(OLD))
    assert fault.startswith("fault  shop: The database does not let us in: ")
    assert "password authentication failed" in fault
    assert check("database", STORE_DATABASE_URL=url(NEW)).startswith("ok     database: ")


# Files


def test_the_old_key_of_the_bucket_opens_nothing_and_the_next_one_serves(
    app: Flask, s3: str, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in way_to(s3).items():
        monkeypatch.setenv(name, value)
    at = {"STORE_STORAGE_URL": "s3://shop/files"}
    with Keys(s3).guarding() as keys:
        old, new = keys.new(), keys.new()
        for key in (old, new):
            assert check("storage", **at, **key).startswith("ok     storage: ")
        keys.end(old)
        fault = check("storage", **at, **old)
        assert fault.endswith(": the store does not know our key: AWS_ACCESS_KEY_ID")
        half = new | {"AWS_SECRET_ACCESS_KEY": old["AWS_SECRET_ACCESS_KEY"]}
        assert "the store does not take our signature" in check("storage", **at, **half)
        assert check("storage", **at, **new).startswith("ok     storage: ")


# Backups


def test_a_backup_under_the_next_passphrase_has_all_and_the_old_one_opens_nothing_of_it(
    app: Flask, database_url: str, tmp_path: Path
) -> None:
    a_shop()
    db.session.remove()
    here, place = Somewhere(tmp_path, database_url), tmp_path / "backups"
    old, new = ({"STORE_BACKUP_PASSPHRASE": one} for one in (OLD, NEW))
    here.done("backup", place, **old)
    before = {file.name for file in (place / "files").iterdir()}

    # What the old one could open goes with the backups that it is for.
    assert "Removed: " in here.done("backup", place, "--keep", 1, **new)
    after = {file.name for file in (place / "files").iterdir()}
    assert len(after) == len(before)
    assert before.isdisjoint(after)
    there = Somewhere(tmp_path / "there", f"sqlite:///{tmp_path / 'there' / 'colophon.db'}")
    refused = there.run("restore", place, "--yes", **old)
    assert refused.exit_code == 1
    assert "passphrase" in refused.output
    there.done("restore", place, "--yes", **new)
