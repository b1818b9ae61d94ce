"""`store demo` as a stranger runs it: the whole story, a second time, broken off, and sabotaged."""

import fcntl
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from store.commands import demo as demonstration
from tests.conftest import make_settings
from tests.serving import answers, below, environment, gone, until

pytestmark = pytest.mark.timeout(400)

FIRST_PORT = 8000
STORY = """\
  “TITLE” is on sale for pre-order at £12.50, with a free sample.
  Anna Berg orders (pre-order) and pays £12.50.
  Ben Okafor orders (pre-order) and pays £12.50.
  Chloé O’Neil orders (pre-order) and pays £12.50.
  Edition 1 is uploaded: PDF of SIZE and EPUB of SIZE, checked and accepted.
  Edition 1 is released.
  3 letters about edition 1 arrive, one for each buyer.
  Anna Berg follows the link and downloads edition 1: SHA-256 DIGEST… matches.
  Dev Patel orders (buy) and pays £12.50.
  Edition 2 is uploaded: PDF of SIZE and EPUB of SIZE, checked and accepted.
  Edition 2 is released.
  4 letters about edition 2 arrive, one for each buyer.
  Dev Patel follows the link and downloads edition 2: SHA-256 DIGEST… matches.
  Coverage of edition 2: 4 entitled, 4 handed over, 0 waiting, 0 undeliverable, 0 came back, 0 left out, 0 missing.
  It adds up: nobody was missed.
  Shop    http://127.0.0.1:PORT/
  Inbox   http://127.0.0.1:PORT/demo/inbox
  Desk    http://127.0.0.1:PORT/admin/
          sign in as owner@sample-press.example with PASSWORD
"""
# Begins the demonstration with the sample's files of another folder.
WITH_OTHER_FILES = """
import sys
import tempfile
from pathlib import Path
from store.demo import seed
seed.SAMPLE = Path(sys.argv.pop(1))
from store.cli import main
main(["demo"], prog_name="store")
"""
# Begins the demonstration on a port that somebody else took after it was found to be free.
ON_A_PORT_THAT_WAS_TAKEN = """
import sys
from store.commands import demo
port = int(sys.argv.pop(1))
demo.free_port = lambda _first: port
from store.cli import main
main(["demo"], prog_name="store")
"""


