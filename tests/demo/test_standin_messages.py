"""The stand-in speaks Anthropic's Messages."""

import json
from typing import Any

import httpx
import msgspec
import pytest

from agenthub.demo.standin.script import Script, ToolCall
from agenthub.demo.standin.server import StandIn
from tests.demo.reading import kinds, named_events, read_until

ASK: dict[str, Any] = {"model": "m-large", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
STREAM = ASK | {"stream": True}
CALL = ToolCall("toolu_1", "look", '{"where": "here"}')
FULL = Script(reasoning="Hm.", chunks=2, tool_calls=(CALL,), prompt_tokens=100, cached_tokens=60, cache_write_tokens=30)


async def test_a_message_has_blocks_stop_reason_and_disjoint_usage(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", FULL)
    answer = (await client.post(f"{standin.url('a')}/messages", json=ASK)).json()
    thinking, text, tool_use = answer.pop("content")
    assert thinking.pop("signature")
    assert thinking == {"type": "thinking", "thinking": "Hm."}
    assert text == {"type": "text", "text": "word0 word1 "}
    assert tool_use == {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"where": "here"}}
    assert answer == {
        "id": "msg_standin",
        "type": "message",
        "role": "assistant",
        "model": "m-large",
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 30,
            "cache_read_input_tokens": 60,
            "output_tokens": 4,
        },
    }


