"""Web on one machine, workers on two others, PostgreSQL and a bucket between them: the story from an
order to its refund, and one worker's machine that dies while the other goes on."""

import hashlib
import re
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from store.catalog.models import Asset, Edition, Publication
from store.cli import main
from store.distribution import releasing
from store.distribution.coverage import coverage
from store.entitlements.models import Download
from store.kit.database import db, transaction
from store.mail.models import Attempt, Delivery
from store.orders.models import Order
from store.payments.refunds import refund_order
from tests.conftest import SECRET, on_postgresql
from tests.editions import a_shop as a_publication
from tests.editions import draft
from tests.mail.scripted_server import ScriptedServer
from tests.mail.shops import a_shop, deliveries, owe_to, readers
from tests.purchases import apply_received
from tests.serving import free_port
from tests.tables import Note
from tests.typed import shops_are_closed

from .ready import Life, ReadyShop, ready_shop
from .shoppers import Shopper, wait_for_server
from .tally import Tally
from .test_hosts import end_leases
from .test_worker_kills import Killer

CONNECTIONS = 4
READERS = 12
OWED = 120
WORKERS = ("worker-one", "worker-two")

pytestmark = [
    pytest.mark.long,
    on_postgresql,
    pytest.mark.parametrize("storage_url", ["s3"], indirect=True),
]


@dataclass
class Machines:
    """What shares a database and a bucket, and nothing else."""

    web: ReadyShop
    workers: list[ReadyShop]
    mail: ScriptedServer
    port: int
    killer: Killer = field(default_factory=Killer)

    def both(self, act: str, **given: Any) -> None:
        """Both workers at once, to their end."""
        for life in [worker.begin(act, **given) for worker in self.workers]:
            assert not life.ended()

    def letters_to(self, address: str) -> list[str]:
        """What came there, as text, in its order."""
        letters = [one for one in self.mail.letters if address in str(one.rcpt)]
        found = [message_from_bytes(one.octets, policy=policy.default) for one in letters]
        parts = (one.get_body(("plain",)) for one in found)
        return [part.get_content() for part in parts if part is not None]

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        """What the web machine answers."""
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read()


@contextmanager
def machines(database_url: str, storage_url: str, folder: Path) -> Iterator[Machines]:
    """Three machines, each with a data folder of its own; the test's own is the desk's."""
    port, killer = free_port(), Killer()
    with ExitStack() as stack:
        mail = stack.enter_context(ScriptedServer(killer))
        settings: dict[str, Any] = {
            "storage_url": storage_url,
            "base_url": f"http://127.0.0.1:{port}",
            "mail_connections": CONNECTIONS,
            "erasure_journal": str(folder / "shared.jsonl"),
        }
        stack.enter_context(a_shop(database_url, folder / "desk", mail.port, **settings))
        settings |= {"database_url": database_url, "trusted_proxies": 1}
        settings |= {"mail_server": "127.0.0.1", "mail_port": mail.port}
        web, *workers = (
            stack.enter_context(ready_shop(folder / name, {"host": name}, **settings))
            for name in ("web", *WORKERS)
        )
        yield Machines(web, workers, mail, port, killer)


