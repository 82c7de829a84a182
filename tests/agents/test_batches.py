"""Groups of work: in order, and one that fails spoils no other."""

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest
from django.db import OperationalError

from agenthub.hub.gateway.batches import Away, Batches

pytestmark = [pytest.mark.asyncio, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


async def test_what_comes_while_a_group_is_at_work_is_the_next_group(gate: threading.Event) -> None:
    groups: list[list[int]] = []
    began = threading.Event()

    def work(items: Sequence[int]) -> Sequence[int]:
        groups.append(list(items))
        began.set()
        assert gate.wait(10)
        return [item * 2 for item in items]

    batches: Batches[int, int] = Batches("test", work, loop=asyncio.get_running_loop())
    first = asyncio.create_task(batches.result(1))
    await asyncio.to_thread(began.wait, 10)
    rest = [asyncio.create_task(batches.result(n)) for n in (2, 3, 4)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(first, *rest) == [2, 4, 6, 8]
    assert groups == [[1], [2, 3, 4]]
    await asyncio.to_thread(batches.close)


@pytest.mark.parametrize("problem", [ValueError("bad"), OperationalError("bad")])
async def test_one_that_can_not_be_done_spoils_no_other(problem: Exception, gate: threading.Event) -> None:
    def work(items: Sequence[int]) -> Sequence[int]:
        assert gate.wait(10)
        if 2 in items:
            raise problem
        return items

    batches: Batches[int, int] = Batches("test", work, loop=asyncio.get_running_loop())
    tasks = [asyncio.create_task(batches.result(n)) for n in range(5)]
    await asyncio.sleep(0)
    gate.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [each if isinstance(each, int) else type(each) for each in outcomes] == [0, 1, Away, 3, 4]
    await asyncio.to_thread(batches.close)
