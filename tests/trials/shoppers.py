"""Customers at the shop's doors, over real HTTP: one pays by bank, one pays nothing, one by card."""

import http.client
import socket
import time
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import sqlalchemy as sa

from store.demo.pay import Arrival, Decision, decide
from store.kit.database import db, end_read
from store.payments.gateways.demo import DemoEvent, DemoPayment, signed_event

FORM_TYPE = "application/x-www-form-urlencoded"
PATIENCE_SECONDS = 60
GIFT = "GIFT100"
WAYS = ("transfer", "free", "card")
PAY_PAGE = "/demo/pay/"


class ServerGone(Exception):
    """The server died before its answer was here."""


@dataclass(frozen=True)
class Shopper:
    """One customer with one form, who begins again at the first step however often they must."""

    way: str
    number: int
    port: int
    path: str  # of the publication

    @property
    def address(self) -> str:
        """Nobody else's."""
        return f"{self.way}{self.number}@reader.example"

    @property
    def form_key(self) -> str:
        """That of the pages they have open."""
        return f"{self.way}{self.number}".ljust(22, "x")

    def order(self) -> None:
        """Press the button and go on to the end of their order. Raises `ServerGone`."""
        fields = {"form_key": self.form_key, "step": "place", "email": self.address}
        fields |= {"name": "Anna Berg", "seen_amount": "1250", "wants_now": "yes"}
        if self.way == "free":
            fields |= {"seen_amount": "0", "code": GIFT}
        if self.way == "transfer":
            fields["pay_by"] = "transfer"
        way_on = urlsplit(self._ask("POST", f"{self.path}/order", urlencode(fields).encode())).path
        if way_on.startswith(PAY_PAGE):
            way_on = self._pay(way_on.removeprefix(PAY_PAGE))
        self._ask("GET", way_on)

    def _pay(self, reference: str) -> str:
        """Pay at the gateway, which tells the shop; the address of the way back."""
        decide(reference, Decision.PAY, Arrival.LATE)
        event = db.session.scalars(sa.select(DemoEvent).filter_by(reference=reference)).one()
        headers, body = signed_event(
            event.event_id, event.kind, reference, int(event.happened_at.timestamp())
        )
        query = sa.select(DemoPayment.success_url).filter_by(reference=reference)
        way_back = urlsplit(db.session.scalars(query).one()).path
        end_read()
        self._ask("POST", "/webhooks/demo", body, headers)
        return way_back

    def _ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> str:
        """The address that the answer leads to, or "" where it is a page."""
        network = f"198.51.{self.number // 250}.{self.number % 250 + 1}"
        said = {"Origin": f"http://127.0.0.1:{self.port}", "X-Forwarded-For": network}
        said |= headers or ({"Content-Type": FORM_TYPE} if body else {})
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        with closing(line):
            try:
                line.request(method, path, body, said)
                answer = line.getresponse()
                text = answer.read()
            except (ConnectionError, http.client.HTTPException):
                raise ServerGone from None
        assert answer.status in (200, 303), f"{self.way}: {answer.status} {text[:2000]!r}"
        return answer.headers["Location"] or ""


def wait_for_server(port: int, *, listens: bool = True) -> None:
    """Until something listens there, or nothing any more: children of a server that was killed may
    outlive it by a moment, and would be taken for the next one."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionError as refused:
            if not listens and isinstance(refused, ConnectionRefusedError):
                return
        else:
            if listens:
                return
        time.sleep(0.01)
    raise TimeoutError("no server in time" if listens else "a server that does not end")
