"""The stand-in makes images, speaks, listens, judges and ranks, read by the official client."""

import base64
import hashlib
import os
from typing import Any

import httpx
import openai
import pytest

from agenthub.demo.standin.content import binary
from agenthub.demo.standin.script import Script
from agenthub.demo.standin.server import StandIn
from tests.demo.reading import read_until

SPEAK: dict[str, Any] = {"model": "tts", "voice": "alloy", "input": "Hello"}
USAGE = {"input_tokens": 11, "output_tokens": 5, "total_tokens": 16}


async def test_images_are_made(standin: StandIn, sdk: openai.AsyncOpenAI) -> None:
    standin.script("a", Script(binary_bytes=2_000_000))
    answer = await sdk.images.generate(model="standin-image", prompt="A house", n=2)
    assert [base64.b64decode(image.b64_json or "") for image in answer.data or []] == [binary(2_000_000)] * 2
    assert answer.usage is not None
    assert answer.usage.to_dict() | USAGE == answer.usage.to_dict()


@pytest.mark.parametrize("count", [0, 11, "x", 1.5, []])
async def test_a_senseless_number_of_images_is_refused(
    standin: StandIn, client: httpx.AsyncClient, count: object
) -> None:
    answer = await client.post(f"{standin.url('a')}/images/generations", json={"prompt": "A house", "n": count})
    assert answer.status_code == 400


async def test_an_image_is_edited_and_every_byte_arrives(standin: StandIn, sdk: openai.AsyncOpenAI) -> None:
    image = os.urandom(3_000_000)
    answer = await sdk.images.edit(model="standin-image", image=("a.png", image), prompt="Bigger", n=3)
    assert len(answer.data or []) == 3
    seen = standin.seen("a")[0]
    assert seen.fields == {"model": "standin-image", "prompt": "Bigger", "n": "3"}
    assert seen.file_sha256 == hashlib.sha256(image).hexdigest()
    assert seen.body_bytes > len(image)
    assert len(seen.body) == 1 << 20


async def test_an_image_is_varied(standin: StandIn, client: httpx.AsyncClient) -> None:
    url = f"{standin.url('a')}/images/variations"
    assert len((await client.post(url, data={"n": "2"}, files={"image": b"x"})).json()["data"]) == 2


async def test_several_images_may_be_sent(standin: StandIn, sdk: openai.AsyncOpenAI) -> None:
    await sdk.images.edit(model="standin-image", image=[("a.png", b"first"), ("b.png", b"second")], prompt="One")
    assert standin.seen("a")[0].file_sha256 == hashlib.sha256(b"first").hexdigest()


@pytest.mark.parametrize(("size", "chunks"), [(4096, 5), (100_000, 50), (3, 5), (0, 5), (10, 0)])
async def test_speech_comes_in_pieces(standin: StandIn, client: httpx.AsyncClient, size: int, chunks: int) -> None:
    standin.script("a", Script(binary_bytes=size, chunks=chunks))
    async with client.stream("POST", f"{standin.url('a')}/audio/speech", json=SPEAK) as answer:
        assert answer.headers["content-type"] == "audio/mpeg"
        assert answer.headers["transfer-encoding"] == "chunked"
        got = b"".join([piece async for piece in answer.aiter_raw()])
    assert got == binary(size)
    assert standin.seen("a")[0].chunks_sent == max(1, chunks)


async def test_the_official_client_hears_it(standin: StandIn, sdk: openai.AsyncOpenAI) -> None:
    async with sdk.audio.speech.with_streaming_response.create(**SPEAK) as answer:
        assert await answer.read() == binary(4096)


