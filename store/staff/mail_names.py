"""What the DNS says of the domains that letters bear: SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 7489)
and where letters that come back are taken. Only asked, never needed: without a resolver it is a note."""

from dataclasses import dataclass, field
from typing import Any

import dns.exception
import dns.resolver

from store.kit.config import config
from store.kit.mailboxes import wire_domain

# For one question, whatever servers are tried.
SECONDS = 4.0
# A domain that the DNS does not know on purpose (RFC 6761).
_LOCAL = (".invalid", ".test", ".localhost", ".example", ".local", ".internal")


@dataclass
class Findings:
    """What is at fault, what is only worth a look, and what stands."""

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    well: list[str] = field(default_factory=list)


class NoResolver(Exception):
    """Nobody answers questions about names here."""


def sender_domain() -> str:
    """The domain of the address that letters come from, as the DNS writes it."""
    return wire_domain(config().mail_sender.rpartition("@")[2]).casefold()


def return_domain() -> str:
    """The domain that letters come back to."""
    address = config().bounce_address or config().mail_sender
    return wire_domain(address.rpartition("@")[2]).casefold()


def is_local(domain: str) -> bool:
    """Whether the DNS of the world knows nothing of the domain."""
    return "." not in domain or domain.endswith(_LOCAL)


class Names:
    """A resolver: that of the machine, or the one at `address`, as in `192.0.2.53` or `[::1]:5353`."""

    def __init__(self, address: str = "") -> None:
        try:
            self._resolver = dns.resolver.Resolver(configure=not address)
        except dns.resolver.NoResolverConfiguration as fault:
            raise NoResolver("this machine names no resolver") from fault
        if address:
            host, port = _parts(address)
            self._resolver.nameservers, self._resolver.port = [host], port
        self._resolver.lifetime, self._resolver.timeout = SECONDS, SECONDS / 2

    def texts(self, name: str) -> list[str]:
        """The TXT records of a name, each in one piece."""
        return [
            b"".join(record.strings).decode("utf-8", "replace") for record in self._ask(name, "TXT")
        ]

    def takes_mail(self, name: str) -> bool:
        """Whether mail for a domain is taken anywhere (RFC 5321, 5.1; RFC 7505)."""
        servers = [str(record.exchange) for record in self._ask(name, "MX")]
        if servers:
            return servers != ["."]
        return bool(self._ask(name, "A") or self._ask(name, "AAAA"))

    def knows(self, name: str) -> bool:
        """Whether there is this name, or one below it (RFC 8020)."""
        try:
            self._ask(name, "TXT", must_be=True)
        except dns.resolver.NXDOMAIN:
            return False
        return True

    def _ask(self, name: str, kind: str, *, must_be: bool = False) -> list[Any]:
        try:
            answer = self._resolver.resolve(name, kind, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN:
            if must_be:
                raise
            return []
        except dns.exception.DNSException as fault:
            raise NoResolver(f"no answer about {name} ({type(fault).__name__})") from fault
        return list(answer)


def look(names: Names, selector: str = "") -> Findings:
    """What stands of the sender's domain and of that which letters come back to; `selector` names the
    DKIM key that the relay signs with. Raises `NoResolver`."""
    found = Findings()
    domain, returns = sender_domain(), return_domain()
    for one in dict.fromkeys((returns, domain)):
        _spf(names, one, found)
    _dkim(names, domain, selector, found)
    _dmarc(names, domain, found)
    if names.takes_mail(returns):
        found.well.append(f"mail to {returns} is taken")
    else:
        found.faults.append(f"{returns} takes no mail (no MX): letters that come back are lost")
    return found


def _spf(names: Names, domain: str, found: Findings) -> None:
    records = [text for text in names.texts(domain) if _is_spf(text)]
    if not records:
        found.faults.append(f"{domain} has no SPF record: publish one that names your relay")
    elif len(records) > 1:
        found.faults.append(f"{domain} has {len(records)} SPF records: one alone counts, join them")
    elif _last_word(records[0]) in ("+all", "all"):
        found.faults.append(
            f"the SPF record of {domain} lets everybody send (+all): end it with ~all"
        )
    elif _last_word(records[0]) == "?all":
        found.notes.append(
            f"the SPF record of {domain} says nothing of others (?all): end it with ~all"
        )
    else:
        found.well.append(f"SPF of {domain}")


def _is_spf(text: str) -> bool:
    return text.casefold() == "v=spf1" or text.casefold().startswith("v=spf1 ")


def _last_word(record: str) -> str:
    words = record.casefold().split()
    return next((word for word in words if word.lstrip("+-~?") == "all"), words[-1])


def _dkim(names: Names, domain: str, selector: str, found: Findings) -> None:
    if not selector:
        if names.knows(f"_domainkey.{domain}"):
            words = "whether letters are signed by it the head of one says (--mail-to), or --dkim SELECTOR"
            found.notes.append(f"{domain} has a place for DKIM keys; {words}")
        else:
            found.notes.append(
                f"{domain} shows no DKIM key: let your relay sign, and publish its key"
            )
        return
    name = f"{selector}._domainkey.{domain}"
    texts = names.texts(name)
    keys = [_tags(text).get("p", "") for text in texts if "p" in _tags(text)]
    if not keys:
        found.faults.append(f"there is no DKIM key at {name}")
    elif not any(keys):
        found.faults.append(f"the DKIM key at {name} was withdrawn (p=)")
    else:
        found.well.append(f"DKIM key {selector}")


def _dmarc(names: Names, domain: str, found: Findings) -> None:
    labels = domain.split(".")
    # Its own record, or that of a domain above it.
    for above in range(len(labels) - 1):
        name = ".".join(labels[above:])
        texts = [t for t in names.texts(f"_dmarc.{name}") if t.casefold().startswith("v=dmarc1")]
        if len(texts) > 1:
            found.faults.append(f"_dmarc.{name} has {len(texts)} records: then none counts")
            return
        if texts:
            found.well.append(f"DMARC of {name} ({_tags(texts[0]).get('p', 'no policy')})")
            return
    found.faults.append(
        f"{domain} has no DMARC record: publish v=DMARC1; p=none at _dmarc.{domain}"
    )


def _tags(text: str) -> dict[str, str]:
    parts = (part.partition("=") for part in text.split(";") if "=" in part)
    return {name.strip().casefold(): value.strip() for name, _, value in parts}


def _parts(address: str) -> tuple[str, int]:
    """Host and port of `host`, `host:port`, `[v6]:port` or a bare address of IPv6."""
    if address.startswith("["):
        host, _, port = address[1:].partition("]")
        return host, int(port.lstrip(":") or 53)
    if address.count(":") == 1:
        host, _, port = address.partition(":")
        return host, int(port)
    return address, 53
