"""Downloads of files in a bucket: by the shop alone, and by nginx, which fetches what the shop has signed.
Answers, headers, bytes and records are the same, and no reader ever sees an address of the bucket."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask
from urllib3.util import connection

from store.app import create_app
from store.cli import main
from store.entitlements.doors import download_path
from store.entitlements.granting import revoke_order
from store.entitlements.models import Download
from store.kit.database import db, transaction
from store.kit.storage import Storage, storage
from store.orders.models import Order
from tests.conftest import SECRET, Clock, make_settings
from tests.editions import a_shop
from tests.factories import an_asset, an_edition
from tests.front import FILES, HOST, Front, ThroughFront, front, needs_nginx, seen, served
from tests.links import anna, link_to
from tests.pages import check_page
from tests.purchases import a_paid_order
from tests.serving import free_port
from tests.storefront.test_download_by_nginx import EVERY_REQUEST
from tests.typed import shops_are_closed

pytestmark = [
    needs_nginx,
    pytest.mark.usefixtures("frozen"),
    pytest.mark.parametrize("storage_url", ["s3"], indirect=True),
]

DATA = bytes(range(256)) * 4
PREFIX = "/kept-bucket"
DIGEST = sha256(DATA).hexdigest()
Ask = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def nginx(s3: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """One that fetches from the bucket by the shop's own file."""
    folder = tmp_path_factory.mktemp("nginx")
    words = (FILES / "bucket.conf").read_text(encoding="utf-8")
    amazon = "https://s3.eu-west-2.amazonaws.com"
    assert amazon in words
    (folder / "bucket.conf").write_text(words.replace(amazon, s3), encoding="utf-8")
    # The folder of nginx's own pages is another here, so what is looked for is what stands then.
    changes = [(f"# include {FILES}/bucket.conf;", f"include {folder}/bucket.conf;")]
    with front(folder, free_port(), *changes) as running:
        yield running


@pytest.fixture
def path(app: Flask, frozen: Clock) -> str:
    """The path of a PDF of 1,024 bytes that Anna bought a day ago."""
    shop = a_shop(editions=0)
    with transaction():
        edition = an_edition(shop, 1, status="released", released_at=frozen.at)
        asset = an_asset(edition, "pdf", DATA)
    a_paid_order(shop)
    frozen.advance(days=1)
    return download_path(link_to("library", anna().id), asset)


def counted() -> int:
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count()).select_from(Download)) or 0


@pytest.fixture
def ask(app: Flask, nginx: Front) -> Iterator[Ask]:
    """What a path is answered with, and how many downloads are on record then: by the application alone,
    or by nginx where the first word is true."""
    alone = app.extensions["colophon.settings"].model_copy(update={"base_url": f"https://{HOST}"})
    by_nginx = alone.model_copy(update={"accel_redirect": PREFIX})
    app.config["TRUSTED_HOSTS"] = [HOST]
    with served(app, nginx.shop_port), nginx.pool() as pool:

        def ask(is_by_nginx: bool, path: str, headers: dict[str, str] | None = None) -> list[Any]:
            with transaction() as session:
                session.execute(sa.delete(Download))
            app.extensions["colophon.settings"] = by_nginx if is_by_nginx else alone
            client: Any = ThroughFront(pool) if is_by_nginx else app.test_client()
            base = {} if is_by_nginx else {"base_url": f"https://{HOST}"}
            answer = client.get(path, headers=headers or {}, **base)
            said = seen(dict(answer.headers))
            return [answer.status_code, said, answer.data, counted()]

        yield ask


def test_every_range_and_condition_is_answered_as_the_shop_alone_does(ask: Ask, path: str) -> None:
    as_here = {'"abc"': f'"{DIGEST}"', "09:00:0": "10:00:0", "08:59:59": "09:59:59"}
    for headers in EVERY_REQUEST:
        given = dict(headers)
        for old, new in as_here.items():
            given = {name: value.replace(old, new) for name, value in given.items()}
        assert ask(True, path, given) == ask(False, path, given), given


def test_no_reader_sees_an_address_of_the_bucket_and_none_gets_in_by_themselves(
    ask: Ask, path: str, nginx: Front
) -> None:
    status, headers, data, count = ask(True, path)
    assert (status, data, count) == (200, DATA, 1)
    assert dict(headers)["Content-Disposition"].startswith("attachment; filename=")
    assert "amz" not in str(headers).lower()
    signed = storage().in_front(f"assets/{DIGEST}")
    assert "X-Amz-Signature=" in signed
    assert ask(True, f"{PREFIX}/{signed}")[0] == 404
    assert "X-Amz" not in nginx.logged()


