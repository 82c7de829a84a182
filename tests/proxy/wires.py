"""The three wire formats as bytes: what is asked, what a backend says in each, and how a stream must end."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from tests.proxy.conftest import MakeRoute
from tests.proxy.route import Route
from tests.proxy.streams import Streamed, read_stream

TEXT = "word0 word1 word2 word3 word4 "

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wire:
    """One format, spoken by the client and by the backends."""

    name: str
    path: str
    api: str  # the kind of backends that speak it
    asked: Json  # the members of a request beside the model
    error_event: Callable[[str, str], str]  # what a backend's stream says when it fails, of a kind and a message
    error_body: Callable[[str, str], Json]  # an error object of a kind, with a message
    text_of: Callable[[Json], str]  # of an answer that is whole

    def body(self, model: str, **more: Any) -> Json:
        """A request."""
        return {"model": model, **self.asked, **more}

    def route(self, make: MakeRoute, *names: str, **special: Any) -> Route:
        """A model at backends of this format."""
        given = special.pop("fields", {})
        fields = {name: {"api": self.api, **given.get(name, {})} for name in names}
        return make(*names, fields=fields, **special)

    def post(self, client: httpx.Client, model: str, **more: Any) -> httpx.Response:
        """Ask for an answer that is not streamed."""
        return client.post(self.path, json=self.body(model, **more))

    def stream(self, client: httpx.Client, model: str, **more: Any) -> Streamed:
        """Ask for a stream and read it to its end."""
        return read_stream(client, self.body(model, **more), self.path)

    def said(self, client: httpx.Client, model: str, *, stream: bool) -> str:
        """What the model says; the answer must be whole."""
        if not stream:
            answer = self.post(client, model)
            assert answer.status_code == 200, answer.text
            return self.text_of(answer.json())
        streamed = self.stream(client, model)
        assert (streamed.status, streamed.broken) == (200, False), streamed.raw
        assert self.complete(streamed), streamed.raw
        return self.text(streamed)

    def text(self, streamed: Streamed) -> str:
        """What a stream says."""
        return "".join(map(self._text_of_event, events_of(streamed)))

    def _text_of_event(self, event: Json) -> str:
        if self.name == "chat":
            return "".join(choice["delta"].get("content") or "" for choice in event.get("choices", []))
        if event.get("type") == "content_block_delta":
            return str(event["delta"].get("text", ""))
        return str(event["delta"]) if event.get("type") == "response.output_text.delta" else ""

    def complete(self, streamed: Streamed) -> bool:
        """Whether a stream says itself that it is complete."""
        if self.name == "chat":
            return streamed.done
        last = {"messages": "message_stop", "responses": "response.completed"}[self.name]
        return last in [event.get("type") for event in events_of(streamed)]

    def errors(self, streamed: Streamed) -> list[Json]:
        """The errors among the events, each with a message and a code."""
        events = events_of(streamed)
        if self.name == "responses":
            return [event for event in events if event.get("type") == "error"]
        return [event["error"] for event in events if event.get("error")]


def events_of(streamed: Streamed) -> list[Json]:
    """The events that hold JSON, whatever their names."""
    lines = streamed.raw.decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


def _named(name: str, data: Json) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


def _chat_error(kind: str, message: str) -> Json:
    return {"error": {"message": message, "type": kind, "param": None, "code": kind}}


def _message_error(kind: str, message: str) -> Json:
    return {"type": "error", "error": {"type": kind, "message": message}}


def _response_error(kind: str, message: str) -> Json:
    return {"id": "resp_1", "object": "response", "status": "failed", "error": {"code": kind, "message": message}}


CHAT = Wire(
    name="chat",
    path="/v1/chat/completions",
    api="openai-completions",
    asked={"messages": [{"role": "user", "content": "Hello there"}]},
    error_event=lambda kind, message: f"data: {json.dumps(_chat_error(kind, message))}\n\n",
    error_body=_chat_error,
    text_of=lambda answer: str(answer["choices"][0]["message"]["content"]),
)
MESSAGES = Wire(
    name="messages",
    path="/v1/messages",
    api="anthropic-messages",
    asked={"max_tokens": 100, "messages": [{"role": "user", "content": "Hello there"}]},
    error_event=lambda kind, message: _named("error", _message_error(kind, message)),
    error_body=_message_error,
    text_of=lambda answer: str(answer["content"][0]["text"]),
)
RESPONSES = Wire(
    name="responses",
    path="/v1/responses",
    api="openai-responses",
    asked={"input": "Hello there"},
    error_event=lambda kind, message: _named(
        "response.failed", {"type": "response.failed", "response": _response_error(kind, message)}
    ),
    error_body=_response_error,
    text_of=lambda answer: str(answer["output"][0]["content"][0]["text"]),
)
WIRES = (CHAT, MESSAGES, RESPONSES)
