"""Answers in each wire format, read by somebody who trusts nobody: anything that is not as it must be raises."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


class Wrong(Exception):
    """An answer that breaks the rules of its format."""


@dataclass(slots=True)
class Heard:
    """What an answer has said."""

    text: str = ""
    complete: bool = False  # it says itself that it is
    error: str = ""  # the message of the error that ended it
    usage: tuple[int, int] | None = None  # tokens of the prompt, cached ones included, and of the completion


def read_whole(wire: str, body: bytes) -> Heard:
    """A whole answer. Raises Wrong."""
    try:
        answer = json.loads(body)
        return _WHOLE[wire](answer)
    except (ValueError, KeyError, IndexError, TypeError) as problem:
        raise Wrong(f"{problem!r} in {body[:500]!r}") from None


def read_stream(wire: str, raw: bytes) -> Heard:
    """The events of a stream that has ended, well or not. Raises Wrong."""
    try:
        return _STREAMS[wire](_events(raw))
    except (ValueError, KeyError, IndexError, TypeError) as problem:
        raise Wrong(f"{problem!r} in {raw[-2000:]!r}") from None


def _events(raw: bytes) -> Iterator[tuple[str, str]]:
    """The names and data of the events; what has no data is for nobody."""
    blocks = raw.decode().split("\n\n")
    _must(blocks.pop() == "", "the last event is not whole")
    for block in blocks:
        name, data = "", []
        for line in block.split("\n"):
            field, _, value = line.partition(": ")
            _must(field in ("event", "data") or line.startswith(":"), f"a line {line[:100]!r}")
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
        if data:
            yield name, "\n".join(data)


def _must(condition: object, what: str) -> None:
    if not condition:
        raise Wrong(what)


def _chat_usage(found: dict[str, Any] | None) -> tuple[int, int] | None:
    return (found["prompt_tokens"], found["completion_tokens"]) if found else None


def _messages_usage(found: dict[str, Any]) -> tuple[int, int]:
    cached = found.get("cache_read_input_tokens") or 0
    written = found.get("cache_creation_input_tokens") or 0
    return found["input_tokens"] + cached + written, found["output_tokens"]


def _responses_usage(found: dict[str, Any] | None) -> tuple[int, int] | None:
    return (found["input_tokens"], found["output_tokens"]) if found else None


def _whole_chat(answer: dict[str, Any]) -> Heard:
    [choice] = answer["choices"]
    _must(answer["object"] == "chat.completion", "no completion")
    _must(choice["finish_reason"] == "stop", "it does not say why it ends")
    return Heard(choice["message"]["content"], complete=True, usage=_chat_usage(answer.get("usage")))


def _whole_message(answer: dict[str, Any]) -> Heard:
    _must((answer["type"], answer["role"]) == ("message", "assistant"), "no message")
    _must(answer["stop_reason"] == "end_turn", "it does not say why it ends")
    [block] = answer["content"]
    return Heard(block["text"], complete=True, usage=_messages_usage(answer["usage"]) if answer.get("usage") else None)


def _whole_response(answer: dict[str, Any]) -> Heard:
    _must((answer["object"], answer["status"]) == ("response", "completed"), "no completed response")
    [item] = answer["output"]
    [part] = item["content"]
    return Heard(part["text"], complete=True, usage=_responses_usage(answer.get("usage")))


def _chat_stream(events: Iterator[tuple[str, str]]) -> Heard:
    heard, finished = Heard(), False
    for _, data in events:
        _must(not heard.complete and not heard.error, "something follows the end")
        if data == "[DONE]":
            heard.complete = finished
            _must(finished, "the end comes without a reason")
            continue
        chunk = json.loads(data)
        if chunk.get("error"):
            heard.error = chunk["error"]["message"]
            continue
        heard.usage = _chat_usage(chunk.get("usage")) or heard.usage
        for choice in chunk["choices"]:
            _must(not finished, "something is said after the reason of the end")
            heard.text += choice["delta"].get("content") or ""
            finished = choice["finish_reason"] is not None
    return heard


def _message_stream(events: Iterator[tuple[str, str]]) -> Heard:
    heard, state, block = Heard(), "before", 0
    usage: dict[str, Any] = {}
    for name, data in events:
        event = json.loads(data)
        kind = event["type"]
        _must(name == kind, f"{kind} is called {name!r}")
        _must(not heard.complete and not heard.error, "something follows the end")
        match kind, state:
            case "ping", _:
                pass
            case "error", _:
                heard.error = event["error"]["message"]
            case "message_start", "before":
                state, usage = "between", event["message"].get("usage") or {}
            case "content_block_start", "between":
                _must(event["index"] == block, "blocks out of order")
                state, heard.text = "inside", heard.text + event["content_block"].get("text", "")
            case "content_block_delta", "inside":
                _must(event["index"] == block, "a delta of another block")
                heard.text += event["delta"]["text"]
            case "content_block_stop", "inside":
                _must(event["index"] == block, "the end of another block")
                state, block = "between", block + 1
            case "message_delta", "between":
                _must(event["delta"]["stop_reason"] == "end_turn", "it does not say why it ends")
                state, usage = "over", usage | (event.get("usage") or {})
            case "message_stop", "over":
                heard.complete = True
            case _:
                raise Wrong(f"{kind} {state}")
    heard.usage = _messages_usage(usage) if "input_tokens" in usage else None
    return heard


def _response_stream(events: Iterator[tuple[str, str]]) -> Heard:
    heard, last, kinds, done = Heard(), -1, [], ""
    for name, data in events:
        event = json.loads(data)
        kind = event["type"]
        _must(name == kind, f"{kind} is called {name!r}")
        _must(not heard.complete and not heard.error, "something follows the end")
        _must(event["sequence_number"] > last, "events out of order")
        last = event["sequence_number"]
        kinds.append(kind)
        if kind == "error":
            heard.error = event["message"]
        elif kind == "response.output_text.delta":
            heard.text += event["delta"]
        elif kind == "response.output_text.done":
            done = event["text"]
        elif kind == "response.completed":
            whole = _whole_response(event["response"])
            _must(whole.text == heard.text == done, "the text is another at the end")
            heard.complete, heard.usage = True, whole.usage
    _must(kinds[0] == "response.created", "the response was never begun")
    return heard


_WHOLE: dict[str, Callable[[dict[str, Any]], Heard]] = {
    "chat": _whole_chat,
    "messages": _whole_message,
    "responses": _whole_response,
}
_STREAMS: dict[str, Callable[[Iterator[tuple[str, str]]], Heard]] = {
    "chat": _chat_stream,
    "messages": _message_stream,
    "responses": _response_stream,
}
