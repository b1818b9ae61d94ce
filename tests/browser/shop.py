"""A shop that real browsers visit: served on a port of its own, its letters sent by a worker."""

import email
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.policy import default
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from store import tasks
from store.app import create_app
from store.catalog.editions import upload_edition
from store.catalog.models import EditionStatus, Publication
from store.catalog.publications import publication_by_slug
from store.catalog.uploads import ReceivedFile, receive_file
from store.commands.demo import DEMO_OWNER, ensure_demo_owner
from store.demo.pay import Arrival, Decision, decide
from store.demo.seed import edition_files, edition_notes, seed_publication, seed_seller
from store.distribution.releasing import schedule_release
from store.entitlements.links import order_url
from store.kit import tokens
from store.kit.database import db, transaction
from store.kit.limits import limiter
from store.mail.models import CapturedLetter
from store.orders.models import Order
from store.orders.placing import Details, place_order
from store.payments.checkout import begin_checkout
from tests.conftest import make_settings
from tests.serving import free_port

PATIENCE_SECONDS = 60
T = TypeVar("T")


class Quiet(WSGIRequestHandler):
    """No line for each request; connections are kept, as by the server that ships."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


def link_of(url: str) -> str:
    """Which link an address holds, whenever it was signed."""
    return urlsplit(url).path.rsplit("/", 1)[1].partition(".")[0]


@dataclass
class LiveShop:
    """The shop as a test sees it from outside, and the rules to prepare it with."""

    app: Flask
    url: str
    stopping: threading.Event = field(default_factory=threading.Event)

    @cached_property
    def password(self) -> str:
        """What the owner signs in with, as `owner` says who."""
        with self.app.app_context():
            return ensure_demo_owner()

    owner = DEMO_OWNER

    @cached_property
    def _received(self) -> dict[int, list[ReceivedFile]]:
        return {number: [receive_file(path) for path in edition_files(number)] for number in (1, 2)}

    def publication(self, *, editions: int = 0, **given: Any) -> str:
        """One more sample publication with so many released editions; returns its slug."""
        with self.app.app_context():
            with transaction():
                publication = seed_publication()
                for name, value in given.items():
                    setattr(publication, name, value)
                slug = publication.slug
            for number in range(1, editions + 1):
                self.release(slug, number)
        return slug

    def upload(self, slug: str, number: int) -> None:
        """The files of an edition, as a draft."""
        with self.app.app_context():
            received = self._received[number]
            with transaction():
                publication = publication_by_slug(slug)
                upload_edition(publication, received, notes=edition_notes(number))

    def schedule(self, slug: str, moment: datetime) -> None:
        """The newest edition's release at a moment, and what is due then."""
        with self.app.app_context():
            with transaction():
                edition = publication_by_slug(slug).editions[-1]
                if edition.status is EditionStatus.DRAFT:
                    schedule_release(edition, moment, "tests")
                edition.release_at = moment
            tasks.release_due()

    def release(self, slug: str, number: int) -> None:
        """An edition, uploaded and released at once."""
        self.upload(slug, number)
        with self.app.app_context():
            with transaction():
                edition = publication_by_slug(slug).editions[-1]
                schedule_release(edition, None, "tests")
            tasks.release_due()

    def order(self, slug: str, address: str, *, wants_now: bool = True, pays: bool = True) -> str:
        """An order by the rules, paid unless said otherwise; the path of its page."""
        details = Details(email=address, name="Anna Berg", wants_now=wants_now)
        with self.app.app_context():
            with transaction():
                publication = publication_by_slug(slug)
                order = place_order(
                    publication,
                    details,
                    form_key=tokens.new_reference(),
                    seen_amount=publication.price_amount,
                )
                order_id = order.id
            reference = begin_checkout(order_id).rsplit("/", 1)[1]
            if not pays:
                return f"/demo/pay/{reference}"
            decide(reference, Decision.PAY, Arrival.ONCE)
        paid = sa.select(Order.paid_at).where(Order.id == order_id)
        self.until(lambda: self.ask(paid), "the order is paid")
        with self.app.app_context():
            return urlsplit(order_url(order_id)).path

    def letters(self, address: str, words: str = "") -> list[EmailMessage]:
        """Letters to an address that have `words` in the subject, oldest first."""
        query = sa.select(CapturedLetter.octets).where(CapturedLetter.recipient == address)
        with self.app.app_context():
            octets = list(db.session.scalars(query.order_by(CapturedLetter.id)))
        parsed = (email.message_from_bytes(one, policy=default) for one in octets)
        return [cast(EmailMessage, one) for one in parsed if words in str(one["Subject"]).lower()]

    def letter(self, address: str, words: str = "") -> EmailMessage:
        """The newest such letter, waited for: the worker sends it."""
        return self.until(lambda: self.letters(address, words), f"a letter to {address}")[-1]

    def path_in(self, letter: EmailMessage, door: str) -> str:
        """The path of the link to a door (`library`, `orders`, `stop`, `address`) in a letter."""
        body = letter.get_body(("plain",))
        assert body is not None
        found = re.search(rf"https?://\S+/{door}/\S+", body.get_content())
        assert found, f"no link to {door}"
        return urlsplit(found[0]).path

    def ask(self, query: Any) -> Any:
        """One value from the database."""
        with self.app.app_context():
            return db.session.scalar(query)

    def publication_id(self, slug: str) -> int:
        """The row's number."""
        return int(self.ask(sa.select(Publication.id).where(Publication.slug == slug)))

    def forget_limits(self) -> None:
        """Everybody may ask again: the tests of an hour come from one address."""
        with self.app.app_context():
            limiter.reset()

    @staticmethod
    def until(ask: Callable[[], T], what: str) -> T:
        """Ask until the answer is true."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            answer = ask()
            if answer:
                return answer
            time.sleep(0.05)
        raise AssertionError(f"never: {what}")

    def work(self) -> None:
        """What the worker does: each job that a bell asked for, and the timetable."""
        huey = self.app.extensions["colophon.huey"]
        next_tick = time.monotonic()
        while not self.stopping.is_set():
            task = huey.dequeue()
            if task is not None:
                huey.execute(task)
            elif time.monotonic() > next_tick:
                next_tick = time.monotonic() + 5
                with self.app.app_context():
                    tasks.tick()
            else:
                self.stopping.wait(0.02)


@contextmanager
def open_shop(folder: Path) -> Iterator[LiveShop]:
    """A migrated shop with a seller, served and worked until the block ends."""
    from flask_migrate import upgrade

    port = free_port()
    url = f"http://127.0.0.1:{port}"
    app = create_app(make_settings(folder, env="demo", base_url=url))
    with app.app_context():
        upgrade()
        with transaction():
            seed_seller()
    shop = LiveShop(app, url)
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=Quiet)
    server.daemon_threads = True
    threads = [
        threading.Thread(target=server.serve_forever, args=(0.05,)),
        threading.Thread(target=shop.work),
    ]
    for thread in threads:
        thread.start()
    try:
        yield shop
    finally:
        shop.stopping.set()
        server.shutdown()
        for thread in threads:
            thread.join()
        server.server_close()
        with app.app_context():
            app.extensions["colophon.huey"].storage.close()
            db.session.remove()
            db.engine.dispose()
