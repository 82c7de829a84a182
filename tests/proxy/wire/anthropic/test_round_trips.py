"""From chat to the Messages format and back: what is said, called and answered stays as it was; nothing breaks it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.anthropic.answers import chat_from_message, message_from_chat
from proxy.wire.anthropic.chunks import ChunksFromMessages
from proxy.wire.anthropic.errors import message_error_from_openai_error, openai_error_from_message_error
from proxy.wire.anthropic.events import MessageEvents
from proxy.wire.anthropic.reader import MessagesReader
from proxy.wire.anthropic.requests_in import chat_from_messages
from proxy.wire.anthropic.requests_out import messages_from_chat
from proxy.wire.anthropic.usage import anthropic_usage
from proxy.wire.openai import Kind
from proxy.wire.untranslatable import Untranslatable
from proxy.wire.usage import MOST_TOKENS

words = st.text(min_size=1, max_size=8)
names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
arguments = st.dictionaries(st.text(max_size=5), values, max_size=3)
images = st.sampled_from(["https://x/y.png", "data:image/png;base64,AAAA"]).map(
    lambda url: {"type": "image_url", "image_url": {"url": url}}
)
contents = words | st.tuples(words, st.lists(images, min_size=1, max_size=2)).map(
    lambda found: [{"type": "text", "text": found[0]}, *found[1]]
)
Called = tuple[str, dict[str, Any], str]


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Turns as chat has them: a question, calls with their results, an answer."""
    messages: list[dict[str, Any]] = []
    for turn in range(draw(st.integers(1, 3))):
        messages.append({"role": "user", "content": draw(contents)})
        called: list[Called] = draw(st.lists(st.tuples(names, arguments, words), max_size=3))
        if called:
            calls = [
                {"id": f"c{turn}-{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
                for n, (name, given, _) in enumerate(called)
            ]
            text = draw(st.none() | words)
            messages.append({"role": "assistant", "content": text, "tool_calls": calls})
            messages += [
                {"role": "tool", "tool_call_id": f"c{turn}-{n}", "content": result}
                for n, (_, _, result) in enumerate(called)
            ]
        messages.append({"role": "assistant", "content": draw(words)})
    return messages


def read(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with their arguments read, since their JSON may be spaced anew."""
    for message in messages:
        for call in message.get("tool_calls", []):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return messages


@given(conversations(), words)
def test_a_conversation_comes_back_as_it_went(conversation: list[dict[str, Any]], system: str) -> None:
    chat = {"model": "m", "messages": [{"role": "system", "content": system}, *conversation], "max_tokens": 7}
    back = chat_from_messages(messages_from_chat(json.loads(json.dumps(chat)), max_tokens=1))
    assert (back["model"], back["max_tokens"]) == ("m", 7)
    assert read(back["messages"]) == read(chat["messages"])  # type: ignore[arg-type]


@given(st.none() | words, st.none() | words, st.lists(st.tuples(names, arguments), max_size=3))
def test_an_answer_comes_back_as_it_went(
    text: str | None, thinking: str | None, called: list[tuple[str, dict[str, Any]]]
) -> None:
    calls = [
        {"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for n, (name, given) in enumerate(called)
    ]
    said = {"role": "assistant", "content": text, "reasoning_content": thinking, "tool_calls": calls}
    reason = "tool_calls" if calls else "stop"
    answer = {"id": "chatcmpl-1", "model": "m", "choices": [{"message": said, "finish_reason": reason}]}
    back = chat_from_message(message_from_chat(answer, fallback_model="f"), created=5)
    assert (back["id"], back["model"], back["created"]) == ("chatcmpl-1", "m", 5)
    found = back["choices"][0]["message"]
    assert (found["content"] or None, found.get("reasoning_content")) == (text, thinking)
    assert read([{"tool_calls": found.get("tool_calls", [])}]) == read([{"tool_calls": calls}])
    assert back["choices"][0]["finish_reason"] == reason


# Members that the formats know, with anything in them: this way hostile input gets deeper than its first check.
_MEMBERS = """model messages system role content type text source data media_type url image_url file file_data
    tool_use_id id name input tool_calls function arguments function_call tool_call_id tools
    input_schema parameters tool_choice stop metadata user_id thinking budget_tokens output_config
    format effort schema response_format json_schema max_tokens choices message usage delta index
    content_block partial_json stop_reason finish_reason prompt_tokens input_tokens output_tokens
    output_tokens_details reasoning_content refusal error code is_error citations title caller"""
_WORDS = """user assistant system tool function text image document image_url file base64 content tool_use tool_result
    thinking enabled json_schema message_start message_delta content_block_start content_block_delta content_block_stop
    message_stop data:image/png;base64,A {} {"""
MEMBERS = st.sampled_from(_MEMBERS.split())
WORDS = st.sampled_from(_WORDS.split())
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=3)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS | st.text(max_size=2), inner, max_size=4),
    max_leaves=8,
)
BLOCK = (
    st.fixed_dictionaries({"type": WORDS}, optional={"text": ANYTHING, "source": ANYTHING, "content": ANYTHING})
    | ANYTHING
)
MESSAGE = st.fixed_dictionaries({"role": WORDS, "content": st.lists(BLOCK, max_size=3) | ANYTHING})
HOSTILE = ANYTHING | st.fixed_dictionaries(
    {"model": st.just("m"), "messages": st.lists(MESSAGE | ANYTHING, max_size=3)},
    optional={"tools": ANYTHING, "system": ANYTHING, "tool_choice": ANYTHING, "response_format": ANYTHING},
)


@pytest.mark.parametrize(
    "translate",
    [
        chat_from_messages,
        lambda found: messages_from_chat(found, max_tokens=2048),
        lambda found: message_from_chat(found, fallback_model="f"),
        lambda found: message_from_chat({"choices": [{"message": found}]}, fallback_model="f"),
        lambda found: chat_from_message(found, created=1),
        lambda found: chat_from_message({"content": [found]}, created=1),
    ],
)
@given(found=HOSTILE)
def test_no_request_or_answer_breaks_the_translation(translate: Callable[[Any], Any], found: Any) -> None:
    try:
        outcome: Any = translate(found)
    except Untranslatable as refused:
        outcome = {refused.field: refused.message}
    assert isinstance(outcome, dict)
    assert "" not in outcome


DELTA = st.fixed_dictionaries({}, optional={"content": ANYTHING, "tool_calls": st.lists(ANYTHING, max_size=2)})
CHUNK = ANYTHING | DELTA.map(lambda delta: {"choices": [{"delta": delta, "finish_reason": None}]})


@given(st.lists(CHUNK, max_size=5))
def test_no_chunks_break_the_events(chunks: list[Any]) -> None:
    events = MessageEvents(fallback_model="f", input_tokens=1)
    written = b"".join([*(events.chunk(chunk) for chunk in chunks), events.end()])
    kinds = [line for line in written.splitlines() if line.startswith(b"event: ")]
    assert kinds[0] == b"event: message_start"
    assert kinds[-2:] == [b"event: message_delta", b"event: message_stop"]
    assert kinds.count(b"event: content_block_start") == kinds.count(b"event: content_block_stop")


EVENT = ANYTHING | st.fixed_dictionaries(
    {"type": WORDS}, optional={"index": SCALARS, "content_block": BLOCK, "delta": ANYTHING, "message": ANYTHING}
)


@given(st.lists(EVENT, max_size=5))
def test_no_events_break_the_chunks_or_the_reader(events: list[Any]) -> None:
    chunks, reader = ChunksFromMessages(created=1), MessagesReader(100)
    made = [chunk for event in events for chunk in chunks.event(event)]
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in made)
    assert not made or made[0]["choices"][0]["delta"]["role"] == "assistant"
    for event in events:
        assert reader.read(json.dumps(event).encode()) in Kind


@given(st.binary(max_size=50) | ANYTHING.map(lambda found: json.dumps(found).encode()))
def test_no_body_breaks_the_errors(body: bytes) -> None:
    assert json.loads(openai_error_from_message_error(body))["error"]["message"]
    assert json.loads(message_error_from_openai_error(body, status=400, request_id="r"))["error"]["message"]
    assert MessagesReader(10).read(body) in Kind


@given(ANYTHING)
def test_usage_is_never_negative_or_absurd(found: Any) -> None:
    usage = anthropic_usage(found)
    assert usage is None or all(
        0 <= each <= MOST_TOKENS for each in (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens)
    )
