"""Reads streams: their events, and what comes of those that break."""

import json
from typing import Any

import httpx
import pytest


def named_events(text: str) -> list[dict[str, Any]]:
    """The data of each event, whose name must be the type that the data gives."""
    events = []
    for block in text.split("\n\n")[:-1]:
        name, data = block.split("\n")
        event: dict[str, Any] = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    return events


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """The types of events, those that repeat at once named once."""
    said = [event["type"] for event in events]
    return [kind for kind, before in zip(said, [None, *said], strict=False) if kind != before]


async def read_until(failure: type[httpx.HTTPError], client: httpx.AsyncClient, url: str, ask: dict[str, Any]) -> bytes:
    """What an answer has said before it fails in that way, as it must."""
    got: list[bytes] = []

    async def read(answer: httpx.Response) -> None:
        async for piece in answer.aiter_raw():
            got.append(piece)

    async with client.stream("POST", url, json=ask) as answer:
        with pytest.raises(failure):
            await read(answer)
    return b"".join(got)
