"""All that a backend can do wrong, or oddly, as scripts of the stand-in provider."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from agenthub.demo.standin.script import Script

KINDS = {
    "openai-completions": "chat",
    "ollama": "chat",
    "anthropic-messages": "messages",
    "openai-responses": "responses",
}
"""Kinds of backends, and the format that each speaks."""

_MESSAGE = "The stand-in was told to fail."
_HUGE = "data: " + "x" * (4 * 1024 * 1024 + 1)  # beyond what the proxy takes for an event
_ERROR_EVENTS = {
    "chat": 'data: {"error": {"message": "%s", "type": "server_error", "code": 503}}\n\n',
    "messages": 'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "%s"}}\n\n',
    "responses": 'event: error\ndata: {"type": "error", "code": "server_error", "message": "%s", "param": null}\n\n',
}


class Effect(Enum):
    """What a fault means for a client."""

    ANSWERS = "answers"  # the answer is good, only oddly served
    FAILS = "fails"  # another backend answers
    BREAKS = "breaks"  # a stream has content out already: it ends, marked as broken; of a whole answer nothing shows


@dataclass(frozen=True, slots=True)
class Fault:
    """One way of answering. `members` are those of the script in which it differs from a good answer."""

    name: str
    weight: float
    members: Callable[[str], dict[str, Any]]  # of a format
    effect: Effect = Effect.FAILS
    formats: frozenset[str] = frozenset(_ERROR_EVENTS)  # those in which the fault is one

    def script(self, good: Script, wire: str) -> Script:
        """The good answer, gone wrong."""
        return msgspec.structs.replace(good, **self.members(wire))


def _always(**members: Any) -> Callable[[str], dict[str, Any]]:
    return lambda _: members


def _error_event(number: int) -> Callable[[str], dict[str, Any]]:
    return lambda wire: {"inserts": {number: _ERROR_EVENTS[wire] % _MESSAGE}}


def _of_length(length: int) -> Callable[[str], dict[str, Any]]:
    """A wrong one, of whole answers and of streams."""
    return _always(content_length=length, headers={"content-length": str(length)}, chunked=False)


GOOD = Fault("good", 100, _always(), Effect.ANSWERS)
"""So often that a backend is seldom out for three failures in a row: the less it fails, the more faults are met."""

FAULTS = (
    GOOD,
    # Refusals
    Fault("429", 2, _always(status=429)),
    Fault("429 retry-after", 1, _always(status=429, headers={"retry-after": "1"})),
    Fault("429 retry-after-ms", 2, _always(status=429, headers={"retry-after-ms": "40"})),
    Fault("429 quota", 0.1, _always(status=429, error_code="insufficient_quota")),
    Fault("402", 0.1, _always(status=402)),
    Fault("401", 0.1, _always(status=401)),
    Fault("403", 0.1, _always(status=403)),
    Fault("404", 0.5, _always(status=404)),
    Fault("404 model", 0.5, _always(status=404, error_code="model_not_found", error_message="No such model.")),
    Fault("408", 1, _always(status=408)),
    Fault("redirect", 0.5, _always(status=302, headers={"location": "http://127.0.0.1:1/"})),
    *(Fault(str(status), 1.5, _always(status=status)) for status in (500, 502, 503, 529)),
    Fault("503 in HTML", 0.5, _always(status=503, body="<html>no", headers={"content-type": "text/html"})),
    # Connections
    Fault("reset before the head", 1.5, _always(cut="reset", cut_before_head=True)),
    Fault("close before the head", 1.5, _always(cut="close", cut_before_head=True)),
    Fault("reset before content", 1, _always(cut="reset")),
    Fault("close before content", 1, _always(cut="close")),
    Fault("reset after content", 0.7, _always(cut="reset", cut_after=2), Effect.BREAKS),
    Fault("close after content", 0.7, _always(cut="close", cut_after=2), Effect.BREAKS),
    Fault("no end", 0.7, _always(finish=False, done=False), Effect.BREAKS),
    # Silence
    Fault("silent before the head", 0.5, _always(before_head_seconds=600.0)),
    Fault("silent before content", 0.5, _always(silent_after=0)),
    Fault("silent after content", 0.2, _always(silent_after=2), Effect.BREAKS),
    # Nonsense
    Fault("error in a 200", 1, _always(body='{"error": {"message": "Busy.", "type": "overloaded_error"}}')),
    Fault("error event first", 1, _error_event(0)),
    Fault("error event after content", 0.7, _error_event(2), Effect.BREAKS),
    Fault("garbage", 1, _always(body="\udcff\udcfe\udc80{]" * 50)),
    Fault("half JSON", 1, _always(body='{"id": "x", "choices": [{"ind')),
    Fault("nothing", 0.5, _always(body="")),
    Fault("HTML", 0.5, _always(body="<html>welcome</html>", headers={"content-type": "text/html"})),
    Fault("too short a length", 1, _of_length(10)),
    Fault("bad header", 0.5, _always(headers={"b\x00d": "x"})),
    Fault("huge header", 0.3, _always(headers={"x-long": "x" * 70_000})),
    Fault("huge line", 0.3, _always(inserts={0: _HUGE})),
    # Good answers, oddly served
    Fault("gzip", 2, _always(gzip=True), Effect.ANSWERS),
    Fault("drip", 1, _always(drip_bytes=7), Effect.ANSWERS),
    Fault("slow start", 1, _always(before_first_chunk_seconds=0.05), Effect.ANSWERS),
    Fault("slow", 1, _always(between_chunks_seconds=0.02), Effect.ANSWERS),
    Fault(
        "malformed events",
        2,
        _always(inserts={0: "data: {oops\n\n", 1: ": hm\n\ndata: \udcff\n\n", 2: "event: odd\n\ndata:\n\n"}),
        Effect.ANSWERS,
    ),
    # The last event of a response is also the one that says why it ends: without it there is no end.
    Fault("no last event", 2, _always(done=False), Effect.ANSWERS, formats=frozenset({"chat", "messages"})),
    Fault("no usage", 2, _always(usage=False), Effect.ANSWERS),
    # A stream says itself that it is whole; of an answer that is none, there is too little.
    Fault("too long a length", 1, _of_length(100_000), Effect.ANSWERS),
    Fault("no chunks", 1, _always(chunked=False), Effect.ANSWERS),
    Fault("no role", 1, _always(role_event=False), Effect.ANSWERS),
)
