"""The official client's reading of responses and of their events."""

import json
from typing import Any, get_args

from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent

from proxy.wire.responses.fields import Json
from proxy.wire.sse import EventSplitter, data_of

_UNION, _ = get_args(ResponseStreamEvent)
_EVENTS: dict[str, Any] = {get_args(each.model_fields["type"].annotation)[0]: each for each in get_args(_UNION)}


def event_of(body: Json) -> Any:
    """An event as the client has it. Raises where its type is unknown to it or doesn't fit."""
    return _EVENTS[body["type"]].model_validate(body)


def response(found: Json) -> Response:
    """A response as the client has it. Raises where its types don't fit."""
    return Response.model_validate(json.loads(json.dumps(found)))


def events(stream: bytes) -> list[Json]:
    """The events of a stream, each by the client's types, numbered without a gap and named as they are typed."""
    found = []
    for number, event in enumerate(EventSplitter(10**6).feed(stream)):
        data = data_of(event)
        assert data is not None
        body = json.loads(data)
        assert event.startswith(f"event: {body['type']}\n".encode())
        assert body["sequence_number"] == number
        event_of(body)
        found.append(body)
    return found


def accumulated(stream: bytes) -> Response:
    """What the client's own accumulator makes of a stream, which must be what its last event says."""
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    for body in events(stream):
        state.handle_event(event_of(body))
        snapshot = state._ResponseStreamState__current_snapshot  # type: ignore[attr-defined]
    last = response(body["response"])
    told = {index: item.to_dict() for index, item in state._completed_output.items()}
    assert [told[index] for index in sorted(told)] == [item.to_dict() for item in last.output]
    grown = {item.id: item for item in snapshot.output}
    for item in last.output:
        if item.type == "function_call":
            assert grown[item.id].arguments == item.arguments
        if item.type == "message":
            texts = [part.text for part in item.content if part.type == "output_text"]
            assert [part.text for part in grown[item.id].content if part.type == "output_text"] == texts
    return last
