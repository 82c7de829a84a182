"""The waiting room: requests for which no backend is free now, but one will be soon. One fair line for each model."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator

from agenthub.core.errors import QueueFull
from proxy.rules.fair_line import FairLine
from proxy.state.protocol import Lease

logger = logging.getLogger(__name__)

Try = Callable[[], Awaitable[tuple[Lease | None, float | None]]]
"""One try to take a backend: the lease, or when the next try is worth it (monotonic; None: when one is released)."""

GiveBack = Callable[[Lease], None]
"""Takes back a lease whose taker has left in the same moment."""

LEAST_PAUSE_SECONDS = 0.001


class Ticket:
    """A place in the line of one model."""

    __slots__ = ("attempt", "key", "lease", "picky")

    def __init__(self, key: str, attempt: Try, *, picky: bool) -> None:
        self.key = key
        self.attempt = attempt
        self.picky = picky
        self.lease: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()


class _Line:
    """Those who wait for one model, and the task that serves them in turn for as long as anybody does."""

    def __init__(self, give_back: GiveBack) -> None:
        self.tickets: FairLine[Ticket] = FairLine()
        self.look = asyncio.Event()
        self._give_back = give_back
        self.task: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Give out what is free, whenever something may be."""
        loop = asyncio.get_running_loop()
        while True:
            self.look.clear()
            ready_at = await self._round()
            if ready_at is None:
                await self.look.wait()
                continue
            timer = loop.call_at(max(ready_at, loop.time() + LEAST_PAUSE_SECONDS), self.look.set)
            try:
                await self.look.wait()
            finally:
                timer.cancel()

    async def _round(self) -> float | None:
        """Serve as many as can be, in turn; when to look again, as far as that is known."""
        ready_at: float | None = None
        while True:
            served, next_at = await self._serve_next()
            if next_at is not None:
                ready_at = next_at if ready_at is None else min(ready_at, next_at)
            if not served:
                return ready_at

    async def _serve_next(self) -> tuple[bool, float | None]:
        ready_at: float | None = None
        for ticket in self._in_turn():
            if ticket.lease.done():
                continue
            lease, next_at = await self._attempt(ticket)
            if lease is not None:
                self._hand_over(ticket, lease)
                return True, ready_at
            if next_at is not None:
                ready_at = next_at if ready_at is None else min(ready_at, next_at)
            if not ticket.picky:
                # Who takes any backend has found none: nor will those behind. One that has been refused by some
                # backends already is stepped over, since it must not hold up others for whom those are good.
                return False, ready_at
        return False, ready_at

    def _in_turn(self) -> Iterator[Ticket]:
        _, first = next(self.tickets.in_turn(), ("", None))
        if first is None:
            return
        # Mostly the first is served or nobody is; only when it is stepped over must the others be looked through.
        others = [ticket for _, ticket in self.tickets.in_turn()][1:] if first.picky else []
        yield first
        yield from others

    async def _attempt(self, ticket: Ticket) -> tuple[Lease | None, float | None]:
        try:
            return await ticket.attempt()
        except Exception as problem:
            # The edge of this task, which serves others too: what went wrong is the one request's own matter.
            logger.exception("queue_attempt_failed")
            if not ticket.lease.done():
                ticket.lease.set_exception(problem)
            return None, None

    def _hand_over(self, ticket: Ticket, lease: Lease) -> None:
        self.tickets.served(ticket.key, ticket)
        if ticket.lease.done():
            self._give_back(lease)  # it hung up while its turn came
        else:
            ticket.lease.set_result(lease)


class WaitingRoom:
    """One line per model, and one bound for all of them together."""

    def __init__(self, give_back: GiveBack) -> None:
        self._give_back = give_back
        self._lines: dict[str, _Line] = {}
        self.depth = 0
        self.elsewhere = 0  # how many wait in other processes, as far as this one has heard

    def occupied(self, model: str) -> bool:
        """Whether somebody waits for `model` already: who comes now has to stand behind."""
        return model in self._lines

    def ahead(self, model: str) -> int:
        """How many wait for `model`."""
        line = self._lines.get(model)
        return len(line.tickets) if line is not None else 0

    def poke(self) -> None:
        """Something was released or has changed: look again in every line."""
        for line in self._lines.values():
            line.look.set()

    async def wait(
        self, model: str, attempt: Try, *, key: str = "", until: float, most: int, picky: bool = False
    ) -> Lease | None:
        """Stand in line for `model` and take a backend when it is one's turn; None if `until` (loop time) came first.

        `key` is the client key: keys take turns. `picky` says that the request can't take every backend of the model.
        Raises QueueFull if `most` requests wait already. Who is cancelled (the client hung up) leaves the line.
        """
        waiting = self.depth + self.elsewhere
        if waiting >= most:
            raise QueueFull(f"{waiting} requests wait already, as many as may wait. Try again later.")
        ticket = Ticket(key, attempt, picky=picky)
        line = self._join(model, ticket)
        try:
            async with asyncio.timeout_at(until):
                return await ticket.lease
        except TimeoutError:
            self._drop(ticket)
            return None
        except asyncio.CancelledError:
            self._drop(ticket)
            raise
        finally:
            self._leave(model, line, ticket)

    def _drop(self, ticket: Ticket) -> None:
        if ticket.lease.done() and not ticket.lease.cancelled() and ticket.lease.exception() is None:
            self._give_back(ticket.lease.result())  # it was served in the moment in which it gave up

    def _join(self, model: str, ticket: Ticket) -> _Line:
        line = self._lines.get(model)
        if line is None:
            line = self._lines[model] = _Line(self._give_back)
            line.task = asyncio.get_running_loop().create_task(line.serve(), name="queue")
        line.tickets.join(ticket.key, ticket)
        self.depth += 1
        line.look.set()
        return line

    def _leave(self, model: str, line: _Line, ticket: Ticket) -> None:
        line.tickets.leave(ticket.key, ticket)
        ticket.lease.cancel()
        self.depth -= 1
        if len(line.tickets):
            line.look.set()
        elif self._lines.get(model) is line:
            del self._lines[model]
            if line.task is not None:
                line.task.cancel()
