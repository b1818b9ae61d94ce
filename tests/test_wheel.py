"""The wheel works from any folder: templates, static files and migrations are in it."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.serving import answers, environment, free_port, until

ROOT = Path(__file__).parent.parent
BUILT_FROM = ("store", "templates", "static", "migrations")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that the checkout stays clean."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in BUILT_FROM:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "gunicorn.conf.py"):
        shutil.copy(ROOT / name, source)
    _pip("wheel", str(source), "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder))
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed wheel and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    _pip("install", str(wheel), "--no-deps", "--no-index", "--target", str(folder))
    return folder


def _pip(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _store(
    installed: Path, elsewhere: Path, *words: str, port: int = 8000
) -> "subprocess.Popen[str]":
    """The console script of the installed wheel, started from another folder."""
    env = environment(elsewhere / "data", port, PYTHONPATH=str(installed))
    return subprocess.Popen(
        [sys.executable, str(installed / "bin" / "store"), *words],
        env=env,
        cwd=elsewhere,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_everything_beside_the_package_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    beside = {
        f"store/_beside/{path.relative_to(ROOT)}"
        for name in ("templates", "static", "migrations")
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    beside.add("store/_beside/gunicorn.conf.py")
    assert beside - inside == set()
    samples = {f"store/demo/sample/edition-{n}.{kind}" for n in (1, 2) for kind in ("pdf", "epub")}
    samples |= {f"store/demo/sample/free-sample.{kind}" for kind in ("pdf", "epub")}
    assert samples <= inside
    assert not [name for name in inside if name.startswith(("tests/", "bench/", "docs/"))]


@pytest.mark.long
def test_the_installed_wheel_migrates_and_serves_from_another_folder(
    installed: Path, tmp_path: Path
) -> None:
    port = free_port()
    upgraded = _store(installed, tmp_path, "db", "upgrade")
    assert upgraded.communicate(timeout=60) == ("The database is up to date.\n", "")
    shop = _store(installed, tmp_path, "serve", "--port", str(port), port=port)
    try:
        until(lambda: answers(port) == 200 or shop.poll() is not None, "the shop answers")
        assert [answers(port, path) for path in ("/terms", "/", "/robots.txt")] == [200] * 3
    finally:
        shop.terminate()
        said = shop.communicate(timeout=60)
    assert (shop.returncode, said) == (0, ("", ""))


@pytest.mark.long
def test_the_code_that_runs_is_the_wheels(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import store.app; print(store.app.place('templates'))"],
        env=environment(tmp_path, 8000, PYTHONPATH=str(installed)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(installed / "store" / "_beside" / "templates")
