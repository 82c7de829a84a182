"""The stand-in provider does what its scripts say: the tests of the proxy lean on it."""

import asyncio
import hashlib
import json
from typing import Any

import httpx
import pytest

from agenthub.demo.standin.script import Script, ToolCall, read_scripts
from agenthub.demo.standin.server import StandIn

ASK: dict[str, Any] = {"model": "standin-small", "messages": [{"role": "user", "content": "Hello"}]}
STREAM = ASK | {"stream": True}


async def test_a_request_without_a_script_gets_a_good_answer(standin: StandIn, client: httpx.AsyncClient) -> None:
    answer = (await client.post(f"{standin.url('a')}/chat/completions", json=ASK)).json()
    assert answer["choices"][0]["message"]["content"] == "word0 word1 word2 word3 word4 "
    assert answer["usage"]["total_tokens"] == 16


async def test_scripts_are_played_in_order_and_the_last_stays(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", Script(status=429, headers={"retry-after": "7"}), Script(status=500), Script())
    answers = [await client.post(f"{standin.url('a')}/chat/completions", json=ASK) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 500, 200, 200]
    assert answers[0].headers["retry-after"] == "7"
    assert standin.counts["a"] == 4


async def test_scripts_may_depend_on_the_request(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", Script(status=500))
    standin.script_by("a", lambda seen: Script(chunks=1, text=seen.json["model"]))
    answer = (await client.post(f"{standin.url('a')}/chat/completions", json=ASK)).json()
    assert answer["choices"][0]["message"]["content"] == "standin-small"
    assert (await client.get(f"{standin.url('a')}/models")).status_code == 200


async def test_backends_are_told_apart_by_their_path(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", Script(status=500))
    assert (await client.post(f"{standin.url('a')}/embeddings", json=ASK)).status_code == 500
    assert (await client.post(f"{standin.url('b')}/embeddings", json=ASK | {"input": ["x", "y"]})).status_code == 200
    assert (await client.get(f"{standin.url('a')}/models")).status_code == 200
    assert [each.path for each in standin.seen("b")] == ["/b/v1/embeddings"]


async def test_a_stream_has_role_chunks_finish_usage_and_done(standin: StandIn, client: httpx.AsyncClient) -> None:
    ask = STREAM | {"stream_options": {"include_usage": True}}
    answer = await client.post(f"{standin.url()}/chat/completions", json=ask)
    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n")[:-1]]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [chunk["choices"][0]["delta"]["content"] for chunk in chunks[1:6]] == [f"word{n} " for n in range(5)]
    assert chunks[6]["choices"][0]["finish_reason"] == "stop"
    assert chunks[7]["choices"] == []
    assert chunks[7]["usage"]["completion_tokens"] == 5


async def test_usage_is_only_streamed_when_asked_for(standin: StandIn, client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{standin.url()}/chat/completions", json=STREAM)
    assert '"usage"' not in answer.text


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":' * 100_000, b'{"model": 1e999}', b"\xff"])
async def test_a_body_that_is_no_json_object_is_refused(
    standin: StandIn, client: httpx.AsyncClient, body: bytes
) -> None:
    answer = await client.post(f"{standin.url('a')}/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert (await client.post(f"{standin.url('a')}/chat/completions", json=ASK)).status_code == 200


async def test_of_a_huge_body_the_beginning_and_the_hash_are_remembered(
    standin: StandIn, client: httpx.AsyncClient
) -> None:
    body = json.dumps(ASK | {"padding": "x" * 3_000_000}).encode()
    answer = await client.post(f"{standin.url('a')}/chat/completions?way=long", content=body)
    assert answer.status_code == 200
    seen = standin.seen("a")[0]
    assert seen.body == body[: 1 << 20]
    assert seen.body_bytes == len(body)
    assert seen.body_sha256 == hashlib.sha256(body).hexdigest()
    assert seen.query == "way=long"


async def test_a_gate_holds_each_chunk_until_it_is_opened(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", Script(gate="g", chunks=3, role_event=False))
    standin.open_gate("g", 2)
    async with client.stream("POST", f"{standin.url('a')}/chat/completions", json=STREAM) as answer:
        pieces = answer.aiter_raw()
        assert "word0" in (await anext(pieces)).decode()
        assert standin.seen("a")[0].chunks_sent == 1
        standin.open_gate("g", 3)
        assert "word1" in (await anext(pieces)).decode()
        standin.open_gate("g")
        assert (await anext(pieces)).decode().count("word2") == 1


@pytest.mark.parametrize(("cut", "failure"), [("reset", httpx.ReadError), ("close", httpx.RemoteProtocolError)])
async def test_a_stream_is_cut_as_told(
    standin: StandIn, client: httpx.AsyncClient, cut: Any, failure: type[Exception]
) -> None:
    standin.script("a", Script(cut=cut, cut_after=2))
    got: list[bytes] = []

    async def read(answer: httpx.Response) -> None:
        async for piece in answer.aiter_raw():
            got.append(piece)

    async with client.stream("POST", f"{standin.url('a')}/chat/completions", json=STREAM) as answer:
        with pytest.raises(failure):
            await read(answer)
    assert b"".join(got).count(b"word") == 2


async def test_a_reset_before_the_head_is_a_real_one(standin: StandIn) -> None:
    standin.script("a", Script(cut="reset", cut_before_head=True))
    reader, writer = await asyncio.open_connection(standin.host, standin.port)
    writer.write(b"POST /a/v1/embeddings HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_garbage_and_wrong_lengths_go_out_as_told(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", Script(body="<html>", content_length=1000), Script(inserts={1: "data: {oops\n\n"}))
    with pytest.raises(httpx.RemoteProtocolError):
        await client.post(f"{standin.url('a')}/chat/completions", json=ASK)
    answer = await client.post(f"{standin.url('a')}/chat/completions", json=STREAM)
    assert answer.text.index("word0") < answer.text.index("{oops") < answer.text.index("word1")


async def test_a_caller_that_leaves_is_seen(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", Script(silent_after=1))
    async with client.stream("POST", f"{standin.url('a')}/chat/completions", json=STREAM) as answer:
        await anext(answer.aiter_raw())
    await asyncio.to_thread(standin.wait, lambda seen: seen.seen("a")[0].disconnected)
    assert not standin.seen("a")[0].finished


async def test_a_drip_says_the_same_in_small_pieces(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", Script(drip_bytes=3), Script())
    dripped, whole = [await client.post(f"{standin.url('a')}/chat/completions", json=STREAM) for _ in range(2)]
    assert dripped.text == whole.text


async def test_answers_are_compressed_as_told(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", Script(gzip=True))
    for ask in (ASK, STREAM):
        answer = await client.post(f"{standin.url('a')}/chat/completions", json=ask)
        assert answer.headers["content-encoding"] == "gzip"
        assert "word0" in answer.text


def test_scripts_are_read_from_json() -> None:
    scripts = read_scripts(b'{"a": [{"status": 429, "headers": {"retry-after": "7"}, "inserts": {"2": "x"}}]}')
    assert scripts == {"a": (Script(status=429, headers={"retry-after": "7"}, inserts={2: "x"}),)}


def test_scripts_with_tool_calls_are_read_from_json() -> None:
    scripts = read_scripts(b'{"a": [{"chunks": 0, "tool_calls": [{"id": "c1", "name": "look", "arguments": "{}"}]}]}')
    assert scripts == {"a": (Script(chunks=0, tool_calls=(ToolCall("c1", "look"),)),)}


def test_a_misspelt_script_is_refused() -> None:
    with pytest.raises(ValueError, match="stauts"):
        read_scripts(b'{"a": [{"stauts": 429}]}')
