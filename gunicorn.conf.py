"""How gunicorn serves the shop, for `store web` and for `gunicorn wsgi:app` alike."""

from typing import Any

from store.children import GRACE_SECONDS, watch_parent
from store.commands.base import load_settings
from store.kit import logs
from store.serving import (
    WebLog,
    keep_for_good,
    keep_watch,
    note_end,
    note_start,
    refuse_broken_bodies,
    watch_tables,
    write_down,
)

logs.log_to_stderr()
_settings = load_settings()

bind = [_settings.bind]
workers = _settings.web_workers
threads = _settings.web_threads
worker_class = "gthread"
# The shop is put together once, and the processes share its memory; it has no connection by then.
preload_app = True
# Addresses hold tokens: one line a request is our own (`WebLog`), and what is logged is masked.
accesslog = None
logger_class = WebLog
# Checking two uploaded files may take a minute.
timeout = 120
graceful_timeout = GRACE_SECONDS
# nginx keeps its connections for 60 seconds (docs/ops/nginx), and ends them first: of one that ends here
# while a form comes along it could not tell whether the form was taken.
keepalive = 65
# Whom to believe about scheme and host is ours to say (`STORE_TRUSTED_PROXIES`). A prefix of addresses nobody
# sets: a proxy on this machine that hands on what it is sent would let anybody past its own rules.
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
control_socket_disable = True
proc_name = "colophon-web"


def when_ready(_server: object) -> None:
    """Before the processes are begun: what they share must not be touched by a search for garbage.
    The command that started the server is watched from here on."""
    keep_for_good()
    watch_parent()
    note_start(web=True)


def on_exit(_server: object) -> None:
    """The last thing that the server does."""
    note_end(web=True)


def post_worker_init(worker: Any) -> None:
    """Each process of the server, before its first page."""
    watch_tables(worker)
    worker.shop = worker.wsgi
    keep_watch(worker.shop)
    refuse_broken_bodies(worker)
    keep_for_good()


def worker_exit(_server: object, worker: Any) -> None:
    """What this process has measured since it last wrote it down."""
    shop = getattr(worker, "shop", None)
    if shop is not None:
        write_down(shop)
