"""Active checks of real servers, processes and callables: each within its time, about its own component alone."""

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agenthub.core.clock import epoch_seconds
from heartbeat import callables as registry
from heartbeat import checks
from heartbeat.callables import component_check
from heartbeat.component_checks import backends, certificate, disk, load, memory, ports, processes
from heartbeat.models import Alert, Component
from heartbeat.rules.components import Kind
from heartbeat.rules.host import Finding, Level
from heartbeat.services.components import component_check_now, component_pause, component_register, components_alert
from providers.rules.table import ErrorKind
from providers.services.backends import backend_error
from tests.certificates import issued
from tests.factories import make_backend
from tests.upstream import Upstream, running_upstream

pytestmark = pytest.mark.django_db
NODE = "here"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with running_upstream() as running:
        yield running


@pytest.fixture(autouse=True)
def no_own_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "own_checks", lambda node: {})


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], str]:
    """Registers a callable until the end of the test; its path."""
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))

    def register(function: Callable[..., Any]) -> str:
        component_check(function)
        return f"{function.__module__}.{function.__qualname__}"

    return register


def add(name: str, check: str, parameters: dict[str, Any], **values: Any) -> Component:
    return component_register(name=name, values={"check_kind": check, "parameters": parameters, **values})


def run(now: float | None = None) -> int:
    return checks.components_check(now=epoch_seconds() if now is None else now, node=NODE)


def found(name: str) -> tuple[str, str]:
    component = Component.objects.get(name=name)
    return component.status, component.note


def test_an_http_check_passes_by_status_and_words(upstream: Upstream) -> None:
    add("plain", "http", {"url": f"{upstream.url}/models"})
    add("words", "http", {"url": f"{upstream.url}/models", "contains": "m1"})
    add("other words", "http", {"url": f"{upstream.url}/models", "contains": "nothing of it"})
    add("other status", "http", {"url": f"{upstream.url}/models", "status": 204})
    assert run() == 4
    assert {name: found(name)[0] for name in ("plain", "words", "other words", "other status")} == {
        "plain": "healthy",
        "words": "healthy",
        "other words": "error",
        "other status": "error",
    }
    upstream.refuse(503)
    assert run(epoch_seconds() + 15) == 4
    assert found("plain") == ("error", "it answered with status 503")


def test_a_tcp_check_sees_whether_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        add("open", "tcp", {"host": "127.0.0.1", "port": port})
        run()
    add("closed", "tcp", {"host": "127.0.0.1", "port": port})
    run()
    assert (found("open")[0], found("closed")[0]) == ("healthy", "error")


def test_a_command_passes_by_its_status_and_sees_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTHUB_SECRET_KEY", "secret")
    script = "import os; print('AGENTHUB_SECRET_KEY' in os.environ)"
    add("good", "command", {"command": [sys.executable, "-c", script]})
    add("bad", "command", {"command": [sys.executable, "-c", "print('a'); print('broken'); raise SystemExit(3)"]})
    add("no shell", "command", {"command": ["echo hello; true"]})
    run()
    assert found("good") == ("healthy", "False")
    assert found("bad") == ("error", "it ended with status 3: broken")
    assert found("no shell")[0] == "error"


def test_a_command_whose_time_is_over_is_killed_with_all_that_it_has_started(tmp_path: Path) -> None:
    fifo = tmp_path / "alive"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    # A grandchild holds the other end open as long as it lives.
    script = f"import subprocess, sys; subprocess.run(['sleep', '100'], stdin=open({str(fifo)!r}, 'w'))"
    add("slow", "command", {"command": [sys.executable, "-c", script]}, timeout_seconds=2)
    run()
    assert found("slow") == ("error", "it was not done within 2 s")
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""  # the end of the last writer
    os.close(reader)


def test_one_that_hangs_and_one_that_raises_touch_only_their_own(registered: Any) -> None:
    let_go = threading.Event()

    def hangs() -> None:
        let_go.wait(30)

    async def hangs_async() -> None:
        await asyncio.Event().wait()

    def raises() -> None:
        raise RuntimeError("burnt")

    async def passes(*, word: str) -> Finding:
        return Finding(Level.OK, word)

    for function in (hangs, hangs_async, raises):
        add(function.__name__, "callable", {"path": registered(function)}, timeout_seconds=0.2)
    add("passes", "callable", {"path": registered(passes), "arguments": {"word": "fine"}})
    assert run() == 4
    assert found("passes") == ("healthy", "fine")
    assert found("raises") == ("error", "RuntimeError: burnt")
    assert found("hangs") == found("hangs_async") == ("error", "it was not done within 0.2 s")
    # What still hangs is not started once more.
    run(epoch_seconds() + 15)
    assert found("hangs") == ("error", "its last run has still not come to an end")
    let_go.set()


