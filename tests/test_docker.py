"""The files of docker/: that they speak of things that are there. No container engine is needed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

TOP = Path(__file__).resolve().parent.parent
DOCKER = TOP / "docker"


def variables(text: str) -> set[str]:
    """The settings that a file names."""
    return set(re.findall(r"\b(?:AGENTHUB_[A-Z_]+|DATABASE_URL|REDIS_URL)\b", text))


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yml", "env.example", "systemd/agenthub.service"])
def test_only_settings_that_exist_are_named(name: str) -> None:
    known = variables((TOP / "agenthub" / "core" / "environment.py").read_text())
    named = variables((DOCKER / name).read_text())
    assert named
    assert named - known == set()


def test_the_image_copies_what_there_is() -> None:
    lines = (DOCKER / "Dockerfile").read_text().splitlines()
    copied = {
        source for line in lines if line.startswith("COPY ") and "--from" not in line for source in line.split()[1:-1]
    }
    assert [source for source in copied if not (TOP / source).exists()] == []
    kept = {line[1:] for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == kept


def test_the_image_holds_every_package_and_runs_as_nobody_special() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    for package in ("agenthub", "providers", "proxy", "heartbeat", "storagecustodian"):
        assert f"COPY {package} /app/{package}" in text
    assert "--require-hashes" in text
    assert text.index("USER agenthub") < text.index("ENTRYPOINT")


def test_compose_asks_for_every_secret_and_waits_for_its_servers() -> None:
    compose = yaml.safe_load((DOCKER / "compose.yml").read_text())
    hub = compose["services"]["hub"]
    assert hub["depends_on"].keys() == compose["services"].keys() - {"hub"}
    for secret in ("AGENTHUB_ENCRYPTION_KEY", "AGENTHUB_SECRET_KEY", "AGENTHUB_ADMIN_TOKEN"):
        assert ":?" in hub["environment"][secret]
    asked = set(re.findall(r"\$\{([A-Z_]+)", (DOCKER / "compose.yml").read_text()))
    given = set(re.findall(r"^([A-Z_]+)=", (DOCKER / "env.example").read_text(), flags=re.MULTILINE))
    assert asked - given == {"AGENTHUB_WORKERS"}
    assert given - asked == set()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed on this machine")
def test_the_unit_is_understood(tmp_path: Path) -> None:
    unit = tmp_path / "agenthub.service"
    unit.write_text(
        (DOCKER / "systemd/agenthub.service").read_text().replace("/opt/agenthub/.venv/bin/agenthub", "/bin/sh")
    )
    checked = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
