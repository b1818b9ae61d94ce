"""Files by key in a folder and in an S3-compatible store, told apart by nobody."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from store.app import create_app
from store.catalog.models import Asset
from store.entitlements.doors import download_path
from store.entitlements.models import Download
from store.kit.database import db
from store.kit.storage import CHUNK, Storage
from tests.conftest import make_settings
from tests.editions import a_shop
from tests.links import anna, link_to
from tests.purchases import a_paid_order


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A server that speaks S3's protocol, with one bucket; yields its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    boto3.client("s3", endpoint_url=address, region_name="eu-west-2", **keys).create_bucket(
        Bucket="shop", CreateBucketConfiguration={"LocationConstraint": "eu-west-2"}
    )
    yield address
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where files go: a folder, or a bucket reached as the operator's guide says."""
    if request.param == "folder":
        return (tmp_path / "files").as_uri()
    for name, value in {
        "AWS_ENDPOINT_URL": request.getfixturevalue("s3"),
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "eu-west-2",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }.items():
        monkeypatch.setenv(name, value)
    return f"s3://shop/{tmp_path.name}"


def test_a_file_comes_back_whole_and_in_any_part(url: str, tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096  # four chunks
    source = tmp_path / "file"
    source.write_bytes(data)
    store = Storage(url)
    store.put_file("assets/abc", source)

    assert store.size("assets/abc") == len(data)
    assert store.read("assets/abc") == data
    assert b"".join(store.chunks("assets/abc", 0, len(data))) == data
    start, end = CHUNK - 3, 2 * CHUNK + 5
    assert b"".join(store.chunks("assets/abc", start, end)) == data[start:end]


def test_another_process_finds_what_one_stored(url: str) -> None:
    Storage(url).put_bytes("covers/abc", b"picture")
    assert Storage(url).read("covers/abc") == b"picture"


def test_what_is_not_there_has_no_size_and_can_be_deleted_all_the_same(url: str) -> None:
    store = Storage(url)
    store.put_bytes("assets/abc", b"x")
    store.delete("assets/abc")
    store.delete("assets/abc")
    assert store.size("assets/abc") is None
    assert store.answers()
    with pytest.raises(FileNotFoundError):
        store.read("assets/abc")


def test_a_download_is_resumed_from_the_store(url: str, database_url: str, tmp_path: Path) -> None:
    app = create_app(make_settings(tmp_path, database_url=database_url, storage_url=url))
    with app.app_context():
        shop = a_shop()
        a_paid_order(shop)
        (asset,) = db.session.query(Asset).filter_by(format="pdf")
        address, digest = download_path(link_to("library", anna().id), asset), asset.sha256
        client = app.test_client()

        whole = client.get(address)
        rest = client.get(
            address, headers={"Range": "bytes=100-", "If-Range": whole.headers["ETag"]}
        )

        assert (whole.status_code, rest.status_code) == (200, 206)
        assert hashlib.sha256(whole.data).hexdigest() == digest
        assert rest.data == whole.data[100:]
        assert db.session.query(Download).count() == 1
        db.session.remove()
        db.engine.dispose()
