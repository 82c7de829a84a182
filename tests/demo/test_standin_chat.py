"""What the stand-in's chat completions say besides text, read by the official client."""

import json
from typing import Any

import httpx
import openai
from openai.types.chat import ChatCompletionChunk

from agenthub.demo.standin.script import Script, ToolCall
from agenthub.demo.standin.server import StandIn
from tests.demo.reading import read_until

ASK: dict[str, Any] = {"model": "standin-small", "messages": [{"role": "user", "content": "Hello"}]}
CALLS = (ToolCall("call_1", "look", '{"where": "here"}'), ToolCall("call_2", "wait", ""))


async def streamed(sdk: openai.AsyncOpenAI, **more: Any) -> list[ChatCompletionChunk]:
    return [chunk async for chunk in await sdk.chat.completions.create(**ASK, **more, stream=True)]


async def test_reasoning_and_tool_calls_are_in_the_message(standin: StandIn, sdk: openai.AsyncOpenAI) -> None:
    standin.script("a", Script(reasoning="Hm.", chunks=1, tool_calls=CALLS))
    choice = (await sdk.chat.completions.create(**ASK)).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "word0 "
    assert choice.message.to_dict()["reasoning_content"] == "Hm."
    assert [call.to_dict() for call in choice.message.tool_calls or []] == [
        {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"where": "here"}'}},
        {"id": "call_2", "type": "function", "function": {"name": "wait", "arguments": ""}},
    ]


async def test_tool_calls_without_text_have_no_content(standin: StandIn, sdk: openai.AsyncOpenAI) -> None:
    standin.script("a", Script(chunks=0, tool_calls=CALLS))
    assert (await sdk.chat.completions.create(**ASK)).choices[0].message.content is None


async def test_they_are_streamed_with_split_arguments(standin: StandIn, sdk: openai.AsyncOpenAI) -> None:
    standin.script("a", Script(reasoning="Hm.", chunks=1, tool_calls=CALLS))
    chunks = await streamed(sdk)
    deltas = [chunk.choices[0].delta.to_dict() for chunk in chunks]
    assert deltas[1:3] == [{"reasoning_content": "Hm."}, {"content": "word0 "}]
    calls: list[Any] = [delta["tool_calls"] for delta in deltas if "tool_calls" in delta]
    first = [call[0] for call in calls if call[0]["index"] == 0]
    assert first[0] == {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {"name": "look", "arguments": ""},
    }
    pieces = [each["function"]["arguments"] for each in first[1:]]
    assert len(pieces) == 2
    assert all(pieces)
    assert json.loads("".join(pieces)) == {"where": "here"}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


async def test_a_finish_reason_that_was_set_stays(standin: StandIn, sdk: openai.AsyncOpenAI) -> None:
    standin.script("a", Script(tool_calls=CALLS, finish_reason="length"))
    assert (await sdk.chat.completions.create(**ASK)).choices[0].finish_reason == "length"


async def test_a_stream_can_be_cut_within_a_tool_call(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", Script(chunks=2, tool_calls=CALLS, cut="close", cut_after=3))
    got = await read_until(
        httpx.RemoteProtocolError, client, f"{standin.url('a')}/chat/completions", ASK | {"stream": True}
    )
    # The event with the name, and the first of two parts.
    assert got.count(b'"arguments"') == 2
    assert standin.seen("a")[0].chunks_sent == 3


async def test_what_went_into_the_cache_is_told(standin: StandIn, sdk: openai.AsyncOpenAI) -> None:
    standin.script("a", Script(prompt_tokens=100, cached_tokens=60, cache_write_tokens=30))
    usage = (await sdk.chat.completions.create(**ASK)).usage
    assert usage is not None
    assert usage.prompt_tokens == 100
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.to_dict() == {"cached_tokens": 60, "cache_write_tokens": 30}


async def test_text_completions_have_neither(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", Script(reasoning="Hm.", chunks=2, tool_calls=CALLS))
    ask = {"model": "standin-small", "prompt": "Hello"}
    whole = (await client.post(f"{standin.url('a')}/completions", json=ask)).json()["choices"][0]
    answer = await client.post(f"{standin.url('a')}/completions", json=ask | {"stream": True})
    events = answer.text.split("\n\n")[:-2]
    pieces = [json.loads(event.removeprefix("data: "))["choices"][0] for event in events]
    assert whole["text"] == "".join(piece["text"] for piece in pieces) == "word0 word1 "
    assert whole["finish_reason"] == pieces[-1]["finish_reason"] == "stop"


async def test_a_key_is_asked_for_where_the_script_has_one(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", Script(api_key="sk-right"))
    url = f"{standin.url('a')}/chat/completions"
    for headers in ({}, {"authorization": "Bearer sk-wrong"}, {"x-api-key": "sk-right"}):
        answer = await client.post(url, json=ASK, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"] == {
            "message": "The request does not carry the API key of this backend.",
            "type": "authentication_error",
            "param": None,
            "code": "invalid_api_key",
        }
    assert (await client.post(url, json=ASK, headers={"authorization": "Bearer sk-right"})).status_code == 200