def test_a_refund_closes_this_door_at_the_next_request(ask: Ask, path: str) -> None:
    assert ask(True, path)[0] == 200
    with transaction() as session:
        revoke_order(session.scalars(sa.select(Order)).one(), "refunded")
    status, _, page, count = ask(True, path)
    assert (status, count) == (410, 0)
    assert "This order was refunded" in page.decode()


@pytest.mark.parametrize("fault", ["missing", "cut short", "away"])
@pytest.mark.parametrize("is_by_nginx", [True, False], ids=["by nginx", "alone"])
@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=1000-"}], ids=["whole", "a part"])
def test_what_the_bucket_does_not_give_is_a_page_of_ours_and_no_record(
    ask: Ask,
    app: Flask,
    path: str,
    storage_url: str,
    fault: str,
    is_by_nginx: bool,
    headers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if fault == "missing":
        storage().delete(f"assets/{DIGEST}")
    elif fault == "cut short":
        storage().put_bytes(f"assets/{DIGEST}", DATA[:500])
    else:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        app.extensions["colophon.storage"] = Storage(storage_url)
    status, said, page, count = ask(is_by_nginx, path, headers)
    assert (status, count) == (503, 0)
    assert dict(said)["Retry-After"] == "60"
    check_page(page.decode(), path=path)


def test_what_the_bucket_refuses_nginx_the_shop_sends_by_itself_with_one_record(
    ask: Ask, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_itself = ask(False, path, {"Range": "bytes=8-15"})
    monkeypatch.setattr(Storage, "in_front", lambda _self, _key: "shop/nothing?X-Amz-Expires=1")
    assert ask(True, path, {"Range": "bytes=8-15"}) == by_itself
    assert by_itself[2:] == [DATA[8:16], 1]


@pytest.fixture
def asked_at_its_host(monkeypatch: pytest.MonkeyPatch) -> Callable[[Front], None]:
    """As the DNS would: the shop's host leads to this nginx, whose certificate is trusted."""

    def lead_to(running: Front) -> None:
        connect = connection.create_connection

        def connected(address: tuple[str, int], *given: Any, **named: Any) -> Any:
            place = ("127.0.0.1", running.tls_port) if address == (HOST, 443) else address
            return connect(place, *given, **named)

        monkeypatch.setattr(connection, "create_connection", connected)
        monkeypatch.setenv("SSL_CERT_FILE", str(running.certificate))

    return lead_to


@pytest.mark.parametrize("bucket", ["named", "another"])
def test_store_check_says_whether_nginx_fetches_from_the_bucket(
    app: Flask,
    nginx: Front,
    storage_url: str,
    tmp_path: Path,
    asked_at_its_host: Callable[[Front], None],
    bucket: str,
) -> None:
    a_shop()
    given = {"storage_url": storage_url, "base_url": f"https://{HOST}", "accel_redirect": PREFIX}
    shop = create_app(make_settings(tmp_path, trusted_proxies=1, **given))
    named = {f"STORE_{name.upper()}": value for name, value in given.items()}
    named |= {"STORE_ENV": "testing", "STORE_SECRET_KEY": SECRET, "STORE_TRUSTED_PROXIES": "1"}
    named |= {"STORE_DATA_DIR": str(tmp_path)}
    with ExitStack() as stack:
        running = nginx
        if bucket == "another":
            words = (FILES / "bucket.conf").read_text(encoding="utf-8")
            elsewhere = tmp_path / "bucket.conf"
            elsewhere.write_text(
                words.replace("https://s3.eu-west-2.amazonaws.com", "http://127.0.0.1:1")
            )
            change = (f"# include {FILES}/bucket.conf;", f"include {elsewhere};")
            running = stack.enter_context(front(tmp_path / "nginx", free_port(), change))
        asked_at_its_host(running)
        stack.enter_context(served(shop, running.shop_port))
        stack.enter_context(shops_are_closed())
        done = CliRunner().invoke(main, ["check", "--url", f"https://{HOST}"], env=named)
    (line,) = [line for line in done.output.splitlines() if " our address: " in line]
    if bucket == "named":
        assert (
            line
            == f"ok     our address: https://{HOST} is seen as https://{HOST}, asked from 127.0.0.1"
        )
    else:
        assert line.startswith("fault  our address: the server in front answers 404 for a ")
        assert line.endswith(
            "its place for /kept-bucket leads elsewhere, or it may not read the bucket"
        )
    assert "X-Amz" not in done.output
    assert not [key for key, _ in storage().listed() if key.startswith("probes")]
