"""Downloads by nginx: the answers, headers and records are those of the shop alone."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.entitlements.doors import download_path
from store.entitlements.models import Download
from store.kit.database import db, transaction
from tests.conftest import Clock
from tests.editions import a_shop
from tests.factories import an_asset, an_edition
from tests.front import HOST, PREFIX, Front, ThroughFront, by_every_way, needs_nginx, seen, served
from tests.links import anna, link_to
from tests.purchases import a_paid_order
from tests.storefront.test_ranges import CONDITIONS, RANGES, RESUMED_IF

pytestmark = pytest.mark.usefixtures("frozen")

DATA = bytes(range(256)) * 4


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
def asked(app: Flask, nginx: Front, tmp_path: Path) -> Iterator[Callable[..., list[object]]]:
    """What a GET or HEAD of a path is answered with and how many downloads that records: by the
    application alone, or by nginx where the first word is true; the shop's address has https."""
    alone = app.extensions["colophon.settings"].model_copy(update={"base_url": f"https://{HOST}"})
    by_nginx = alone.model_copy(update={"accel_redirect": PREFIX})
    app.config["TRUSTED_HOSTS"] = [HOST]
    nginx.sends_from(tmp_path / "files")
    with served(app, nginx.shop_port), nginx.pool() as pool:

        def ask(is_by_nginx: bool, method: str, path: str, headers: dict[str, str]) -> list[object]:
            with transaction() as session:
                session.execute(sa.delete(Download))
            app.extensions["colophon.settings"] = by_nginx if is_by_nginx else alone
            client: Any = ThroughFront(pool) if is_by_nginx else app.test_client()
            base = {} if is_by_nginx else {"base_url": f"https://{HOST}"}
            answer = getattr(client, method)(path, headers=headers, **base)
            return [answer.status_code, seen(dict(answer.headers)), answer.data, counted()]

        yield ask


EVERY_REQUEST = [
    *({"Range": wanted} for wanted, _ in RANGES if wanted and wanted.isascii()),
    *({"Range": "bytes=100-", "If-Range": condition} for condition, _ in RESUMED_IF),
    *(headers for headers, _ in CONDITIONS),
    *(headers | {"Range": "bytes=8-15"} for headers, _ in CONDITIONS),
    {},
    {"Accept-Encoding": "gzip, br"},
    {"Range": "bytes=0-9", "X-Accel-Failed": "1"},
]


@needs_nginx
@pytest.mark.parametrize("method", ["get", "head"])
def test_nginx_answers_every_range_and_condition_as_the_shop_alone_does(
    asked: Callable[..., list[object]], path: str, method: str
) -> None:
    as_here = {'"abc"': f'"{sha256(DATA).hexdigest()}"', "09:00:0": "10:00:0"}
    as_here["08:59:59"] = "09:59:59"
    for headers in EVERY_REQUEST:
        given = dict(headers)
        for old, new in as_here.items():
            given = {name: value.replace(old, new) for name, value in given.items()}
        assert asked(True, method, path, given) == asked(False, method, path, given), given


@needs_nginx
def test_the_headers_that_nginx_would_drop_are_those_of_the_shop(
    asked: Callable[..., list[object]], path: str
) -> None:
    status, headers, data, count = asked(True, "get", path, {})
    named = dict(headers)  # type: ignore[call-overload]
    assert (status, data, count) == (200, DATA, 1)
    assert named["Strict-Transport-Security"] == "max-age=31536000"
    assert named["X-Content-Type-Options"] == "nosniff"
    assert named["X-Robots-Tag"] == "noindex"
    assert named["Content-Security-Policy"].startswith("default-src 'none'")
    assert named["Etag"] == f'"{sha256(DATA).hexdigest()}"'


@by_every_way
@pytest.mark.parametrize("fault", ["missing", "cut short", "longer", "a folder"])
@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=1000-"}], ids=["whole", "a part"])
def test_what_cannot_be_sent_is_a_page_and_leaves_no_record(
    client: FlaskClient, path: str, tmp_path: Path, fault: str, headers: dict[str, str]
) -> None:
    stored = tmp_path / "files" / "assets" / sha256(DATA).hexdigest()
    stored.unlink()
    if fault == "a folder":
        stored.mkdir()
    elif fault != "missing":
        stored.write_bytes(DATA[:500] if fault == "cut short" else DATA + b"more")
    answer = client.get(path, headers=headers)
    assert answer.status_code == 503
    assert "The file cannot be fetched now" in answer.text
    assert counted() == 0


@needs_nginx
@pytest.mark.parametrize("client", ["by nginx"], indirect=True)
def test_what_nginx_cannot_read_the_shop_sends_with_one_record(
    client: ThroughFront, app: Flask, path: str, tmp_path: Path, nginx: Front
) -> None:
    alone = client.get(path, headers={"Range": "bytes=8-15"})
    nginx.sends_from(tmp_path / "elsewhere")
    again = client.get(path, headers={"Range": "bytes=8-15"})
    assert (again.status_code, again.data) == (206, DATA[8:16])
    assert dict(again.headers) == dict(alone.headers)
    assert again.headers.getlist("Content-Disposition") == alone.headers.getlist(
        "Content-Disposition"
    )
    assert client.get(path).data == DATA
    assert counted() == 1
