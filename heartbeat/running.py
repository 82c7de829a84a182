"""Runs one run of a job: the worker's thread holds the lease, another thread does the work.

What a run does may hang, raise or write without end: it touches nothing but itself. Coroutines and programs are really
stopped when their time is over. A sync function can't be: it is left behind in its thread, and until it comes to its
end in this process no other run of its job is begun here.
"""

import asyncio
import inspect
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.db import DatabaseError, InterfaceError, connection, connections

from agenthub.core.clock import utc_now
from agenthub.core.events import AlertRaised, publish
from agenthub.core.outbound import fetch
from agenthub.core.outbound_errors import OutboundError
from heartbeat.beats import own_name
from heartbeat.models import Job
from heartbeat.registry import definition
from heartbeat.rules.jobs import LEASE_SECONDS, LONGEST_OUTPUT, JobKind, RunState
from heartbeat.services.runs import Claim, Ended, Hold, run_claim, run_finish, run_renew

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often a worker renews its lease and hears whether it shall stop."""

STOP_SECONDS = 5.0
"""What a coroutine or program gets to end when it is stopped."""

FINISH_SECONDS = 60.0
"""How long a worker tries to say how a run ended while the database is away; then the run counts as lost."""

COMMAND_ENVIRONMENT = ("PATH", "HOME", "LANG", "TZ", "USER")
"""What a program sees of the environment, which holds the hub's secrets."""


class RunFailed(Exception):
    """A run has not done what it should; the message is its error."""

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


_left_behind: dict[str, threading.Thread] = {}


def run_execute(run_id: int) -> RunState | None:
    """Do a run, if it is to be had; how it ended."""
    claim = run_claim(run_id=run_id, worker=f"{own_name('worker')}:{os.getpid()}", now=utc_now(), able=_able)
    if claim is None:
        return None
    work = Work(claim)
    work.start()
    ended = _attend(work, claim)
    if ended is not None:
        _finish(claim, ended)
    return ended.state if ended is not None else None


def _able(job: Job) -> bool:
    if job.kind != JobKind.CALLABLE:
        return job.kind != JobKind.CHECK_IN
    behind = _left_behind.get(job.key)
    if behind is not None and behind.is_alive():
        return False
    # Beside an older version of the code a newer worker may be there that knows it.
    return definition(job.parameters.get("callable", "")) is not None