async def test_faults_work_for_speech(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script(
        "a",
        Script(cut="close", cut_after=2),
        Script(content_length=5000),
        Script(gzip=True, drip_bytes=100),
        Script(chunked=False),
        Script(body="not music"),
        Script(status=429),
    )
    url = f"{standin.url('a')}/audio/speech"
    got = await read_until(httpx.RemoteProtocolError, client, url, SPEAK)
    assert got == binary(4096)[: 2 * 4096 // 5]
    with pytest.raises(httpx.RemoteProtocolError):
        await client.post(url, json=SPEAK)
    packed, unframed, scripted, limited = [await client.post(url, json=SPEAK) for _ in range(4)]
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == unframed.content == binary(4096)
    assert (scripted.text, scripted.headers["content-type"]) == ("not music", "audio/mpeg")
    assert limited.json()["error"]["type"] == "rate_limit_error"


async def test_a_gate_holds_each_piece(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", Script(gate="g", chunks=2))
    standin.open_gate("g", 2)
    async with client.stream("POST", f"{standin.url('a')}/audio/speech", json=SPEAK) as answer:
        pieces = answer.aiter_raw()
        assert await anext(pieces) == binary(2048)
        assert standin.seen("a")[0].chunks_sent == 1
        standin.open_gate("g")
        assert await anext(pieces) == binary(4096)[2048:]


async def test_audio_is_transcribed(standin: StandIn, sdk: openai.AsyncOpenAI) -> None:
    spoken = os.urandom(100_000)
    heard = await sdk.audio.transcriptions.create(model="whisper", file=("a.wav", spoken), language="de")
    assert heard.text == "word0 word1 word2 word3 word4 "
    assert heard.to_dict()["usage"] == {"type": "tokens"} | USAGE
    seen = standin.seen("a")[0]
    assert seen.fields["language"] == "de"
    assert seen.file_sha256 == hashlib.sha256(spoken).hexdigest()


async def test_audio_is_translated(standin: StandIn, client: httpx.AsyncClient) -> None:
    url = f"{standin.url('a')}/audio/translations"
    answer = await client.post(url, data={"model": "whisper"}, files={"file": ("a.wav", b"spoken")})
    assert answer.json() == {"text": "word0 word1 word2 word3 word4 ", "usage": {"type": "tokens"} | USAGE}
    assert standin.seen("a")[0].fields == {"model": "whisper"}


@pytest.mark.parametrize("endpoint", ["audio/transcriptions", "images/edits", "files"])
async def test_an_upload_that_is_no_form_with_the_file_is_refused(
    standin: StandIn, client: httpx.AsyncClient, endpoint: str
) -> None:
    url = f"{standin.url('a')}/{endpoint}"
    torn = {"content-type": "multipart/form-data; boundary=b"}
    answers = [
        await client.post(url, json={"model": "m"}),
        await client.post(url, content=b"--b\r\n", headers=torn),
        await client.post(url, data={"purpose": "x"}, files={"other": b"x"}),
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 400]
    messages = [answer.json()["error"]["message"] for answer in answers]
    assert "not multipart/form-data" in messages[0]
    assert "before its last boundary" in messages[1]
    assert "has no file" in messages[2]


async def test_a_form_where_json_belongs_is_refused(standin: StandIn, client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{standin.url('a')}/images/generations", files={"image": b"x"})
    assert answer.status_code == 400


async def test_each_input_is_judged(standin: StandIn, sdk: openai.AsyncOpenAI) -> None:
    assert [each.flagged for each in (await sdk.moderations.create(input=["a", "b"])).results] == [False, False]
    assert len((await sdk.moderations.create(input="a")).results) == 1


async def test_documents_are_ranked(standin: StandIn, client: httpx.AsyncClient) -> None:
    url = f"{standin.url('a')}/rerank"
    ask: dict[str, Any] = {"model": "rank", "query": "q", "documents": ["short", "the longest of all", "of the middle"]}
    results = (await client.post(url, json=ask)).json()["results"]
    assert [each["index"] for each in results] == [1, 2, 0]
    scores = [each["relevance_score"] for each in results]
    assert scores == sorted(scores, reverse=True)
    assert (await client.post(url, json=ask | {"top_n": 1})).json()["results"] == results[:1]
    assert (await client.post(url, json=ask | {"documents": []})).json()["results"] == []
    for wrong in ({"documents": "one"}, {"top_n": "many"}):
        assert (await client.post(url, json=ask | wrong)).status_code == 400


async def test_usage_is_left_out_as_told(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", Script(usage=False))
    url = standin.url("a")
    answers = [
        await client.post(f"{url}/images/generations", json={"prompt": "A house"}),
        await client.post(f"{url}/rerank", json={"documents": ["x"]}),
        await client.post(f"{url}/audio/transcriptions", files={"file": b"x"}),
    ]
    assert [(answer.status_code, "usage" in answer.json()) for answer in answers] == [(200, False)] * 3
