"""Every kind of page that the shop has, and how a visitor comes to it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

import sqlalchemy as sa
from playwright.sync_api import Locator, Page

from store.catalog.publications import publication_by_slug, retire
from store.catalog.samples import put_sample, receive_sample
from store.catalog.sellers import state_seller
from store.demo.seed import sample_files
from store.entitlements.addresses import confirm_change, request_change
from store.entitlements.erasing import erase_person
from store.entitlements.erasures import ask_erasure
from store.entitlements.fresh_links import end_links, mail_data_link
from store.entitlements.links import library_url, link_url, order_url
from store.entitlements.models import Link
from store.entitlements.order_moves import accept_move, hold_order, request_move
from store.entitlements.second_addresses import request_second
from store.kit import clock
from store.kit.database import db, transaction
from store.mail.models import CapturedLetter, Delivery, Repair
from store.mail.returns import ReturnKind, take
from store.orders.discounts import add_discount
from store.orders.models import Customer, Offer, Order
from store.orders.offers import ask_for_offer, offer_url
from store.payments.checkout import begin_checkout
from store.payments.date_moves import change_date
from store.payments.gateways.base import GatewayDispute
from store.payments.models import Dispute, Payment
from store.payments.money_back import record_dispute, settle_order
from store.staff.membership import invitation_url, invite
from tests.browser.shop import LiveShop
from tests.links import given_second

WHO = "cleo@places.example"


def follow(page: Page, control: Locator) -> None:
    """Press what leads to another page, and wait until that page is there whole."""
    with page.expect_navigation():
        control.click()


def press(button: str, **fields: str) -> Callable[[Page], None]:
    """Fill fields in by their label, those that are folded too, and press a button."""

    def act(page: Page) -> None:
        folds = page.locator("form .fold:not([open]) > summary")
        while fields and folds.count():
            folds.first.click()
        for label, words in fields.items():
            page.get_by_label(label.replace("_", " ")).first.fill(words)
        follow(page, page.get_by_role("button", name=button, exact=True))

    return act


def choose_customers(page: Page) -> None:
    """Choose a file of customers, of which some cannot be read."""
    rows = b"E-Mail;Vorname;Name\nk.lund@reader.example;Karin;Lund\nkarin@;K;L\n"
    file = {"name": "members.csv", "mimeType": "text/csv", "buffer": rows}
    page.get_by_label("CSV file").set_input_files(file)  # type: ignore[arg-type]
    follow(page, page.get_by_role("button", name="Look at it first"))


@dataclass
class Place:
    """A page: its address, and what to press there to see it."""

    path: str
    acts: tuple[Callable[[Page], None], ...] = ()


@dataclass
class Places:
    """Orders in every state, made once by the rules."""

    shop: LiveShop
    paths: dict[str, str] = field(default_factory=dict)

    def stock(self) -> None:
        """Fill the shop."""
        shop, p = self.shop, self.paths
        p["later"] = shop.publication()
        p["out"] = shop.publication(editions=1)
        p["preorder"] = shop.order(p["later"], WHO)
        p["waiting"] = shop.order(p["out"], "w" + WHO, wants_now=False)
        p["ready"] = shop.order(p["out"], WHO)
        p["refunded"] = shop.order(p["later"], "r" + WHO)
        p["pay"] = shop.order(p["later"], "p" + WHO, pays=False)
        p["unpaid"] = self._order_path("p" + WHO)
        shop.release(p["out"], 2)
        letter = shop.letter(WHO, "edition 2")
        p["library"], p["stop"] = shop.path_in(letter, "library"), shop.path_in(letter, "stop")
        p["expired"] = p["library"][:-9] + "AAAAAAAA" + p["library"][-1]
        with shop.app.app_context():
            waits = sa.select(Customer.id).where(Customer.email == "w" + WHO)
            p["library_waiting"] = urlsplit(library_url(shop.ask(waits))).path
        p["retired"] = self._retired()
        p["draft"] = shop.publication(editions=1)
        shop.upload(p["draft"], 2)
        p["letter"] = str(shop.ask(sa.select(sa.func.max(CapturedLetter.id))))
        p["delivery"] = str(shop.ask(sa.select(sa.func.max(Delivery.id))))
        p["reference"] = shop.ask(sa.select(Order.reference).where(Order.email == WHO).limit(1))
        p["customer"] = str(shop.ask(sa.select(Customer.id).where(Customer.email == WHO)))
        p["disputed"], p["dispute"] = shop.order(p["out"], "d" + WHO), self._dispute("d" + WHO)
        shop.order(p["later"], "t" + WHO, pays=False)
        p["transfer"] = self._order_path("t" + WHO)
        self._choose_transfer("t" + WHO)
        waits = sa.select(Order.reference).where(Order.email == "t" + WHO)
        p["transfer_reference"] = shop.ask(waits)
        with shop.app.app_context(), transaction() as session:
            add_discount("Early bird", code="PLACES20", percent=20)
            add_discount("Members", percent=20, domains="nursery.example")
            publication = publication_by_slug(p["later"])
            ask_for_offer(publication, "mia@nursery.example")
            p["offer"] = urlsplit(offer_url(session.scalars(sa.select(Offer)).one())).path
        self._sample(p["out"])
        self._addresses()
        self._came_back("b" + WHO)
        p["dated"] = shop.publication()
        p["moved"] = shop.order(p["dated"], "d" + p["dated"] + "@places.example")
        with shop.app.app_context(), transaction():
            publication = publication_by_slug(p["dated"])
            later = (publication.expected_on or clock.now().date()) + timedelta(days=40)
            change_date(publication, later, "Two schools are still to read it.", "olga")

    def _sample(self, slug: str) -> None:
        """Chapters to read, and files to take home."""
        with self.shop.app.app_context():
            received = [receive_sample(path) for path in sample_files()]
            with transaction():
                for one in received:
                    put_sample(publication_by_slug(slug), one)

    def _came_back(self, email: str) -> None:
        """A letter of this reader came back."""
        self.shop.order(self.paths["out"], email)
        self.shop.letter(email, "order")
        with self.shop.app.app_context(), transaction() as session:
            letter = sa.select(Delivery).join(Order, Order.id == Delivery.order_id)
            found = session.scalars(letter.where(Order.email == email)).one()
            words = "550 5.1.1 user unknown"
            assert take(found.id, ReturnKind.HARD, words=words, key="places")
            session.flush()
            repair = session.scalars(sa.select(Repair)).one()
            self.paths["repair"], self.paths["returned"] = str(repair.id), str(found.id)
            self.paths["returned_customer"] = str(found.customer_id)

    def _addresses(self) -> None:
        """Letters that ask for something: a new address to be confirmed, a change to be undone, an
        order to be accepted, a move to be objected to; and an order that is held."""
        shop, p = self.shop, self.paths
        names = ("confirm", "undo", "accept", "object", "held", "leaving", "gone")
        for name in names:
            p[f"{name}_order"] = shop.order(p["out"], f"{name}@places.example")
        with shop.app.app_context(), transaction():
            p["confirm"] = _path(request_change(_customer("confirm"), "new@places.example"))
            change = request_change(_customer("undo"), "other@places.example")
            confirm_change(change)
            p["undo"] = _path(_undo_of("undo"))
            p["accept"] = _path(request_move(_order("accept"), "carl@places.example"))
            for name in ("object", "held"):
                accept_move(request_move(_order(name), f"new-{name}@places.example"))
            p["object"] = _path(_undo_of("object"))
            held = hold_order(_undo_of("held"))
            p["held_reference"] = held.reference
            p["held_order"] = urlsplit(order_url(held.id)).path
            p["held_library"] = urlsplit(library_url(held.customer_id)).path
            p["ended"] = urlsplit(library_url(_customer("confirm").id)).path
            end_links(_customer("confirm"), "tests")
            p["confirm"] = _path(request_change(_customer("confirm"), "new@places.example"))
            held_one = _customer("held")
            p["refuse"] = _path(given_second(held_one, "second@places.example"))
            p["second"] = _path(request_second(held_one, "third@places.example"))
            p["seconds_library"] = urlsplit(library_url(held_one.id)).path
            p["data"] = _path(mail_data_link(held_one))
            p["seconds_customer"] = str(held_one.id)
            self._erasures()
            invited = invite("ines@places.example", "editor")
            p["member"], p["join"] = str(invited.id), urlsplit(invitation_url(invited)).path

    def _erasures(self) -> None:
        """A reader who asked to be erased, and one who is."""
        p, leaving, gone = self.paths, _customer("leaving"), _customer("gone")
        ask_erasure(leaving, "tests")
        p["leaving_library"] = urlsplit(library_url(leaving.id)).path
        p["leaving_customer"] = str(leaving.id)
        keeps = sa.select(Link).where(Link.customer_id == leaving.id, Link.purpose == "keep")
        p["keep"] = _path(db.session.scalars(keeps).one())
        p["erased"] = urlsplit(library_url(gone.id)).path
        erase_person(gone.id, clock.now())

    def _order_path(self, email: str) -> str:
        order_id = self.shop.ask(sa.select(Order.id).where(Order.email == email))
        with self.shop.app.app_context():
            return urlsplit(order_url(order_id)).path

    def _dispute(self, email: str) -> str:
        """What the gateway would tell of a payment that the buyer's bank contests."""
        with self.shop.app.app_context():
            with transaction() as session:
                payment = session.scalars(
                    sa.select(Payment).join(Order).where(Order.email == email)
                ).one()
                seen = GatewayDispute(
                    "du_places",
                    "product_not_received",
                    payment.amount,
                    payment.currency,
                    is_inquiry=False,
                    opened_at=clock.now(),
                    due_at=clock.now() + timedelta(days=9),
                )
                record_dispute(payment.order, payment, seen, asked_at=clock.now())
                settle_order(payment.order)
            return str(self.shop.ask(sa.select(sa.func.max(Dispute.id))))

    def _choose_transfer(self, email: str) -> None:
        order_id = self.shop.ask(sa.select(Order.id).where(Order.email == email))
        with self.shop.app.app_context():
            with transaction():
                state_seller(bank_details="Sample Bank\nSort code 00-00-00\nAccount 00000000")
            begin_checkout(order_id, "manual")

    def _retired(self) -> str:
        slug = self.shop.publication()
        with self.shop.app.app_context(), transaction():
            retire(publication_by_slug(slug), "tests")
        return slug

    def find(self, name: str) -> Place:
        """The place of one name."""
        made = PUBLIC.get(name) or DESK[name]
        return Place(made.path.format(**self.paths), made.acts)


