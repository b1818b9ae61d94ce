"""`store demo`: a sample shop, the main job played on it, and the shop left running."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime
from urllib.parse import urlsplit

import click
from flask_migrate import upgrade

from store.app import create_app
from store.children import PARENT
from store.commands.base import load_settings
from store.demo.story import HERE, Payment, tell
from store.demo.visitor import StoryEnds, Visitor
from store.kit.config import config
from store.kit.database import transaction
from store.kit.errors import Refusal
from store.mail import heartbeats
from store.settings import Settings
from store.staff import people
from store.staff.models import Role

FIRST_PORT = 8000
START_SECONDS = 60
DEMO_OWNER = "owner@sample-press.example"


@click.command()
def demo() -> None:
    """Set up the sample shop, play the main job, leave the shop running until Ctrl-C."""
    sys.exit(play(free_port(_port_of(load_settings())), HERE))


def play(port: int, payment: Payment) -> int:
    """The demonstration on a port, its readers paying in this way; returns the exit code."""
    settings = load_settings(base_url=f"http://127.0.0.1:{port}")
    if settings.env != "demo":
        click.echo("The demonstration runs with STORE_ENV=demo only.", err=True)
        return 1
    with create_app(settings).app_context():
        upgrade()
        password = ensure_demo_owner()
        began = heartbeats.workers().now
        shop = _start(port)
        try:
            _wait_until_ready(shop, port, began)
            held = _tell(settings, payment)
            _print_addresses(settings, password)
            if held and sys.stdin.isatty() and os.environ.get("DEMO_EXIT") != "1":
                _stay(shop)
        finally:
            _stop(shop)
    return 0 if held else 1


def ensure_demo_owner() -> str:
    """The password of the sample shop's owner, who is added where nobody is staff yet; it is kept
    beside the sample's database, so that each run says the same."""
    path = config().data_dir / "demo-owner-password"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(f"{secrets.token_hex(3)}-{secrets.token_hex(3)}")
    password = path.read_text()
    if people.staff_by_address(DEMO_OWNER) is None:
        with transaction():
            people.add_staff(DEMO_OWNER, Role.OWNER, password)
    return password


def _tell(settings: Settings, payment: Payment) -> bool:
    try:
        tell(Visitor(settings.base_url), lambda line: click.echo(f"  {line}"), payment)
    except (StoryEnds, Refusal) as end:
        click.echo(f"The story ends here: {end}", err=True)
        return False
    return True


def _stay(shop: subprocess.Popen[bytes]) -> None:
    try:
        click.echo("The shop stays up. Ctrl-C ends it.")
        shop.wait()
    except KeyboardInterrupt:
        click.echo("\nThe shop is closed.")


def _print_addresses(settings: Settings, password: str) -> None:
    click.echo(f"  Shop    {settings.base_url}/")
    click.echo(f"  Inbox   {settings.base_url}/demo/inbox")
    click.echo(f"  Desk    {settings.base_url}/admin/")
    click.echo(f"          sign in as {DEMO_OWNER} with {password}")


def _port_of(settings: Settings) -> int:
    """Where STORE_BASE_URL says that the shop is; says so where that is not this machine."""
    told = urlsplit(settings.base_url)
    if told.scheme == "http" and told.hostname in {"127.0.0.1", "localhost"}:
        return told.port or 80
    click.echo(
        f"STORE_BASE_URL says {settings.base_url}; the demonstration listens on this machine alone, "
        "at the address below."
    )
    return FIRST_PORT


def free_port(first: int = FIRST_PORT) -> int:
    """The first port from `first` on that nobody listens at; says which are taken."""
    for port in range(first, min(first + 50, 65_536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                click.echo(f"Port {port} is taken; trying {port + 1}.")
                continue
            return port
    click.echo(f"No port is free from {first} on.", err=True)
    sys.exit(1)


def _start(port: int) -> subprocess.Popen[bytes]:
    # The story is told here; of the shop's own lines only what goes wrong stands between.
    environment = (
        {"STORE_LOG_LEVEL": "warning"}
        | os.environ
        | {
            "STORE_BASE_URL": f"http://127.0.0.1:{port}",
            "STORE_BIND": f"127.0.0.1:{port}",
            PARENT: str(os.getpid()),
        }
    )
    return subprocess.Popen(
        [sys.executable, "-m", "store.cli", "serve"],
        env=environment,
        start_new_session=True,  # Ctrl-C comes to us; we end the shop in order
    )


def _wait_until_ready(shop: subprocess.Popen[bytes], port: int, began: datetime) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and shop.poll() is None:
        # Somebody else's shop may have taken the port since it was looked at: only ours has a worker
        # that says so in this database.
        if _answers(port) and heartbeats.has_come_since(began):
            return
        time.sleep(0.1)
    click.echo("The shop did not start; its own words stand above.", err=True)
    sys.exit(1)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError):
        return False


def _stop(shop: subprocess.Popen[bytes]) -> None:
    if shop.poll() is None:
        shop.send_signal(signal.SIGTERM)
        shop.wait()
