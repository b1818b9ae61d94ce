"""The shop asked at its public address: what stands before it, and what it makes of a request.

The question carries a word that is signed and good for one answer within a minute, so that nobody else
learns what the shop sees. Beside it goes an address that we claim to ask from: a proxy that passes it on
as it came lets anybody claim any.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.util import Timeout

from store.kit import limits, tokens
from store.kit.config import config
from store.kit.storage import storage
from store.staff.surroundings import compare_clock

SECONDS = 10.0
GOOD_FOR_SECONDS = 60
PURPOSE = "seen"
WORD = "X-Shop-Check"
DOOR, FILE_DOOR = "/seen", "/seen/file"
# Nobody's (RFC 5737): where the shop takes it for who asks, it believes anything.
CLAIMED = "192.0.2.77"
_UNREACHED = (502, 503, 504)


def may_see(word: str, door: str) -> str | None:
    """The reference in a word that `store check` has just made, once for each door; else None."""
    try:
        reference = tokens.read(word, PURPOSE, GOOD_FOR_SECONDS)
    except (tokens.NotValid, tokens.Unreadable):
        return None
    is_first = limits.is_turn(f"{door} {reference}", 2 * GOOD_FOR_SECONDS)
    return reference if is_first else None


def probe_key(reference: str) -> str:
    """Where the file lies by which it is tried that the server in front sends files."""
    return f"probes/{reference}"


def ask(url: str) -> tuple[str, str]:
    """Ask the shop at `url`; returns what it saw in words, and a note. Raises where it is not reached, or
    takes a request for what it is not."""
    reference = tokens.new_reference()
    pool = urllib3.PoolManager(timeout=Timeout(SECONDS), retries=False)
    answer = _answer(pool, url.rstrip("/") + DOOR, reference)
    if answer.status != 200 or "application/json" not in answer.headers.get("Content-Type", ""):
        raise RuntimeError(_unlike(url, answer))
    compare_clock(answer.headers.get("Date"), f"that of {url}")
    seen = answer.json()
    if faults := _faults(url, seen):
        raise RuntimeError("; ".join(faults))
    note = _about_files(pool, url.rstrip("/") + FILE_DOOR, reference)
    return f"{url} is seen as {seen['scheme']}://{seen['host']}, asked from {seen['remote']}", note


def _answer(pool: urllib3.PoolManager, url: str, reference: str) -> urllib3.BaseHTTPResponse:
    word = tokens.sign(reference, PURPOSE)
    headers = {WORD: word, "X-Forwarded-For": CLAIMED, "User-Agent": "store check"}
    try:
        return pool.request("GET", url, headers=headers, redirect=False)
    except urllib3.exceptions.SSLError as fault:
        raise RuntimeError(f"{url} has no certificate that can be trusted: {fault}") from None
    except urllib3.exceptions.HTTPError as fault:
        raise RuntimeError(f"{url} is not reached: {fault}") from None


def _unlike(url: str, answer: urllib3.BaseHTTPResponse) -> str:
    if 300 <= answer.status < 400:
        place = answer.headers.get("Location", "")
        return f"{url} leads on to {place.removesuffix(DOOR)}: name the address itself"
    if answer.status == 400:
        return f"{url} answers 400: let the proxy hand on the host that was asked for (Host, X-Forwarded-Host)"
    if answer.status in _UNREACHED:
        return f"{url} answers {answer.status}: the server in front does not reach the shop"
    return (
        f"{url} answers {answer.status}, and not as this shop would: another shop stands there, an "
        "earlier version, or one with another key or database"
    )


def _faults(url: str, seen: dict[str, Any]) -> list[str]:
    asked, trusts, faults = urlsplit(url), config().trusted_proxies, []
    is_hidden = _is_this_machine(seen["remote"]) and not _is_this_machine(asked.hostname or "")
    if not trusts and (seen["hops"] or is_hidden):
        faults.append(
            "a proxy stands before the shop and STORE_TRUSTED_PROXIES is 0, so that all readers are "
            f"taken for one, {seen['remote']}: set it to 1"
        )
    came = {"For": seen["hops"], "Proto": seen["proto"], "Host": seen["named"]}
    missing = ", ".join(f"X-Forwarded-{name}" for name, is_there in came.items() if not is_there)
    if trusts and missing:
        faults.append(f"STORE_TRUSTED_PROXIES is {trusts}, and no proxy writes {missing}")
    if seen["remote"] == CLAIMED:
        faults.append(
            "who asks may claim any address: let the proxy set X-Forwarded-For to $remote_addr, and "
            "STORE_TRUSTED_PROXIES to the number of proxies"
        )
    if seen["scheme"] != asked.scheme:
        faults.append(f"it is asked by {asked.scheme} and takes that for {seen['scheme']}")
    if seen["host"] != asked.netloc:
        faults.append(f"it is asked as {asked.netloc} and takes that for {seen['host']}")
    return faults


def _is_this_machine(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _about_files(pool: urllib3.PoolManager, url: str, reference: str) -> str:
    """Whether the server in front sends files; a note where it is not asked to. Raises where it cannot."""
    if not config().accel_redirect:
        return "STORE_ACCEL_REDIRECT is not set: slow readers of files keep pages waiting"
    with _probe(reference) as content:
        answer = _answer(pool, url, reference)
    if "X-Accel-Redirect" in answer.headers:
        raise RuntimeError(
            "files are not sent by the server in front: it hands X-Accel-Redirect on"
        )
    if answer.status != 200 or answer.data != content:
        raise RuntimeError(
            f"the server in front answers {answer.status} for a file that is there: its place for "
            f"{config().accel_redirect} leads elsewhere, or it may not read {storage().folder or 'the bucket'}"
        )
    return ""


@contextmanager
def _probe(reference: str) -> Iterator[bytes]:
    content = secrets.token_bytes(64)
    storage().put_bytes(probe_key(reference), content)
    try:
        yield content
    finally:
        storage().delete(probe_key(reference))
