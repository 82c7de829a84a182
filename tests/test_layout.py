"""The house and its rooms: who imports whom, what is pure, and what lies at the top."""

import subprocess
from pathlib import Path

import pytest

from tests.layout import EVERYTHING, MAY_IMPORT, OURS, ROOT, part_of, violations

TOP = Path(__file__).resolve().parent.parent
PACKAGES = {"agenthub", "providers", "proxy", "heartbeat", "storagecustodian", "tests", "bench"}
FOLDERS = {"templates", "static", "docker", "docs", "locale", ".ci"}
PAGES = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE"}
TOP_LEVEL_NAMES = PACKAGES | FOLDERS | PAGES | {"manage.py", "pyproject.toml", "Makefile", ".gitignore"}


def plant(top: Path, files: dict[str, str]) -> list[str]:
    """The violations of a little house with these files."""
    for name, source in files.items():
        file = top / name
        for folder in (file.parent, *file.parent.parents):
            if folder == top:
                break
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "__init__.py").touch()
        file.write_text(source)
    return [str(violation) for violation in violations(top)]


def test_the_house_keeps_to_its_plan() -> None:
    assert [str(violation) for violation in violations(TOP)] == []


def test_nothing_else_lies_at_the_top() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, check=True, capture_output=True, text=True).stdout
    names = {path.partition("/")[0] for path in listed.split("\0") if path}
    assert names - TOP_LEVEL_NAMES == set()


def test_the_plan_has_no_circles() -> None:
    def below(part: str, seen: tuple[str, ...]) -> None:
        assert part not in seen, " → ".join((*seen, part))
        for other in MAY_IMPORT.get(part, frozenset()):
            below(other, (*seen, part))

    for part in MAY_IMPORT:
        below(part, ())


def test_every_module_belongs_to_a_part() -> None:
    assert part_of("agenthub.core.env") == "agenthub.core"
    assert part_of("agenthub.settings") == ROOT
    assert part_of("storagecustodian.agent.main") == "storagecustodian.agent"
    assert part_of("storagecustodian.models") == "storagecustodian"
    assert part_of("agenthubbub") == ""
    assert {part_of(name) for name in OURS} <= EVERYTHING


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("providers/selectors.py", "import proxy.app"),
        ("providers/selectors.py", "def f():\n    from proxy import app"),
        (
            "providers/selectors.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from proxy.app import ProxyApp",
        ),
        ("providers/selectors.py", "try:\n    import proxy.app\nexcept ImportError:\n    pass"),
        ("providers/selectors.py", "import importlib\nimportlib.import_module('proxy.app')"),
        ("providers/selectors.py", "from agenthub import settings"),
        ("providers/selectors.py", "from agenthub.core import env\nfrom agenthub import urls"),
        ("providers/selectors.py", "import agenthub.core.env, agenthub.settings"),
        ("agenthub/core/env.py", "from ..overview import health"),
        ("agenthub/core/env.py", "from .. import settings"),
        ("agenthub/client/connection.py", "from agenthub.core import clock"),
        ("agenthub/overview/views.py", "from agenthub.demo import run"),
        ("agenthub/demo/run.py", "from proxy import services"),
        ("proxy/app.py", "import heartbeat.jobs"),
        ("storagecustodian/agent/main.py", "from storagecustodian import services"),
    ],
)
def test_an_import_against_the_plan_is_seen(tmp_path: Path, file: str, source: str) -> None:
    house = [f"agenthub/{name}.py" for name in ("settings", "urls", "core/clock", "overview/health", "demo/run")]
    house += ["proxy/app.py", "proxy/services.py", "heartbeat/jobs.py", "storagecustodian/services.py"]
    found = plant(tmp_path, {**dict.fromkeys(house, ""), file: source})
    assert len(found) == 1
    assert found[0].startswith(f"{file}:")
    assert "may not import" in found[0]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("providers/rules/cooldown.py", "from django.db import models"),
        ("providers/rules/cooldown.py", "def f():\n    import django"),
        ("providers/rules/cooldown.py", "import time"),
        ("providers/rules/cooldown.py", "from datetime import datetime, UTC\nx = datetime.now(UTC)"),
        ("providers/rules/cooldown.py", "import random\nx = random.random()"),
        ("providers/rules/cooldown.py", "x = open('a')"),
        ("providers/rules/cooldown.py", "from agenthub.core import clock"),
        ("providers/rules/cooldown.py", "from ..selectors import x"),
        ("proxy/wire/sse.py", "import asyncio"),
        ("proxy/wire/deep/sse.py", "from urllib.request import urlopen"),
        ("agenthub/hub/rules/protocol.py", "import logging"),
        ("agenthub/core/money.py", "import time"),
    ],
)
def test_a_rule_that_is_not_pure_is_seen(tmp_path: Path, file: str, source: str) -> None:
    found = plant(tmp_path, {"agenthub/core/clock.py": "", "providers/selectors.py": "", file: source})
    assert len(found) == 1
    assert found[0].startswith(f"{file}:")
    assert "pure code" in found[0]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("providers/selectors.py", "from agenthub.core import env\nimport django"),
        ("proxy/app.py", "from providers.rules.table import RoutingTable\nfrom agenthub.core.errors import Refused"),
        ("proxy/rules/routing.py", "from providers.rules import table\nfrom dataclasses import dataclass"),
        (
            "proxy/rules/routing.py",
            "import random\n\ndef f(chance: random.Random) -> float:\n    return chance.random()",
        ),
        ("agenthub/urls.py", "from agenthub.overview import health\nimport proxy.app"),
        ("agenthub/web.py", "from agenthub import settings"),
    ],
)
def test_what_the_plan_allows_passes(tmp_path: Path, file: str, source: str) -> None:
    targets = dict.fromkeys(["agenthub/settings.py", "proxy/app.py", "providers/rules/table.py"], "")
    assert plant(tmp_path, {**targets, file: source}) == []


def test_a_package_that_does_something_when_imported_is_seen(tmp_path: Path) -> None:
    (tmp_path / "proxy").mkdir()
    (tmp_path / "proxy" / "__init__.py").write_text("from proxy import app")
    assert "is not empty" in str(violations(tmp_path)[0])
