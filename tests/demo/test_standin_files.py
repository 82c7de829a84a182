"""The stand-in keeps files per backend, for the official client."""

import hashlib
import os

import httpx
import openai
import pytest

from agenthub.demo.standin.script import Script
from agenthub.demo.standin.server import StandIn


async def test_a_file_is_kept_listed_read_and_deleted(standin: StandIn, sdk: openai.AsyncOpenAI) -> None:
    data = os.urandom(5_000_000)
    first = await sdk.files.create(file=("lines.jsonl", data), purpose="batch")
    second = await sdk.files.create(file=("b.txt", b""), purpose="user_data")
    assert (first.bytes, first.filename, first.purpose) == (len(data), "lines.jsonl", "batch")
    assert [each async for each in sdk.files.list()] == [first, second]
    assert await sdk.files.retrieve(first.id) == first
    assert (await sdk.files.content(first.id)).content == data
    assert standin.seen("a")[0].file_sha256 == hashlib.sha256(data).hexdigest()
    assert (await sdk.files.delete(first.id)).deleted
    assert [each.id async for each in sdk.files.list()] == [second.id]
    with pytest.raises(openai.NotFoundError):
        await sdk.files.content(first.id)


async def test_a_file_is_unknown_to_other_backends(
    standin: StandIn, sdk: openai.AsyncOpenAI, client: httpx.AsyncClient
) -> None:
    kept = await sdk.files.create(file=("a.txt", b"a"), purpose="user_data")
    url = f"{standin.url('b')}/files"
    for method, address in (("GET", kept.id), ("GET", f"{kept.id}/content"), ("DELETE", kept.id)):
        answer = await client.request(method, f"{url}/{address}")
        assert answer.status_code == 404
        assert answer.json()["error"] == {
            "message": f"No such File object: {kept.id}",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
    assert (await client.get(url)).json()["data"] == []
    assert (await sdk.files.retrieve(kept.id)).id == kept.id


async def test_only_posts_use_up_scripts(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", Script(status=500), Script())
    url = f"{standin.url('a')}/files"
    assert (await client.get(url)).status_code == 200
    form = {"data": {"purpose": "batch"}, "files": {"file": ("a.txt", b"a")}}
    assert (await client.post(url, **form)).status_code == 500  # type: ignore[arg-type]
    assert (await client.get(url)).json()["data"] == []
    assert (await client.post(url, **form)).status_code == 200  # type: ignore[arg-type]
    assert len((await client.get(url)).json()["data"]) == 1


async def test_a_purpose_is_needed_and_other_addresses_are_unknown(standin: StandIn, client: httpx.AsyncClient) -> None:
    url = f"{standin.url('a')}/files"
    assert (await client.post(url, files={"file": ("a.txt", b"a")})).status_code == 400
    kept = (await client.post(url, data={"purpose": "batch"}, files={"file": ("a.txt", b"a")})).json()
    assert (await client.get(f"{url}/{kept['id']}/lines")).status_code == 404
    assert (await client.put(f"{url}/{kept['id']}")).status_code == 404
    assert (await client.delete(url)).status_code == 404
