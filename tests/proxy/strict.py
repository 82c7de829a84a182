"""A reader of chat streams that forgives nothing."""

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class StrictChat:
    """What one unbroken stream has said."""

    id: str = ""
    model: str = ""
    text: str = ""
    finish_reason: str = ""
    usage: dict[str, Any] | None = None
    chunks: list[dict[str, Any]] = field(default_factory=list)


def read_strictly(raw: bytes) -> StrictChat:
    """Read a whole stream: one name throughout, one role, one end, and nothing behind it. Raises AssertionError."""
    *events, last, rest = raw.decode().split("\n\n")
    assert (last, rest) == ("data: [DONE]", ""), raw
    assert events
    said = StrictChat()
    for number, event in enumerate(events):
        assert event.startswith("data: {"), event
        _take(said, json.loads(event.removeprefix("data: ")), first=number == 0)
    assert said.finish_reason, raw
    return said


def _take(said: StrictChat, chunk: dict[str, Any], *, first: bool) -> None:
    assert "error" not in chunk
    assert chunk["object"] == "chat.completion.chunk"
    if first:
        said.id, said.model = chunk["id"], chunk["model"]
        assert chunk["choices"][0]["delta"]["role"] == "assistant"
    assert (chunk["id"], chunk["model"], chunk["created"]) == (
        said.id,
        said.model,
        (said.chunks or [chunk])[0]["created"],
    )
    assert said.usage is None, "nothing comes behind the usage"
    for choice in chunk["choices"]:
        assert choice["index"] == 0
        assert not said.finish_reason, "nothing is said behind the finish reason"
        assert first or "role" not in choice["delta"]
        said.text += choice["delta"].get("content") or ""
        said.finish_reason = choice["finish_reason"] or ""
    said.usage = chunk.get("usage") or None
    said.chunks.append(chunk)
