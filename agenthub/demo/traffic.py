"""Gentle live traffic for the demo: a few people who chat with the hub."""

import asyncio
import logging
import random
from collections.abc import Sequence

import httpx

logger = logging.getLogger(__name__)

_QUESTIONS = (
    "What is a heartbeat good for?",
    "Name three rivers.",
    "Write a haiku about rate limits.",
    "Why is the sky blue?",
)


async def chat_for_ever(base_url: str, *, key: str, models: Sequence[str], people: int, pause_seconds: float) -> None:
    """Let so many people ask one question after the other, until cancelled."""
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx.AsyncClient(base_url=base_url, headers=headers, timeout=60, trust_env=False) as client,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(people):
            group.create_task(_person(client, models, pause_seconds))


async def _person(client: httpx.AsyncClient, models: Sequence[str], pause_seconds: float) -> None:
    while True:
        await asyncio.sleep(random.uniform(0.5, 1.5) * pause_seconds)
        question = {"role": "user", "content": random.choice(_QUESTIONS)}
        ask = {"model": random.choice(models), "messages": [question], "stream": random.random() < 0.75}
        try:
            async with client.stream("POST", "/chat/completions", json=ask) as answer:
                await answer.aread()
        except httpx.HTTPError as problem:
            # The hub may be restarting; people simply ask again.
            logger.info("demo_request_failed error=%r", problem)
