"""Names and parameters of components, and what figures of a machine mean."""

from typing import Any

import pytest

from heartbeat.rules.components import CheckKind, component_name, name_refusal, parameters_refusal
from heartbeat.rules.host import (
    Finding,
    Level,
    days_level,
    level_of,
    memory_used_percent,
    used_percent,
    worst,
)


def test_parts_of_processes_have_stable_names() -> None:
    assert component_name("web-2", "web", "node") == "web-2@node"
    assert component_name("web-2", "routing", "node") == "web-2.routing@node"
    assert component_name("worker", "worker", "node") == "worker@node"
    assert component_name("worker", "scheduler", "node") == "worker.scheduler@node"


@pytest.mark.parametrize("name", ["nginx", "db.main", "a:1@host", "0"])
def test_names_that_can_be_had(name: str) -> None:
    assert name_refusal(name) == ""


@pytest.mark.parametrize("name", ["", "a/b", " a", "a b", "-a", "ä", "a" * 129, "a\n", "cron", "agent"])
def test_names_that_can_not(name: str) -> None:
    assert name_refusal(name)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        (CheckKind.NONE, {}),
        (CheckKind.HTTP, {"url": "https://host/path", "status": 204, "contains": "ok"}),
        (CheckKind.TCP, {"host": "::1", "port": 443}),
        (CheckKind.COMMAND, {"command": ["true", ""]}),
        (CheckKind.CALLABLE, {"path": "a.b", "arguments": {}}),
    ],
)
def test_parameters_that_fit(kind: CheckKind, parameters: dict[str, Any]) -> None:
    assert parameters_refusal(kind, parameters) == ""


@pytest.mark.parametrize(
    ("kind", "parameters", "named"),
    [
        (CheckKind.NONE, {"url": "http://a"}, "url"),
        (CheckKind.HTTP, {}, "url"),
        (CheckKind.HTTP, {"url": "file:///etc/passwd"}, "url"),
        (CheckKind.HTTP, {"url": "http://a b"}, "url"),
        (CheckKind.HTTP, {"url": "http://a", "status": True}, "status"),
        (CheckKind.HTTP, {"url": "http://a", "other": 1}, "other"),
        (CheckKind.TCP, {"host": "a"}, "port"),
        (CheckKind.TCP, {"host": "a", "port": 0}, "port"),
        (CheckKind.TCP, {"host": "", "port": 1}, "host"),
        (CheckKind.COMMAND, {"command": "rm -rf"}, "command"),
        (CheckKind.COMMAND, {"command": []}, "command"),
        (CheckKind.COMMAND, {"command": ["a\0b"]}, "command"),
        (CheckKind.CALLABLE, {"path": "a", "arguments": []}, "arguments"),
    ],
)
def test_parameters_that_do_not(kind: CheckKind, parameters: dict[str, Any], named: str) -> None:
    assert named in parameters_refusal(kind, parameters)


@pytest.mark.parametrize(
    ("value", "level"), [(79.9, Level.OK), (80, Level.WARNING), (89.9, Level.WARNING), (90, Level.CRITICAL)]
)
def test_bounds_belong_to_the_worse_side(value: float, level: Level) -> None:
    assert level_of(value, warn=80, critical=90) is level


@pytest.mark.parametrize(
    ("days", "level"), [(31, Level.OK), (30, Level.WARNING), (7, Level.CRITICAL), (-1, Level.CRITICAL)]
)
def test_a_certificate_runs_out(days: float, level: Level) -> None:
    assert days_level(days, warn_days=30, critical_days=7) is level


def test_bounds_must_not_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="must not be above"):
        level_of(1, warn=90, critical=80)
    with pytest.raises(ValueError, match="must not be above"):
        days_level(1, warn_days=7, critical_days=30)


def test_the_worst_finding_matters() -> None:
    findings = [Finding(Level.WARNING, "a"), Finding(Level.CRITICAL, "b"), Finding(Level.CRITICAL, "c")]
    assert worst(findings) == Finding(Level.CRITICAL, "b; c")


def test_memory_that_is_not_available_is_used() -> None:
    assert memory_used_percent("MemTotal:  1000 kB\nMemFree: 10 kB\nMemAvailable:  250 kB\n") == 75
    with pytest.raises(ValueError, match="MemAvailable"):
        memory_used_percent("MemTotal: 1000 kB\nHugePages\n")


def test_what_is_reserved_for_root_is_neither_used_nor_free() -> None:
    assert used_percent(total=100, free=20, available=10) == pytest.approx(100 * 80 / 90)
    assert used_percent(total=0, free=0, available=0) == 0
