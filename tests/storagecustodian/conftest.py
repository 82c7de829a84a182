"""Fixtures of checkpoints: databases of both kinds that threads can share, and a directory of agents."""

from collections.abc import Iterator

import pytest

from agenthub.core.agents import agents_are_in
from tests.faults.conftest import on_sqlite_file, shared_database
from tests.storagecustodian.directory import Directory

__all__ = ["on_sqlite_file", "shared_database"]


@pytest.fixture
def directory() -> Iterator[Directory]:
    """The agents that there are."""
    made = Directory()
    before = agents_are_in(made)
    yield made
    agents_are_in(before)
