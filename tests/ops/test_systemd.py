"""The units, users and folders of `docs/ops/systemd`, judged by systemd's own tools where they are to be had."""

import shutil
import subprocess
from pathlib import Path

import click
import pytest

from store.cli import main
from tests.command_tree import commands_of

FOLDER = Path(__file__).parents[2] / "docs" / "ops" / "systemd"
SERVICES = sorted(path.name for path in FOLDER.glob("colophon-*.service"))
COMMAND = "/opt/colophon/venv/bin/store"


def _needs(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


def _run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


def _value(unit: str, name: str) -> list[str]:
    lines = (FOLDER / unit).read_text(encoding="utf-8").splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]


@pytest.fixture
def placed(tmp_path: Path) -> Path:
    """The units as they will stand, but for a command that is there."""
    for unit in FOLDER.iterdir():
        if unit.suffix in {".service", ".timer"}:
            words = unit.read_text(encoding="utf-8").replace(COMMAND, "/bin/true")
            (tmp_path / unit.name).write_text(words, encoding="utf-8")
    return tmp_path


@_needs("systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_units(placed: Path) -> None:
    judged = _run("systemd-analyze", "verify", "--man=no", *map(str, placed.iterdir()))
    said = [
        line for line in judged.stderr.splitlines() if str(placed) in line or "colophon" in line
    ]
    assert said == []
    assert judged.returncode == 0, judged.stderr


@_needs("systemd-analyze")
def test_systemd_finds_what_is_wrong_with_a_unit(placed: Path) -> None:
    unit = placed / "colophon-web.service"
    unit.write_text(unit.read_text().replace("ProtectHome=yes", "ProtectHomes=yes"))
    assert "ProtectHomes" in _run("systemd-analyze", "verify", "--man=no", str(unit)).stderr


@_needs("systemd-analyze")
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_do_little_beside_its_work(service: str) -> None:
    """systemd counts from 0, nothing, to 10, everything; below 2 is its best word."""
    judged = _run(
        *("systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=18"),
        str(FOLDER / service),
    )
    assert judged.returncode == 0, judged.stdout


@_needs("systemd-sysusers")
def test_the_user_of_the_shop_can_be_made() -> None:
    done = _run("systemd-sysusers", "--dry-run", str(FOLDER / "sysusers.conf"))
    assert done.returncode == 0, done.stderr
    assert "colophon" in done.stderr + done.stdout


@pytest.mark.parametrize("service", SERVICES)
def test_services_start_commands_that_there_are_as_the_user_that_is_made(service: str) -> None:
    (started,) = _value(service, "ExecStart")
    program, *words = started.split()
    found = commands_of(main)[words[0]]
    assert program == COMMAND
    options = {name for one in found.params if isinstance(one, click.Option) for name in one.opts}
    assert {word for word in words if word.startswith("--")} - options == set()
    users = (FOLDER / "sysusers.conf").read_text(encoding="utf-8")
    (user,) = _value(service, "User")
    assert f"\nu {user} " in users


@pytest.mark.parametrize("service", SERVICES)
def test_services_may_write_where_folders_are_made_and_nowhere_else(service: str) -> None:
    lines = (FOLDER / "tmpfiles.conf").read_text(encoding="utf-8").splitlines()
    made = {line.split()[1] for line in lines if line.startswith("d ")}
    (writes,) = _value(service, "ReadWritePaths")
    assert set(writes.split()) - made == set()
    assert _value(service, "ProtectSystem") == ["strict"]
