"""A real nginx with the files of `docs/ops/nginx`, in front of a shop in this process or in others: as any
user, at free ports, in a folder of its own."""

import os
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flask import Flask
from urllib3.response import BaseHTTPResponse
from werkzeug.datastructures import Headers
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.test import TestResponse

from tests.serving import free_port, until

FILES = Path(__file__).parent.parent / "docs" / "ops" / "nginx"
HOST = "shop.example.org"
# Under which the shop names files to nginx.
PREFIX = "/kept-files"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

needs_nginx = pytest.mark.skipif(
    NGINX is None, reason="nginx is not installed (Debian: apt-get install nginx)"
)

# By the application alone; through nginx, which passes the bytes on; and with bytes that nginx sends. The
# directory of the test has a `client` that knows of them.
by_every_way = pytest.mark.parametrize(
    "client",
    [
        "alone",
        pytest.param("through nginx", marks=[needs_nginx, pytest.mark.long]),
        pytest.param("by nginx", marks=needs_nginx),
    ],
    indirect=True,
)


class Front:
    """nginx at two ports, in front of a third, with the folder that it sends files from."""

    def __init__(self, folder: Path, shop_port: int) -> None:
        self.folder, self.shop_port = folder, shop_port
        self.port, self.tls_port = free_port(), free_port()
        self.files = folder / "files"
        self.process: subprocess.Popen[bytes] | None = None
        self.certificate = folder / "fullchain.pem"

    def configure(self, *changes: tuple[str, str]) -> Path:
        """Write the shop's own files, changed where they name places of a machine, or where a test
        says so; each such words stand in them once at least."""
        made = self.folder / "nginx.conf"
        sites = self.folder / "sites-enabled"
        sites.mkdir(parents=True, exist_ok=True)
        (self.folder / "conf.d").mkdir(exist_ok=True)
        (self.folder / "log").mkdir(exist_ok=True)
        make_certificate(self.folder)
        main = (FILES / "nginx.conf").read_text(encoding="utf-8")
        shop = (FILES / "colophon.conf").read_text(encoding="utf-8")
        whole = f"{main}\0{shop}"
        for old, new in (*self._places(), *changes):
            assert old in whole, old
            whole = whole.replace(old, new)
        main, shop = whole.split("\0")
        made.write_text(main, encoding="utf-8")
        (sites / "colophon").write_text(shop, encoding="utf-8")
        return made

    def of_this_run(self) -> list[tuple[str, str]]:
        """What no two runs on a machine can share: ports, and folders that only root may write."""
        temporary = "".join(
            f"    {kind}_temp_path {self.folder}/temp-{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return [
            ("worker_processes auto;", "worker_processes 2;"),
            ("worker_rlimit_nofile 65536;", ""),
            ("http {\n", f"http {{\n{temporary}"),
            ("    listen [::]:80;\n", ""),
            ("    listen [::]:443 ssl http2 backlog=4096;\n", ""),
            ("listen 80;", f"listen 127.0.0.1:{self.port};"),
            ("listen 443 ", f"listen 127.0.0.1:{self.tls_port} "),
            ("127.0.0.1:8000", f"127.0.0.1:{self.shop_port}"),
        ]

    def _places(self) -> list[tuple[str, str]]:
        return [
            # Of root alone the worker would become somebody else, who may not read a test's files.
            ("user www-data;", "user root;" if os.geteuid() == 0 else ""),
            ("/run/nginx.pid", f"{self.folder}/nginx.pid"),
            ("include /etc/nginx/modules-enabled/*.conf;", ""),
            ("/etc/nginx/conf.d", f"{self.folder}/conf.d"),
            ("/etc/nginx/sites-enabled", f"{self.folder}/sites-enabled"),
            ("/etc/nginx/colophon", str(FILES)),
            ("/var/log/nginx", f"{self.folder}/log"),
            ("/var/lib/nginx/colophon", f"{self.folder}/cache"),
            ("/etc/letsencrypt/live/shop.example.org", str(self.folder)),
            ("https://shop.example.org", f"https://shop.example.org:{self.tls_port}"),
            ("/var/lib/colophon/files", str(self.files)),
            *self.of_this_run(),
        ]

    def sends_from(self, folder: Path) -> None:
        """From now on its files are those of this folder."""
        self.files.unlink(missing_ok=True)
        self.files.symlink_to(folder)

    def judge(self) -> "subprocess.CompletedProcess[str]":
        """`nginx -t` of what was written."""
        return subprocess.run(
            [*self._command(), "-t"], capture_output=True, text=True, check=False, timeout=60
        )

    def _command(self) -> list[str]:
        return [str(NGINX), "-p", f"{self.folder}", "-c", f"{self.folder}/nginx.conf"]

    def start(self) -> None:
        """Until it listens."""
        said = (self.folder / "log" / "said").open("wb")
        self.process = subprocess.Popen(
            [*self._command(), "-g", "daemon off;"], stdout=said, stderr=said
        )
        said.close()
        until(self._listens, "nginx listens")

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log" / "said").read_text()
        try:
            self.plain("/nowhere")
        except urllib3.exceptions.HTTPError:
            return False
        return True

    def stop(self) -> None:
        """At once, with its children."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=60)

    def plain(self, path: str) -> BaseHTTPResponse:
        """An answer at the port without TLS."""
        with urllib3.PoolManager() as pool:
            return pool.request(
                "GET",
                f"http://127.0.0.1:{self.port}{path}",
                headers={"Host": HOST},
                redirect=False,
                retries=False,
            )

    def pool(self, size: int = 1) -> urllib3.HTTPSConnectionPool:
        """Connections over TLS, of which the certificate is looked at."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        return urllib3.HTTPSConnectionPool(
            "127.0.0.1",
            self.tls_port,
            maxsize=size,
            block=True,
            ssl_context=context,
            server_hostname=HOST,
            assert_hostname=HOST,
            retries=False,
            timeout=60,
        )

    def logged(self) -> str:
        """Everything that nginx has written to any file of its folder but what it sends and keeps."""
        return "".join(
            path.read_text(encoding="utf-8", errors="replace")
            for path in sorted((self.folder / "log").iterdir())
        )


