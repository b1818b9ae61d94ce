"""Letters: what each room registers of its kinds, how one is put into words, and its octets.

The outbox knows this registry and never the rooms, which import it.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast
from urllib.parse import quote, urlsplit

import css_inline
import jinja2
from flask import current_app

from store.kit import clock
from store.kit.config import config
from store.kit.errors import NotFound, Refusal
from store.kit.formatting import FILTERS
from store.kit.mailboxes import OwnAddressUnwritable, own_address, wire_domain
from store.kit.text import clean_line, cut_line, plain_name
from store.mail.marks import handed_back, new_mark, return_path
from store.mail.mime import (
    EncodedText,
    Envelope,
    LetterText,
    Mailbox,
    address_envelope,
    compose,
)
from store.mail.models import Delivery

_LONGEST_SUBJECT = 70
_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n){2,}")

# Inlined letter by letter (60 µs each, tried): inlining the template's source would make an HTML
# parser read Jinja, and would miss what a value brings, such as the lists in notes on a change.
_inliner = css_inline.CSSInliner(keep_style_tags=True, load_remote_stylesheets=False)


@dataclass(frozen=True)
class Letter:
    """One letter ready to be written: to whom, with which values in its templates.

    `own` names the values that are each reader's own and stand in the templates as they are; the
    rest of such a letter is cut once.

    A buyer may type any name beside somebody else's address. So it is made plain here, where every
    letter passes, and is the only one: templates find it as `name`.
    """

    to: Mailbox
    context: dict[str, Any]
    list_id: str | None = None
    unsubscribe_url: str | None = None
    own: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        name = plain_name(self.to.name)
        if name != self.to.name:
            object.__setattr__(self, "to", Mailbox(self.to.address, name))
        object.__setattr__(self, "context", self.context | {"name": name})

    def to_second(self, address: str) -> "Letter":
        """The same news to the reader's second address, which says why it comes there."""
        to = Mailbox(address, self.to.name)
        return replace(self, to=to, context=self.context | {"is_to_second": True})


@dataclass(frozen=True)
class Skip:
    """The letter is no longer wanted (a refund, a stop): it is left out, with the reason."""

    reason: str


@dataclass(frozen=True)
class Hold:
    """The letter waits for a person, with the reason."""

    reason: str


Facts = Callable[[Delivery], Letter | Skip | Hold]
# By delivery; what had better be asked at its turn is not there.
FactsOfMany = Callable[[Sequence[Delivery]], dict[int, Letter]]
Sample = Callable[[], "dict[str, Any] | Letter"]


@dataclass(frozen=True)
class Kind:
    """What is registered of one kind of letter."""

    name: str
    facts: Facts
    sample: Sample | None
    many: FactsOfMany | None = None


class SettingFault(Exception):
    """What stands on every letter cannot be written; says which setting, in words."""


class KindUnknown(NotFound):
    """A kind of letter that no room has registered."""

    sentence = "There is no letter of this kind."


_kinds: dict[str, Kind] = {}
_seller: Callable[[], Any] | None = None


def letter(
    kind: str, *, sample: Sample | None = None, many: FactsOfMany | None = None
) -> Callable[[Facts], Facts]:
    """Register the function that finds the facts of one delivery of this kind.

    It is called just before the letter leaves, in a short read: it writes nothing. `sample`
    gives plausible values for a preview, a context or a whole `Letter`. `many` finds the facts of
    several in a few statements, ahead of their turn, where the letter leaves and hangs on nothing
    that changes without `outbox.look_again`.
    """

    def register(facts: Facts) -> Facts:
        _kinds[kind] = Kind(kind, facts, sample, many)
        return facts

    return register


def kinds() -> list[str]:
    """Every kind of letter that can be written, in alphabetical order."""
    return sorted(_kinds)


def facts_of(delivery: Delivery) -> Letter | Skip | Hold:
    """The facts as they are now. Raises `KindUnknown`, and whatever the room's function raises."""
    return _kind(delivery.kind).facts(delivery)


def facts_of_many(deliveries: Sequence[Delivery]) -> dict[int, Letter]:
    """What can be known ahead of several, by delivery. Raises whatever the rooms' functions raise."""
    by_kind: dict[str, list[Delivery]] = defaultdict(list)
    for delivery in deliveries:
        by_kind[delivery.kind].append(delivery)
    found: dict[int, Letter] = {}
    for name, theirs in by_kind.items():
        many = _kinds[name].many if name in _kinds else None
        if many is not None:
            found |= many(theirs)
    return found


def preview(kind: str) -> LetterText:
    """The letter with sample values; touches no row but the seller's. Raises `KindUnknown`."""
    return render_letter(kind, preview_letter(kind).context)


def preview_letter(kind: str) -> Letter:
    """What a preview is made of: a `Letter` to a sample reader. Raises `KindUnknown`."""
    registered = _kind(kind)
    given = registered.sample() if registered.sample else {}
    if isinstance(given, Letter):
        return given
    return Letter(Mailbox("sample.reader@example.org", "Sample Reader"), given)


def _kind(name: str) -> Kind:
    if name not in _kinds:
        raise KindUnknown(f"There is no letter of the kind “{name}”.")
    return _kinds[name]


def register_seller(current_seller: Callable[[], Any]) -> None:
    """Say how the seller of today is found; a room above the outbox knows."""
    global _seller  # noqa: PLW0603 - set once, while the shop is put together
    _seller = current_seller