async def test_a_stream_says_the_same_block_by_block(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", FULL)
    answer = await client.post(f"{standin.url('a')}/messages", json=STREAM)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = named_events(answer.text)
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    pinged = [block[0], "ping", *block[1:]]
    assert kinds(events) == ["message_start", *block, *pinged, *block, "message_delta", "message_stop"]
    assert events[0]["message"]["content"] == []
    assert events[0]["message"]["usage"]["input_tokens"] == 10
    assert [(each["index"], each["content_block"]) for each in events if each["type"] == "content_block_start"] == [
        (0, {"type": "thinking", "thinking": "", "signature": ""}),
        (1, {"type": "text", "text": ""}),
        (2, {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}),
    ]
    deltas = [(each["index"], each["delta"]) for each in events if each["type"] == "content_block_delta"]
    assert [kind["type"] for _, kind in deltas[:2]] == ["thinking_delta", "signature_delta"]
    assert deltas[2:4] == [(1, {"type": "text_delta", "text": f"word{n} "}) for n in range(2)]
    pieces = [delta["partial_json"] for index, delta in deltas if index == 2]
    assert len(pieces) == 2
    assert json.loads("".join(pieces)) == {"where": "here"}
    assert [each["index"] for each in events if each["type"] == "content_block_stop"] == [0, 1, 2]
    assert events[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert events[-2]["usage"] == {"output_tokens": 4}


@pytest.mark.parametrize(
    ("finish_reason", "stop_reason"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("tool_calls", "tool_use"), ("pause_turn", "pause_turn")],
)
async def test_the_stop_reason_follows_from_the_finish_reason(
    standin: StandIn, client: httpx.AsyncClient, finish_reason: str, stop_reason: str
) -> None:
    standin.script("a", Script(finish_reason=finish_reason))
    whole = await client.post(f"{standin.url('a')}/messages", json=ASK)
    streamed = await client.post(f"{standin.url('a')}/messages", json=STREAM)
    assert whole.json()["stop_reason"] == stop_reason
    assert named_events(streamed.text)[-2]["delta"]["stop_reason"] == stop_reason


async def test_a_message_without_words_has_no_text_block(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", Script(chunks=0, tool_calls=(ToolCall("t", "wait", ""),)), Script(chunks=0))
    only_tool = (await client.post(f"{standin.url('a')}/messages", json=ASK)).json()
    assert only_tool["content"] == [{"type": "tool_use", "id": "t", "name": "wait", "input": {}}]
    nothing = named_events((await client.post(f"{standin.url('a')}/messages", json=STREAM)).text)
    assert kinds(nothing) == ["message_start", "ping", "message_delta", "message_stop"]


async def test_the_end_is_left_out_as_told(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", Script(done=False), Script(finish=False), Script(usage=False))
    streams = [(await client.post(f"{standin.url('a')}/messages", json=STREAM)).text for _ in range(3)]
    assert kinds(named_events(streams[0]))[-2:] == ["content_block_stop", "message_delta"]
    assert kinds(named_events(streams[1]))[-2:] == ["content_block_stop", "message_stop"]
    assert "usage" not in streams[2]


async def test_tokens_are_counted(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", Script(prompt_tokens=77, cached_tokens=7))
    answer = await client.post(f"{standin.url('a')}/messages/count_tokens", json=ASK)
    assert answer.json() == {"input_tokens": 77}


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (Script(status=400), "invalid_request_error"),
        (Script(status=404), "not_found_error"),
        (Script(status=429), "rate_limit_error"),
        (Script(status=500), "api_error"),
        (Script(status=529), "overloaded_error"),
        (Script(status=503, error_code="overloaded_error"), "overloaded_error"),
    ],
)
async def test_errors_have_anthropics_shape(
    standin: StandIn, client: httpx.AsyncClient, script: Script, kind: str
) -> None:
    standin.script("a", script)
    answer = await client.post(f"{standin.url('a')}/messages", json=STREAM)
    assert answer.status_code == script.status
    assert answer.json() == {"type": "error", "error": {"type": kind, "message": "The stand-in was told to refuse."}}


async def test_bad_requests_are_refused_in_that_shape(standin: StandIn, client: httpx.AsyncClient) -> None:
    broken = await client.post(f"{standin.url('a')}/messages", content=b"{")
    assert broken.status_code == 400
    assert broken.json()["error"]["type"] == "invalid_request_error"
    nowhere = await client.post(f"{standin.url('a')}/messages/batches", json=ASK)
    assert nowhere.status_code == 404
    assert nowhere.json()["error"]["type"] == "not_found_error"


async def test_the_key_comes_in_a_header_of_its_own_with_the_version(
    standin: StandIn, client: httpx.AsyncClient
) -> None:
    standin.script("a", Script(api_key="sk-right"))
    version = {"anthropic-version": "2023-06-01"}
    wrong: list[dict[str, str]] = [
        {},
        version,
        {"x-api-key": "sk-right"},
        version | {"authorization": "Bearer sk-right"},
    ]
    for headers in wrong:
        answer = await client.post(f"{standin.url('a')}/messages", json=ASK, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["type"] == "authentication_error"
    right = await client.post(f"{standin.url('a')}/messages", json=ASK, headers=version | {"x-api-key": "sk-right"})
    assert right.status_code == 200


async def test_faults_work_as_for_chat(standin: StandIn, client: httpx.AsyncClient) -> None:
    insert = 'event: error\ndata: {"type": "error"}\n\n'
    standin.script(
        "a",
        FULL,
        msgspec.structs.replace(FULL, gzip=True, drip_bytes=3),
        Script(inserts={1: insert}),
        Script(chunks=2, tool_calls=(CALL,), cut="close", cut_after=3),
    )
    url = f"{standin.url('a')}/messages"
    plain, dripped, inserted = [(await client.post(url, json=STREAM)).text for _ in range(3)]
    assert kinds(named_events(dripped)) == kinds(named_events(plain))
    assert inserted.index("word0") < inserted.index(insert) < inserted.index("word1")
    got = await read_until(httpx.RemoteProtocolError, client, url, STREAM)
    assert got.count(b"input_json_delta") == 1


async def test_a_gate_holds_each_chunk(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", Script(gate="g", chunks=2))
    standin.open_gate("g", 2)
    async with client.stream("POST", f"{standin.url('a')}/messages", json=STREAM) as answer:
        pieces = answer.aiter_text()
        got = ""
        while "word0" not in got:
            got += await anext(pieces)
        assert standin.seen("a")[0].chunks_sent == 1
        standin.open_gate("g")
        async for piece in pieces:
            got += piece
    assert kinds(named_events(got))[-1] == "message_stop"
