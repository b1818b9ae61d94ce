"""A shop in which every public address leads somewhere."""

import hashlib
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import Flask

from store.app import place
from store.catalog.covers import cover_path
from store.catalog.faces import stylesheet_path
from store.catalog.models import Publication
from store.catalog.publications import publication_by_slug
from store.entitlements.addresses import request_change
from store.entitlements.erasures import ask_erasure
from store.entitlements.fresh_links import mail_data_link
from store.entitlements.links import link_url, make_link, order_url
from store.entitlements.order_moves import request_move
from store.entitlements.second_addresses import request_second
from store.kit.database import db, transaction
from store.kit.static_files import StaticFiles
from store.kit.storage import storage
from store.mail.models import CapturedLetter
from store.orders.discounts import add_discount
from store.orders.models import Offer
from store.orders.offers import ask_for_offer, offer_url
from tests.catalog.files import picture
from tests.editions import a_shop
from tests.factories import a_sample
from tests.letters import sent
from tests.links import anna, given_second, path_to
from tests.pages import Page
from tests.purchases import BUYER, pay, placed_order, start


@dataclass
class Stocked:
    """For each rule of the URL map an address in this shop."""

    app: Flask
    library: str
    order: str
    preorder: str
    waiting: str
    stop: str
    address: str
    undo: str
    move: str
    second: str
    refuse: str
    data: str
    keep: str
    cover: str
    pay: str
    offer: str
    letter_id: int
    download: str

    def path(self, rule: str) -> str:
        """An address that the rule matches and that leads to a page or file."""
        whole = {
            "/download/<token>/<asset>": self.download.rsplit("/", 1)[0],
            "/download/<token>/<asset>/<filename>": self.download,
            "/orders/<token>/cancel": f"/orders/{self.preorder}/cancel",
            "/orders/<token>/move": f"/orders/{self.preorder}/move",
            "/orders/<token>/consent": f"/orders/{self.waiting}/consent",
            "/terms/<version>": "/terms/2026-1",
            "/covers/<digest>/<int:width>.<kind>": cover_path(self.cover, 320, "webp"),
            "/face/<name>": stylesheet_path("#7a2f2b"),
            "/publications/<slug>/sample/<filename>": (
                "/publications/send-early-years/sample/send-early-years-sample.epub"
            ),
            "/static/<name>": StaticFiles(place("static")).url("colophon.css"),
        }
        if rule in whole:
            return whole[rule]
        tokens = {"library": self.library, "orders": self.order, "stop": self.stop}
        tokens |= {"address": self.address, "demo": self.pay, "offer": self.offer}
        tokens |= {"undo": self.undo, "move": self.move}
        tokens |= {"second-address": self.second, "refuse": self.refuse}
        tokens |= {"your-data": self.data, "keep": self.keep}
        token = tokens.get(rule.split("/")[1], "")
        path = rule.replace("<token>", token).replace("<slug>", "send-early-years")
        return path.replace("<int:letter_id>", str(self.letter_id))


def stock(app: Flask) -> Stocked:
    """Editions, a cover, three orders of one customer, letters, and a payment under way."""
    publication_id = a_shop(editions=1).id
    a_shop(editions=0, slug="later")
    bought_id = _paid("send-early-years", wants_now=True)
    waiting_id = _paid("send-early-years")
    preorder_id = _paid("later")
    urls = [order_url(order_id) for order_id in (bought_id, waiting_id, preorder_id)]
    customer_id = anna().id
    with transaction() as session:
        _put_cover(session.get_one(Publication, publication_id))
        a_sample(session.get_one(Publication, publication_id))
        change = link_url(request_change(anna(), "anna@new.example"))
        add_discount("Members", percent=20, domains="nursery.example")
        ask_for_offer(session.get_one(Publication, publication_id), "anna@nursery.example")
        offer = offer_url(session.scalars(sa.select(Offer)).one())
        move = link_url(request_move(bought_id, "else@new.example"))
        undo = link_url(make_link("undo", customer_id, new_email="anna@old.example"))
        refuse = link_url(given_second(anna(), "anna@second.example"))
        second = link_url(request_second(anna(), "anna@third.example"))
        data = link_url(mail_data_link(anna()))
        ask_erasure(anna(), "customer")
    library, stop = path_to("library", customer_id), path_to("stop", customer_id)
    pay = start(_placed("later"))
    sent()
    page = app.test_client().get(library).get_data(as_text=True)
    hrefs = [link.attrib.get("href", "") for link in Page(page).all("a")]
    return Stocked(
        app,
        library=_last(library),
        order=_last(urls[0]),
        waiting=_last(urls[1]),
        preorder=_last(urls[2]),
        stop=_last(stop),
        address=_last(change),
        undo=_last(undo),
        move=_last(move),
        second=_last(second),
        refuse=_last(refuse),
        data=_last(data),
        keep=_last(path_to("keep", customer_id)),
        cover=hashlib.sha256(picture()).hexdigest(),
        pay=pay,
        offer=_last(offer),
        letter_id=db.session.scalars(sa.select(sa.func.max(CapturedLetter.id))).one(),
        download=next(href for href in hrefs if href.startswith("/download/")),
    )


def _placed(slug: str, *, wants_now: bool = False) -> int:
    with transaction():
        return placed_order(publication_by_slug(slug), replace(BUYER, wants_now=wants_now)).id


def _paid(slug: str, *, wants_now: bool = False) -> int:
    order_id = _placed(slug, wants_now=wants_now)
    pay(order_id)
    return order_id


def _put_cover(publication: Publication) -> None:
    data = picture()
    publication.cover_sha256 = hashlib.sha256(data).hexdigest()
    storage().put_bytes(f"covers/{publication.cover_sha256}", data)


def _last(url: str) -> str:
    return urlsplit(url).path.rsplit("/", 1)[1]