def _path(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found is not None, text
    return found[0]


def test_the_story_from_an_order_to_its_refund_on_three_machines(
    database_url: str, storage_url: str, tmp_path: Path
) -> None:
    with machines(database_url, storage_url, tmp_path) as these:
        publication = a_publication()
        publication_id, page = publication.id, f"/publications/{publication.slug}"
        db.session.remove()
        serving = these.web.begin("web", bind=f"127.0.0.1:{these.port}")
        wait_for_server(these.port)
        shoppers = [Shopper("card", number, these.port, page) for number in range(READERS)]
        for shopper in shoppers:
            shopper.order()
        apply_received()
        these.both("send", connections=CONNECTIONS)
        assert {len(these.letters_to(one.address)) for one in shoppers} == {1}

        edition_id = _due(publication_id)
        these.both("tick")
        these.both("send", connections=CONNECTIONS)
        received = [these.letters_to(one.address) for one in shoppers]
        assert {len(letters) for letters in received} == {2}
        counted = coverage(db.session.get_one(Edition, edition_id))
        assert counted.is_complete
        db.session.remove()

        _click_download_and_refund(these, shoppers[0].address, received[0][-1])
        _end_links(these, received[1][-1])
        serving.kill()
        serving.ended()

    def checked(journal: Path) -> str:
        """What `store check` says on the machine of a worker, with this journal."""
        given = {
            "STORE_ENV": "testing",
            "STORE_SECRET_KEY": SECRET,
            "STORE_STORAGE_URL": storage_url,
        }
        given |= {"STORE_DATA_DIR": str(tmp_path / WORKERS[0]), "STORE_DATABASE_URL": database_url}
        with shops_are_closed():
            said = CliRunner().invoke(
                main, ["check"], env=given | {"STORE_ERASURE_JOURNAL": str(journal)}
            )
        return next(line for line in said.output.splitlines() if " journal: " in line)

    assert checked(tmp_path / "shared.jsonl").startswith("ok ")
    assert " lacks " in checked(tmp_path / WORKERS[0] / "erasures.jsonl")  # control


def _due(publication_id: int) -> int:
    """A second edition whose moment has come."""
    with transaction():
        edition = draft(db.session.get_one(Publication, publication_id), 2)
        releasing.schedule_release(edition, None, "Olga")
        return edition.id


def _click_download_and_refund(these: Machines, address: str, letter: str) -> None:
    status, library = these.get(_path(r"/library/[\w.-]+", letter))
    assert status == 200
    download = _path(r"/download/[^\"]+edition(?:%20|-)2[^\"]*\.pdf", library.decode())
    wanted = sa.select(Asset.sha256).where(Asset.format == "pdf").order_by(Asset.id.desc())
    digest = db.session.scalars(wanted).first()
    status, whole = these.get(download)
    assert (status, hashlib.sha256(whole).hexdigest()) == (200, digest)
    assert these.get(download, Range="bytes=10-") == (206, whole[10:])
    db.session.remove()
    assert db.session.scalar(sa.select(sa.func.count(Download.id))) == 1

    order_id = db.session.scalars(sa.select(Order.id).where(Order.email == address)).one()
    db.session.remove()
    refund_order(order_id, who="Olga", why="asked", key="desk:1")
    assert these.get(download)[0] == 410


def _end_links(these: Machines, letter: str) -> None:
    """On the web machine, so that it stands in the journal of all."""
    path = _path(r"/library/[\w.-]+", letter)
    own = f"http://127.0.0.1:{these.port}"
    asked = urllib.request.Request(f"{own}{path}/end-links", b"sure=yes", {"Origin": own})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        assert answer.status == 200
    assert these.get(path)[0] == 410


class Trial:
    """Two machines send; one is killed at a random step, the other goes on."""

    def __init__(self, these: Machines, tally: Tally) -> None:
        self.these, self.tally = these, tally

    def one_kill(self) -> None:
        """Letters for both; the first dies amid them."""
        tally = self.tally
        tally.of += OWED
        owe_to(*readers(tally.of)[-OWED:])
        dying, other = (
            worker.begin("send", connections=CONNECTIONS) for worker in self.these.workers
        )
        self.these.killer.aim(dying, tally.chance.randint(1, 300), 0.0)
        assert not other.ended()
        tally.kills += dying.ended()
        self.these.killer.aim(dying, 0, 0.0)
        before = _marked()
        end_leases()
        self._finish(self.these.workers[1])
        marked = _marked() - before
        tally.most_doubled = max(tally.most_doubled, marked)

    def _finish(self, worker: ReadyShop) -> None:
        for act, given in (("tick", {}), ("send", {"connections": CONNECTIONS})):
            life: Life = worker.begin(act, **given)
            assert not life.ended()

    def count(self) -> None:
        """Compare what came with what the rows say."""
        tally, rows = self.tally, deliveries()
        came: Counter[str] = Counter()
        names: dict[str, set[str]] = {}
        for letter in self.these.mail.letters:
            message = message_from_bytes(letter.octets)
            came[message["To"]] += 1
            names.setdefault(message["To"], set()).add(message["Message-ID"])
        theirs = {to: rows[to] for to in readers(tally.of)}
        tally.missed = sum(not came[to] or row.status != "sent" for to, row in theirs.items())
        tally.doubled = sum(came[to] - 1 for to in theirs if came[to])
        tally.marked = sum(came[to] - 1 for to, row in theirs.items() if row.is_possibly_twice)
        tally.other_ids = sum(names[to] != {row.message_id} for to, row in theirs.items())


def _marked() -> int:
    db.session.remove()
    which = sa.select(sa.func.count(Delivery.id)).where(Delivery.is_possibly_twice)
    found = db.session.scalar(which) or 0
    db.session.remove()
    return found


@pytest.mark.timeout(1800)
def test_a_machine_killed_at_many_moments_while_the_other_goes_on(
    database_url: str, storage_url: str, tmp_path: Path, seed: int, kills: int, note: Note
) -> None:
    tally = Tally("one of two hosts", database_url, seed)
    with machines(database_url, storage_url, tmp_path) as these:
        trial = Trial(these, tally)
        while tally.kills < kills:
            trial.one_kill()
        trial.count()
        workers = db.session.scalars(sa.select(Attempt.worker)).all()
        assert {name.partition(":")[0] for name in workers} == set(WORKERS)
    tally.note(note)
    tally.check(most_doubled=CONNECTIONS)
