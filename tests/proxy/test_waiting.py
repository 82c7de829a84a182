"""The waiting room: in turn, bounded, and nobody stays in it who has left."""

import asyncio
from functools import partial

import pytest

from agenthub.core.errors import QueueFull
from proxy.state.protocol import Lease
from proxy.waiting import WaitingRoom


class Turnstile:
    """Lets as many pass as it has been given tokens."""

    def __init__(self) -> None:
        self.tokens = 0
        self.passed: list[str] = []

    async def attempt(self, name: str) -> tuple[Lease | None, float | None]:
        if not self.tokens:
            return None, None
        self.tokens -= 1
        self.passed.append(name)
        return Lease(None, 0.0), None  # type: ignore[arg-type]


def no_return(_: Lease) -> None:
    raise AssertionError("nobody left while being served")


def far() -> float:
    return asyncio.get_running_loop().time() + 60


async def settle() -> None:
    """Let everything that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_one_key_is_served_first_come_first_served() -> None:
    room, gate = WaitingRoom(no_return), Turnstile()
    tasks = [asyncio.create_task(room.wait("m", partial(gate.attempt, name), until=far(), most=9)) for name in "abc"]
    await settle()
    assert room.depth == 3
    for _ in range(3):
        gate.tokens += 1
        room.poke()
        await settle()
    assert gate.passed == ["a", "b", "c"]
    await asyncio.gather(*tasks)
    assert not room.occupied("m")
    assert room.depth == 0


async def test_who_hangs_up_leaves_the_line_and_lets_the_next_step_up() -> None:
    room, gate = WaitingRoom(no_return), Turnstile()
    first, second = (
        asyncio.create_task(room.wait("m", partial(gate.attempt, name), until=far(), most=9)) for name in "ab"
    )
    await settle()
    first.cancel()
    await settle()
    assert room.depth == 1
    gate.tokens = 1
    room.poke()
    assert await second is not None
    assert gate.passed == ["b"]


async def test_models_do_not_wait_for_each_other() -> None:
    room, blocked, free = WaitingRoom(no_return), Turnstile(), Turnstile()
    waiting = asyncio.create_task(room.wait("slow", lambda: blocked.attempt("s"), until=far(), most=9))
    await settle()
    free.tokens = 1
    assert await room.wait("fast", lambda: free.attempt("f"), until=far(), most=9) is not None
    waiting.cancel()


async def test_a_full_line_refuses_at_once() -> None:
    room, gate = WaitingRoom(no_return), Turnstile()
    waiting = asyncio.create_task(room.wait("m", lambda: gate.attempt("a"), until=far(), most=1))
    await settle()
    with pytest.raises(QueueFull):
        await room.wait("other", lambda: gate.attempt("b"), until=far(), most=1)
    waiting.cancel()


async def test_those_who_wait_in_other_processes_count_too() -> None:
    room, gate = WaitingRoom(no_return), Turnstile()
    room.elsewhere = 2
    with pytest.raises(QueueFull, match="2 requests wait already"):
        await room.wait("m", lambda: gate.attempt("a"), until=far(), most=2)


async def test_nobody_waits_beyond_the_time_limit() -> None:
    room, gate = WaitingRoom(no_return), Turnstile()
    soon = asyncio.get_running_loop().time() + 0.01
    assert await room.wait("m", lambda: gate.attempt("a"), until=soon, most=9) is None
    assert room.depth == 0


async def test_the_first_looks_again_when_it_was_told_to() -> None:
    room, gate = WaitingRoom(no_return), Turnstile()
    loop = asyncio.get_running_loop()
    looks = 0

    async def attempt() -> tuple[Lease | None, float | None]:
        nonlocal looks
        looks += 1
        gate.tokens = looks - 1  # nothing at the first look
        lease, _ = await gate.attempt("a")
        return lease, loop.time() + 0.01

    assert await room.wait("m", attempt, until=far(), most=9) is not None
    assert looks == 2


async def test_keys_take_turns_however_many_requests_each_has_waiting() -> None:
    room, gate = WaitingRoom(no_return), Turnstile()
    names = [("greedy", f"g{n}") for n in range(4)] + [("modest", "m0"), ("modest", "m1")]
    tasks = [
        asyncio.create_task(room.wait("m", partial(gate.attempt, name), key=key, until=far(), most=9))
        for key, name in names
    ]
    await settle()
    for _ in names:
        gate.tokens += 1
        room.poke()
        await settle()
    assert gate.passed == ["g0", "m0", "g1", "m1", "g2", "g3"]
    await asyncio.gather(*tasks)


async def test_all_that_has_become_free_is_given_out_at_once() -> None:
    room, gate = WaitingRoom(no_return), Turnstile()
    tasks = [asyncio.create_task(room.wait("m", partial(gate.attempt, name), until=far(), most=9)) for name in "abc"]
    await settle()
    gate.tokens = 3
    room.poke()
    await settle()
    assert all(task.done() for task in tasks)


async def test_one_that_some_backends_have_refused_does_not_hold_up_those_behind() -> None:
    room, never, gate = WaitingRoom(no_return), Turnstile(), Turnstile()
    stuck = asyncio.create_task(room.wait("m", partial(never.attempt, "a"), until=far(), most=9, picky=True))
    behind = asyncio.create_task(room.wait("m", partial(gate.attempt, "b"), until=far(), most=9))
    await settle()
    gate.tokens = 1
    room.poke()
    assert await behind is not None
    assert not stuck.done()
    stuck.cancel()


async def test_what_is_handed_to_one_who_has_just_left_goes_back() -> None:
    returned: list[Lease] = []
    room, gate = WaitingRoom(returned.append), Turnstile()
    task = asyncio.create_task(room.wait("m", partial(gate.attempt, "a"), until=far(), most=9))
    await settle()
    gate.tokens = 1
    room.poke()
    await asyncio.sleep(0)  # the line's task has served it, and its own task has not run yet
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gate.passed == ["a"]
    assert len(returned) == 1
    assert room.depth == 0


async def test_a_fault_of_one_request_is_its_own_and_the_line_goes_on() -> None:
    room, gate = WaitingRoom(no_return), Turnstile()

    async def broken() -> tuple[Lease | None, float | None]:
        raise ValueError("broken")

    bad = asyncio.create_task(room.wait("m", broken, until=far(), most=9))
    good = asyncio.create_task(room.wait("m", partial(gate.attempt, "b"), until=far(), most=9))
    with pytest.raises(ValueError, match="broken"):
        await bad
    gate.tokens = 1
    room.poke()
    assert await good is not None
