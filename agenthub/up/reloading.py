"""Rolling restarts: each web process is replaced by one that serves already, so that no request is refused or lost."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from agenthub.core.env import EnvError
from agenthub.core.envfile import FileEnvironment
from agenthub.core.environment import Environment, read_environment
from agenthub.up.child import Child
from agenthub.up.children import Children

log = logging.getLogger(__name__)

READY_SECONDS = 120.0
"""How long a new web process may take until it serves; afterwards the reload has failed."""

STATUS_FILE = "reload.json"
FIXED = ("host", "port", "metrics_host", "metrics_port", "data_dir")
"""What belongs to the parent, which lives on."""


@dataclass(frozen=True, slots=True)
class Status:
    """How the newest reload went; `agenthub reload` reads it."""

    number: int = 0  # of the reload, since the start of the hub
    state: str = "none"  # none, running, done, failed
    message: str = ""


class ReloadFailed(Exception):
    """The reload has stopped; what served before it, and has not been replaced, serves on."""


class Reloads:
    """Reloads one at a time; one that is asked for meanwhile follows."""

    def __init__(
        self,
        environment: Environment,
        source: FileEnvironment,
        children: Children,
        prepare: Callable[[Mapping[str, str]], Awaitable[bool]],
    ) -> None:
        self._environment = environment
        self._source = source
        self._children = children
        self._prepare = prepare
        self._asked = asyncio.Event()
        self._status = Status()
        self._tell(self._status)

    def ask(self) -> None:
        """Reload as soon as possible."""
        self._asked.set()

    async def run(self) -> None:
        """Reload whenever it is asked for."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            number = self._status.number + 1
            self._tell(Status(number, "running"))
            log.info("reload_began", extra={"number": number})
            try:
                message = await self._reload()
            except ReloadFailed as problem:
                log.error("reload_failed", extra={"why": str(problem)})
                self._tell(Status(number, "failed", str(problem)))
            else:
                log.info("reload_done", extra={"number": number, "workers": len(self._children.web)})
                self._tell(Status(number, "done", message))

    async def _reload(self) -> str:
        """The words of its outcome. Raises ReloadFailed."""
        try:
            environ = self._source.read()
            environment = read_environment(environ)
        except EnvError as problem:
            raise ReloadFailed(str(problem)) from None
        message = self._fixed(environment)
        if not await self._prepare(environ):
            raise ReloadFailed("The database could not be prepared; the log says why.")
        await self._children.left()  # of the reload before: there are never more than two generations
        await self._replace_web(environ, environment.workers)
        await self._children.stop(*self._children.rest)
        self._children.keep(*self._children.new_rest(environ))
        return message

    def _fixed(self, environment: Environment) -> str:
        changed = [name for name in FIXED if getattr(environment, name) != getattr(self._environment, name)]
        if not changed:
            return ""
        names = ", ".join(f"AGENTHUB_{name.upper()}" for name in changed)
        log.warning("reload_needs_restart", extra={"variables": names})
        return f"{names}: a new value needs a restart of the hub; the old one holds."

    async def _replace_web(self, environ: Mapping[str, str], workers: int) -> None:
        old = list(self._children.web)
        for _ in range(workers):
            await self._ready(self._children.new_web(environ))
            if old:
                self._children.leave(old.pop(0))
        for child in old:
            self._children.leave(child)

    async def _ready(self, child: Child) -> None:
        """Start a web process and come back when it serves. Raises ReloadFailed after taking it away again."""
        self._children.keep(child)
        ready, failed = (asyncio.create_task(event.wait()) for event in (child.ready, child.failed))
        try:
            await asyncio.wait((ready, failed), timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            failed.cancel()
        if not child.ready.is_set():
            await self._children.stop(child)
            self._children.web.remove(child)
            raise ReloadFailed("A new web process did not come to serve; the log says why. The old ones serve on.")

    def _tell(self, status: Status) -> None:
        self._status = status
        file = self._environment.data_dir / STATUS_FILE
        temporary = file.with_suffix(".new")
        try:
            temporary.write_text(json.dumps(asdict(status)))
            temporary.replace(file)
        except OSError as problem:
            log.warning("reload_status_not_written", extra={"reason": str(problem)})


def read_status(data_dir: Path) -> Status:
    """How the newest reload of the hub on a data folder went, or goes."""
    return Status(**json.loads((data_dir / STATUS_FILE).read_text()))
