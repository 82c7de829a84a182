"""Every test here runs on both event loops: plain asyncio, and uvloop, which serves in production."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from tests.proxy.upstream.certificates import Authority


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA that no system knows."""
    return Authority(tmp_path_factory.mktemp("certificates"), "a test authority")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another one."""
    return Authority(tmp_path_factory.mktemp("strange-certificates"), "a strange authority")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where bodies are spooled."""
    return tmp_path / "spool"
