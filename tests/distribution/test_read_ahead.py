"""Facts read ahead of a letter's turn: whatever changes them takes the letter's claim away."""

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from flask import Flask, current_app

import store
from store.catalog.models import Edition
from store.distribution import import_export, recalling
from store.distribution.recipients import HELD
from store.entitlements import (
    addresses,
    erasing,
    fresh_links,
    granting,
    links,
    order_moves,
    parting,
    second_addresses,
)
from store.entitlements.models import Link
from store.kit import clock
from store.kit.database import db, end_read, transaction
from store.kit.mailboxes import ERASED
from store.mail import claims, outbox, preparing, returns, worker
from store.mail.claims import Claim, Prepared
from store.mail.ledger import ledger
from store.mail.letters import Letter
from store.mail.models import Delivery, DeliveryStatus, ReturnKind
from store.mail.preparing import Ahead, prepare, read_ahead
from store.orders.customers import find_or_add_customer
from store.orders.models import Customer, Order
from tests.conftest import Clock, on_both_when_long, on_postgresql
from tests.editions import a_shop, drafted_and_released
from tests.letters import deliveries, send, sent, text_of
from tests.news import stop_news
from tests.purchases import buy
from tests.statements import statements

ANNA, BEN, CLEO, DORA = (f"{name}@reader.example" for name in ("anna", "ben", "cleo", "dora"))


class At(NamedTuple):
    """Where something changes: rows of the session that is open."""

    order: Order
    customer: Customer
    edition: Edition


Step = Callable[[At], object]


class Change(NamedTuple):
    """What is done amid the letters, perhaps after something else was done before they were owed;
    what becomes of Ben's letter: its status, the reason, and to whom it went."""

    now: Step
    left_out: str = ""
    goes_to: str = BEN
    before: Step | None = None
    status: DeliveryStatus = DeliveryStatus.SKIPPED


def _link(purpose: str) -> Link:
    newest = sa.select(Link).where(Link.purpose == purpose).order_by(Link.id.desc())
    return db.session.scalars(newest.limit(1)).one()


def _another(_: At) -> None:
    find_or_add_customer(DORA, "Dora")


def _move(at: At) -> None:
    order_moves.accept_move(order_moves.request_move(at.order.id, DORA))


def _second(at: At) -> None:
    second_addresses.confirm_second(second_addresses.request_second(at.customer, DORA))


def _merge(at: At) -> None:
    dora = db.session.scalars(sa.select(Customer).where(Customer.email_key == DORA)).one()
    addresses.merge_customers(at.customer, dora, "Olga")


def _made_one(at: At) -> None:
    addresses.merge_customers(find_or_add_customer(DORA, "Dora"), at.customer, "Olga")


def _part(at: At) -> None:
    parting.part_customers(parting.merges_of(at.customer.id)[0].id, at.customer.id, "Olga")


def _come_back(at: At) -> None:
    first = sa.select(Delivery).where(Delivery.customer_id == at.customer.id)
    letter = db.session.scalars(first.order_by(Delivery.id).limit(1)).one()
    returns.take(letter.id, ReturnKind.HARD, words="550 5.1.1 Gone", key="report")


CHANGES = {
    "came back": Change(_come_back, left_out=outbox.ON_HOLD, status=DeliveryStatus.HELD),
    "refund": Change(
        lambda at: granting.settle_access(at.order, is_refunded=True), left_out="refunded"
    ),
    "cancelled": Change(
        lambda at: granting.settle_access(at.order, is_cancelled=True), left_out="refunded"
    ),
    "dispute": Change(
        lambda at: granting.settle_access(at.order, is_suspended=True), left_out="suspended"
    ),
    "dispute lost": Change(
        lambda at: granting.settle_access(at.order, is_lost=True), left_out="refunded"
    ),
    "another right": Change(lambda at: buy(at.edition.publication, BEN)),
    "consent": Change(lambda at: granting.start_supply(at.order)),
    "stop": Change(
        lambda at: stop_news(at.customer.id, at.edition.publication_id),
        left_out="asked us to stop",
    ),
    "address by staff": Change(
        lambda at: addresses.correct_address(at.customer, DORA, "Olga"), goes_to=DORA
    ),
    "address by its page": Change(
        lambda _: addresses.confirm_change(_link("address")),
        goes_to=DORA,
        before=lambda at: addresses.request_change(at.customer, DORA),
    ),
    "address undone": Change(
        lambda _: addresses.undo_change(_link("undo")),
        before=lambda at: addresses.correct_address(at.customer, DORA, "Olga"),
    ),
    "two become one": Change(_merge, goes_to=DORA, before=_another),
    "two are parted again": Change(_part, before=_made_one),
    "links": Change(lambda at: fresh_links.end_links(at.customer, "Olga")),
    "second address out": Change(
        lambda at: second_addresses.remove_second(at.customer, "Olga"), before=_second
    ),
    "second address refused": Change(
        lambda _: second_addresses.refuse_second(_link("refuse")), before=_second
    ),
    "order moved": Change(
        lambda _: order_moves.accept_move(_link("move")),
        left_out=order_moves.MOVED_AWAY,  # the confirmation that goes to Dora carries the edition
        before=lambda at: order_moves.request_move(at.order.id, DORA),
    ),
    "order held": Change(
        lambda _: order_moves.hold_order(_link("undo")), left_out=HELD, goes_to=DORA, before=_move
    ),
    "erased": Change(
        lambda at: erasing.erase_person(at.customer.id, clock.now()),
        left_out=ERASED,
        goes_to=ERASED,
    ),
    "name": Change(lambda at: import_export._name([(at.customer, "Ben")])),
}
# Conditions of the commit with which a letter begins.
HELD_BACK = {
    "withdrawn": Change(lambda at: recalling.withdraw(at.edition, "Olga"), left_out="withdrawn"),
    "recalled": Change(lambda at: recalling.recall(at.edition, "Olga"), left_out="recalled"),
    "paused": Change(lambda at: recalling.pause(at.edition, "Olga")),
}


