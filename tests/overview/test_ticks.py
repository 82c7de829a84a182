import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from agenthub.overview.ticks import Ticks


class Counted:
    """Computes 1, 2, 3 …; each only when the test lets it."""

    def __init__(self) -> None:
        self.count = 0
        self.allowed = asyncio.Semaphore(0)
        self.waiting = asyncio.Event()

    async def __call__(self) -> bytes:
        self.waiting.set()
        await self.allowed.acquire()
        self.waiting.clear()
        self.count += 1
        return b"%d" % self.count


def ticks(compute: Counted, drain_began: asyncio.Event | None = None) -> Ticks:
    return Ticks(compute, interval_seconds=lambda: 0, drain_began=lambda: drain_began)


async def next_of(watch: AsyncGenerator[bytes, None]) -> bytes:
    return await asyncio.wait_for(anext(watch), 5)


async def test_two_watchers_share_one_computation() -> None:
    compute = Counted()
    shared = ticks(compute)
    async with aclosing(shared.watch()) as one, aclosing(shared.watch()) as other:
        both = asyncio.gather(next_of(one), next_of(other))
        await compute.waiting.wait()
        compute.allowed.release()

        assert list(await both) == [b"1", b"1"]
        assert compute.count == 1


async def test_who_is_slow_skips_to_the_newest() -> None:
    compute = Counted()
    shared = ticks(compute)
    async with aclosing(shared.watch()) as slow, aclosing(shared.watch()) as quick:
        for number in (b"1", b"2", b"3"):
            compute.allowed.release()
            assert await next_of(quick) == number
            if number == b"1":
                assert await next_of(slow) == number

        assert await next_of(slow) == b"3"


async def test_who_comes_later_sees_the_newest_at_once() -> None:
    compute = Counted()
    shared = ticks(compute)
    async with aclosing(shared.watch()) as first, aclosing(shared.watch()) as later:
        compute.allowed.release()
        await next_of(first)

        assert await next_of(later) == b"1"
        assert compute.count == 1


async def test_nothing_is_computed_while_nobody_watches() -> None:
    compute = Counted()
    shared = ticks(compute)
    async with aclosing(shared.watch()) as watch:
        compute.allowed.release()
        await next_of(watch)
    for _ in range(3):
        compute.allowed.release()
    await asyncio.sleep(0)
    tasks = [task for task in asyncio.all_tasks() if task.get_name() == "dashboard ticks" and not task.done()]
    await asyncio.gather(*tasks, return_exceptions=True)

    assert compute.count == 1


async def test_whoever_comes_after_a_pause_sees_nothing_old() -> None:
    compute = Counted()
    shared = ticks(compute)
    for number in (b"1", b"2"):
        async with aclosing(shared.watch()) as watch:
            compute.allowed.release()
            assert await next_of(watch) == number


async def test_streams_end_when_the_process_drains() -> None:
    compute = Counted()
    drain_began = asyncio.Event()
    shared = ticks(compute, drain_began)
    watch = shared.watch()
    compute.allowed.release()
    await next_of(watch)
    end = asyncio.ensure_future(next_of(watch))
    await compute.waiting.wait()
    drain_began.set()

    with pytest.raises(StopAsyncIteration):
        await end


async def test_a_failed_computation_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    tries = iter((ValueError("broken"), b"good"))

    async def compute() -> bytes:
        result = next(tries)
        if isinstance(result, ValueError):
            raise result
        return result

    async with aclosing(Ticks(compute, interval_seconds=lambda: 0, drain_began=lambda: None).watch()) as watch:
        assert await next_of(watch) == b"good"
    assert "dashboard_tick_failed" in caplog.text
