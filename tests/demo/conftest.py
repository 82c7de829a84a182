"""A stand-in, and clients that ask it."""

from collections.abc import AsyncIterator

import httpx
import openai
import pytest

from agenthub.demo.standin.server import StandIn

API_KEY = "sk-demo"


@pytest.fixture
async def standin() -> AsyncIterator[StandIn]:
    """A stand-in that runs for one test."""
    async with StandIn() as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A plain client."""
    async with httpx.AsyncClient(timeout=10) as running:
        yield running


@pytest.fixture
async def sdk(standin: StandIn) -> AsyncIterator[openai.AsyncOpenAI]:
    """The official client of the backend "a", which here refuses what is not valid for its types."""
    async with openai.AsyncOpenAI(
        base_url=standin.url("a"), api_key=API_KEY, max_retries=0, _strict_response_validation=True
    ) as running:
        yield running
