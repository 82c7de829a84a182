"""The stand-in answers at Azure's addresses, for the official client."""

from typing import Any

import httpx
import openai
import pytest

from agenthub.demo.standin.script import Script
from agenthub.demo.standin.server import StandIn

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}]}
VERSION = "?api-version=2024-10-21"
NOT_FOUND = {"error": {"code": "404", "message": "Resource not found"}}


def deployments(standin: StandIn) -> str:
    return f"{standin.root('a')}/openai/deployments"


async def test_the_official_client_is_answered(standin: StandIn) -> None:
    standin.script("a", Script(api_key="right"))
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=standin.root("a"),
        api_version="2024-10-21",
        api_key="right",
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        whole = await client.chat.completions.create(model="my small", **ASK)
        stream = await client.chat.completions.create(model="my small", **ASK, stream=True)
        text = [chunk.choices[0].delta.content or "" async for chunk in stream]
        embedded = await client.embeddings.create(model="vectors", input=["x", "y"], encoding_format="float")
    assert whole.choices[0].message.content == "".join(text) == "word0 word1 word2 word3 word4 "
    assert len(embedded.data) == 2
    seen = standin.seen("a")
    assert [each.deployment for each in seen] == ["my small", "my small", "vectors"]
    assert {each.query for each in seen} == {"api-version=2024-10-21"}


async def test_without_a_model_the_deployment_names_it(standin: StandIn, client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{deployments(standin)}/small/completions{VERSION}", json={"prompt": "Hello"})
    assert answer.json()["model"] == "small"


@pytest.mark.parametrize(
    "address",
    [
        "small/chat/completions",
        "small/chat/completions?api-version=",
        "small/chat/completions?version=1",
        f"small/files{VERSION}",
        f"small/{VERSION}",
        f"/chat/completions{VERSION}",
    ],
)
async def test_without_a_version_or_endpoint_nothing_is_found(
    standin: StandIn, client: httpx.AsyncClient, address: str
) -> None:
    answer = await client.post(f"{deployments(standin)}/{address}", json=ASK)
    assert (answer.status_code, answer.json()) == (404, NOT_FOUND)


async def test_errors_have_azures_shape(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", Script(status=429), Script(status=404, error_code="DeploymentNotFound"), Script())
    url = f"{deployments(standin)}/small/chat/completions{VERSION}"
    limited, gone = [(await client.post(url, json=ASK)).json() for _ in range(2)]
    assert limited == {"error": {"code": "429", "message": "The stand-in was told to refuse."}}
    assert gone == {"error": {"code": "DeploymentNotFound", "message": "The stand-in was told to refuse."}}
    broken = await client.post(url, content=b"{")
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "400")
    assert (await client.get(url)).json() == NOT_FOUND


async def test_the_key_comes_in_a_header_of_its_own(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", Script(api_key="right"))
    url = f"{deployments(standin)}/small/chat/completions{VERSION}"
    for headers in ({}, {"api-key": "wrong"}, {"authorization": "Bearer right"}):
        answer = await client.post(url, json=ASK, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "401")
    assert (await client.post(url, json=ASK, headers={"api-key": "right"})).status_code == 200


async def test_the_path_without_deployments_is_an_ordinary_one(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("a", Script(api_key="right"))
    url = f"{standin.url('a/openai')}/chat/completions"
    for headers in ({"api-key": "right"}, {"authorization": "Bearer right"}):
        assert (await client.post(url, json=ASK | {"model": "small"}, headers=headers)).status_code == 200
    refused = await client.post(url, json=ASK, headers={"x-api-key": "right"})
    assert refused.json()["error"]["code"] == "invalid_api_key"
    assert [(seen.backend, seen.deployment) for seen in standin.seen()] == [("a", "")] * 3


async def test_a_backend_may_be_named_openai(standin: StandIn, client: httpx.AsyncClient) -> None:
    standin.script("openai", Script(text="here"))
    answer = await client.post(f"{standin.url('openai')}/chat/completions", json=ASK)
    assert "here" in answer.text
    assert standin.counts["openai"] == 1