@contextmanager
def front(folder: Path, shop_port: int, *changes: tuple[str, str]) -> Iterator[Front]:
    """nginx in front of a shop at this port, with the shop's own configuration but for these words."""
    made = Front(folder, shop_port)
    made.configure(*changes)
    made.start()
    try:
        yield made
    finally:
        made.stop()


class _Quiet(WSGIRequestHandler):
    """One request a connection: nginx would keep it for the application of the next test."""

    def log(self, type: str, message: str, *args: object) -> None:
        pass


@contextmanager
def served(app: Flask, port: int) -> Iterator[BaseWSGIServer]:
    """The application of a test at this port, by threads of this process: with its clock and its
    database."""
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def make_certificate(folder: Path) -> None:
    """One that its own key has signed, for the host of the shop."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "fullchain.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


class ThroughFront:
    """What tests use of the client of Flask, through nginx."""

    def __init__(self, pool: urllib3.HTTPSConnectionPool) -> None:
        self._pool = pool

    def get(self, path: str, headers: dict[str, str] | None = None) -> TestResponse:
        return self._ask("GET", path, headers)

    def head(self, path: str, headers: dict[str, str] | None = None) -> TestResponse:
        return self._ask("HEAD", path, headers)

    def post(self, path: str, data: dict[str, str]) -> TestResponse:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._ask("POST", path, form, urlencode(data))

    def _ask(
        self, method: str, path: str, headers: dict[str, str] | None, body: str | None = None
    ) -> TestResponse:
        answer = self._pool.urlopen(
            method,
            path,
            body,
            headers={"Host": HOST} | (headers or {}),
            redirect=False,
            decode_content=False,
        )
        return TestResponse(
            [answer.data], f"{answer.status} {answer.reason}", Headers(seen(answer.headers)), None
        )


def seen(headers: "dict[str, str] | urllib3.HTTPHeaderDict") -> list[tuple[str, str]]:
    """The headers of an answer in one order, without what the way of it alone says; a request's number is
    another each time."""
    of_the_way = {"date", "server", "connection", "keep-alive", "transfer-encoding"}
    return sorted(
        (
            re.sub(r"\w+", lambda word: word[0].capitalize(), name),
            "NUMBER" if name.lower() == "x-request-id" else value,
        )
        for name, value in headers.items()
        if name.lower() not in of_the_way
    )