def _path(link: Link) -> str:
    return urlsplit(link_url(link)).path


def _customer(name: str) -> Customer:
    query = sa.select(Customer).join(Order).where(Order.email == f"{name}@places.example")
    return db.session.scalars(query).one()


def _order(name: str) -> int:
    query = sa.select(Order.id).where(Order.email == f"{name}@places.example")
    return db.session.scalars(query).one()


def _undo_of(name: str) -> Link:
    query = sa.select(Link).join(Customer, Customer.id == Link.customer_id)
    owner = Customer.id == _customer(name).id
    which = owner if name == "undo" else Link.order_id == _order(name)
    return db.session.scalars(query.where(which, Link.purpose == "undo")).one()


def refund(page: Page) -> None:
    """Cancel, unless that was done before."""
    if page.get_by_role("link", name="Cancel this order").count():
        follow(page, page.get_by_role("link", name="Cancel this order"))
        page.get_by_label("Yes, cancel order").check()
        follow(page, page.get_by_role("button", name="Cancel and get £12.50 back"))


def leave(page: Page) -> None:
    """Leave without paying; where that was done before, go back to the order."""
    if page.get_by_role("button", name="Leave without paying").count():
        follow(page, page.get_by_role("button", name="Leave without paying"))
    else:
        follow(page, page.get_by_role("link", name="Go back to your order"))


