"""What the stand-in provider is told to do with a request."""

from typing import Literal

import msgspec


class ToolCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call that the stand-in makes."""

    id: str
    name: str
    arguments: str = "{}"  # JSON text, given out as it stands


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one request is answered. As it stands: a good answer at once, streamed if the request asks for it.

    Times are in seconds. A chunk is one content event of a stream; the first has number 0. The chunks of text are
    followed by two more for each tool call, and faults that name a chunk may name these too.
    """

    # The head
    status: int = 200
    headers: dict[str, str] = {}
    before_head_seconds: float = 0.0
    api_key: str = ""  # the request must carry it in the way of its format, else it gets a 401
    gate: str = ""  # a gate of the stand-in that holds the head and then each chunk until it is opened that far

    # The content
    text: str = "word{n} "  # of each chunk; {n} is its number
    chunks: int = 5  # of text; a binary answer goes out in so many pieces, at least one
    reasoning: str = ""  # said before the text, in a stream together with its opening
    tool_calls: tuple[ToolCall, ...] = ()  # said after the text
    binary_bytes: int = 4096  # the size of a spoken answer, and of each image
    body: str | None = None  # sent as it is, in place of a made-up JSON answer
    error_code: str = ""  # of the error object that goes with a status from 400 on
    error_message: str = "The stand-in was told to refuse."
    finish_reason: str = "stop"  # as chat completions say it; with tool calls, "stop" becomes "tool_calls"

    # Usage
    usage: bool = True  # False: never sent, also where the request asks for it
    prompt_tokens: int = 11  # all of them, those from and into the cache included
    completion_tokens: int | None = None  # None: as many as there are chunks
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    rejects_stream_options: bool = False

    # The course of a stream
    before_first_chunk_seconds: float = 0.0
    between_chunks_seconds: float = 0.0
    role_event: bool = True  # False: a chat stream begins without the event that names the role
    inserts: dict[int, str] = {}  # raw text before the chunk of that number (the number of chunks: after the last)
    finish: bool = True  # False: no event with a finish reason (or stop reason, or status of the response)
    done: bool = True  # False: no [DONE], message_stop or response.completed
    silent_after: int | None = None  # from this chunk on nothing comes, and the connection stays
    drip_bytes: int = 0  # the whole answer in pieces of so many bytes, each written by itself

    # Broken answers
    cut: Literal["", "reset", "close"] = ""
    cut_after: int = 0  # chunks that go out before the cut; of a JSON answer, bytes of the body
    cut_before_head: bool = False
    content_length: int | None = None  # a wrong one, for a JSON answer
    gzip: bool = False  # compressed, whatever the request accepts
    chunked: bool = True  # False: a stream that ends with its connection


def raw(text: str) -> bytes:
    """The bytes of a raw text; a character from \\udc80 to \\udcff stands for a byte that is no UTF-8."""
    return text.encode("utf-8", "surrogateescape")


Scripts = dict[str, tuple[Script, ...]]
"""Per backend (the part of the path before /v1), the scripts of its requests in order; the last is used ever after."""

_SCRIPTS = msgspec.json.Decoder(Scripts)


def read_scripts(text: bytes) -> Scripts:
    """The scripts in a JSON file. Raises ValueError, which says where the file is wrong."""
    return _SCRIPTS.decode(text)
