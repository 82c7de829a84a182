"""Django's settings for different environments; each is read by a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub import REPOSITORY
from tests.settings import OURS


def manage(folder: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """One management command."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith((*OURS, "DJANGO_"))}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env=inherited | {"AGENTHUB_DATA_DIR": str(folder), **environ},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_nothing_is_left_to_say_about_a_deployment_behind_tls(tmp_path: Path) -> None:
    checked = manage(
        tmp_path, "check", "--deploy", "--fail-level", "WARNING", AGENTHUB_PUBLIC_URL="https://hub.example"
    )
    assert checked.returncode == 0, checked.stderr
    assert "no issues" in checked.stdout


def test_no_migration_is_missing(tmp_path: Path) -> None:
    checked = manage(tmp_path, "makemigrations", "--check", "--dry-run")
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("command", ["check", "migrate", "flusher"])
def test_a_bad_environment_stops_every_command_with_one_line(tmp_path: Path, command: str) -> None:
    ended = manage(tmp_path, command, AGENTHUB_ENCRYPTION_KEY="nonsense")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert ended.stderr.startswith("agenthub: AGENTHUB_ENCRYPTION_KEY must be")


def test_web_processes_load_nothing_of_the_jobs_the_schema_or_redis(tmp_path: Path) -> None:
    heavy = "{'celery', 'kombu', 'redis', 'daphne', 'twisted', 'drf_spectacular.generators'}"
    code = f"import agenthub.web, agenthub.urls, sys; print(sorted({heavy} & set(sys.modules)))"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith((*OURS, "DJANGO_"))}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | {"AGENTHUB_DATA_DIR": str(tmp_path)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert ended.stdout == "[]\n", ended.stderr


def test_the_parent_of_all_loads_no_django(tmp_path: Path) -> None:
    code = "import agenthub.up.command, sys; print([name for name in sys.modules if name.startswith('django')])"
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert ended.stdout == "[]\n", ended.stderr