def ask_for_links(page: Page) -> None:
    """Have the library link mailed, unless that was asked for a moment ago."""
    if page.get_by_role("button", name="Mail me the link").count():
        follow(page, page.get_by_role("button", name="Mail me the link"))


ORDER = "/publications/{later}/order"
EMAIL = {"E-mail_address": "dora@places.example"}
EVERYTHING = {
    "E-mail_address": "dora.fraser@oaktree-nursery.example",
    "Your_name": "Dora Fraser",
    "Organisation": "Oak Tree Nursery School",
    "Purchase_order_number": "PO-2027-0077",
}
CONTINUE = press("Continue", **EMAIL)

PUBLIC = {
    "home": Place("/"),
    "pre-order": Place("/publications/{later}"),
    "published": Place("/publications/{out}"),
    "all editions": Place("/publications/{out}/editions"),
    "all that changed": Place("/publications/{out}/editions?edition=2"),
    "pre-order that moved": Place("/publications/{dated}"),
    "no longer sold (410)": Place("/publications/{retired}"),
    "unknown (404)": Place("/no-such-page"),
    "terms": Place("/terms"),
    "terms of before": Place("/terms/2026-1"),
    "cancellation form": Place("/cancellation-form"),
    "privacy": Place("/privacy"),
    "accessibility": Place("/accessibility"),
    "form": Place(ORDER),
    "form with errors (422)": Place(ORDER, (press("Continue"),)),
    "form with a typo": Place(ORDER, (press("Continue", **{"E-mail_address": "a@gmial.com"}),)),
    "review": Place(ORDER, (CONTINUE,)),
    "review with a code": Place(ORDER, (press("Continue", **EMAIL, Discount_code="places20"),)),
    "form with a wrong code (422)": Place(
        ORDER, (press("Continue", **EMAIL, Discount_code="LATE"),)
    ),
    "sample": Place("/publications/{out}/sample"),
    "asking for a members' price": Place("/publications/{later}/members"),
    "asked for a members' price": Place(
        "/publications/{later}/members", (press("Mail me my price", **EMAIL),)
    ),
    "order form behind a link": Place("{offer}"),
    "review behind a link": Place("{offer}", (press("Continue"),)),
    "review behind a link, unsure (422)": Place(
        "{offer}",
        (press("Continue"), lambda page: follow(page, page.locator("main form button").first)),
    ),
    "review of a copy": Place("/publications/{out}/order", (press("Continue", **EVERYTHING),)),
    "pay": Place("{pay}"),
    "order not paid": Place("{pay}", (leave,)),
    "order pre-ordered": Place("{preorder}"),
    "order waiting": Place("{waiting}"),
    "order ready": Place("{ready}"),
    "order ready, links asked for": Place("{ready}", (ask_for_links,)),
    "order to be paid by bank": Place("{transfer}"),
    "order disputed": Place("{disputed}"),
    "order refunded": Place("{refunded}", (refund,)),
    "cancel": Place("{preorder}/cancel"),
    "cancel with errors (422)": Place("{preorder}/cancel", (press("Cancel and get £12.50 back"),)),
    "cannot be cancelled (409)": Place("{ready}/cancel"),
    "consent": Place("{waiting}/consent"),
    "consent with errors (422)": Place("{waiting}/consent", (press("Send my copy"),)),
    "receipt": Place("{ready}/receipt"),
    "receipt refunded": Place("{refunded}/receipt"),
    "no receipt (404)": Place("{unpaid}/receipt"),
    "billing": Place("{ready}/billing"),
    "billing with errors (422)": Place("{ready}/billing", (press("Save", Organisation="o" * 201),)),
    "address": Place("{library}/address"),
    "address with errors (422)": Place("{library}/address", (press("Mail me the link"),)),
    "address asked": Place(
        "{library}/address",
        (press("Mail me the link", **{"New_e-mail_address": "z@places.example"}),),
    ),
    "address to be confirmed": Place("{confirm}"),
    "address not confirmed (422)": Place("{confirm}", (press("Use this address"),)),
    "undo of an address": Place("{undo}"),
    "undo not sure (422)": Place("{undo}", (press("Undo the change"),)),
    "second address": Place("{library}/second-address"),
    "second address with errors (422)": Place(
        "{library}/second-address", (press("Mail the link"),)
    ),
    "second address given": Place("{seconds_library}/second-address"),
    "second address to be confirmed": Place("{second}"),
    "second not confirmed (422)": Place("{second}", (press("Confirm the second address"),)),
    "second address to be refused": Place("{refuse}"),
    "second address to be taken out": Place("{seconds_library}/second-address/remove"),
    "second not taken out (422)": Place(
        "{seconds_library}/second-address/remove", (press("Take it out"),)
    ),
    "erase": Place("{library}/erase"),
    "erase not sure (422)": Place("{library}/erase", (press("Erase my data"),)),
    "erasure that waits": Place("{leaving_library}/erase"),
    "library to be erased": Place("{leaving_library}"),
    "erasure to be stopped": Place("{keep}"),
    "link of somebody erased (410)": Place("{erased}"),
    "end links": Place("{library}/end-links"),
    "end links not sure (422)": Place(
        "{library}/end-links", (press("End my links, mail me a fresh one"),)
    ),
    "your data to be asked for": Place("{library}/data"),
    "your data asked for": Place("{library}/data", (press("Mail me the link to my data"),)),
    "your data": Place("{data}"),
    "link ended (410)": Place("{ended}"),
    "move": Place("{accept_order}/move"),
    "move with errors (422)": Place("{accept_order}/move", (press("Mail the link"),)),
    "accept an order": Place("{accept}"),
    "accept not sure (422)": Place("{accept}", (press("Accept the order"),)),
    "cannot be moved (409)": Place("{held_order}/move"),
    "object to a move": Place("{object}"),
    "object not sure (422)": Place("{object}", (press("Object to the move"),)),
    "order held": Place("{held_order}"),
    "library held": Place("{held_library}"),
    "library": Place("{library}"),
    "library waiting": Place("{library_waiting}"),
    "link expired (410)": Place("{expired}"),
    "fresh link asked for": Place("{expired}", (press("Mail me a fresh link"),)),
    "stop": Place("{stop}"),
    "stopped or resumed": Place(
        "{stop}", (lambda page: follow(page, page.locator("main button").first),)
    ),
    "find my copies": Place("/find-my-copies"),
    "find with errors (422)": Place("/find-my-copies", (press("Mail me my links"),)),
    "looked for": Place(
        "/find-my-copies",
        (press("Mail me my links", **{"E-mail_address_or_order_reference": "x@y.example"}),),
    ),
    "inbox": Place("/demo/inbox"),
    "inbox empty": Place("/demo/inbox?to=nobody@places.example"),
    "letter in the inbox": Place("/demo/inbox/{letter}"),
}
EDITION = "/admin/publications/{out}/editions/2"
DRAFT = "/admin/publications/{draft}"
DESK = {
    "desk": Place("/admin/"),
    "desk publications": Place("/admin/publications"),
    "desk new publication": Place("/admin/publications/new"),
    "desk new with errors (422)": Place(
        "/admin/publications/new", (lambda page: follow(page, page.locator("main button").last),)
    ),
    "desk publication": Place("/admin/publications/{out}"),
    "desk edit publication": Place("/admin/publications/{out}/edit"),
    "desk move date": Place(
        "/admin/publications/{dated}/date?new_on=2199-01-29&reason=It+takes+longer."
    ),
    "desk move date with errors (422)": Place(
        "/admin/publications/{dated}/date", (press("Show the letter with this"),)
    ),
    "desk date moved": Place("/admin/publications/{dated}/date/1"),
    "desk cover": Place("/admin/publications/{out}/cover"),
    "desk sample": Place("/admin/publications/{out}/sample"),
    "desk chapters": Place("/admin/publications/{out}/sample/chapters"),
    "desk chapters with errors (422)": Place(
        "/admin/publications/{out}/sample/chapters", (press("Make the sample"),)
    ),
    "desk retire": Place("/admin/publications/{out}/retire"),
    "desk upload": Place("/admin/publications/{out}/upload"),
    "desk upload with errors (422)": Place("/admin/publications/{out}/upload", (press("Upload"),)),
    "desk draft": Place(DRAFT + "/editions/2"),
    "desk draft people": Place(DRAFT + "/editions/2/people/gets"),
    "desk released people": Place(EDITION + "/people/handed_over"),
    "desk statement": Place(EDITION + "/statement"),
    "desk draft edit": Place(DRAFT + "/editions/2/edit"),
    "desk released": Place(EDITION),
    "desk recall": Place(EDITION + "/recall"),
    "desk withdraw": Place(EDITION + "/withdraw"),
    "desk orders": Place("/admin/orders"),
    "desk orders none found": Place("/admin/orders?q=nobody"),
    "desk order": Place("/admin/orders/{reference}"),
    "desk receipt": Place("/admin/orders/{reference}/receipt"),
    "desk refund": Place("/admin/orders/{reference}/refund"),
    "desk refund with errors (422)": Place(
        "/admin/orders/{reference}/refund",
        (
            lambda page: page.get_by_label("Amount in GBP").fill("a lot"),
            lambda page: follow(page, page.locator("main .danger")),
        ),
    ),
    "desk order to be paid by bank": Place("/admin/orders/{transfer_reference}"),
    "desk money received": Place("/admin/orders/{transfer_reference}/received"),
    "desk disputes": Place("/admin/disputes"),
    "desk dispute": Place("/admin/disputes/{dispute}"),
    "desk dispute to be submitted": Place("/admin/disputes/{dispute}/submit"),
    "desk transfers": Place("/admin/transfers"),
    "desk accounts": Place("/admin/accounts"),
    "desk discounts": Place("/admin/discounts"),
    "desk new discount": Place("/admin/discounts/new"),
    "desk new discount with errors (422)": Place(
        "/admin/discounts/new", (press("Add the discount"),)
    ),
    "desk give a copy": Place("/admin/publications/{out}/give"),
    "desk bring in customers": Place("/admin/publications/{out}/import"),
    "desk a file of customers": Place("/admin/publications/{out}/import", (choose_customers,)),
    "desk customers": Place("/admin/customers"),
    "desk customer": Place("/admin/customers/{customer}"),
    "desk address": Place("/admin/customers/{customer}/address"),
    "desk address with errors (422)": Place(
        "/admin/customers/{customer}/address", (press("Correct the address"),)
    ),
    "desk note with errors (422)": Place("/admin/customers/{customer}", (press("Save the note"),)),
    "desk one person twice": Place("/admin/customers/{customer}/merge"),
    "desk two customers": Place("/admin/customers/{customer}/merge?with={seconds_customer}"),
    "desk two customers with errors (422)": Place(
        "/admin/customers/{customer}/merge?with={seconds_customer}",
        (press("Make them one customer"),),
    ),
    "desk search": Place("/admin/search?q=reader"),
    "desk search none found": Place("/admin/search?q=zzzz"),
    "desk erase": Place("/admin/customers/{customer}/erase"),
    "desk erase with errors (422)": Place(
        "/admin/customers/{customer}/erase", (press("Erase them"),)
    ),
    "desk customer to be erased": Place("/admin/customers/{leaving_customer}"),
    "desk end links": Place("/admin/customers/{customer}/end-links"),
    "desk second address": Place("/admin/customers/{seconds_customer}/second-address/remove"),
    "desk order held": Place("/admin/orders/{held_reference}"),
    "desk customer whose letter came back": Place("/admin/customers/{returned_customer}"),
    "desk letters that came back": Place("/admin/repairs"),
    "desk giving up": Place("/admin/repairs/{repair}/give-up"),
    "desk letter that came back": Place("/admin/letters/{returned}"),
    "desk letters": Place("/admin/letters"),
    "desk letter": Place("/admin/letters/{delivery}"),
    "desk seller": Place("/admin/seller"),
    "desk staff": Place("/admin/staff"),
    "desk staff with errors (422)": Place("/admin/staff", (press("Send the invitation"),)),
    "desk member of staff": Place("/admin/staff/{member}"),
    "desk remove staff": Place("/admin/staff/{member}/remove"),
    "desk join": Place("{join}"),
    "desk name": Place("/admin/account/name"),
    "desk settings": Place("/admin/settings"),
    "desk connections tried": Place("/admin/settings", (press("Try the connections"),)),
    "desk paragraphs": Place("/admin/settings/terms"),
    "desk face": Place("/admin/settings/face"),
    "desk record": Place("/admin/audit"),
    "desk bank details": Place("/admin/seller/bank"),
    "desk account": Place("/admin/account"),
    "desk password": Place("/admin/account/password"),
    "desk two steps": Place("/admin/account/two-step"),
    "desk unknown (404)": Place("/admin/no-such-page"),
}
