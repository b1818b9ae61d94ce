"""The chapters of the operator's guide on installing and on backups, followed word by word on an empty folder: their
commands run as they stand, but for the places, which are folders of the test, and for what only a whole machine can
do (packages, systemd, a certificate), which is done by hand here. What was typed and said stands in
test-results/install.txt."""

import email
import grp
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import policy
from pathlib import Path
from tempfile import mkdtemp
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest

from tests.backups.shops import PROGRAMS
from tests.databases import new_database
from tests.front import HOST, NGINX, Front, make_certificate, needs_nginx
from tests.mail.scripted_server import ScriptedServer
from tests.serving import free_port, until

pytestmark = [needs_nginx, pytest.mark.long, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "operators-guide.md").read_text(encoding="utf-8")
TRANSCRIPT = ROOT / "test-results" / "install.txt"
PASSWORD = "a long password of the guide"
# Where things stand on a machine; each is a folder of the test.
_PLACES = re.compile(r"(?<![\w.$])/(?:opt|etc|var|root|usr/local|run)/")
NOBODY = 65_534


def _is_for_all(program: str) -> bool:
    """Whether any user may start it."""
    path = Path(program).resolve()
    return all(one.stat().st_mode & 0o001 for one in (path, *path.parents))


def _python() -> str:
    """The Python of this run, or the machine's own where that is for its owner alone and the other will do."""
    own, other = sys._base_executable, "/usr/bin/python3"  # type: ignore[attr-defined]
    if _is_for_all(own) or not Path(other).exists():
        return str(own)
    asked = "import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))"
    found = subprocess.run([other, "-c", asked], capture_output=True, check=False)
    return other if found.returncode == 0 else str(own)


PYTHON = _python()


