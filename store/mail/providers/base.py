"""What the modules of the providers share: what is posted, whether it is theirs, values out of JSON."""

import base64
import binascii
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from store.kit import clock
from store.kit.errors import Refusal
from store.kit.text import clean_line
from store.mail.marks import marks_in
from store.mail.reports import Report, judged
from store.mail.returns import ReturnKind

# Providers post what was not taken for a day at most; whatever is older was kept by somebody else.
OLDEST = timedelta(days=2)


class NotTheirs(Exception):
    """A message that does not prove to be the provider's."""


class NotReachable(Refusal):
    """The provider has to be asked, and does not answer: it is to post the message again."""

    status = 503
    sentence = "What came back cannot be read now."


class NotReadable(Exception):
    """A message that is no JSON, or not of the shape that the provider documents."""


@dataclass(frozen=True)
class Posted:
    """What one message says. `once`: its proof, where that does not cover what is said and so must
    not serve a second time."""

    reports: list[Report]
    once: str = ""


Event = Mapping[str, Any]

# Before what a server said some repeat how it was said (RFC 3464, 2.3.6).
_TYPE = re.compile(r"^smtp; *", re.IGNORECASE)


def events_in(body: bytes) -> list[Event]:
    """One event, or a list of them. Raises `NotReadable`."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise NotReadable("no JSON") from None
    events = found if isinstance(found, list) else [found]
    if not all(isinstance(one, dict) for one in events):
        raise NotReadable("events are objects")
    return events


def part(event: Event, *names: str) -> Event:
    """The object that stands under these names, one in the other; empty where it is left out.
    Raises `NotReadable` where something else stands there."""
    for name in names:
        found = event.get(name)
        if found is not None and not isinstance(found, dict):
            raise NotReadable(f"{name} is an object")
        event = found or {}
    return event


def text(event: Event, *names: str) -> str:
    """The first of these values that is text or a number and not empty, without what no database
    takes: NUL and halves of signs."""
    values = (event.get(name) for name in names)
    said = (str(one) for one in values if isinstance(one, str | int) and not isinstance(one, bool))
    found = next((one for one in said if one), "")
    return found.replace("\0", "").encode("utf-8", "replace").decode()


def must_be_recent(seconds: str) -> None:
    """Of a moment that was signed, in seconds since 1970. Raises `NotTheirs`."""
    if not (seconds.isdecimal() and len(seconds) < 12):
        raise NotTheirs("no moment is signed")
    if abs(clock.now() - datetime.fromtimestamp(int(seconds), UTC)) > OLDEST:
        raise NotTheirs("it was signed too long ago")


def is_secret(headers: Mapping[str, str], known: Iterable[SecretStr]) -> bool:
    """Whether the message shows a secret of ours: as the password of Basic or as a Bearer token."""
    given = {name.lower(): value for name, value in headers.items()}.get("authorization", "")
    scheme, _, value = given.partition(" ")
    shown = value.strip()
    if scheme.lower() == "basic":
        try:
            _, _, shown = base64.b64decode(shown, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return False
    elif scheme.lower() != "bearer":
        return False
    given_one = shown.encode()
    return any(secrets.compare_digest(given_one, one.get_secret_value().encode()) for one in known)


def report(
    kind: ReturnKind | None,
    *,
    key: str,
    recipient: str,
    words: str = "",
    status: str = "",
    shown: Iterable[str] = (),
    relay_ids: Iterable[str] = (),
) -> Report:
    """What one event says; without `kind` the server's words decide. A complaint quotes none."""
    words = _TYPE.sub("", words)
    by_words, code = judged(status, words)
    return Report(
        kind=kind or by_words,
        status=code,
        words=clean_line(words)[:1000],
        recipient=recipient or None,
        key=key,
        marks=tuple(marks_in(*shown)[:8]),
        relay_ids=tuple(one for one in relay_ids if one),
    )
