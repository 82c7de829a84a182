"""One child process of the hub: started, watched, started again when it dies, and stopped."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agenthub.core.clock import monotonic_seconds
from agenthub.core.logs import PROCESS_NAME_VARIABLE
from agenthub.up.inherited import (
    BELL_VARIABLE,
    GATE_VARIABLE,
    LIFELINE_VARIABLE,
    LISTEN_VARIABLE,
    READY,
    STATUS_VARIABLE,
    STOPPING,
)
from agenthub.up.restarts import deaths_in_a_row, pause_seconds

log = logging.getLogger(__name__)

PACKAGES = Path(__file__).resolve().parent.parent.parent
STOP_SECONDS = 10.0
"""How long a child may take to end when it has not asked for more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """What a child runs, and what it inherits."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)
    lifeline: int
    listen: int | None = None  # the listening socket, for web processes
    gate: int | None = None  # what they wait at until the database is prepared
    bell: int | None = None  # what tells them that the whole hub stops
    tells_ready: bool = False


class Child:
    """Keeps one process alive until it is stopped. Belongs to the event loop."""

    def __init__(self, spec: ChildSpec, *, on_death: Callable[[int], None]) -> None:
        self.spec = spec
        self.ready = asyncio.Event()
        self.failed = asyncio.Event()  # died before it was ready for the first time
        self.pid: int | None = None
        self._on_death = on_death
        self._stopping = asyncio.Event()
        self._stop_by = 0.0

    async def keep(self) -> None:
        """Run the process, again after each death, until `stop`."""
        deaths = 0
        while not self._stopping.is_set():
            started = monotonic_seconds()
            status = await self._run_once()
            if self._stopping.is_set():
                return
            if self.spec.tells_ready and not self.ready.is_set():
                self.failed.set()
            deaths = deaths_in_a_row(deaths, lived_seconds=monotonic_seconds() - started)
            pause = pause_seconds(deaths)
            fields = {"child": self.spec.name, "status": status, "deaths": deaths, "restart_in_seconds": pause}
            log.error("child_died", extra=fields)
            try:
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    def stop(self) -> None:
        """Ask the process to end; it has STOP_SECONDS, or as long as it says that it needs."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._stop_by = monotonic_seconds() + STOP_SECONDS
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once."""
        self._stopping.set()
        self._stop_by = 0.0
        self._signal(signal.SIGKILL)

    async def _run_once(self) -> int:
        reader, writer = os.pipe()
        try:
            process = await self._spawn(writer)
        finally:
            os.close(writer)
        self.pid = process.pid
        if self._stopping.is_set():  # while it was being started
            self._signal(signal.SIGTERM)
        log.debug("child_started", extra={"child": self.spec.name, "pid": process.pid})
        loop = asyncio.get_running_loop()
        loop.add_reader(reader, self._listen, reader)
        try:
            return await self._ended(process)
        finally:
            loop.remove_reader(reader)
            os.close(reader)
            self.pid = None
            self._on_death(process.pid)

    async def _spawn(self, status: int) -> asyncio.subprocess.Process:
        spec = self.spec
        environ = {
            **spec.environ,
            PROCESS_NAME_VARIABLE: spec.name,
            STATUS_VARIABLE: str(status),
            LIFELINE_VARIABLE: str(spec.lifeline),
        }
        inherited = [status, spec.lifeline]
        for variable, handle in (
            (LISTEN_VARIABLE, spec.listen),
            (GATE_VARIABLE, spec.gate),
            (BELL_VARIABLE, spec.bell),
        ):
            if handle is not None:
                environ[variable] = str(handle)
                inherited.append(handle)
        return await start(spec.command, environ, inherited)

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        """The exit status; a process that does not stop in time is killed."""
        waiting = asyncio.ensure_future(process.wait())
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait((waiting, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        while not waiting.done():
            await asyncio.wait((waiting,), timeout=max(0.0, self._stop_by - monotonic_seconds()))
            if not waiting.done() and monotonic_seconds() >= self._stop_by:
                log.error("child_killed", extra={"child": self.spec.name, "why": "it did not stop in time"})
                process.kill()
                await waiting
        return waiting.result()

    def _listen(self, reader: int) -> None:
        lines = os.read(reader, 4096)
        if not lines:
            asyncio.get_running_loop().remove_reader(reader)
        for line in lines.decode(errors="replace").splitlines():
            word, _, seconds = line.partition(" ")
            if word == READY:
                self.ready.set()
            elif word == STOPPING and self._stop_by:
                self._stop_by = monotonic_seconds() + float(seconds) + STOP_SECONDS

    def _signal(self, number: signal.Signals) -> None:
        if self.pid is not None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                log.debug("child_gone", extra={"child": self.spec.name})


async def start(
    command: tuple[str, ...], environ: Mapping[str, str], inherited: list[int]
) -> asyncio.subprocess.Process:
    """Start `agenthub <command>` in a session of its own: a Ctrl-C at the terminal reaches the parent alone."""
    search = os.pathsep.join(filter(None, (str(PACKAGES), environ.get("PYTHONPATH", ""))))
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agenthub",
        *command,
        env={**environ, "PYTHONPATH": search},
        pass_fds=inherited,
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
