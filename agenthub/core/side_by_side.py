"""Coroutines that run side by side for sync code, which has each result as soon as it is there."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


def as_finished(work: Sequence[Callable[[], Coroutine[Any, Any, T]]], *, at_once: int) -> Iterator[tuple[int, T]]:
    """Run all of `work`, at most `at_once` at a time; place and result of each, the first that is done first.

    They run on an event loop in a thread of its own, so that a slow one holds up neither the others nor what the
    caller does with their results. The time of each is its own to limit. What one raises is raised here.
    """
    done: SimpleQueue[tuple[int, T] | BaseException] = SimpleQueue()

    async def together() -> None:
        places = asyncio.Semaphore(at_once)

        async def in_turn(place: int) -> None:
            async with places:
                done.put((place, await work[place]()))

        await asyncio.gather(*map(in_turn, range(len(work))))

    def run() -> None:
        try:
            asyncio.run(together())
        except BaseException as problem:  # noqa: BLE001 - it is raised in the thread that waits
            done.put(problem)

    # A daemon, and not waited for: a name that is still being looked up would hold up what has all its results.
    Thread(target=run, name="side-by-side", daemon=True).start()
    for _ in work:
        result = done.get()
        if isinstance(result, BaseException):
            raise result
        yield result