def test_what_is_not_registered_here_is_unknown() -> None:
    add("gone", "callable", {"path": "os.getpid"})
    run()
    assert found("gone") == ("unknown", "os.getpid is not registered here.")


def test_a_warning_is_a_beat_all_the_same(registered: Any) -> None:
    def warns() -> Finding:
        return Finding(Level.WARNING, "nearly full")

    add("disk", "callable", {"path": registered(warns)})
    run()
    component = Component.objects.get()
    assert (component.status, component.level, component.note) == ("healthy", "warning", "nearly full")


def test_what_is_found_at_the_machine_is_an_alert_and_no_error(registered: Any) -> None:
    def full() -> Finding:
        return Finding(Level.CRITICAL, "full")

    def broken() -> None:
        raise OSError("no such disk")

    for function in (full, broken):
        add(function.__name__, "callable", {"path": registered(function)}, kind=Kind.HOST)
    run()
    components_alert()
    assert found("full") == ("healthy", "full")
    assert found("broken")[0] == "error"
    assert sorted(Alert.objects.values_list("rule", "source", "severity")) == [
        ("component_error", "component:broken", "critical"),
        ("host_critical", "component:full", "critical"),
    ]


def test_checks_run_twice_in_an_interval_and_only_where_they_belong() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        parameters = {"host": "127.0.0.1", "port": server.getsockname()[1]}
        here = add("here", "tcp", parameters, node=NODE)
        add("elsewhere", "tcp", parameters, node="there")
        add("waited for", "none", {})
        now = epoch_seconds()
        assert [run(now), run(now), run(now + 14), run(now + 15)] == [1, 0, 0, 1]
        assert component_check_now(component_id=here.pk)
        assert run(now + 16) == 1
        component_pause(component_id=here.pk)
        assert not component_check_now(component_id=here.pk)
        assert run(now + 100) == 0


def test_agenthub_has_checks_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    own = checks.own_checks(NODE)
    assert set(own) == {"database", "providers.backends", f"disk@{NODE}", f"memory@{NODE}", f"load@{NODE}"}
    assert {each["parameters"]["path"] for each in own.values()} <= set(registry.callables())


def test_bounds_that_people_have_set_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "own_checks", lambda node: {"disk": {"check_kind": "callable", "parameters": {}}})
    run()
    Component.objects.update(parameters={"path": "x", "arguments": {"warn": 50}})
    run()
    assert Component.objects.get().parameters["arguments"] == {"warn": 50}


def test_the_certificate_of_a_server_is_read_also_when_nobody_trusts_it(tmp_path: Path) -> None:
    with running_upstream(issued("127.0.0.1", days=20).server_context(tmp_path)) as server:
        port = int(server.url.partition("127.0.0.1:")[2].partition("/")[0])
        finding = certificate(host="127.0.0.1", port=port)
        soon = certificate(host="127.0.0.1", port=port, warn_days=40, critical_days=21)
    assert (finding.level, soon.level) == (Level.WARNING, Level.CRITICAL)


def test_the_checks_of_the_machine_find_what_is_there() -> None:
    assert disk(path="/", warn=100.1, critical=100.1).level is Level.OK
    assert disk(path="/", warn=0, critical=0).level is Level.CRITICAL
    assert memory(warn=0, critical=100.1).level is Level.WARNING
    assert load(warn=10**6, critical=10**6).level is Level.OK
    with open("/proc/self/comm") as own:
        name = own.read().strip()
    assert processes(names=[name]).level is Level.OK
    assert processes(names=[name, "no such process"]) == Finding(
        Level.CRITICAL, "no process runs that is called no such process"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert ports(ports=[port]).level is Level.OK
    assert ports(ports=[port]).level is Level.CRITICAL


def test_backends_are_an_error_only_when_none_may_be_used() -> None:
    assert backends().level is Level.OK
    first = make_backend("first")
    make_backend("second", enabled=False)
    assert backends().text == "1 of 1 enabled backends may be used"
    backend_error(backend_id=first.id, kind=ErrorKind.CREDENTIALS, reason="401")
    assert backends().level is Level.CRITICAL
