"""The container's files: what matters of them, whether linters and engines are here or not."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from store.cli import main
from store.settings import PREFIX, Settings
from tests.serving import environment, free_port, serving

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "ops" / "container"
WORDS = (FOLDER / "Containerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
OF_THE_SHOP = ("upgrade", "web", "worker", "backup")


def _steps() -> list[tuple[str, str]]:
    """The instructions, each with its words on one line."""
    whole = re.sub(r"^#.*\n", "", WORDS, flags=re.MULTILINE).replace("\\\n", "")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in whole.splitlines() if line]


def _last(name: str) -> str:
    return [words for step, words in _steps() if step == name][-1]


def _stages() -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for step in _steps():
        if step[0] == "FROM":
            found.append([])
        found[-1].append(step)
    return found


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    judged = subprocess.run(
        [hadolint, FOLDER / "Containerfile"], capture_output=True, text=True, check=False
    )
    assert (judged.returncode, judged.stdout) == (0, "")


def test_the_last_stage_is_what_was_built_run_by_a_number_without_a_shell() -> None:
    _built, last = _stages()
    assert [words for step, words in last if step == "COPY"] == [
        "--from=built /opt/colophon /opt/colophon"
    ]
    assert not [words for step, words in last if step == "RUN" and "pip" in words]
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", _last("USER"))
    started = json.loads(_last("ENTRYPOINT")) + json.loads(_last("CMD"))
    assert started == ["/opt/colophon/venv/bin/store", "serve"]
    assert _last("STOPSIGNAL") == "SIGTERM"
    assert {words.split()[0] for step, words in _steps() if step == "FROM"} == {
        "docker.io/library/python:3.13-slim-trixie"
    }


def test_the_image_makes_backups_of_the_server_beside_it() -> None:
    """Which version of PostgreSQL's programs is Debian's."""
    (base,) = {words.split()[0].rpartition("-")[2] for step, words in _steps() if step == "FROM"}
    server = int(COMPOSE["services"]["database"]["image"].rpartition(":")[2])
    assert {"bookworm": 15, "trixie": 17}[base] >= server
    assert "postgresql-client" in " ".join(words for step, words in _stages()[1] if step == "RUN")
    backup = COMPOSE["services"]["backup"]
    assert backup["command"][:2] == ["backup", "/backups"]
    # A restore is into a database without tables, which `upgrade` would make.
    assert set(backup["depends_on"]) == {"database"}
    assert backup["profiles"] == ["backup"]


def test_every_dependency_comes_by_its_hash_and_the_wheel_from_nowhere() -> None:
    installed = re.findall(r"pip install ([^&]+)", " ".join(w for s, w in _steps() if s == "RUN"))
    assert len(installed) == 2
    assert "--require-hashes --requirement requirements.lock" in installed[0]
    assert "--no-deps --no-index" in installed[1]


def test_all_that_the_wheel_is_made_of_is_copied_and_let_in() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], "pyproject.toml", "requirements.lock"}
    needed |= {project["project"]["readme"], *project["project"]["license-files"]}
    copied = {one for step, words in _stages()[0] if step == "COPY" for one in words.split()[:-1]}
    assert needed == copied
    ignored = (FOLDER / "Containerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == needed
    assert [name for name in needed if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", OF_THE_SHOP)
def test_a_service_of_the_shop_may_write_to_its_volume_alone(name: str) -> None:
    service: dict[str, Any] = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    of_backups = ["./backups:/backups"] if name == "backup" else []
    assert service["volumes"] == ["data:/data", *of_backups]
    assert main.get_command(click.Context(main), service["command"][0])
    known = {PREFIX + field.upper() for field in Settings.model_fields}
    assert set(service["environment"]) <= known


def test_the_compose_file_names_files_volumes_and_services_that_there_are() -> None:
    services = COMPOSE["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        for source in (one.split(":")[0] for one in service.get("volumes", [])):
            if source.startswith("../"):
                assert (FOLDER / source).resolve().is_file(), source
            elif not source.startswith("./"):
                assert source in COMPOSE["volumes"], source
        assert not service.get("privileged")
    assert services["web"]["ports"] == ["80:80", "443:443"]
    assert "ports" not in services["database"]
    assert services["nginx"]["network_mode"] == "service:web"
    assert services["web"]["environment"]["STORE_BIND"] == "127.0.0.1:8000"


def _health(env: dict[str, str], port: int) -> int:
    """The exit code of the container's own question, with this Python in place of its own."""
    words = ast.literal_eval(_last("HEALTHCHECK").partition("CMD ")[2])
    asked = words[2].replace(":8000/", f":{port}/")
    return subprocess.run(
        [sys.executable, "-c", asked], env=env, capture_output=True, check=False, timeout=60
    ).returncode


@pytest.mark.long
def test_the_health_check_passes_while_the_shop_is_ready_and_fails_after(
    sqlite_template: Path, tmp_path: Path
) -> None:
    shutil.copy(sqlite_template, tmp_path / "colophon.db")
    port = free_port()
    env = environment(tmp_path, port)
    with serving(tmp_path, port):
        assert _health(env, port) == 0
    assert _health(env, port) == 1
