"""Frames as texts, and what goes wrong with them and with connections."""

import json
from collections.abc import Mapping
from typing import Any

FRAME_BYTES = 64 * 1024


class Stopped(Exception):
    """The hub has closed the connection for good; the message says what to do."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class FrameTooLarge(ValueError):
    """A frame that no hub would take."""


class NotTaken(Exception):
    """The hub does not take a message. `code` is a word of the protocol, such as unknown_target."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Lost(Exception):
    """The connection is of no more use; another is opened."""


def frame_text(frame: Mapping[str, Any]) -> str:
    """A frame as it is sent. Raises FrameTooLarge."""
    text = json.dumps(frame, ensure_ascii=False, separators=(",", ":"))
    size = len(text.encode())
    if size > FRAME_BYTES:
        raise FrameTooLarge(f"The {frame.get('type')} frame has {size} bytes; the hub takes {FRAME_BYTES}. Send less.")
    return text