def commands(
    begins: str = "## Install", ends: str = "### Another server, or a container"
) -> list[str]:
    """The lines that are to be typed between two headings."""
    chapter = GUIDE.split(f"\n{begins}\n")[1].split(f"\n{ends}\n")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```$", chapter, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


@dataclass
class Machine:
    """An empty folder that stands for a machine, with a mail server outside."""

    folder: Path
    mail: ScriptedServer
    front: Front
    said: list[str] = field(default_factory=list)
    exported: dict[str, str] = field(default_factory=dict)
    services: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def at(self, path: str) -> Path:
        """Where a path of the machine is here."""
        return Path(f"{self.folder}{path}")

    def type(self, line: str) -> None:
        """One command of the guide: what it says is kept, and it must end well."""
        self.said.append(f"# {line}")
        known = {
            "apt-get": self._packages,
            "systemd-sysusers": self._users,
            "systemd-tmpfiles": self._folders,
            "certbot": self._certificate,
            "systemctl": self._systemctl,
            "nginx": self._judge_nginx,
            "curl": self._ask,
            "export": self._export,
        }
        word = line.split(maxsplit=1)[0]
        known.get(word, self._run)(line)
        self._move_in()

    def _export(self, line: str) -> None:
        name, _, value = line.removeprefix("export ").partition("=")
        self.exported[name] = _PLACES.sub(lambda place: f"{self.folder}{place[0]}", value)

    def _run(self, line: str) -> None:
        # The user of the shop is nobody here.
        owner = str(NOBODY if self.as_the_shop() else os.geteuid())
        line = re.sub(r"(?<=chown )(-R )?colophon(:colophon)?(?= )", rf"\g<1>{owner}:{owner}", line)
        line = line.replace("-o colophon -g colophon", f"-o {owner} -g {owner}")
        here = _PLACES.sub(lambda place: f"{self.folder}{place[0]}", line)
        # The command of the shop is found where the guide has put it.
        path = f"{self.folder}/usr/local/bin:{self.folder}/bin:{os.environ['PATH']}"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("STORE_", "PYTHON"))}
        run = subprocess.Popen(
            [
                "script",
                "--quiet",
                "--return",
                "--command",
                f"bash -c '{quoted(here)}'",
                "/dev/null",
            ],
            cwd=ROOT,
            env=kept
            | {"PATH": path, "TERM": "dumb", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
            | self.exported,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert run.stdin is not None
        assert run.stdout is not None
        said = b""
        while piece := os.read(run.stdout.fileno(), 4096):
            said += piece
            # Asked for twice, hidden, at the terminal.
            if asked := re.search(rb"(Password|confirmation|\[y/N\]): ?$", said):
                run.stdin.write(b"y\n" if asked[1] == b"[y/N]" else f"{PASSWORD}\n".encode())
                run.stdin.flush()
        run.stdin.close()
        run.stdout.close()
        code = run.wait(timeout=600)
        text = said.decode(errors="replace").replace("\r\n", "\n").replace(str(self.folder), "")
        self.said.append(text.strip())
        if "store check" in line:
            self._judge_check(text)
        else:
            assert code == 0, self.said[-2:]

    def _judge_check(self, said: str) -> None:
        """No machine of this name is in the world, so two parts cannot be well."""
        faults = re.findall(r"^fault\s+([^:]+):", said, re.MULTILINE)
        assert set(faults) <= {"mail names", "our address"}, said

    def _move_in(self) -> None:
        """What was installed names places of a machine; from now on those of the test."""
        for top in ("etc", "usr/local/bin"):
            for path in self.at(f"/{top}").rglob("*"):
                if (
                    path.is_file()
                    and not path.is_symlink()
                    and path.suffix not in {".pem", ".html"}
                ):
                    text = path.read_text(encoding="utf-8")
                    moved = _PLACES.sub(lambda place: f"{self.folder}{place[0]}", text)
                    if moved != text:
                        path.write_text(moved, encoding="utf-8")

    def _packages(self, _line: str) -> None:
        for package in ("openssl", "curl", "nginx"):
            assert shutil.which(package, path=f"{os.environ['PATH']}:/usr/sbin"), package

    def _users(self, _line: str) -> None:
        assert self.at("/etc/sysusers.d/colophon.conf").is_file()

    def _folders(self, line: str) -> None:
        made = self.at(line.rsplit(maxsplit=1)[-1]).read_text(encoding="utf-8").splitlines()
        for kind, path, mode, _user, group in (
            one.split() for one in made if not one.startswith("#")
        ):
            assert kind == "d"
            Path(path).mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0:
                os.chown(
                    path, NOBODY, NOBODY if group == "colophon" else grp.getgrnam(group).gr_gid
                )
            Path(path).chmod(int(mode, 8))

    def put_in_settings(self) -> None:
        """What the guide asks to be written into the settings, for this machine."""
        env = self.at("/etc/colophon.env")
        text = env.read_text(encoding="utf-8")
        assert re.search(r"^STORE_SECRET_KEY=[0-9a-f]{64}$", text, re.MULTILINE)
        text = text.replace("STORE_MAIL_SERVER=localhost", "STORE_MAIL_SERVER=127.0.0.1")
        text += f"STORE_MAIL_PORT={self.mail.port}\nSTORE_RELEASE_DELAY=0\n"
        text += f"STORE_BIND=127.0.0.1:{self.front.shop_port}\n"
        env.write_text(text, encoding="utf-8")
        self.said.append("(host, sender and mail server are put into /etc/colophon.env)")

    def _certificate(self, _line: str) -> None:
        place = self.at(f"/etc/letsencrypt/live/{HOST}")
        place.mkdir(parents=True)
        make_certificate(place)
        self.front.certificate = place / "fullchain.pem"

    def _systemctl(self, line: str) -> None:
        match line.split()[1:]:
            case ["enable", "--now", name, timer]:
                for wanted in self._unit(name)["Wants"][0].split():
                    self.start(wanted)
                assert self._unit(timer)["OnCalendar"]
            case ["start", "colophon-backup" as name]:
                self.start(f"{name}.service")
                assert self.services.pop(f"{name}.service").wait(timeout=120) == 0
            case ["start", name]:
                for wanted in self._unit(name)["Wants"][0].split():
                    self.start(wanted)
            case ["stop", name]:
                for wanted in self._unit(name)["Wants"][0].split():
                    self.services[wanted].terminate()
                    assert self.services.pop(wanted).wait(timeout=60) == 0
            case ["restart", "nginx"]:
                self.services["nginx"] = subprocess.Popen([*self._nginx(), "-g", "daemon off;"])

    def _unit(self, name: str) -> dict[str, list[str]]:
        name = name if "." in name else f"{name}.service"
        found: dict[str, list[str]] = {}
        for line in self.at(f"/etc/systemd/system/{name}").read_text(encoding="utf-8").splitlines():
            if "=" in line and not line.startswith("#"):
                found.setdefault(line.partition("=")[0], []).append(line.partition("=")[2])
        return found

    def start(self, name: str) -> None:
        """A service, as its unit says: its command, its settings, its user."""
        unit = self._unit(name)
        lines = Path(unit["EnvironmentFile"][0]).read_text(encoding="utf-8").splitlines()
        pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
        known = {name: value.strip("'") for name, value in pairs}
        log = self.at(f"/{name}.log").open("wb")
        self.services[name] = subprocess.Popen(
            [*self.as_the_shop(), *unit["ExecStart"][0].split()],
            env={"PATH": os.environ["PATH"]} | known,
            cwd="/",
            stdout=log,
            stderr=log,
            umask=int(unit["UMask"][0], 8),
        )
        log.close()

    def as_the_shop(self) -> list[str]:
        """Before a command that runs as the shop's user: root has one here that is nobody."""
        if os.geteuid() != 0 or not _is_for_all(PYTHON):
            return []
        return [
            str(shutil.which("setpriv")),
            f"--reuid={NOBODY}",
            f"--regid={NOBODY}",
            "--clear-groups",
        ]

    def _judge_nginx(self, _line: str) -> None:
        """Its files, at ports that anybody may have."""
        main, site = (
            self.at("/etc/nginx/nginx.conf"),
            self.at("/etc/nginx/sites-available/colophon"),
        )
        for path in (main, site):
            text = path.read_text(encoding="utf-8")
            for old, new in self.front.of_this_run():
                text = text.replace(old, new)
            path.write_text(text, encoding="utf-8")
        judged = subprocess.run(
            [*self._nginx(), "-t"], capture_output=True, text=True, check=False, timeout=60
        )
        self.said.append(judged.stderr.replace(str(self.folder), "").strip())
        assert judged.returncode == 0, judged.stderr

    def _nginx(self) -> list[str]:
        return [str(NGINX), "-p", str(self.folder), "-c", str(self.at("/etc/nginx/nginx.conf"))]

    def _ask(self, line: str) -> None:
        way = f"{HOST}:443:127.0.0.1:{self.front.tls_port}"
        words = [*line.split(), "--connect-to", way, "--cacert", str(self.front.certificate)]
        until(lambda: subprocess.run(words, capture_output=True, check=False).returncode == 0, line)
        self.said.append(subprocess.run(words, capture_output=True, text=True, check=True).stdout)

    def end(self) -> None:
        """Every process that was started here."""
        for one in self.services.values():
            with suppress(psutil.NoSuchProcess):
                family = psutil.Process(one.pid).children(recursive=True)
                one.send_signal(signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    one.wait(timeout=40)
                for child in family:
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
            one.kill()
            one.wait()


def quoted(line: str) -> str:
    """Between single quotes of a shell."""
    return line.replace("'", "'\\''")


@contextmanager
def empty_machine() -> Iterator[Machine]:
    """Debian with nginx just installed, as far as the chapter looks, and a mail server that takes all."""
    # In a folder that another user may pass through, which those of pytest are not.
    folder = Path(mkdtemp(prefix="machine-"))
    folder.chmod(0o755)
    for path in (
        *("opt", "bin", "root", "run", "usr/local/bin", "var/log/nginx", "var/lib/nginx"),
        *("etc/nginx/conf.d", "etc/nginx/sites-enabled", "etc/nginx/sites-available"),
        "etc/systemd/system",
    ):
        (folder / path).mkdir(parents=True)
    (folder / "etc/nginx/sites-enabled/default").write_text("# Debian's own site\n")
    (folder / "etc/nginx/mime.types").write_text("types { text/html html; }\n")
    with ScriptedServer() as mail:
        machine = Machine(folder, mail, Front(folder, free_port()))
        _put(folder / "bin/python3", f'exec {PYTHON} "$@"')
        as_the_shop = " ".join(machine.as_the_shop())
        drop = 'while [ "${1#--}" != "$1" ]; do shift; done'
        _put(folder / "bin/setpriv", f'{drop}\nexec {as_the_shop} "$@"')
        try:
            yield machine
        finally:
            machine.end()
            shutil.rmtree(folder, ignore_errors=True)


def _put(path: Path, words: str) -> None:
    path.write_text(f"#!/bin/sh\n{words}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A machine on which the whole chapter was followed."""
    with empty_machine() as machine:
        try:
            for line in commands():
                machine.type(line)
                if line.startswith('sed -i "s/^STORE_SECRET_KEY'):
                    machine.put_in_settings()
            yield machine
        finally:
            TRANSCRIPT.parent.mkdir(exist_ok=True)
            TRANSCRIPT.write_text("\n".join(machine.said) + "\n", encoding="utf-8")


def _links(machine: Machine) -> list[str]:
    """Of the reader's library, in letters."""
    mine = [one.octets for one in machine.mail.letters if b"reader@reader.example" in one.octets]
    bodies = [
        email.message_from_bytes(octets, policy=policy.default).get_body(("plain",))
        for octets in mine
    ]
    text = "".join(body.get_content() for body in bodies if body is not None)
    return re.findall(rf"https://{HOST}(/library/[\w.-]+)", text)


def test_the_chapter_is_followed_to_a_shop_that_is_ready(machine: Machine) -> None:
    assert len(commands()) > 20
    (answer,) = re.findall(r"^# curl .*readyz\n(.+)$", "\n".join(machine.said), re.MULTILINE)
    assert json.loads(answer)["status"] == "ready"


def test_a_copy_that_is_given_there_reaches_its_reader_by_nginx(machine: Machine) -> None:
    sample = ROOT / "store" / "demo" / "sample" / "edition-1.pdf"
    book = machine.at("/opt/edition-1.pdf")
    shutil.copy(sample, book)
    for line in (
        'store publication add guide --title "A guide" --price 12.50 --status listed',
        "store edition upload guide /opt/edition-1.pdf",
        "store edition release guide 1 --yes",
        "store order give guide reader@reader.example --reason test",
    ):
        machine.type(line)

    library = until(lambda: _links(machine), "a letter with the link")[0]
    with machine.front.pool() as pool:
        page = pool.request("GET", library, headers={"Host": HOST}).data.decode()
        path = re.search(r'href="(/download/[^"]+)"', page)
        assert path is not None
        answer = pool.request("GET", path[1], headers={"Host": HOST})
    assert answer.data == sample.read_bytes()
    assert answer.headers["Strict-Transport-Security"]

    def line() -> str:
        said = machine.at("/var/log/nginx/shop.log").read_text(encoding="utf-8").splitlines()
        return next((one for one in said if " /download " in one), "")

    asked = until(line, "the download in the access log")
    # nginx had the bytes itself, and asked the shop once.
    assert asked.split()[4:6] == ["200", str(sample.stat().st_size)]
    assert asked.split()[7:8] == ["200"]
    assert " : " not in asked


@pytest.mark.skipif(
    os.geteuid() != 0 or not _is_for_all(PYTHON), reason="only root can be several users"
)
def test_there_each_process_reads_what_it_needs_and_nothing_else(machine: Machine) -> None:
    web = psutil.Process(machine.services["colophon-web.service"].pid)
    assert web.uids().real == NOBODY
    assert web.children()[0].uids().real == NOBODY
    site = pwd.getpwnam("www-data")

    def reads(user: int, group: int, path: str) -> bool:
        who = [f"--reuid={user}", f"--regid={group}", "--clear-groups"]
        words = ["setpriv", *who, "cat", str(machine.at(path))]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0

    files = [path for path in machine.at("/var/lib/colophon/files").rglob("*") if path.is_file()]
    inside = str(files[0])[len(str(machine.folder)) :]
    assert reads(NOBODY, NOBODY, "/var/lib/colophon/colophon.db")
    assert reads(site.pw_uid, site.pw_gid, inside)
    for path in ("/var/lib/colophon/colophon.db", "/etc/colophon.env"):
        assert not reads(site.pw_uid, site.pw_gid, path), path
    assert not reads(NOBODY, NOBODY, "/etc/colophon.env")
    assert not reads(1, 1, inside)


def test_the_service_of_the_timer_makes_a_backup_there(machine: Machine) -> None:
    machine.start("colophon-backup.service")
    code = machine.services.pop("colophon-backup.service").wait(timeout=120)
    assert code == 0, machine.at("/colophon-backup.service.log").read_text(encoding="utf-8")
    made = list(machine.at("/var/backups/colophon").rglob("manifest.json"))
    assert len(made) == 1


def test_a_machine_that_is_lost_comes_back_by_the_chapter_on_backups(
    machine: Machine, postgres: str
) -> None:
    for line in commands("## Backups", "### Restoring"):
        machine.type(line)
    _put_away(machine)
    for line in commands():
        if re.match(r"systemd-tmpfiles|install .* /etc/colophon.env$|sed .*SECRET_KEY", line):
            machine.type(line)
    journal = machine.at("/lost/colophon/erasures.jsonl")
    for line in commands("### Restoring", "### To PostgreSQL, or back"):
        machine.type(line)
        if line.startswith("mv /etc/colophon.env.new"):
            shutil.copy2(journal, machine.at("/var/lib/colophon/erasures.jsonl"))
            if os.geteuid() == 0:
                os.chown(machine.at("/var/lib/colophon/erasures.jsonl"), NOBODY, NOBODY)
    said = "\n".join(machine.said)
    assert "The journal tells of the time until" in said
    machine.type("store mail go")
    machine.type("systemctl start colophon")
    library = _links(machine)[0]
    with machine.front.pool() as pool:
        page = until(
            lambda: (
                (found := pool.request("GET", library, headers={"Host": HOST})).status == 200
                and found.data.decode()
            ),
            "the library, by the link of before",
        )
    assert "A guide" in page
    machine.type("store log explain guide/1")
    _to_postgresql(machine, postgres)


def _put_away(machine: Machine) -> None:
    """The machine is lost, but for its programs and the folder of backups."""
    for name in ("colophon-web.service", "colophon-worker.service"):
        machine.services[name].kill()
        machine.services.pop(name).wait()
    machine.at("/lost").mkdir()
    shutil.move(machine.at("/var/lib/colophon"), machine.at("/lost/colophon"))
    machine.at("/etc/colophon.env").unlink()
    if os.geteuid() == 0:
        for path in machine.at("/var/backups").rglob("*"):
            os.chown(path, 0, 0)
        os.chown(machine.at("/etc/colophon-backup.passphrase"), 0, 0)


def _to_postgresql(machine: Machine, server: str) -> None:
    for folder in (path := Path(parse_qs(urlsplit(server).query)["host"][0]), *path.parents):
        with suppress(PermissionError):
            folder.chmod(folder.stat().st_mode | 0o011)
    database = new_database(server)
    machine.exported["STORE_POSTGRESQL_PROGRAMS"] = str(PROGRAMS)
    for line in commands("### To PostgreSQL, or back", "## After a restore"):
        machine.type(re.sub("=postgresql:.*", f"={database}", line))
    machine.type("store check")
    assert "ok     database: postgresql, up to date" in machine.said[-1]
    with machine.front.pool() as pool:
        until(
            lambda: pool.request("GET", "/", headers={"Host": HOST}).status == 200,
            "the shop on PostgreSQL",
        )
    assert machine.at("/var/lib/colophon/colophon.db").is_file()
    log = machine.at("/colophon-worker.service.log")
    until(lambda: "job.done" in log.read_text(encoding="utf-8"), "the worker there")


def test_no_log_of_that_machine_has_a_token(machine: Machine) -> None:
    logs = [*machine.at("/var/log/nginx").iterdir(), *machine.folder.glob("*.log")]
    said = "".join(path.read_text(encoding="utf-8") for path in logs)
    assert " /library " in said
    assert re.search(r"/(?:library|download)/[\w-]{20,}", said) is None
    assert "@reader.example" not in said


def test_term_ends_the_services_in_order(machine: Machine) -> None:
    services = [machine.services[f"colophon-{name}.service"] for name in ("web", "worker")]
    for one in services:
        one.terminate()
    assert [one.wait(timeout=60) for one in services] == [0, 0]
    with machine.front.pool() as pool:
        answer = pool.request("GET", "/", headers={"Host": HOST})
    assert (answer.status, answer.headers["Retry-After"]) == (503, "60")
