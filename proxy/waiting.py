"""The waiting line: requests for which no backend is free now, but one will be soon. First come, first served."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from agenthub.core.errors import QueueFull
from proxy.state.protocol import Lease

Try = Callable[[], Awaitable[tuple[Lease | None, float | None]]]
"""One try to take a backend: the lease, or when the next try is worth it (monotonic; None: when one is released)."""


class Ticket:
    """A place in the line of one model."""

    __slots__ = ("model", "turn")

    def __init__(self, model: str) -> None:
        self.model = model
        self.turn = asyncio.Event()  # set while this ticket is the first, and poked when something was released


class WaitingRoom:
    """One line per model, and one bound for all of them together."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Ticket]] = {}
        self.depth = 0

    def occupied(self, model: str) -> bool:
        """Whether somebody waits for `model` already: who comes now has to stand behind."""
        return model in self._lines

    def poke(self) -> None:
        """Something was released or has changed: let the first of every line look again."""
        for line in self._lines.values():
            line[0].turn.set()

    async def wait(self, model: str, attempt: Try, *, until: float, most: int) -> Lease | None:
        """Stand in line for `model` and take a backend when it is one's turn; None if `until` (loop time) came first.

        Raises QueueFull if `most` requests wait already. Who is cancelled (the client hung up) leaves the line.
        """
        if self.depth >= most:
            raise QueueFull(f"{self.depth} requests wait already, as many as may wait. Try again later.")
        ticket = self._join(model)
        try:
            async with asyncio.timeout_at(until):
                return await self._take(ticket, attempt)
        except TimeoutError:
            return None
        finally:
            self._leave(ticket)

    async def _take(self, ticket: Ticket, attempt: Try) -> Lease:
        loop = asyncio.get_running_loop()
        while True:
            await ticket.turn.wait()
            ticket.turn.clear()
            lease, ready_at = await attempt()
            if lease is not None:
                return lease
            timer = None if ready_at is None else loop.call_at(max(ready_at, loop.time() + 0.001), ticket.turn.set)
            try:
                await ticket.turn.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    def _join(self, model: str) -> Ticket:
        ticket = Ticket(model)
        line = self._lines.setdefault(model, deque())
        line.append(ticket)
        self.depth += 1
        if line[0] is ticket:
            ticket.turn.set()
        return ticket

    def _leave(self, ticket: Ticket) -> None:
        line = self._lines[ticket.model]
        line.remove(ticket)
        self.depth -= 1
        if line:
            line[0].turn.set()
        else:
            del self._lines[ticket.model]