@pytest.fixture(autouse=True)
def _one_at_a_time() -> Iterator[None]:
    """Demonstrations that look for a free port at the same moment would find the same one."""
    with (Path(tempfile.gettempdir()) / "colophon-demonstration.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _environment(data_dir: Path, **given: str) -> dict[str, str]:
    told = environment(data_dir, FIRST_PORT, **given)
    del told["STORE_BASE_URL"]
    return told


def _demo(
    data_dir: Path, *, code: str = "", words: tuple[str, ...] = (), stdin: int | None = None
) -> "subprocess.Popen[str]":
    program = ["-c", code, *words] if code else ["-m", "store.cli", "demo"]
    return subprocess.Popen(
        [sys.executable, *program],
        env=_environment(data_dir, PYTHONUNBUFFERED="1"),
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def _answering(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def _watched(demo: "subprocess.Popen[str]") -> Iterator[list[psutil.Process]]:
    """The processes of a demonstration that runs, once there are all; whatever is left is ended."""
    family: list[psutil.Process] = []
    try:
        until(lambda: len(below(demo)) >= 5 or demo.poll() is not None, "the shop is started")
        family = below(demo) if demo.poll() is None else []
        yield family
    finally:
        for one in family:
            if one.is_running():
                one.kill()
        demo.kill()
        demo.communicate()


def _told(out: str) -> str:
    """What was said, with what differs from run to run named instead."""
    lines = [line for line in out.splitlines(keepends=True) if not line.startswith("Port ")]
    masks = {
        r"“Effective SEND Practice in the Early Years[^”]*”": "“TITLE”",
        r"\d+ kB": "SIZE",
        r"SHA-256 [0-9a-f]{12}": "SHA-256 DIGEST",
        r"127\.0\.0\.1:\d+": "127.0.0.1:PORT",
        r"(?<=example with ).*": "PASSWORD",
    }
    text = "".join(lines)
    for pattern, word in masks.items():
        text = re.sub(pattern, word, text)
    return text


def _tell(data_dir: Path) -> str:
    """Run the demonstration while somebody else is on the first port; what it said."""
    with socket.socket() as other:
        # If that is another test, so much the better.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            other.bind(("127.0.0.1", FIRST_PORT))
            other.listen()
        demo = _demo(data_dir)
        with _watched(demo) as family:
            out, err = demo.communicate(timeout=170)
            until(lambda: gone(family), "every process of the demonstration has ended")
    assert (demo.returncode, err) == (0, ""), out
    assert out.startswith("Port 8000 is taken; trying 8001.\n")
    return out


@pytest.mark.parametrize(
    ("told", "port", "said"),
    [
        ("http://127.0.0.1:8471", 8471, ""),
        ("http://localhost:8472", 8472, ""),
        (
            "https://shop.example.org",
            8000,
            (
                "STORE_BASE_URL says https://shop.example.org; the demonstration listens on this "
                "machine alone, at the address below.\n"
            ),
        ),
    ],
)
def test_the_demonstration_listens_where_the_settings_say_or_says_that_it_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], told: str, port: int, said: str
) -> None:
    settings = make_settings(tmp_path, env="demo", base_url=told)
    assert (demonstration._port_of(settings), capsys.readouterr().out) == (port, said)


def test_the_story_is_told_and_leaves_no_process(tmp_path: Path) -> None:
    assert _told(_tell(tmp_path)) == STORY


@pytest.mark.long
def test_a_second_run_adds_a_publication_of_its_own_to_the_kept_shop(tmp_path: Path) -> None:
    first, second = _tell(tmp_path), _tell(tmp_path)
    assert _told(second) == STORY
    assert re.findall("“(.*)”", first) == ["Effective SEND Practice in the Early Years"]
    assert re.findall("“(.*)”", second) == ["Effective SEND Practice in the Early Years (sample 2)"]


@pytest.mark.long
def test_a_step_that_does_not_hold_ends_the_story_with_1(tmp_path: Path) -> None:
    from store.demo.seed import SAMPLE

    damaged = tmp_path / "sample"
    damaged.mkdir()
    for file in SAMPLE.iterdir():
        data = file.read_bytes()
        cut = file.name == "edition-2.pdf"
        (damaged / file.name).write_bytes(data[: len(data) // 2] if cut else data)
    demo = _demo(tmp_path / "shop", code=WITH_OTHER_FILES, words=(str(damaged),))
    with _watched(demo) as family:
        out, err = demo.communicate(timeout=170)
        until(lambda: gone(family), "every process of the demonstration has ended")
    assert demo.returncode == 1
    assert "Dev Patel orders (buy) and pays £12.50." in out
    assert "Edition 2 is uploaded" not in out
    assert err.startswith("The story ends here: ")
    assert len(err.splitlines()) == 1


@pytest.mark.long
def test_a_worker_that_dies_ends_the_story_with_1(tmp_path: Path) -> None:
    demo = _demo(tmp_path)
    with _watched(demo) as family:
        worker = next(one for one in family if one.cmdline()[-1] == "worker")
        worker.kill()
        _, err = demo.communicate(timeout=170)
        until(lambda: gone(family), "every process of the demonstration has ended")
    assert demo.returncode == 1
    # Either the shop was still starting, or a step of the story got no answer.
    assert err.startswith(("The shop did not start", "The story ends here: ")), err
    assert len(err.splitlines()) == 1


@pytest.mark.long
def test_with_a_terminal_the_shop_stays_until_ctrl_c(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        demo = _demo(tmp_path, stdin=theirs)
        with _watched(demo) as family:
            said = []
            assert demo.stdout is not None
            while "Ctrl-C ends it" not in (line := demo.stdout.readline()) and line:
                said.append(line)
            port = int(re.findall(r"127\.0\.0\.1:(\d+)", "".join(said))[0])
            assert [answers(port, path) for path in ("/", "/demo/inbox", "/admin/sign-in")] == [
                200,
                200,
                200,
            ]
            demo.send_signal(signal.SIGINT)
            out, _ = demo.communicate(timeout=150)
            until(lambda: gone(family), "every process of the demonstration has ended")
    finally:
        os.close(ours)
        os.close(theirs)
    assert (demo.returncode, out) == (0, "\nThe shop is closed.\n")


@pytest.mark.long
def test_nothing_stays_when_the_demonstration_is_killed(tmp_path: Path) -> None:
    demo = _demo(tmp_path)
    with _watched(demo) as family:
        demo.kill()
        until(lambda: gone(family), "the shop ends by itself")


@pytest.mark.long
def test_the_story_is_never_told_to_somebody_elses_shop(tmp_path: Path) -> None:
    asked: list[str] = []

    class Neighbour(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Neighbour) as other, _answering(other):
        words = (str(other.server_port),)
        demo = _demo(tmp_path, code=ON_A_PORT_THAT_WAS_TAKEN, words=words)
        with _watched(demo):
            _, err = demo.communicate(timeout=170)
    assert demo.returncode == 1
    assert err.splitlines() == [
        (
            f"127.0.0.1:{other.server_port} is taken, or is no address of this machine; choose another "
            "port with --port, or another address with STORE_BIND."
        ),
        "The shop did not start; its own words stand above.",
    ]
    assert set(asked) == {"/readyz"}


def test_elsewhere_than_in_a_demonstration_it_is_refused(tmp_path: Path) -> None:
    env = _environment(tmp_path, STORE_ENV="testing", STORE_SECRET_KEY="k" * 40)
    done = subprocess.run(
        [sys.executable, "-m", "store.cli", "demo"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "The demonstration runs with STORE_ENV=demo only.\n"
