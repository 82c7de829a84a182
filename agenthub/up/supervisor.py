"""The parent of all processes of a hub. It knows no Django, so it stays small, and nothing but a kill ends it."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Mapping

from agenthub.core.envfile import FileEnvironment
from agenthub.core.environment import Environment
from agenthub.core.version import VERSION
from agenthub.up.child import start
from agenthub.up.children import Children
from agenthub.up.reloading import Reloads
from agenthub.up.terminal import Terminal

log = logging.getLogger(__name__)


class Supervisor:
    """Prepares the database, starts the children, replaces them at SIGHUP, and stops them in the right order."""

    def __init__(self, environment: Environment, source: FileEnvironment, listen: socket.socket) -> None:
        self._environment = environment
        self._environ = source.read()
        self._listen = listen
        self._children = Children(environment, listen)
        self._reloads = Reloads(environment, source, self._children, self._prepare)
        self._terminal = Terminal()
        self._stop = asyncio.Event()
        self._stop_signals = 0

    async def run(self) -> int:
        """Run the hub until SIGTERM or SIGINT; the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        loop.add_signal_handler(signal.SIGHUP, self._on_hang_up)
        # The web processes load their code while the database is prepared, and serve once it is.
        for _ in range(self._environment.workers):
            self._children.keep(self._children.new_web(self._environ))
        status = 0 if await self._prepare(self._environ) else 1
        if status == 0 and not self._stop.is_set():
            self._children.open_gate()
            status = await self._serve()
        await self._end()
        return status

    async def _prepare(self, environ: Mapping[str, str]) -> bool:
        """Migrate, and make the first admin and client key, in a child that ends; False if it could not."""
        process = await start(("prepare",), *self._children.of_preparing(environ))
        status = await process.wait()
        if status != 0:
            log.error("prepare_failed", extra={"status": status})
        return status == 0

    async def _serve(self) -> int:
        """Until a signal comes, or a web process dies before it was ever ready; the exit code."""
        serving = asyncio.create_task(self._complete())
        failed = [asyncio.create_task(child.failed.wait()) for child in self._children.web]
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait((stop, serving, *failed), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            # From now on a web process that dies is started again, and one that can't start fails a reload alone.
            reloading = asyncio.create_task(self._reloads.run())
            await stop
            reloading.cancel()
            await asyncio.wait((reloading,))
        for waiting in (serving, stop, *failed):
            waiting.cancel()
        if self._stop.is_set():
            return 0
        log.error("web_failed_to_start")
        return 1

    async def _complete(self) -> None:
        """Once every web process serves, start the rest, which would only have slowed them; say what is where."""
        for child in self._children.web:
            await child.ready.wait()
        self._children.keep(*self._children.new_rest(self._environ))
        log.info("hub_ready", extra={"url": self._url(), "workers": len(self._children.web)})
        sys.stdout.write(self._words())
        sys.stdout.flush()

    async def _end(self) -> None:
        """The web first, whose streams may finish; then the flusher, which takes along what they have written."""
        log.info("hub_stopping")
        await self._children.stop_web()
        self._listen.close()
        await self._children.stop(*self._children.rest)
        log.info("hub_stopped")

    def _on_signal(self) -> None:
        self._stop_signals += 1
        self._stop.set()
        if self._stop_signals > 1:
            self._children.kill()

    def _on_hang_up(self) -> None:
        if self._terminal.gone():
            self._on_signal()
        else:
            self._reloads.ask()

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
