"""The disk is full: readers read, writers are told, monitors hear of it, and then all goes on."""

import errno
import io
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from store import tasks
from store.catalog import uploads
from store.cli import main
from store.entitlements.models import Download
from store.kit import logs, space, storage
from store.kit.database import db, transaction
from store.kit.space import write_a_little
from store.mail import outbox
from store.mail.models import Delivery
from store.orders.models import Order
from store.payments.gateways import demo
from tests.admin.sign_in import signed_in, token_in
from tests.conftest import SECRET, on_both, on_both_when_long
from tests.full_disk import full_disk
from tests.pages import check_page
from tests.stocked import Stocked, stock
from tests.storefront.forms import text_of
from tests.test_routes import NO_PAGES, PUBLIC_GETS

ORDER = {
    "step": "place",
    "email": "new@reader.example",
    "seen_amount": "1250",
    "seen_currency": "GBP",
}
SAMPLE = Path(__file__).parent.parent / "store" / "demo" / "sample"


@pytest.fixture
def shop(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Stocked:
    monkeypatch.setattr(space, "_told_at", [-60.0])
    monkeypatch.setattr(space, "_unrecorded", [0])
    return stock(app)


def _downloads() -> int:
    db.session.rollback()
    return db.session.scalars(sa.select(sa.func.count()).select_from(Download)).one()


@on_both_when_long
def test_every_page_and_every_download_works_and_the_record_is_counted(
    app: Flask, client: FlaskClient, shop: Stocked
) -> None:
    before = _downloads()
    with full_disk(app):
        for rule in PUBLIC_GETS:
            answer = client.get(shop.path(rule))
            assert answer.status_code == (503 if rule == "/readyz" else 200), rule
            if answer.mimetype == "text/html" and rule not in NO_PAGES:
                check_page(answer.get_data(as_text=True), path=rule)
        whole = client.get(shop.download)
        assert (whole.status_code, len(whole.data)) == (200, whole.content_length)
        assert _downloads() == before
        lost = client.get("/readyz").get_json()["unrecorded_downloads"]
        assert lost >= 2
    assert client.get(shop.download).status_code == 200
    assert _downloads() == before + 1
    assert space._unrecorded == [0]  # written down, so that every process knows it
    ready = client.get("/readyz")
    assert (ready.status_code, ready.get_json()["unrecorded_downloads"]) == (200, lost)


@on_both_when_long
def test_the_desk_s_home_counts_downloads_without_a_record(
    app: Flask, client: FlaskClient, shop: Stocked
) -> None:
    desk = signed_in(app.test_client())
    words = "went out without a record."
    assert words not in desk.get("/admin/").text
    with full_disk(app):
        assert client.get(shop.download).status_code == 200
        page = desk.get("/admin/").text
        check_page(page, path="/admin/")
        assert f"1 download {words}" in text_of(page)
        assert client.get(shop.download).status_code == 200
    # Also once there is space again, and to every process.
    assert client.get(shop.download).status_code == 200
    assert f"2 downloads {words}" in text_of(desk.get("/admin/").text)


@on_both_when_long
def test_a_sender_of_a_form_is_told_and_can_come_back(
    app: Flask, client: FlaskClient, shop: Stocked
) -> None:
    forms = {
        "/publications/send-early-years/order": ORDER,
        "/find-my-copies": {"who": "anna@reader.example"},
        shop.path("/stop/<token>"): {"notices": "stop"},
    }
    with full_disk(app):
        for path, form in forms.items():
            answer = client.post(path, data=form)
            assert (answer.status_code, answer.headers["Retry-After"]) == (507, "300"), path
            assert space.NothingStored.sentence in answer.get_data(as_text=True)
            check_page(answer.get_data(as_text=True), path=path)
    assert [client.post(path, data=form).status_code for path, form in forms.items()] == [
        303,
        200,
        200,
    ]


@on_both_when_long
def test_a_gateway_is_told_to_come_again_and_nothing_is_lost(
    app: Flask, client: FlaskClient, shop: Stocked
) -> None:
    headers, body = demo.signed_event("evt_1", "checkout.paid", shop.pay, 1)
    with full_disk(app):
        assert client.post("/webhooks/demo", data=body, headers=headers).status_code == 507
    assert client.post("/webhooks/demo", data=body, headers=headers).status_code == 200


@on_both_when_long
def test_the_desk_names_the_space(app: Flask, client: FlaskClient, shop: Stocked) -> None:
    signed_in(client)
    reference = db.session.scalars(sa.select(Order.reference).where(Order.status == "paid")).first()
    page = client.get(f"/admin/orders/{reference}").get_data(as_text=True)
    form = {"csrf_token": token_in(page)}
    with full_disk(app):
        for path in ("/admin/", "/admin/orders", "/admin/letters"):
            assert client.get(path).status_code == 200, path
        answer = client.post(f"/admin/orders/{reference}/resend", data=form)
        assert answer.status_code == 507
        assert "There is no space left" in answer.get_data(as_text=True)
        check_page(answer.get_data(as_text=True), path="/admin/orders")


@on_both
def test_the_worker_says_so_once_a_minute_and_goes_on_when_there_is_space(
    app: Flask, shop: Stocked
) -> None:
    with transaction():
        outbox.alert_staff("A test", "Nothing happened.", "test")
    said, handler = io.StringIO(), logging.StreamHandler()
    handler.setStream(said)
    handler.addFilter(logs.tell_once)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        with full_disk(app):
            for _ in range(3):
                tasks.tick()
            assert said.getvalue().splitlines() == [space.in_words()]
            space._told_at[0] -= 60
            tasks.tick()
            assert said.getvalue().splitlines() == [space.in_words()] * 2
        tasks.tick()
        tasks.send_letters()
    finally:
        root.removeHandler(handler)
    status = db.session.scalars(
        sa.select(Delivery.status).where(Delivery.dedupe_key.startswith("staff_alert:test:"))
    )
    assert status.all() == ["sent"]
    assert len(said.getvalue().splitlines()) == 2


def test_without_the_filter_each_step_would_fill_the_log(
    app: Flask, shop: Stocked, caplog: pytest.LogCaptureFixture
) -> None:
    with full_disk(app):
        for _ in range(3):
            tasks.tick()
    assert len([one for one in caplog.records if one.exc_info]) >= 3


@pytest.fixture
def no_room_for_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of files as it is on a full disk: there is room for a part of a file."""

    def copyfileobj(source: BinaryIO, target: BinaryIO, *_: int) -> None:
        target.write(source.read(10))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage, "shutil", SimpleNamespace(copyfileobj=copyfileobj))


def _files_of(app: Flask) -> list[Path]:
    folder = Path(app.extensions["colophon.settings"].data_dir)
    return [path for path in (folder / "files").rglob("*") if path.is_file()]


def test_an_upload_at_the_desk_is_refused_by_the_space_and_keeps_what_was_typed(
    app: Flask, client: FlaskClient, shop: Stocked, no_room_for_files: None
) -> None:
    signed_in(client)
    path = "/admin/publications/send-early-years/upload"
    before = _files_of(app)
    file = next(SAMPLE.rglob("*.pdf"))
    form: dict[str, Any] = {
        "csrf_token": token_in(client.get(path).get_data(as_text=True)),
        "notes": "What I typed",
        "files": (io.BytesIO(file.read_bytes()), "guide.pdf"),
    }
    answer = client.post(path, data=form)
    assert answer.status_code == 422
    page = answer.get_data(as_text=True)
    check_page(page, path=path)
    assert "guide.pdf: There is not enough space left on the shop’s disk for this file" in page
    assert "What I typed" in page
    assert _files_of(app) == before
    assert list(uploads.work_room().iterdir()) == []


def test_a_copy_that_does_not_fit_leaves_nothing(
    app: Flask, shop: Stocked, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stream(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(uploads.NoSpaceForFile):
        uploads.receive_file(Stream(), name="guide.pdf")
    assert list(uploads.work_room().iterdir()) == []


def _command(app: Flask, database_url: str, *words: str) -> Any:
    settings = app.extensions["colophon.settings"]
    environment = {
        "STORE_ENV": "testing",
        "STORE_SECRET_KEY": SECRET,
        "STORE_DATA_DIR": str(settings.data_dir),
        "STORE_DATABASE_URL": database_url,
    }
    return CliRunner().invoke(main, list(words), env=environment)


def test_a_command_names_the_space(
    app: Flask, database_url: str, shop: Stocked, no_room_for_files: None
) -> None:
    file = next(SAMPLE.rglob("*.pdf"))
    done = _command(app, database_url, "edition", "upload", "later", str(file))
    assert (done.exit_code, "not enough space left on the shop’s disk" in done.output) == (1, True)
    assert "Traceback" not in done.output


@on_both
def test_readyz_tries_to_write(app: Flask, client: FlaskClient, shop: Stocked) -> None:
    with full_disk(app):
        assert client.get("/readyz").get_json()["writing"] is False
        with pytest.raises(sa.exc.DBAPIError) as fault:
            write_a_little()
        assert space.is_full(fault.value)
    assert client.get("/readyz").get_json()["writing"] is True


def test_check_ends_with_1(
    app: Flask, database_url: str, shop: Stocked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("store.staff.connections.write_a_little", no_room)
    done = _command(app, database_url, "check")
    assert done.exit_code == 1
    assert "fault  writing: OSError: [Errno 28] No space left on device\n" in done.output


def test_the_answer_is_kept_a_few_seconds_so_that_asking_costs_no_disk(
    app: Flask, client: FlaskClient, shop: Stocked, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    monkeypatch.setattr("store.kit.space.write_a_little", lambda: written.append(1))
    for _ in range(5):
        assert client.get("/readyz").status_code == 200
    assert written == [1]
