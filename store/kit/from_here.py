"""Whether a request came straight from this machine, and not through any proxy.

Only the connection itself can say so: what a header says, anybody may have written. A proxy on this machine
connects from here, too, so that a request with any word of a proxy came through one.
"""

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

FROM_HERE = "colophon.from_here"
PROXIES_SAY = (
    *("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST"),
    *("HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA"),
)

App = Callable[[dict[str, Any], Any], Iterable[bytes]]


class FromHere:
    """Outermost of all, before what proxies say is believed: marks what was asked straight from this
    machine at the addresses that monitors read. There the shop's own `host` is put in, as a monitor
    on this machine asks for 127.0.0.1."""

    def __init__(self, app: App, host: str, paths: frozenset[str]) -> None:
        self._app, self._host, self._paths = app, host, paths

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO") in self._paths and is_straight(environ):
            environ[FROM_HERE] = True
            environ["HTTP_HOST"] = self._host
        return self._app(environ, start_response)


def is_straight(environ: dict[str, Any]) -> bool:
    """Whether the connection comes from this machine and no header speaks of a proxy."""
    if any(name in environ for name in PROXIES_SAY):
        return False
    try:
        address = ipaddress.ip_address(environ.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
