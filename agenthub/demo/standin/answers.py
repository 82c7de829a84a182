"""The bytes of the stand-in's answers, in OpenAI's wire format. Pure."""

from collections.abc import Iterator
from typing import Any

import msgspec

from agenthub.demo.standin.script import Script

CREATED = 1_750_000_000
MODELS = ("standin-small", "standin-large", "standin-embed")
DONE_EVENT = b"data: [DONE]\n\n"

_OBJECTS = {"chat/completions": "chat.completion", "completions": "text_completion", "embeddings": "list"}
ENDPOINTS = tuple(_OBJECTS)

_ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def json_answer(endpoint: str, script: Script, request: dict[str, Any]) -> bytes:
    """The whole answer to a request that does not stream."""
    text = "".join(chunk_text(script, number) for number in range(script.chunks))
    answer: dict[str, Any] = {"object": _OBJECTS[endpoint], "model": request.get("model")}
    if endpoint == "embeddings":
        given = request.get("input")
        count = len(given) if isinstance(given, list) else 1
        answer["data"] = [{"object": "embedding", "index": n, "embedding": [0.25, -0.5, 1.0]} for n in range(count)]
    else:
        answer |= {"id": "chatcmpl-standin", "created": CREATED}
        said = {"text": text} if endpoint == "completions" else {"message": {"role": "assistant", "content": text}}
        answer["choices"] = [{"index": 0, "finish_reason": script.finish_reason, **said}]
    if script.usage:
        answer["usage"] = usage(script, completes=endpoint != "embeddings")
    return msgspec.json.encode(answer)


def usage(script: Script, *, completes: bool = True) -> dict[str, Any]:
    """The tokens that the stand-in claims to have used."""
    if not completes:
        return {"prompt_tokens": script.prompt_tokens, "total_tokens": script.prompt_tokens}
    completion = script.chunks if script.completion_tokens is None else script.completion_tokens
    return {
        "prompt_tokens": script.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": script.prompt_tokens + completion,
        "prompt_tokens_details": {"cached_tokens": script.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": script.reasoning_tokens},
    }


def chunk_text(script: Script, number: int) -> str:
    """The text of one chunk."""
    return script.text.replace("{n}", str(number))


def error_body(status: int, *, code: str, message: str) -> bytes:
    """An error object as OpenAI sends it."""
    kind = _ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": code or None}})


def models_answer() -> bytes:
    """The list of models."""
    listed = [{"id": name, "object": "model", "created": CREATED, "owned_by": "standin"} for name in MODELS]
    return msgspec.json.encode({"object": "list", "data": listed})


class StreamEvents:
    """The events of one streamed answer."""

    def __init__(self, endpoint: str, script: Script, request: dict[str, Any]) -> None:
        self._chat = endpoint == "chat/completions"
        self._script = script
        options = request.get("stream_options") or {}
        self._tells_usage = script.usage and bool(options.get("include_usage"))
        self._common: dict[str, Any] = {
            "id": "chatcmpl-standin",
            "object": "chat.completion.chunk" if self._chat else "text_completion",
            "created": CREATED,
            "model": request.get("model"),
        }
        nothing = {"usage": None} if self._tells_usage else {}
        # The text of a chunk is spliced in, since encoding each event anew is most of the cost of a stream.
        marked = self._event([self._choice("\0", None)], nothing)
        self._before, self._after = marked.split(b"\\u0000")
        self._nothing = nothing

    def opening(self) -> bytes:
        """The event that names the role, where there is one."""
        if not self._chat or not self._script.role_event:
            return b""
        choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
        return self._event([choice], self._nothing)

    def chunk(self, number: int) -> bytes:
        """One content event."""
        text = msgspec.json.encode(chunk_text(self._script, number))
        return self._before + text[1:-1] + self._after

    def closing(self) -> Iterator[bytes]:
        """What follows the last chunk."""
        if self._script.finish:
            yield self._event([self._choice("", self._script.finish_reason)], self._nothing)
        if self._tells_usage:
            yield self._event([], {"usage": usage(self._script)})
        if self._script.done:
            yield DONE_EVENT

    def _choice(self, text: str, finish_reason: str | None) -> dict[str, Any]:
        if not self._chat:
            return {"index": 0, "text": text, "finish_reason": finish_reason}
        return {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish_reason}

    def _event(self, choices: list[dict[str, Any]], more: dict[str, Any]) -> bytes:
        return b"data: " + msgspec.json.encode({**self._common, "choices": choices, **more}) + b"\n\n"
