"""There and back again: nothing that was said is lost on the way."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response

from proxy.wire.responses.answers import chat_from_response, response_from_chat
from proxy.wire.responses.chunks import ChunksFromResponses
from proxy.wire.responses.events import ResponseEvents
from proxy.wire.responses.fields import Json
from proxy.wire.responses.requests import chat_from_responses, responses_from_chat
from tests.proxy.wire.responses import sdk

words = st.text(min_size=1, max_size=8)
texts = words.map(lambda text: {"type": "text", "text": text})
images = st.builds(lambda url, detail: {"type": "image_url", "image_url": {"url": url, **detail}}, words,
    st.sampled_from([{}, {"detail": "low"}]))  # fmt: skip
users = st.builds(
    lambda content: {"role": "user", "content": content}, words | st.lists(texts | images, min_size=1, max_size=4)
)
systems = st.builds(lambda content: {"role": "system", "content": content}, words)
functions = st.builds(lambda name, arguments: {"name": name, "arguments": arguments}, words, st.text(max_size=8))
calls = st.builds(lambda call_id, f: {"id": call_id, "type": "function", "function": f}, words, functions)


@st.composite
def turns(draw: st.DrawFn) -> list[Json]:
    """An assistant's turn, with the outputs of its calls."""
    message: Json = {"role": "assistant", "content": draw(st.none() | words)}
    message["tool_calls"] = draw(st.lists(calls, max_size=3))
    outputs = [{"role": "tool", "tool_call_id": call["id"], "content": draw(words)} for call in message["tool_calls"]]
    return [message, *outputs]


conversations = st.lists(users.map(lambda m: [m]) | systems.map(lambda m: [m]) | turns(), max_size=6).map(
    lambda parts: [message for part in parts for message in part]
)


def told(messages: list[Json]) -> list[Any]:
    """What messages say, in order, however it is spread over messages and parts."""
    found: list[Any] = []
    for message in messages:
        content = message.get("content") or []
        parts: list[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for part in parts:
            image = part.get("image_url", {})
            said = part["text"] if part["type"] == "text" else (image["url"], image.get("detail", "auto"))
            found.append((message["role"], message.get("tool_call_id"), said))
        found += [(call["id"], call["function"]) for call in message.get("tool_calls", [])]
    return found


@settings(deadline=None)
@given(conversations)
def test_a_conversation_comes_back_as_it_was(messages: list[Json]) -> None:
    back = chat_from_responses(responses_from_chat({"model": "m", "messages": messages}))
    assert told(back["messages"]) == told(messages)


@settings(deadline=None)
@given(conversations)
def test_calls_and_their_outputs_stay_side_by_side(messages: list[Json]) -> None:
    back = chat_from_responses(responses_from_chat({"model": "m", "messages": messages}))["messages"]
    for before, message in zip([{}, *back], back, strict=False):
        if message["role"] == "tool":
            assert before["role"] == "tool" or message["tool_call_id"] in [c["id"] for c in before["tool_calls"]]


answers = st.fixed_dictionaries(
    {"content": st.none() | words},
    optional={"refusal": words, "reasoning_content": words, "tool_calls": st.lists(calls, min_size=1, max_size=3)},
)


@settings(deadline=None)
@given(answers)
def test_an_answer_comes_back_as_it_was(message: Json) -> None:
    choice = {"message": message, "finish_reason": "tool_calls" if "tool_calls" in message else "stop"}
    response = response_from_chat({"id": "x", "model": "m", "choices": [choice]}, request={}, created=1)
    sdk.response(response)
    back = chat_from_response(response, created=1)["choices"][0]
    assert back["finish_reason"] == choice["finish_reason"]
    assert {name: value for name, value in back["message"].items() if value and name != "role"} == {
        name: value for name, value in message.items() if value
    }


deltas = st.one_of(
    st.builds(lambda member, text: {member: text}, st.sampled_from(["content", "refusal", "reasoning_content"]), words),
    st.builds(
        lambda index, arguments: {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]},
        st.integers(0, 2),
        words,
    ),
)


def joined(found: list[Json]) -> Json:
    """What the deltas of chunks add up to."""
    whole: Json = {"calls": {}}
    for chunk in found:
        for choice in chunk["choices"]:
            for member, value in choice["delta"].items():
                if member == "tool_calls":
                    for call in value:
                        function = call["function"]
                        known = whole["calls"].setdefault(call["index"], {"id": call.get("id"), "name": "", "text": ""})
                        known["name"] += function.get("name", "")
                        known["text"] += function.get("arguments", "")
                elif value and member != "role":
                    whole[member] = whole.get(member, "") + value
    whole["calls"] = sorted(whole["calls"].values(), key=lambda call: str(call["id"]))
    whole["reasoning_content"] = whole.get("reasoning_content", "").replace("\n", "")
    return whole


def begun(found: list[Json]) -> list[Json]:
    """Chunks out of deltas; a call's first one has its id and name."""
    seen: set[int] = set()
    chunks = []
    for delta in found:
        for call in delta.get("tool_calls", []):
            if call["index"] not in seen:
                seen.add(call["index"])
                call["id"] = f"c{call['index']}"
                call["function"]["name"] = "f"
        chunks.append({"id": "x", "model": "m", "choices": [{"index": 0, "delta": delta}]})
    return [*chunks, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]


@settings(deadline=None)
@given(st.lists(deltas, max_size=12))
def test_a_stream_comes_back_as_it_was(found: list[Json]) -> None:
    chunks = begun(found)
    writer = ResponseEvents(request={}, created=1, fallback_model="m")
    stream = b"".join(writer.chunk(chunk) for chunk in chunks) + writer.end()
    last: Response = sdk.accumulated(stream)
    assert last.status == "completed"
    reader = ChunksFromResponses(created=1)
    back = [chunk for event in sdk.events(stream) for chunk in reader.event(event)]
    assert joined(back) == joined(chunks)
