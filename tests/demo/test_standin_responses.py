"""The stand-in speaks OpenAI's Responses, valid for the official client."""

from typing import Any

import httpx
import msgspec
import openai
import pytest
from openai.types.responses import ResponseStreamEvent

from agenthub.demo.standin.script import Script, ToolCall
from agenthub.demo.standin.server import StandIn
from tests.demo.reading import kinds, named_events, read_until

ASK: dict[str, Any] = {"model": "standin-small", "input": "Hello"}
STREAM = ASK | {"stream": True}
CALLS = (ToolCall("call_1", "look", '{"where": "here"}'), ToolCall("call_2", "wait"))
FULL = Script(
    reasoning="Hm.",
    chunks=3,
    tool_calls=CALLS,
    prompt_tokens=100,
    cached_tokens=60,
    cache_write_tokens=30,
    reasoning_tokens=2,
)


async def streamed(sdk: openai.AsyncOpenAI) -> list[ResponseStreamEvent]:
    return [event async for event in await sdk.responses.create(**ASK, stream=True)]


async def test_a_response_has_items_and_usage(standin: StandIn, sdk: openai.AsyncOpenAI) -> None:
    standin.script("a", FULL)
    response = await sdk.responses.create(**ASK, instructions="Be brief.")
    assert response.status == "completed"
    assert response.instructions == "Be brief."
    assert response.output_text == "word0 word1 word2 "
    reasoning, message, *calls = response.output
    assert reasoning.type == "reasoning"
    assert reasoning.summary[0].text == "Hm."
    assert message.type == "message"
    assert [(each.call_id, each.name, each.arguments) for each in calls if each.type == "function_call"] == [
        (call.id, call.name, call.arguments) for call in CALLS
    ]
    assert response.usage is not None
    assert response.usage.to_dict() == {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 107,
    }


async def test_a_stream_ends_with_the_same_response(standin: StandIn, sdk: openai.AsyncOpenAI) -> None:
    standin.script("a", FULL)
    whole = await sdk.responses.create(**ASK)
    events = await streamed(sdk)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    assert events[0].response.status == "in_progress"
    assert events[1].type == "response.in_progress"
    assert events[-1].type == "response.completed"
    assert events[-1].response.to_dict() == whole.to_dict()
    text = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert text == ["word0 ", "word1 ", "word2 "]
    done = [event for event in events if event.type == "response.output_item.done"]
    assert [event.output_index for event in done] == [0, 1, 2, 3]
    assert [event.item.to_dict() for event in done] == [item.to_dict() for item in whole.output]


async def test_the_events_of_each_item_come_in_order(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", FULL)
    events = named_events((await client.post(f"{standin.url('a')}/responses", json=STREAM)).text)
    of_items = [kinds([event for event in events if event.get("output_index") == index]) for index in range(3)]
    added, done = "response.output_item.added", "response.output_item.done"
    summary, arguments = "response.reasoning_summary_", "response.function_call_arguments."
    said = [f"{summary}{each}" for each in ("part.added", "text.delta", "text.done", "part.done")]
    text = ["content_part.added", "output_text.delta", "output_text.done", "content_part.done"]
    assert of_items == [
        [added, *said, done],
        [added, *(f"response.{each}" for each in text), done],
        [added, f"{arguments}delta", f"{arguments}done", done],
    ]


async def test_arguments_come_in_two_deltas(standin: StandIn, sdk: openai.AsyncOpenAI) -> None:
    standin.script("a", Script(chunks=0, tool_calls=CALLS))
    events = await streamed(sdk)
    for index, call in enumerate(CALLS):
        deltas = [
            event.delta
            for event in events
            if event.type == "response.function_call_arguments.delta" and event.output_index == index
        ]
        assert len(deltas) == 2
        assert "".join(deltas) == call.arguments


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_an_answer_that_was_broken_off_is_incomplete(
    standin: StandIn, sdk: openai.AsyncOpenAI, reason: str
) -> None:
    standin.script("a", Script(finish_reason=reason))
    last = (await streamed(sdk))[-1]
    assert last.type == "response.incomplete"
    assert last.response.incomplete_details is not None
    expected = {"length": "max_output_tokens", "content_filter": "content_filter"}[reason]
    assert last.response.incomplete_details.reason == expected


@pytest.mark.parametrize("script", [Script(done=False), Script(finish=False)])
async def test_the_end_is_left_out_as_told(standin: StandIn, sdk: openai.AsyncOpenAI, script: Script) -> None:
    standin.script("a", script)
    assert (await streamed(sdk))[-1].type == "response.output_item.done"


async def test_usage_is_left_out_as_told(standin: StandIn, sdk: openai.AsyncOpenAI) -> None:
    standin.script("a", Script(usage=False))
    assert (await sdk.responses.create(**ASK)).usage is None


async def test_errors_and_keys_are_openais(standin: StandIn, sdk: openai.AsyncOpenAI) -> None:
    standin.script("a", Script(status=429, error_code="rate_limit_exceeded"), Script(api_key="sk-other"))
    with pytest.raises(openai.RateLimitError) as limited:
        await sdk.responses.create(**ASK)
    assert limited.value.code == "rate_limit_exceeded"
    with pytest.raises(openai.AuthenticationError):
        await sdk.responses.create(**ASK)


async def test_faults_work_as_for_chat(standin: StandIn, client: httpx.AsyncClient) -> None:
    dripping = msgspec.structs.replace(FULL, gzip=True, drip_bytes=7)
    standin.script("a", dripping, Script(cut="reset", cut_after=2))
    url = f"{standin.url('a')}/responses"
    assert kinds(named_events((await client.post(url, json=STREAM)).text))[-1] == "response.completed"
    got = await read_until(httpx.ReadError, client, url, STREAM)
    assert got.count(b'"delta":"word') == 2
