"""The parent of all processes of a hub. It knows no Django, so it stays small, and nothing but a kill ends it."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from functools import partial

from agenthub.core.environment import Environment
from agenthub.core.version import VERSION
from agenthub.up import metrics
from agenthub.up.child import Child, ChildSpec, start
from agenthub.up.inherited import LIFELINE_VARIABLE

log = logging.getLogger(__name__)


class Supervisor:
    """Prepares the database, starts the children, and stops them in the right order."""

    def __init__(self, environment: Environment, environ: Mapping[str, str], listen: socket.socket) -> None:
        self._environment = environment
        self._environ = environ
        self._listen = listen
        # The children hold the reading end and this process the writing one, which only ever closes.
        self._lifeline, self._lifeline_end = os.pipe()
        self._gate, self._gate_end = os.pipe()
        self._stop = asyncio.Event()
        self._stop_signals = 0
        self._keepers: dict[str, asyncio.Task[None]] = {}
        on_death = partial(metrics.forget, folder=environment.metrics_dir)
        numbers = range(1, environment.workers + 1)
        self._web = [Child(self._spec(f"web-{number}", "web", listens=True), on_death=on_death) for number in numbers]
        self._rest = [Child(self._spec(name, name), on_death=on_death) for name in ("flusher", "worker")]

    async def run(self) -> int:
        """Run the hub until SIGTERM or SIGINT; the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        # The web processes load their code while the database is prepared, and serve once it is.
        self._keep(self._web)
        status = await self._prepare()
        if status == 0 and not self._stop.is_set():
            os.close(self._gate_end)
            status = await self._serve()
        await self._end()
        return status

    def _keep(self, children: list[Child]) -> None:
        for child in children:
            self._keepers[child.spec.name] = asyncio.create_task(child.keep(), name=child.spec.name)

    def _spec(self, name: str, command: str, *, listens: bool = False) -> ChildSpec:
        return ChildSpec(
            name=name,
            command=(command,),
            environ=self._environ,
            lifeline=self._lifeline,
            listen=self._listen.fileno() if listens else None,
            gate=self._gate if listens else None,
            tells_ready=listens,
        )

    async def _prepare(self) -> int:
        """Migrate, and make the first admin and client key, in a child that ends."""
        environ = {**self._environ, LIFELINE_VARIABLE: str(self._lifeline)}
        process = await start(("prepare",), environ, [self._lifeline])
        status = await process.wait()
        if status != 0:
            log.error("prepare_failed", extra={"status": status})
        return 0 if status == 0 else 1

    async def _serve(self) -> int:
        """Until a signal comes, or a web process dies before it was ever ready; the exit code."""
        ready = asyncio.create_task(self._complete())
        failed = [asyncio.create_task(child.failed.wait()) for child in self._web]
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait((stop, *failed), return_when=asyncio.FIRST_COMPLETED)
        for waiting in (ready, stop, *failed):
            waiting.cancel()
        if self._stop.is_set():
            return 0
        log.error("web_failed_to_start")
        return 1

    async def _complete(self) -> None:
        """Once every web process serves, start the rest, which would only have slowed them; say what is where."""
        for child in self._web:
            await child.ready.wait()
        self._keep(self._rest)
        log.info("hub_ready", extra={"url": self._url(), "workers": len(self._web)})
        sys.stdout.write(self._words())
        sys.stdout.flush()

    async def _end(self) -> None:
        """The web first, whose streams may finish; then the flusher, which takes along what they have written."""
        log.info("hub_stopping")
        await self._stop_all(self._web)
        self._listen.close()
        await self._stop_all(self._rest)
        log.info("hub_stopped")

    async def _stop_all(self, children: list[Child]) -> None:
        for child in children:
            child.stop()
        await asyncio.gather(
            *(self._keepers[child.spec.name] for child in children if child.spec.name in self._keepers)
        )

    def _on_signal(self) -> None:
        self._stop_signals += 1
        self._stop.set()
        if self._stop_signals > 1:
            for child in (*self._web, *self._rest):
                child.kill()

    def _url(self) -> str:
        return address(*self._listen.getsockname()[:2])

    def _words(self) -> str:
        """Where people find what."""
        url = self._environment.public_url or self._url()
        lines = [f"AgentHub {VERSION} serves on {self._url()}"]
        lines += [f"  Admin      {url}/admin/", f"  Dashboard  {url}/dashboard", f"  API        {url}/v1"]
        if self._environment.metrics_port:
            metrics_url = address(self._environment.metrics_host, self._environment.metrics_port)
            lines.append(f"  Metrics    {metrics_url}/metrics")
        return "\n".join(lines) + "\n"


def address(host: str, port: int) -> str:
    """A host and a port as an address of the web."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
