"""The menu in a fresh copy of the project: what a newcomer does first."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.hub import REPOSITORY, wait_until
from tests.settings import OURS

pytestmark = pytest.mark.timeout(420)

SERVES = re.compile(r"serves on (http://\S+)")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files of the project as they are now, and nothing else of this checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).is_file():
            (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, tmp_path / "copy" / name)
    return tmp_path / "copy"


def newcomer(**environ: str) -> dict[str, str]:
    """The environment of somebody who has set nothing."""
    ours = (*OURS, "DJANGO_", "VIRTUAL_ENV", "PYTHONPATH", "MAKE", "MFLAGS")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return inherited | environ


def serve_once(folder: Path) -> str:
    """`make up` until it answers, then Ctrl-C; what it has said."""
    log = folder.parent / "make.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["make", "up"],
            cwd=folder,
            env=newcomer(AGENTHUB_PORT="0", AGENTHUB_METRICS_PORT="0"),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def served() -> re.Match[str] | None:
        assert process.poll() is None, log.read_text()
        return SERVES.search(log.read_text())

    try:
        address = wait_until(served, "make up", seconds=300).group(1)
        assert httpx.get(f"{address}/health", trust_env=False, timeout=60).json()["status"] == "ok"
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)
    return log.read_text()


def test_make_up_serves_from_nothing_and_again(copy: Path) -> None:
    first = serve_once(copy)
    assert "Installing" in first
    assert "Client key" in first
    assert (copy / "data" / "secrets.env").exists()
    again = serve_once(copy)
    assert "Installing" not in again
    assert "Client key" not in again
    help_of_command = subprocess.run([copy / ".venv/bin/agenthub", "help"], capture_output=True, text=True, cwd="/")
    assert "prepare" in help_of_command.stdout
    assert help_of_command.returncode == 0


def test_without_a_new_python_the_menu_says_what_to_install(copy: Path, tmp_path: Path) -> None:
    old = tmp_path / "bin"
    old.mkdir()
    (old / "python3").write_text("#!/bin/sh\nexit 1\n")
    (old / "python3").chmod(0o755)
    make = shutil.which("make")
    assert make is not None
    ended = subprocess.run(
        [make, "up"], cwd=copy, env=newcomer(PATH=str(old)), capture_output=True, text=True, timeout=60
    )
    assert ended.returncode != 0
    assert "AgentHub needs Python 3.11 or newer" in ended.stderr
    assert "make up PYTHON=" in ended.stderr
    assert not (copy / ".venv").exists()


def test_setup_says_which_lock_files_there_are(copy: Path) -> None:
    ended = subprocess.run(["python3", "docker/bootstrap.py", "all"], cwd=copy, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr == "AgentHub setup: say what to install: server, dev, docs.\n"


@pytest.mark.parametrize("line", ["--index-url=x", "--extra-index-url x", "-i x", "x @ https://files.example/x.whl"])
def test_a_lock_file_that_names_where_packages_come_from_is_found(copy: Path, line: str) -> None:
    """The check of `make lint`, run on its own."""
    pattern = re.search(r"grep -nE '(.*?)' docker/requirements", (copy / "Makefile").read_text())
    assert pattern is not None
    found = re.compile(pattern.group(1).replace("$$", "$"))
    assert found.search(line)
    for lock in (copy / "docker" / "requirements").glob("*.txt"):
        assert not any(found.search(text) for text in lock.read_text().splitlines())
