"""The saver over HTTP: LangGraph's own conformance suite, async by itself and sync by way of threads."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.conformance import checkpointer_test, validate

from agenthub.client.langgraph import AgentHubSaver
from tests.storagecustodian.directory import Directory
from tests.storagecustodian.serving import served


@pytest.fixture
def address(shared_database: str) -> Iterator[str]:
    with served() as url:
        yield url


class Sync(BaseCheckpointSaver[str]):
    """The sync methods of a saver under the names of the async ones, which alone the suite calls."""

    def __init__(self, saver: AgentHubSaver) -> None:
        super().__init__(serde=saver.serde)
        self.saver = saver

    async def alist(self, *args: Any, **kwargs: Any) -> AsyncIterator[CheckpointTuple]:
        for one in await asyncio.to_thread(lambda: list(self.saver.list(*args, **kwargs))):
            yield one


def _threaded(name: str) -> Callable[..., Any]:
    async def call(self: Sync, *args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(partial(getattr(self.saver, name), *args, **kwargs))

    return call


for _name in ("get_tuple", "put", "put_writes", "delete_thread", "delete_for_runs", "copy_thread", "prune"):
    setattr(Sync, f"a{_name}", _threaded(_name))


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_every_capability_conforms(address: str, directory: Directory, kind: str) -> None:
    token = directory.add("7")

    async def savers() -> AsyncGenerator[BaseCheckpointSaver[Any], None]:
        async with AgentHubSaver(address, token) as saver:
            yield saver if kind == "async" else Sync(saver)

    report = await validate(checkpointer_test(name="AgentHubSaver")(savers))
    assert {name: result.failures for name, result in report.results.items() if not result.passed} == {}
    assert len(report.results) == 8