class Work:
    """The work of one run, in a thread of its own."""

    def __init__(self, claim: Claim) -> None:
        self.done = threading.Event()
        self.ended: Ended | None = None
        self._claim = claim
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[str] | None = None
        self._thread = threading.Thread(target=self._run, name=f"job {claim.key}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End it, as far as it can be ended; afterwards nobody waits for it."""
        loop, task = self._loop, self._task
        if loop is not None and task is not None:
            with suppress(RuntimeError):  # the loop is over
                loop.call_soon_threadsafe(task.cancel)
        if not self.done.wait(STOP_SECONDS if task is not None else 0.0):
            _left_behind[self._claim.key] = self._thread

    def _run(self) -> None:
        try:
            self.ended = Ended(RunState.OK, self._result())
        except RunFailed as problem:
            self.ended = Ended(RunState.FAILED, problem.output, str(problem))
        except OutboundError as problem:
            self.ended = Ended(RunState.FAILED, "", str(problem))
        except asyncio.CancelledError:
            self.ended = None
        except Exception as problem:  # the edge of a run: it must not touch the others
            log.exception("job_raised", extra={"job": self._claim.key})
            self.ended = Ended(RunState.FAILED, "", f"{type(problem).__name__}: {problem}")
        finally:
            connections.close_all()
            self.done.set()

    def _result(self) -> str:
        claim = self._claim
        if claim.kind is JobKind.CALLABLE:
            function = _callable(claim)
            arguments = claim.parameters.get("arguments", {})
            if not inspect.iscoroutinefunction(function):
                return _said(function(**arguments))
            return self._on_loop(function, arguments)
        return self._on_loop(_RUNNERS[claim.kind], {"claim": claim})

    def _on_loop(self, function: Callable[..., Any], arguments: Mapping[str, Any]) -> str:
        async def main() -> str:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            return _said(await function(**arguments))

        return asyncio.run(main())


def _callable(claim: Claim) -> Callable[..., Any]:
    found = definition(claim.parameters["callable"])
    if found is None:
        raise RunFailed(f"No job is registered as {claim.parameters['callable']} here.")
    return found.run


def _said(result: Any) -> str:
    return "" if result is None else str(result)


def _attend(work: Work, claim: Claim) -> Ended | None:
    """Hold the lease until the work is done or has to stop; None where the run is no longer this worker's."""
    began = renewed = time.monotonic()
    while not work.done.wait(LOOK_SECONDS):
        now = time.monotonic()
        if now - began >= claim.max_run_seconds:
            work.stop()
            return Ended(RunState.TIMED_OUT, "", f"It was not done within {claim.max_run_seconds:g} s.")
        try:
            hold = run_renew(claim=claim, now=utc_now())
            renewed = now
        except (DatabaseError, InterfaceError) as problem:
            log.warning("renewal_failed", extra={"job": claim.key, "reason": str(problem).strip()})
            connection.close()
            # Who can't renew stops before another may begin.
            hold = Hold.KEPT if now - renewed < LEASE_SECONDS - 2 * LOOK_SECONDS else Hold.LOST
        if hold is not Hold.KEPT:
            work.stop()
            return Ended(RunState.FAILED, "", "It was stopped.", final=True) if hold is Hold.STOP else None
    return work.ended or Ended(RunState.FAILED, "", "It was cancelled.")


def _finish(claim: Claim, ended: Ended) -> None:
    until = time.monotonic() + FINISH_SECONDS
    while True:
        try:
            run_finish(claim=claim, ended=ended, now=utc_now())
        except (DatabaseError, InterfaceError) as problem:
            log.warning("finish_delayed", extra={"job": claim.key, "reason": str(problem).strip()})
            connection.close()
            if time.monotonic() > until:
                return
            time.sleep(LOOK_SECONDS)
        else:
            return


async def _http(claim: Claim) -> str:
    wanted = claim.parameters
    answer = await fetch(
        wanted.get("method", "GET"),
        wanted["url"],
        allow_private=settings.ENVIRONMENT.allow_private_upstreams,
        timeout_seconds=claim.max_run_seconds,
        headers=wanted.get("headers"),
        json=wanted.get("json"),
    )
    text = answer.body[-LONGEST_OUTPUT:].decode("utf-8", "replace")
    status = wanted.get("status")
    if answer.status != status if status is not None else answer.status >= 400:
        raise RunFailed(f"It was answered with status {answer.status}.", text)
    return text


async def _command(claim: Claim) -> str:
    wanted = claim.parameters
    process = await asyncio.create_subprocess_exec(
        *wanted["command"],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=wanted.get("folder"),
        env={name: os.environ[name] for name in COMMAND_ENVIRONMENT if name in os.environ}
        | wanted.get("environment", {}),
        start_new_session=True,
    )
    try:
        output = await _last_output(process)
        status = await process.wait()
    finally:
        # It and all that it has started, also when it is stopped; what has ended well has left nothing behind.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if status != 0:
        raise RunFailed(f"It ended with status {status}.", output)
    return output


async def _last_output(process: asyncio.subprocess.Process) -> str:
    kept = b""
    while process.stdout is not None and (piece := await process.stdout.read(LONGEST_OUTPUT)):
        kept = (kept + piece)[-LONGEST_OUTPUT:]
    return kept.decode("utf-8", "replace")


async def _reminder(claim: Claim) -> str:
    message = claim.parameters["message"]
    await asyncio.to_thread(_remind, claim, message)
    return str(message)


def _remind(claim: Claim, message: str) -> None:
    try:
        # Told by its moment, so that the same reminder comes again next week.
        scope = claim.scheduled_for.isoformat()
        source = f"job:{claim.key}"
        publish(AlertRaised(rule="reminder", severity="info", source=source, scope=scope, summary=message))
        addresses = claim.parameters.get("email", [])
        if addresses and settings.ENVIRONMENT.smtp_url is None:
            raise RunFailed("No mail is sent: AGENTHUB_SMTP_URL is not set.", message)
        if addresses:
            send_mail(f"AgentHub: {claim.key}", message, None, addresses)
    except OSError as problem:
        raise RunFailed(f"The e-mail was not sent: {problem}") from None
    finally:
        connections.close_all()


_RUNNERS = {JobKind.HTTP: _http, JobKind.COMMAND: _command, JobKind.REMINDER: _reminder}
