"""Whatever comes in, nothing but Untranslatable comes out; what is accepted is what the official client accepts."""

import json
from collections.abc import Callable
from contextlib import suppress

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.wire.responses.answers import chat_from_response, response_from_chat
from proxy.wire.responses.chunks import ChunksFromResponses
from proxy.wire.responses.events import ResponseEvents
from proxy.wire.responses.fields import Json
from proxy.wire.responses.requests import chat_from_responses, responses_from_chat
from proxy.wire.responses.streams import ResponsesReader
from proxy.wire.responses.usage import responses_usage
from proxy.wire.untranslatable import Untranslatable
from tests.proxy.wire.responses import sdk

NAMES = """
model messages input instructions tools tool_choice functions function_call type role content text name arguments
call_id id output function parameters strict format schema response_format json_schema reasoning effort include
metadata image_url url detail input_audio data file file_data refusal tool_calls tool_call_id choices message delta
index finish_reason usage input_tokens prompt_tokens input_tokens_details summary status incomplete_details reason
response item output_index content_index reasoning_content store stream user temperature part
"""
WORDS = """
message function_call function_call_output reasoning input_text output_text text refusal input_image image_url
input_file file input_audio function json_schema json_object user assistant system developer tool auto required
incomplete completed length stop summary_text reasoning_text response.created response.output_text.delta
response.output_item.added response.output_item.done response.function_call_arguments.delta response.completed
response.function_call_arguments.done response.output_text.done response.incomplete response.failed error
"""
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(WORDS.split())
    | st.text(max_size=4)
)
names = st.sampled_from(NAMES.split()) | st.text(max_size=3)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4), max_leaves=8
)
objects = st.dictionaries(names, values, max_size=5)

# Wrong things at places that a random object seldom reaches.
requests = st.fixed_dictionaries(
    {},
    optional={
        "input": st.lists(objects | values, max_size=3),
        "messages": st.lists(objects | values, max_size=3),
        "tools": st.lists(st.fixed_dictionaries({"type": st.just("function"), "function": objects, "name": values})),
        "text": objects,
        "response_format": objects,
        "metadata": objects,
        "reasoning": objects,
        "tool_choice": values,
        "temperature": values,
    },
)
choices = st.fixed_dictionaries({"message": objects, "delta": objects, "finish_reason": values})
chat_answers = st.fixed_dictionaries({"choices": st.lists(choices | values, max_size=3), "usage": values, "id": values})

DEEP: Json = {}
for _ in range(900):
    DEEP = {"a": DEEP}
DEEP_TOOLS: Json = {"tools": [{"type": "function", "name": "f", "function": DEEP, "parameters": DEEP}]}


def survives(translate: Callable[[], Json]) -> None:
    with suppress(Untranslatable):
        msgspec.json.encode(translate())


@settings(deadline=None, max_examples=60)
@given(objects | requests)
@example(DEEP_TOOLS)
@example({"input": [DEEP], "messages": [DEEP], "text": DEEP, "response_format": DEEP})
def test_requests(request: Json) -> None:
    survives(lambda: chat_from_responses(request))
    survives(lambda: responses_from_chat(request))


@settings(deadline=None, max_examples=60)
@given(objects | chat_answers, objects | requests)
@example({"choices": [{"message": {"tool_calls": [{"function": {"arguments": DEEP}}]}}]}, DEEP_TOOLS)
@example({"choices": [{"message": {"content": "x"}}]}, {"text": {"format": {"type": "x", "y": DEEP}}, "metadata": DEEP})
def test_answers(answer: Json, request: Json) -> None:
    survives(lambda: response_from_chat(answer, request=request, created=1))
    survives(lambda: chat_from_response(answer, created=1))


@settings(deadline=None, max_examples=60)
@given(st.lists(objects | chat_answers, max_size=4))
@example([{"choices": [{"delta": {"tool_calls": [{"function": {"arguments": DEEP}}]}}]}])
def test_chunks_of_any_kind_make_events_that_the_client_reads(chunks: list[Json]) -> None:
    events = ResponseEvents(request=DEEP_TOOLS, created=1, fallback_model="m")
    sdk.accumulated(b"".join([*[events.chunk(chunk) for chunk in chunks], events.end()]))


@settings(deadline=None, max_examples=60)
@given(st.lists(objects, max_size=6))
def test_events_of_any_kind(events: list[Json]) -> None:
    chunks = ChunksFromResponses(created=1)
    reader = ResponsesReader(10)
    for event in events:
        msgspec.json.encode(chunks.event(event))
        reader.read(json.dumps(event).encode())


@settings(deadline=None, max_examples=60)
@given(values)
def test_usage(found: object) -> None:
    usage = responses_usage(found)
    assert usage is None or min(usage.prompt_tokens, usage.completion_tokens, usage.input_tokens) >= 0
