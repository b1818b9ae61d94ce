"""The shop behind nginx, which sends the files: one reader, and a crowd beside slow ones."""

import hashlib
import http.client
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import sqlalchemy as sa

from bench.crowd import Plan, play
from bench.figures import Figure, LeftOut, rounds
from bench.pages import processor_seconds, run_bare, run_shop, served
from bench.shops import KEY, shop
from bench.stock import SLUG, links, stock
from store import settings
from store.catalog.models import Asset, Edition, EditionStatus
from store.entitlements.doors import download_path
from store.entitlements.models import Download
from store.kit.database import db, transaction
from store.kit.storage import storage
from tests.front import NGINX, front

# Of the crowd, of who reads alone, and of who reads slowly.
SMALL, MIDDLE, LARGE = 300_000, 5_000_000, 60_000_000
CLICKS, ROUNDS = 40, 5
PACE = 10_000 / 60
SHORT, LONG = 12.0, 60.0
SLOW, SLOW_RATE = 50, 100_000
_ROOM = bytearray(1_000_000)
_BARE = "zone bare 128k; server 127.0.0.1:{} max_conns=2000; keepalive 64; keepalive_timeout 60s;"
VISITS = 20.0
STATIC = "nginx sending the same file by itself"


def measure(*, is_whole: bool = False) -> list[Figure | LeftOut]:
    """Needs nginx on this machine; `is_whole` lets the crowd come for a minute."""
    if NGINX is None:
        what = "behind nginx: downloads, slow readers, 10,000 buyers in a minute"
        return [LeftOut(what, "there is no nginx on this machine")]
    seconds = LONG if is_whole else SHORT
    wanted = {SMALL: round(PACE * seconds), MIDDLE: CLICKS * ROUNDS * 2, LARGE: SLOW}
    with tempfile.TemporaryDirectory() as folder:
        given = _settings(Path(folder))
        with shop(Path(folder)) as app:
            stock(sum(wanted.values()))
            paths = _paths(wanted)
        with (
            served(run_shop, given) as (shop_port, shop_pid),
            served(run_bare, None) as (bare_port, _),
            _nginx(Path(folder), shop_port, bare_port) as (port, nginx_pid),
        ):
            figures = _alone(port, (shop_pid, nginx_pid), paths[MIDDLE])
            figures += _crowd(port, (shop_pid, nginx_pid), seconds, paths)
        with app.app_context():
            rows = db.session.scalar(sa.select(sa.func.count()).select_from(Download))
            db.session.remove()
            db.engine.dispose()
        if rows != sum(wanted.values()):
            raise RuntimeError(f"{rows} downloads were recorded")
    return figures


def measure_whole() -> list[Figure | LeftOut]:
    """The crowd of a whole minute."""
    return measure(is_whole=True)


def _settings(folder: Path) -> settings.Settings:
    return settings.load(
        {},
        env="testing",
        secret_key=KEY,
        data_dir=folder,
        trusted_proxies=1,
        accel_redirect="/kept-files",
    )


def _paths(wanted: dict[int, int]) -> dict[int, list[str]]:
    """So many downloads of a file of each size, each behind the link of another customer."""
    now = datetime.now(UTC)
    with transaction() as session:
        first, second = session.scalars(sa.select(Edition).order_by(Edition.number))
        second.status, second.released_at = EditionStatus.RELEASED, now
        first.assets.append(_file("epub", SMALL, now))
        second.assets += [_file("epub", MIDDLE, now), _file("pdf", LARGE, now)]
        session.flush()
        files = {file.size: file for file in session.scalars(sa.select(Asset))}
        unused = iter(links(sum(wanted.values())))
        return {
            size: [download_path(link, files[size]) for link in islice(unused, count)]
            for size, count in wanted.items()
        }


def _file(format: str, size: int, now: datetime) -> Asset:
    octets = b"x" * size
    digest = hashlib.sha256(octets).hexdigest()
    storage().put_bytes(f"assets/{digest}", octets)
    return Asset(
        format=format,
        sha256=digest,
        uploaded_sha256=digest,
        size=size,
        facts={},
        findings=[],
        uploaded_at=now,
    )


