"""HTTP: the API under /v1, the buyer's pages, and /_control."""

from __future__ import annotations

import json
import socket
import struct
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from . import (  # noqa: F401 - each registers its operations
    account,
    catalog,
    checkout,
    customers,
    disputes,
    invoices,
    pricing,
    refunds,
    setups,
    taxes,
)
from .control import DEFAULT_ENDPOINT, Control
from .errors import ApiError
from .gateway import Gateway
from .pages import visit
from .spec import Spec
from .webhooks import Post, new_endpoint
from .world import Settings, World

SPEC_FILE = Path(__file__).parent / "stripe_spec.json.gz"
LARGEST_BODY = 2_000_000


class StripeDouble:
    """The server, in this process.  Use it as a context manager, or start/stop it.

    >>> with StripeDouble(webhook_url="http://127.0.0.1:5000/webhook") as double:
    ...     client = stripe.StripeClient(
    ...         "sk_test_x", base_addresses={"api": double.url}
    ...     )
    ...     double.control.complete(session.id, card="4242424242424242")
    """

    def __init__(
        self,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        webhook_url: str | None = None,
        webhook_secret: str = "whsec_test",
        webhook_events: list[str] | None = None,
        settings: Settings | None = None,
        spec: Path = SPEC_FILE,
        seed: int | None = None,
    ):
        self.spec = Spec(spec)
        self.world = World(self.spec, settings or Settings(), seed)
        self.world.includers.update(pricing.INCLUDED)
        self.world.includers.update(
            {
                ("charge", "refunds"): refunds.of_charge,
                ("tax.calculation", "line_items"): taxes.lines_of,
            }
        )
        self.post = Post(self.world)
        self.gateway = Gateway(self.spec, self.world, self.post)
        self.control = Control(self.world, self.gateway, self.post)
        self.server = Server((host, port), self)
        self.url = f"http://{host}:{self.server.server_address[1]}"
        self.world.base_url = self.url
        if webhook_url:
            self.send_webhooks_to(webhook_url, webhook_secret, webhook_events)
        self._stopping = threading.Event()

    def send_webhooks_to(
        self, url: str, secret: str = "whsec_test", events: list[str] | None = None
    ) -> None:
        """Set the endpoint that ``control.reset`` leaves in place."""
        with self.world.lock:
            table = self.world.tables.setdefault("webhook_endpoint", {})
            table.pop(DEFAULT_ENDPOINT, None)
            params = {"url": url, "enabled_events": events or ["*"]}
            endpoint = new_endpoint(self.world, params)
            del table[endpoint["id"]]
            endpoint["id"] = DEFAULT_ENDPOINT
            table[DEFAULT_ENDPOINT] = endpoint
            self.world.secret(endpoint)["secret"] = secret

    def start(self) -> StripeDouble:
        for work in (self.server.serve_forever, self._keep_time):
            threading.Thread(target=work, daemon=True).start()
        return self

    def stop(self) -> None:
        self._stopping.set()
        self.post.close()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self) -> StripeDouble:
        return self.start()

    def __exit__(self, *failure) -> None:
        self.stop()

    def _keep_time(self) -> None:
        while not self._stopping.wait(0.25):
            self.world.tick()
            self.post.flush()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], double: StripeDouble):
        super().__init__(address, Handler)
        self.double = double


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one write per answer
    server: Server

    def do_GET(self) -> None:
        self.serve()

    do_POST = do_DELETE = do_GET

    def serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST_BODY:
            self.send_json(413, {"error": {"message": "Request too large"}})
            return
        body = self.rfile.read(length) if length else b""
        parts = urlsplit(self.path)
        try:
            if parts.path.startswith("/v1/"):
                self.serve_api(parts.path, parts.query, body)
            elif parts.path.startswith("/_control/"):
                self.serve_control(parts.path.removeprefix("/_control/"), body)
            else:
                self.serve_page(parts.path, parts.query, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client gave up waiting
        except Exception as error:
            traceback.print_exc()
            message = f"stripe_double failed: {type(error).__name__}: {error}"
            self.send_json(500, {"error": {"type": "api_error", "message": message}})

    def serve_api(self, path: str, query: str, body: bytes) -> None:
        double = self.server.double
        answer = double.gateway.handle(self.command, path, query, self.headers, body)
        if answer.reset:
            self.break_connection()
            return
        self.send_json(answer.status, answer.body, answer.headers)

    def serve_control(self, name: str, body: bytes) -> None:
        try:
            result = self.server.double.control._call(name, body)
        except LookupError as error:
            self.send_json(404, {"error": f"no such control: {error}"})
        except ApiError as error:
            self.send_json(400, {"error": error.error["message"]})
        except (TypeError, ValueError) as error:
            self.send_json(400, {"error": str(error)})
        else:
            self.send_json(200, result)

    def serve_page(self, path: str, query: str, body: bytes) -> None:
        form = dict(parse_qsl(body.decode() if body else query))
        result = visit(self.server.double.world, self.command, path, form)
        self.server.double.post.flush()
        headers = {"Content-Type": "text/html; charset=utf-8", **result.headers}
        self.send(result.status, result.html.encode(), headers)

    def send_json(self, status: int, body: object, headers: dict | None = None) -> None:
        data = json.dumps(body, indent=2, ensure_ascii=False).encode()
        kind = {"Content-Type": "application/json"}
        self.send(status, data, {**kind, **(headers or {})})

    def send(self, status: int, data: bytes, headers: dict) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def break_connection(self) -> None:
        """Close so that the client sees a reset, not an end."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.connection.close()

    def version_string(self) -> str:
        return "stripe_double"

    def log_message(self, format: str, *args) -> None:
        pass
