"""Runs the checks of components: side by side, each within its time, and none of them able to touch another."""

import asyncio
import inspect
import os
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connections

from agenthub.core.outbound import fetch, reach
from agenthub.core.outbound_errors import OutboundError
from agenthub.core.side_by_side import as_finished
from heartbeat.callables import callables
from heartbeat.models import Component
from heartbeat.rules.components import CheckKind, Kind
from heartbeat.rules.host import Finding, Level
from heartbeat.services.components import component_report, component_unknown, components_due, components_ensure

MOST_AT_ONCE = 50
MOST_IN_A_PASS = 500
LONGEST_OUTPUT = 4096
COMMAND_ENVIRONMENT = ("PATH", "HOME", "LANG", "TZ", "USER")
"""What a command sees of the environment, which holds the hub's secrets."""

HOST_INTERVAL_SECONDS = 120.0
OWN = "heartbeat.component_checks"


class CheckFailed(Exception):
    """What a check has found wrong."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has come of a check: whether its component is well, and what was found."""

    ok: bool
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check before it is run."""

    name: str
    kind: CheckKind
    parameters: Mapping[str, Any] = field(repr=False)
    timeout_seconds: float
    allow_private: bool
    of_host: bool = False  # what it finds is an alert, and no error: a machine under load works all the same
    function: Callable[..., Any] | None = None  # of a callable; None where none of its path is registered here


def own_checks(node: str) -> dict[str, dict[str, Any]]:
    """What AgentHub has checks for by itself, by name: what it depends on, and this machine."""
    found = {
        "database": _own(Kind.DATABASE, "database"),
        "providers.backends": _own(Kind.PROVIDERS, "backends"),
        **{
            f"{name}@{node}": _own(Kind.HOST, name) | {"node": node, "interval_seconds": HOST_INTERVAL_SECONDS}
            for name in ("disk", "memory", "load")
        },
    }
    return found | ({"redis": _own(Kind.REDIS, "redis_server")} if settings.ENVIRONMENT.redis_url else {})


def _own(kind: Kind, function: str) -> dict[str, Any]:
    return {"kind": kind, "check_kind": CheckKind.CALLABLE, "parameters": {"path": f"{OWN}.{function}"}}


def components_check(*, now: float, node: str) -> int:
    """Run every check that is due on this node and note each outcome as it comes; how many there were."""
    components_ensure(own_checks(node))
    due = components_due(now=now, node=node, most=MOST_IN_A_PASS)
    registered = callables() if due else {}
    checks = [_prepared(component, registered) for component in due]
    for place, outcome in as_finished([partial(check_run, check) for check in checks], at_once=MOST_AT_ONCE):
        _note(checks[place], outcome)
    return len(checks)


def _prepared(component: Component, registered: Mapping[str, Callable[..., Any]]) -> Check:
    return Check(
        name=component.name,
        kind=CheckKind(component.check_kind),
        parameters=component.parameters,
        timeout_seconds=component.timeout_seconds,
        allow_private=settings.ENVIRONMENT.allow_private_upstreams,
        of_host=component.kind == Kind.HOST,
        function=registered.get(component.parameters.get("path", "")),
    )


def _note(check: Check, outcome: Outcome | None) -> None:
    if outcome is None:
        component_unknown(name=check.name, text=f"{check.parameters.get('path')} is not registered here.")
        return
    component_report(name=check.name, ok=outcome.ok, text=outcome.finding.text, level=outcome.finding.level)


async def check_run(check: Check) -> Outcome | None:
    """What comes of a check, within its time; None where it can't be run here. What goes wrong is an outcome too."""
    try:
        async with asyncio.timeout(check.timeout_seconds):
            finding = await _RUNNERS[check.kind](check)
    except TimeoutError:
        return _failed(f"it was not done within {check.timeout_seconds:g} s")
    except (CheckFailed, OutboundError) as problem:
        return _failed(str(problem))
    except Exception as problem:  # noqa: BLE001 - the edge of a check: it must not touch the others
        return _failed(f"{type(problem).__name__}: {problem}")
    if finding is None:
        return None
    return Outcome(check.of_host or finding.level is not Level.CRITICAL, finding)


def _failed(text: str) -> Outcome:
    return Outcome(False, Finding(Level.CRITICAL, text))


async def _http(check: Check) -> Finding:
    wanted = check.parameters
    answer = await fetch("GET", wanted["url"], allow_private=check.allow_private, timeout_seconds=check.timeout_seconds)
    status = wanted.get("status")
    if answer.status != status if status is not None else not 200 <= answer.status < 400:
        raise CheckFailed(f"it answered with status {answer.status}")
    if wanted.get("contains", "").encode() not in answer.body:
        raise CheckFailed("its answer does not hold the text that is expected")
    return Finding(Level.OK, f"status {answer.status} in {answer.latency_ms:.0f} ms")


async def _tcp(check: Check) -> Finding:
    host, port = check.parameters["host"], check.parameters["port"]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    await reach(url, allow_private=check.allow_private, timeout_seconds=check.timeout_seconds)
    return Finding(Level.OK, f"{host}:{port} takes connections")


async def _command(check: Check) -> Finding:
    process = await asyncio.create_subprocess_exec(
        *check.parameters["command"],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={name: os.environ[name] for name in COMMAND_ENVIRONMENT if name in os.environ},
        start_new_session=True,
    )
    try:
        words = await _last_words(process)
        status = await process.wait()
    finally:
        # It and all that it has started, also when its time is over; what has ended well has left nothing behind.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if status != 0:
        raise CheckFailed(f"it ended with status {status}{f': {words}' if words else ''}")
    return Finding(Level.OK, words)


async def _last_words(process: asyncio.subprocess.Process) -> str:
    """The last line that a process writes, however much that is."""
    kept = b""
    while process.stdout is not None and (piece := await process.stdout.read(LONGEST_OUTPUT)):
        kept = (kept + piece)[-LONGEST_OUTPUT:]
    lines = kept.decode("utf-8", "replace").strip().splitlines()
    return "".join(letter for letter in lines[-1] if letter.isprintable()) if lines else ""


async def _callable(check: Check) -> Finding | None:
    if check.function is None:
        return None
    arguments = check.parameters.get("arguments", {})
    if inspect.iscoroutinefunction(check.function):
        found = await check.function(**arguments)
    else:
        found = await _in_own_thread(check.name, partial(check.function, **arguments))
    return found if isinstance(found, Finding) else Finding(Level.OK, "")


_under_way: dict[str, threading.Thread] = {}


async def _in_own_thread(name: str, function: Callable[[], Any]) -> Any:
    """Run what may hang in a thread that nobody waits for; one at a time for each component."""
    if name in _under_way and _under_way[name].is_alive():
        raise CheckFailed("its last run has still not come to an end")
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, problem: BaseException | None) -> None:
        if done.done():  # given up meanwhile
            return
        if problem is None:
            done.set_result(result)
        else:
            done.set_exception(problem)

    def run() -> None:
        result, problem = None, None
        try:
            result = function()
        except Exception as raised:  # noqa: BLE001 - it is raised where it is waited for
            problem = raised
        finally:
            connections.close_all()
        with suppress(RuntimeError):  # the loop is over: nobody waits any more
            loop.call_soon_threadsafe(settle, result, problem)

    thread = _under_way[name] = threading.Thread(target=run, name=f"check {name}", daemon=True)
    thread.start()
    return await done


_RUNNERS = {CheckKind.HTTP: _http, CheckKind.TCP: _tcp, CheckKind.COMMAND: _command, CheckKind.CALLABLE: _callable}
