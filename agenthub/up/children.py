"""The children of one hub: which there are, what each is given, and that all of them end."""

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count

from agenthub.core.envfile import FILE_VARIABLE
from agenthub.core.environment import Environment
from agenthub.up import metrics
from agenthub.up.child import Child, ChildSpec
from agenthub.up.inherited import LIFELINE_VARIABLE


class Children:
    """Makes children, keeps them alive and stops them. Belongs to the event loop."""

    def __init__(self, environment: Environment, listen: socket.socket) -> None:
        self.web: list[Child] = []  # those that serve
        self.leaving: list[Child] = []  # web processes in whose place others serve already
        self.rest: list[Child] = []
        self._listen = listen
        self._metrics_dir = environment.metrics_dir
        self._data_dir = environment.data_dir
        # The children hold the reading ends and this process the writing ones, which only ever close.
        self._lifeline, self._lifeline_end = os.pipe()
        self._gate, self._gate_end = os.pipe()
        self._bell, self._bell_end = os.pipe()
        self._keepers: dict[Child, asyncio.Task[None]] = {}

    def environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """What children are given of an environment, and where this hub's folders are."""
        # The file is read by the parent alone, so that one that dies later comes back as it was.
        given = {name: value for name, value in environ.items() if name != FILE_VARIABLE}
        folders = {"AGENTHUB_DATA_DIR": self._data_dir, metrics.FOLDER_VARIABLE: self._metrics_dir}
        return given | {name: str(folder) for name, folder in folders.items()}

    def of_preparing(self, environ: Mapping[str, str]) -> tuple[dict[str, str], list[int]]:
        """Environment and inherited handles of the child that prepares the database."""
        return {**self.environ(environ), LIFELINE_VARIABLE: str(self._lifeline)}, [self._lifeline]

    def new_web(self, environ: Mapping[str, str]) -> Child:
        """Another web process. It bears the lowest number that none does, since its log file has its name."""
        taken = {child.spec.name for child in (*self.web, *self.leaving)}
        name = next(name for number in count(1) if (name := f"web-{number}") not in taken)
        child = self._made(name, "web", environ)
        self.web.append(child)
        return child

    def new_rest(self, environ: Mapping[str, str]) -> list[Child]:
        """The flusher and the worker."""
        self.rest = [self._made(name, name, environ) for name in ("flusher", "worker")]
        return self.rest

    def _made(self, name: str, command: str, environ: Mapping[str, str]) -> Child:
        listens = command == "web"
        spec = ChildSpec(
            name=name,
            command=(command,),
            environ=self.environ(environ),
            lifeline=self._lifeline,
            listen=self._listen.fileno() if listens else None,
            gate=self._gate if listens else None,
            bell=self._bell if listens else None,
            tells_ready=listens,
        )
        return Child(spec, on_death=partial(metrics.forget, folder=self._metrics_dir))

    def keep(self, *children: Child) -> None:
        """Start them, and start them again when they die."""
        for child in children:
            self._keepers[child] = asyncio.create_task(child.keep(), name=child.spec.name)

    def open_gate(self) -> None:
        """The database is prepared: web processes may serve."""
        os.close(self._gate_end)

    def leave(self, child: Child) -> None:
        """Let a web process end what it serves, while others take what is new; it ends on its own."""
        self.web.remove(child)
        self.leaving.append(child)
        child.stop()
        self._keepers[child].add_done_callback(lambda _: self._has_left(child))

    def _has_left(self, child: Child) -> None:
        self.leaving.remove(child)
        del self._keepers[child]

    async def left(self) -> None:
        """Come back when no process is leaving any more."""
        await self._ended(self.leaving)

    async def stop(self, *children: Child) -> None:
        """Stop them, and come back when they have ended."""
        for child in children:
            child.stop()
        await self._ended(children)

    async def _ended(self, children: Sequence[Child]) -> None:
        keepers = [self._keepers[child] for child in children if child in self._keepers]
        if keepers:
            # Not gathered: that whoever waits is cancelled must not leave processes that nobody looks after.
            await asyncio.wait(keepers)

    async def stop_web(self) -> None:
        """Stop all that serves: the whole hub stops, and what is new is refused."""
        os.close(self._bell_end)
        await self.stop(*self.web, *self.leaving)

    def kill(self) -> None:
        """End all at once."""
        for child in (*self.web, *self.leaving, *self.rest):
            child.kill()