def seller() -> Any:
    """Who sells, as stated now: `trading_name`, `email`, `reply_to` and more."""
    if _seller is None:
        raise RuntimeError("no room has said who sells")
    return _seller()


def render_letter(kind: str, context: dict[str, Any]) -> LetterText:
    """Fill in `letters/<kind>/{subject.txt,body.txt,body.html}`; a variable that is missing raises.

    `seller`, `face` and `base_url` are always there; a `seller` in the context wins (an order keeps
    the one it saw), while the face is that of today.
    """
    values = {"base_url": config().base_url} | context
    if "seller" not in values:
        values["seller"] = seller()
    if "face" not in values:
        values["face"] = seller().face
    text, html = _environments()
    folder = f"letters/{kind}"
    # The letter itself has the whole of it; a list of letters shows half.
    values["subject"] = clean_line(text.get_template(f"{folder}/subject.txt").render(values))
    body = text.get_template(f"{folder}/body.txt").render(values)
    return LetterText(
        subject=cut_line(values["subject"], _LONGEST_SUBJECT),
        # One blank line at most, so that templates need not count them; lines stay as written.
        text=_BLANK_LINES.sub("\n\n", body).strip() + "\n",
        html=_inliner.inline(html.get_template(f"{folder}/body.html").render(values)),
    )


def octets_of(letter: Letter, text: LetterText | EncodedText, message_id: str, who: Any) -> bytes:
    """The letter as it goes after DATA, from the seller `who` to the address of `letter`."""
    answers = who.reply_to or who.email
    return compose(
        text,
        sender=_ours(config().mail_sender, who.trading_name),
        to=letter.to,
        reply_to=_ours(answers) if answers else None,
        message_id=message_id,
        date=clock.now(),
        list_id=letter.list_id,
        unsubscribe_url=letter.unsubscribe_url,
        unsubscribe_mailto=stop_by_mail(letter.unsubscribe_url, message_id),
    )


def stop_by_mail(unsubscribe_url: str | None, message_id: str) -> str | None:
    """The same stop by a mail, for programs that send one: its subject has the link's token. None
    where the shop reads no mailbox to which it would come."""
    settings = config()
    if not unsubscribe_url or settings.bounce_imap is None or not settings.bounce_address:
        return None
    address = quote(own_address(return_path(message_id)), safe="@+=")
    return f"mailto:{address}?subject=stop%20{unsubscribe_url.rpartition('/')[2]}"


@lru_cache(maxsize=64)
def _ours(address: str, name: str = "") -> Mailbox:
    return Mailbox(address, name)


def own_part() -> Any:
    """The seller, once all that every letter bears of the shop's own can be written. Raises
    `SettingFault`."""
    try:
        who = seller()
    except Refusal as refusal:
        raise SettingFault(refusal.sentence) from None
    sender = config().mail_sender
    for address, setting in (
        (sender, "STORE_MAIL_DEFAULT_SENDER"),
        (who.email, "the seller’s e-mail address"),
        (who.reply_to, "the seller’s address for replies"),
    ):
        try:
            _ = own_address(address) if address else ""
        except OwnAddressUnwritable as refusal:
            raise SettingFault(f"{setting}: {refusal.sentence}") from None
    return who


def compose_sample() -> bytes:
    """A letter that goes to nobody, with all that every letter bears. Raises `SettingFault`."""
    return _test_of_settings(config().mail_sender, "It is sent to nobody.")[1]


def compose_test(address: str) -> tuple[Envelope, bytes]:
    """The same to somebody, with its envelope. Raises `SettingFault`, and AddressUnwritable for theirs."""
    return _test_of_settings(
        address, "If you read this, letters of the shop arrive. Nothing is to be done."
    )


def _test_of_settings(address: str, text: str) -> tuple[Envelope, bytes]:
    who, message_id = own_part(), own_message_id(0)
    context = {
        "seller": who,
        "face": who.face,
        "title": "A test of the settings",
        "text": text,
    }
    written = render_letter("staff_alert", context)
    envelope = address_envelope(return_path(message_id), address)
    letter = octets_of(Letter(Mailbox(address), context), written, message_id, who)
    return envelope, handed_back(message_id) + letter


def own_message_id(delivery_id: int) -> str:
    """A new Message-ID in its brackets, of the domain that letters are sent from; it bears the
    letter's mark and asks no DNS."""
    domain = config().mail_sender.rpartition("@")[2] or str(urlsplit(config().base_url).hostname)
    return f"<{new_mark(delivery_id)}@{wire_domain(domain)}>"


def _environments() -> tuple[jinja2.Environment, jinja2.Environment]:
    """One that escapes nothing and one that escapes all: a macro shared by both parts follows
    its caller only where the whole environment agrees."""
    found = current_app.extensions.get("colophon.letters")
    if found is None:
        found = current_app.extensions["colophon.letters"] = (
            _environment(escapes=False),
            _environment(escapes=True),
        )
    return cast(tuple[jinja2.Environment, jinja2.Environment], found)


def _environment(*, escapes: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=current_app.jinja_loader,
        autoescape=escapes,  # noqa: S701 - plain text is not to be escaped
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Another process may replace files while letters go; a batch is cut from one state.
        auto_reload=False,
    )
    environment.filters.update(FILTERS)
    return environment
