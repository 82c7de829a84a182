"""Thinking that the hub has made out of another format's: it has no signature, and Anthropic takes none without."""

import re
from typing import Any

import msgspec

from proxy.wire.unreadable import UNREADABLE

_UNSIGNED = re.compile(rb'"signature"\s*:\s*""')


def without_unsigned_thinking(messages: bytes) -> bytes:
    """The messages of a request, without the thinking that an earlier answer of another kind of backend has left."""
    if _UNSIGNED.search(messages) is None:
        return messages
    try:
        found = msgspec.json.decode(messages)
    except UNREADABLE:
        return messages
    if not isinstance(found, list):
        return messages
    return msgspec.json.encode([_cleaned(message) for message in found])


def _cleaned(message: Any) -> Any:
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        return message
    return {**message, "content": [block for block in content if not _is_unsigned(block)]}


def _is_unsigned(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "thinking" and not block.get("signature")
