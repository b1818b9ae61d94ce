"""The registry of letters: each room says, per kind, how the facts of one delivery are found.

The outbox knows this registry and never the rooms, which import it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from store.kit.errors import NotFound
from store.kit.text import plain_name
from store.mail.mime import LetterText, Mailbox
from store.mail.models import Delivery
from store.mail.rendering import render_letter


@dataclass(frozen=True)
class Letter:
    """One letter ready to be written: to whom, with which values in its templates.

    `own` names the values that are each reader's own and stand in the templates as they are; the
    rest of such a letter is cut once.

    Whoever orders may type anything beside the address of somebody else. So the name is made
    plain here, where every letter passes, and is the only one: templates find it as `name`.
    """

    to: Mailbox
    context: dict[str, Any]
    list_id: str | None = None
    unsubscribe_url: str | None = None
    own: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        to = Mailbox(self.to.address, plain_name(self.to.name))
        object.__setattr__(self, "to", to)
        object.__setattr__(self, "context", self.context | {"name": to.name})


@dataclass(frozen=True)
class Skip:
    """The letter is no longer wanted (a refund, a stop): it is left out, with the reason."""

    reason: str


@dataclass(frozen=True)
class Hold:
    """The letter waits for a person, with the reason."""

    reason: str


Facts = Callable[[Delivery], Letter | Skip | Hold]
Sample = Callable[[], "dict[str, Any] | Letter"]


@dataclass(frozen=True)
class Kind:
    """What is registered of one kind of letter."""

    name: str
    facts: Facts
    sample: Sample | None


class KindUnknown(NotFound):
    """A kind of letter that no room has registered."""

    sentence = "There is no letter of this kind."


_kinds: dict[str, Kind] = {}


def letter(kind: str, *, sample: Sample | None = None) -> Callable[[Facts], Facts]:
    """Register the function that finds the facts of one delivery of this kind.

    It is called just before the letter leaves, in a short read: it writes nothing. `sample`
    gives plausible values for a preview, a context or a whole `Letter`.
    """

    def register(facts: Facts) -> Facts:
        _kinds[kind] = Kind(kind, facts, sample)
        return facts

    return register


def kinds() -> list[str]:
    """Every kind of letter that can be written, in the order of the alphabet."""
    return sorted(_kinds)


def facts_of(delivery: Delivery) -> Letter | Skip | Hold:
    """The facts as they are now. Raises `KindUnknown`, and whatever the room's function raises."""
    return _kind(delivery.kind).facts(delivery)


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