@contextmanager
def _nginx(folder: Path, shop_port: int, bare_port: int) -> Iterator[tuple[int, int]]:
    """nginx with the files of `docs/ops/nginx`, without TLS, which costs both sides the same, and with
    what ours is compared with; yields its port and process id."""
    beside = f"""
    location = /bare {{ proxy_pass http://bare/; }}
    location /static-files/ {{ alias {folder}/files/; }}
    location /admin/ {{"""
    changes = (
        (" ssl http2 backlog=4096;", " backlog=4096;"),
        ("proxy_cache_path ", f"upstream bare {{ {_BARE.format(bare_port)} }}\nproxy_cache_path "),
        ("    location /admin/ {", beside),
    )
    place = folder / "nginx"
    place.mkdir()
    (place / "files").symlink_to(folder / "files")
    with front(place, shop_port, *changes) as running:
        assert running.process is not None
        yield running.tls_port, running.process.pid


def _alone(port: int, pids: tuple[int, int], paths: list[str]) -> list[Figure]:
    """One reader over one connection: the pace, and what all processes work for a click."""
    unread = iter(paths)
    same = [f"/static-files/assets/{hashlib.sha256(b'x' * MIDDLE).hexdigest()}"] * CLICKS

    def seconds(wanted: list[str]) -> float:
        start = time.perf_counter()
        _fetch(port, wanted)
        return time.perf_counter() - start

    def work(wanted: list[str]) -> float:
        before = sum(map(processor_seconds, pids))
        _fetch(port, wanted)
        return sum(map(processor_seconds, pids)) - before

    def clicks() -> list[str]:
        return list(islice(unread, CLICKS))

    pace = rounds(ROUNDS, lambda: 1 / seconds(clicks()), lambda: 1 / seconds(same))
    worked = rounds(ROUNDS, lambda: work(clicks()), lambda: work(same))
    what = f"download of {MIDDLE / 1e6:.0f} MB with its row behind nginx"
    return [
        Figure(f"{what}, a second", STATIC, pace, 0.35, 0.45),
        Figure(f"{what}, processor time", STATIC, worked, 7, 5, at_least=False),
    ]


def _fetch(port: int, paths: list[str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    with closing(connection):
        for path in paths:
            connection.request("GET", path)
            answer = connection.getresponse()
            size = sum(iter(lambda answer=answer: answer.readinto(_ROOM), 0))
            if (answer.status, size) != (200, MIDDLE):
                raise RuntimeError(f"{answer.status} with {size} bytes")


def _crowd(
    port: int, pids: tuple[int, int], seconds: float, paths: dict[int, list[str]]
) -> list[Figure]:
    plan = Plan(
        port=port,
        seconds=seconds,
        paths=paths[SMALL],
        slow=paths[LARGE],
        slow_rate=SLOW_RATE,
        page=f"/publications/{SLUG}",
        reference="/bare",
        visits=VISITS,
    )
    # What a process makes of its first pages it makes once.
    play(replace(plan, paths=[], slow=[], seconds=3))
    before = sum(map(processor_seconds, pids))
    came = play(plan)
    worked = 1000 * (sum(map(processor_seconds, pids)) - before) / len(plan.paths)
    detail = (
        f"{statistics.median(came.first):.0f} ms in the middle; all processes worked {worked:.1f} ms"
        f" for a buyer; the machine's load was {os.getloadavg()[0] / (os.cpu_count() or 1):.1f} a core"
    )
    crowd = f"{len(plan.paths):,} buyers within {seconds:.0f} s beside {SLOW} slow readers"
    starved = sum(octets < SLOW_RATE * seconds / 2 for octets in came.slow)
    return [
        Figure(f"{crowd}: not served", "", came.failed, 0, at_least=False, detail=came.fault),
        Figure(f"{crowd}: slow ones starved", "", starved, 0, at_least=False),
        Figure(
            f"{crowd}: first byte, 99 of 100",
            "",
            _p99(came.first),
            500,
            250,
            at_least=False,
            unit="ms",
            detail=detail,
        ),
        Figure(
            f"publication page beside {crowd}, 99 of 100",
            "a bare Flask route behind the same nginx",
            _p99(came.page) / _p99(came.reference),
            4,
            2,
            at_least=False,
            detail=f"{_p99(came.page):.0f} ms",
        ),
    ]


def _p99(took: list[float]) -> float:
    return statistics.quantiles(took, n=100)[-1]
