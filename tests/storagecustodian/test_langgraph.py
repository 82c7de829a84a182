"""The saver on the hub's database: LangGraph's own conformance suite, and what it leaves out."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance import checkpointer_test, validate

from storagecustodian.langgraph import HubSaver


@pytest.mark.usefixtures("shared_database")
async def test_every_capability_conforms() -> None:
    async def savers() -> AsyncGenerator[BaseCheckpointSaver[Any], None]:
        yield HubSaver(owner="7")

    report = await validate(checkpointer_test(name="HubSaver")(savers))
    assert {name: result.failures for name, result in report.results.items() if not result.passed} == {}
    assert len(report.results) == 8
