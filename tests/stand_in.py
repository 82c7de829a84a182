"""The stand-in provider on a thread of its own, so that plain tests can use it."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import uvloop

from agenthub.demo.standin.server import StandIn


@contextmanager
def standin_in_thread() -> Iterator[StandIn]:
    """A stand-in that runs until the end of the block."""
    started: Future[StandIn] = Future()
    stop = asyncio.Event()

    async def serve() -> None:
        async with StandIn() as standin:
            started.set_result(standin)
            await stop.wait()

    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    loop = runner.get_loop()
    thread = threading.Thread(target=runner.run, args=(serve(),), name="stand-in")
    thread.start()
    try:
        yield started.result(10)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        runner.close()