@pytest.fixture
def shop(app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """Three have edition 1; one claim takes all that wait."""
    monkeypatch.setattr(claims, "_shares", lambda: 1)
    publication = a_shop()
    for address, name in ((ANNA, "Anna"), (BEN, ""), (CLEO, "Cleo")):
        with transaction():
            buy(publication, address, name)
    send()
    return app


def _at() -> At:
    """Ben's order, wherever it is now, and the newest edition."""
    order = db.session.scalars(sa.select(Order).order_by(Order.id).offset(1).limit(1)).one()
    newest = sa.select(Edition).order_by(Edition.number.desc()).limit(1)
    return At(order, order.customer, db.session.scalars(newest).one())


def _do(step: Step) -> None:
    with current_app.app_context(), transaction():
        step(_at())


def _owe(change: Change) -> Edition:
    """Edition 2 waits to be mailed to all three."""
    if change.before is not None:
        _do(change.before)
        send()
    return drafted_and_released(_at().edition.publication, 2)


def _bens(ahead: Ahead) -> Claim:
    """The claim of Ben's letter, which was read ahead with those of the others."""
    with current_app.app_context():
        theirs = sa.select(Delivery.id).where(Delivery.customer_id == _at().customer.id)
        ids = set(db.session.scalars(theirs))
    (claim,) = (claim for claim in ahead if claim.delivery_id in ids)
    assert len(ahead) == 3
    assert all(ahead.values())
    return claim


def _claimed() -> list[Claim]:
    return ledger().claim(None, claims.new_name())


def _read_then(change: Change) -> Claim:
    """The claim of Ben's letter, after it was read ahead and something has changed since."""
    _owe(change)
    db.session.rollback()
    claim = _bens(read_ahead(_claimed()))
    _do(change.now)
    return claim


def _begins(claim: Claim) -> bool:
    return ledger().begin(None, claim, "<m@shop.example.org>", BEN) is not None


def _send_amid(monkeypatch: pytest.MonkeyPatch, change: Change) -> list[EmailMessage]:
    """Send the notices of edition 2; all are read before something changes, and leave after it."""
    done: list[Claim] = []

    def read_then_changed(claims: Sequence[Claim]) -> Ahead:
        ahead = read_ahead(claims)
        if not done:
            done.append(_bens(ahead))
            _do(change.now)
        return ahead

    with monkeypatch.context() as amid:
        amid.setattr(worker, "read_ahead", read_then_changed)
        letters = sent()
    assert done
    return [letter for letter in letters if "Edition 2" in letter["Subject"]]


def _address(letter: EmailMessage) -> str:
    return str(letter["To"].addresses[0].addr_spec)


@on_both_when_long
@pytest.mark.parametrize("name", [*CHANGES, *HELD_BACK])
def test_a_letter_that_was_read_before_a_change_does_not_begin_after_it(
    shop: Flask, name: str
) -> None:
    assert not _begins(_read_then((CHANGES | HELD_BACK)[name]))


@pytest.mark.long
@on_both_when_long
@pytest.mark.parametrize("name", CHANGES)
def test_control_with_its_claim_left_it_would(
    shop: Flask, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(outbox, "_unclaim", lambda *_: None)
    monkeypatch.setattr(outbox, "leave_out", lambda *_: 0)
    assert _begins(_read_then(CHANGES[name]))


@on_both_when_long
@pytest.mark.parametrize("name", [*CHANGES, *HELD_BACK])
def test_it_is_read_again_and_says_what_holds(
    shop: Flask, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    change = (CHANGES | HELD_BACK)[name]
    edition = _owe(change)
    letters = _send_amid(monkeypatch, change)

    bens = [] if change.left_out else [change.goes_to]
    told = [] if name in HELD_BACK else [ANNA, *bens, CLEO]
    assert sorted(map(_address, letters)) == sorted(told)
    if change.left_out:
        assert deliveries(edition)[change.goes_to] == (change.status, change.left_out)
    for letter in letters:
        (token,) = re.findall(r"/library/(\S+)", text_of(letter))
        assert links.open_link(token, "library").customer.email == _address(letter)
    db.session.rollback()


def test_a_new_name_is_in_the_letter(shop: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    _owe(CHANGES["name"])
    letters = _send_amid(monkeypatch, CHANGES["name"])
    assert "Ben <ben@reader.example>" in {letter["To"] for letter in letters}


def test_who_stopped_is_asked_about_at_the_turn_of_the_letter(shop: Flask) -> None:
    """Whether a stop holds a letter back hangs on what else has reached its reader."""
    _do(lambda at: stop_news(at.customer.id, at.edition.publication_id))
    _owe(CHANGES["stop"])
    with transaction() as session:
        stopped = sa.update(Delivery).where(Delivery.status == DeliveryStatus.SKIPPED)
        session.execute(stopped.values(status=DeliveryStatus.QUEUED))
    assert [known is None for known in read_ahead(_claimed()).values()] == [False, True, False]


def test_what_is_read_ahead_is_written_with_it_and_leaves_so(
    shop: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    _owe(CHANGES["stop"])
    read: list[Ahead] = []

    def kept(claims: Sequence[Claim]) -> Ahead:
        read.append(read_ahead(claims))
        return dict(read[-1])

    monkeypatch.setattr(worker, "read_ahead", kept)
    letters = [letter.as_bytes() for letter in sent()[-3:]]
    written = [known.written for known in read[0].values() if known is not None]
    assert len(written) == len(letters) == 3
    assert all(letter is not None for letter in written)
    marks = [letter.message_id.encode() for letter in written if letter is not None]
    assert all(mark in letter for mark, letter in zip(marks, letters, strict=True))


def test_one_that_was_tried_before_is_written_at_its_turn_under_the_name_it_had(
    shop: Flask,
) -> None:
    _owe(CHANGES["stop"])
    db.session.rollback()
    claim = _claimed()[1]
    assert ledger().begin(None, claim, "<mark@shop.example.org>", BEN) is not None
    with transaction() as session:
        tried = sa.update(Delivery).where(Delivery.id == claim.delivery_id)
        session.execute(tried.values(status=DeliveryStatus.QUEUED))
    (known,) = read_ahead([claim]).values()
    assert known is not None
    assert known.written is None
    written = prepare(claim, known)
    assert isinstance(written, Prepared)
    assert written.message_id == "<mark@shop.example.org>"
    end_read()


def test_one_that_cannot_be_written_waits_for_its_turn_and_stops_no_other(
    shop: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    edition = _owe(CHANGES["stop"])
    write = preparing.octets_of

    def fails_for_ben(letter: Letter, *rest: Any) -> bytes:
        if letter.to.address == BEN:
            raise ZeroDivisionError
        return write(letter, *rest)

    monkeypatch.setattr(preparing, "octets_of", fails_for_ben)
    send()
    found = deliveries(edition)
    assert found[BEN] == (DeliveryStatus.HELD, "could not be written: ZeroDivisionError")
    assert {found[ANNA][0], found[CLEO][0]} == {DeliveryStatus.SENT}


@on_postgresql
def test_after_a_read_its_connection_waits_for_the_disk_again(shop: Flask) -> None:
    _owe(CHANGES["stop"])
    db.session.remove()
    claims = _claimed()
    with db.engine.begin() as connection:  # databases of tests wait for none
        connection.execute(sa.text("SET synchronous_commit = on"))
    read_ahead(claims)
    says = sa.text("SELECT current_setting('synchronous_commit')")
    with db.engine.connect() as connection:  # the one that was given back last
        assert connection.scalar(says) == "on"


def test_three_are_read_in_as_many_statements_as_two(shop: Flask) -> None:
    _owe(CHANGES["stop"])
    db.session.rollback()
    three = _claimed()
    with statements() as of_two:
        read_ahead(three[:2])
    with statements() as of_three:
        read_ahead(three)
    # The letters, the edition, the rights, the holds, the seller.
    assert (len(of_two), len(of_three)) == (5, 5)


# Whatever writes what a notice is made of, with the changes above that walk through it; else why no
# notice that was read ahead is out of date by it.
WRITERS: dict[str, set[str] | str] = {
    "distribution.recalling.withdraw": {"withdrawn"},
    "distribution.releasing._begin_terms": "of the first edition, before its letters are owed",
    "entitlements.addresses._put": {"address by staff", "address by its page", "address undone"},
    "entitlements.addresses._rewrite": "of moves of orders, which no notice speaks of",
    "entitlements.addresses._end_later_undos": "a notice has no link that objects",
    "entitlements.addresses._leave_behind": "a notice has no link that objects",
    "entitlements.addresses.forget_unproved_addresses": "a notice has none of them",
    "entitlements.clearing._clear_few": "of nothing that a notice says",
    "entitlements.clearing._take": "of rows that are years old, long after their letters",
    "entitlements.erasing._blank": {"erased"},
    "entitlements.erasing._blank_customers": {"erased"},
    "entitlements.erasing._end_rights": {"erased"},
    "entitlements.erasing._part_from": "of who came back after a restore, with claims taken before",
    "entitlements.erasures._note_stopped": "of an erasure",
    "entitlements.merging._end_erasure": "of an erasure",
    "entitlements.granting.revoke_order": {"refund", "cancelled", "dispute lost"},
    "entitlements.granting._settle_right": {"dispute"},
    "entitlements.granting.start_supply": {"consent"},
    "entitlements.shared_addresses.forget_elsewhere": {"erased"},
    "entitlements.shared_addresses._forget_letters": "of a second address, whose end was seen before",
    "entitlements.links._revoke": {"links"},
    "entitlements.links.use_up": "a notice has no link of one act",
    "entitlements.merging.bring_together": {"two become one"},
    "entitlements.merging._hand_over_rows": {"two become one"},
    "entitlements.merging._join": {"two become one"},
    "entitlements.merging._one_stop_each": {"two become one"},
    "entitlements.news._put": {"stop"},
    "entitlements.on_file.end_second": {"second address out", "second address refused"},
    "entitlements.order_moves.hold_order": {"order held"},
    "entitlements.order_moves.settle_held": "what is held is never read ahead",
    "entitlements.order_moves.hand_over": {"order moved"},
    "entitlements.order_moves._confirm_moved": {"order moved"},
    "entitlements.journal_after_restore._end": "while a restore holds every letter",
    "mail.heartbeats.beat": "of a worker",
    "mail.holds.put_hold": {"came back"},
    "mail.outbox._insert": "the letter itself, which nobody has claimed",
    "mail.outbox._requeue": "nobody has claimed such a letter",
    "mail.outcomes._move_on": "of the letter that is under way",
    "mail.returned_mailbox.read_returned": "of the mailbox",
    "mail.outbox.retry": "nobody has claimed such a letter",
    "mail.outbox.forget_addresses": "nobody has claimed such a letter",
    "orders.customers.rename": {"name"},
    "distribution.tallies.keep": "counts for the pages of the desk",
    "entitlements.parting.part_customers": {"two are parted again"},
    "entitlements.parting._give_back": {"two are parted again"},
    "entitlements.parting._part_rights": {"two are parted again"},
    "entitlements.parting._part_stops": {"two are parted again"},
    "payments.inbox._taken_up": "of a gateway's event",
    "payments.fulfilment._hold_back": "of a checkout",
    "payments.fulfilment._take_payment": "of a checkout",
}
_MADE_OF = {
    "revoked_at",
    "suspended_at",
    "held_at",
    "updates_until",
    "from_edition_id",
    "customer_id",
    "edition_id",
    "occasion",
    "address",
    "email",
    "name",
    "new_email",
    "stopped_at",
}


def _writers() -> Iterator[str]:
    """Functions that set a column of one of these names, by row or by statement."""
    root = Path(store.__file__).parent
    for room in ("distribution", "entitlements", "mail", "orders", "payments"):
        for path in sorted(root.glob(f"{room}/**/*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef) and _writes(node):
                    module = path.relative_to(root).with_suffix("")
                    yield f"{'.'.join(module.parts)}.{node.name}"


def _writes(function: ast.FunctionDef) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names = {node.attr}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            is_values = node.func.attr == "values"
            if is_values and (node.args or any(given.arg is None for given in node.keywords)):
                return True  # who knows what is in them
            names = {given.arg or "" for given in node.keywords} if is_values else set()
        else:
            continue
        if names & _MADE_OF:
            return True
    return False


def test_every_writer_of_what_a_notice_is_made_of_is_listed() -> None:
    assert set(_writers()) == set(WRITERS)
    walked = {name for names in WRITERS.values() if isinstance(names, set) for name in names}
    assert walked <= CHANGES.keys() | HELD_BACK.keys()
