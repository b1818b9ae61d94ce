"""The main job, played before your eyes over HTTP: pre-order, pay, release, letter, download,
renew. Each step looks at what it did and ends the story where it does not hold."""

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote, urlsplit

from store.catalog.editions import upload_edition
from store.catalog.models import Edition, Publication
from store.catalog.samples import put_sample, receive_sample
from store.catalog.uploads import receive_file
from store.demo.seed import (
    WHO,
    edition_files,
    edition_notes,
    sample_files,
    seed_publication,
    seed_seller,
)
from store.demo.visitor import Page, StoryEnds, Visitor
from store.distribution.coverage import coverage
from store.distribution.releasing import schedule_release
from store.kit.database import db, end_read, transaction
from store.kit.formatting import format_size

PATIENCE_SECONDS = 90
READERS = ("Anna Berg", "Ben Okafor", "Chloé O’Neil")
LATECOMER = "Dev Patel"


@dataclass(frozen=True)
class Payment:
    """How readers pay: the review's button, what they do on the page behind it, and what is
    looked at in the end."""

    button: str
    pay: Callable[[Visitor, Page], Page]
    look_back: Callable[[Callable[[str], None]], None] = lambda _say: None


HERE = Payment(
    "Order and pay £12.50 by card", lambda visitor, page: visitor.press(page, "Pay £12.50")
)


@dataclass
class Told:
    """The story so far: where it is told, how readers pay, and about which publication."""

    say: Callable[[str], None]
    visitor: Visitor
    payment: Payment
    slug: str
    publication_id: int

    def address_of(self, name: str) -> str:
        """A reader's address, another one in each run."""
        first = re.sub(r"[^a-z]", "", name.split(maxsplit=1)[0].lower().replace("é", "e"))
        return f"{first}.{self.slug}@reader.example"


def tell(visitor: Visitor, say: Callable[[str], None], payment: Payment = HERE) -> str:
    """Play the main job on one more sample publication; returns its slug. Raises `StoryEnds`."""
    samples = [receive_sample(path) for path in sample_files()]
    with transaction():
        seed_seller()
        publication = seed_publication()
        for sample in samples:
            put_sample(publication, sample)
        told = Told(say, visitor, payment, publication.slug, publication.id)
        say(f"“{publication.title}” is on sale for pre-order at £12.50, with a free sample.")
    for name in READERS:
        _order(told, name, "Pre-order")
    _release(told, 1)
    _letters_arrive(told, 1, READERS)
    _follow_link(told, READERS[0], 1)
    _order(told, LATECOMER, "Buy")
    _release(told, 2)
    everybody = (*READERS, LATECOMER)
    _letters_arrive(told, 2, everybody)
    _follow_link(told, LATECOMER, 2)
    _coverage_adds_up(told, len(everybody))
    payment.look_back(say)
    return told.slug


def _order(told: Told, name: str, button: str) -> None:
    visitor, email = told.visitor, told.address_of(name)
    shop = visitor.open(f"/publications/{told.slug}")
    _expect(button in shop.text, f"the page, answered with {shop.status}, offers “{button}”")
    form = visitor.open(f"/publications/{told.slug}/order")
    review = visitor.press(form, "Continue", email=email, name=name)
    _expect(email in review.text, "the review page shows the address that was typed")
    consents = review.tree.xpath("//input[@type='checkbox']/@name")
    ticked = dict.fromkeys(consents, "yes")
    paid = told.payment.pay(visitor, visitor.press(review, told.payment.button, **ticked))
    _expect(urlsplit(paid.url).path.startswith("/orders/"), "paying leads to the order's page")
    _within(lambda: "Paid" in visitor.open(paid.url).text, "the order is paid")
    told.say(f"{name} orders ({button.lower()}) and pays £12.50.")


def _release(told: Told, number: int) -> None:
    received = [receive_file(path) for path in edition_files(number)]
    with transaction() as session:
        publication = session.get_one(Publication, told.publication_id)
        edition = upload_edition(publication, received, notes=edition_notes(number))
        sizes = " and ".join(f"{one.format.upper()} of {format_size(one.size)}" for one in received)
        told.say(f"Edition {edition.number} is uploaded: {sizes}, checked and accepted.")
        edition_id = edition.id
    with transaction() as session:
        schedule_release(session.get_one(Edition, edition_id), None, WHO)
    told.say(f"Edition {number} is released.")


def _letters_arrive(told: Told, number: int, names: Sequence[str]) -> None:
    for name in names:
        _within(partial(_has_letter, told, name, number), f"{name}'s letter arrives")
    told.say(f"{len(names)} letters about edition {number} arrive, one for each buyer.")


def _has_letter(told: Told, name: str, number: int) -> bool:
    return _letter(told, name, number) is not None


def _letter(told: Told, name: str, number: int) -> Page | None:
    inbox = told.visitor.open(f"/demo/inbox?to={quote(told.address_of(name))}")
    for row in inbox.tree.xpath("//a[starts-with(@href, '/demo/inbox/')]"):
        if f"edition {number}" in row.text_content().lower():
            return told.visitor.open(row.get("href"))
    return None


def _follow_link(told: Told, name: str, number: int) -> None:
    letter = _letter(told, name, number)
    _expect(letter is not None, f"{name} has a letter about edition {number}")
    found = re.search(rb"https?://[^\s\"'<>]+/library/[\w.=-]+", letter.body if letter else b"")
    if found is None:
        raise StoryEnds("the letter holds a link to the library")
    library = told.visitor.open(found[0].decode())
    files = [a for a in library.links("/download/") if a.endswith(f"edition-{number}.pdf")]
    _expect(bool(files), f"the library offers edition {number} as PDF")
    served = hashlib.sha256(told.visitor.open(files[0]).body).hexdigest()
    stored = hashlib.sha256(edition_files(number)[0].read_bytes()).hexdigest()
    _expect(served == stored, "the file that came down is the file that went up")
    told.say(
        f"{name} follows the link and downloads edition {number}: SHA-256 {served[:12]}… matches."
    )


def _coverage_adds_up(told: Told, buyers: int) -> None:
    edition = (
        db.session.query(Edition).filter_by(publication_id=told.publication_id, number=2).one()
    )
    account = coverage(edition)
    end_read()
    told.say(
        f"Coverage of edition 2: {account.total} entitled, {account.handed_over} handed over, "
        f"{account.waiting} waiting, {account.undeliverable} undeliverable, "
        f"{account.came_back} came back, "
        f"{sum(account.left_out.values())} left out, {account.missing} missing."
    )
    _expect(account.sums_match and account.is_complete, "the coverage table adds up")
    _expect(account.handed_over == buyers, "every buyer is in it")
    told.say("It adds up: nobody was missed.")


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise StoryEnds(f"this did not hold: {what}")


def _within(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise StoryEnds(f"this did not happen within {PATIENCE_SECONDS} s: {what}")
        time.sleep(0.1)
