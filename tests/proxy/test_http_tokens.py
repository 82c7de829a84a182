"""Tokens per minute of a backend: reserved by estimate, settled by what was used."""

import httpx

from agenthub.demo.standin.script import Script
from tests.hub import Hub
from tests.proxy.conftest import MakeRoute

CHAT = "/v1/chat/completions"


def test_a_backend_out_of_tokens_is_stepped_over(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    two = route("small", "large", fields={"small": {"tpm_limit": 1000}})
    two.script("small", Script(prompt_tokens=900, completion_tokens=50))
    for _ in range(2):
        # The estimate fits; what the first has used in truth leaves too little for the second.
        assert client.post(CHAT, json=two.chat(max_tokens=100)).status_code == 200
    assert two.asked() == {"small": 1, "large": 1}


def test_what_a_caller_asks_for_is_reserved_and_given_back(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    two = route("small", "large", fields={"small": {"tpm_limit": 1000}})
    for _ in range(3):
        assert client.post(CHAT, json=two.chat(max_tokens=900)).status_code == 200
    assert two.asked() == {"small": 3, "large": 0}


def test_the_refusal_says_that_tokens_are_missing_and_when_they_are_there(
    hub: Hub, client: httpx.Client, route: MakeRoute
) -> None:
    one = route("only", fields={"only": {"tpm_limit": 60}})
    one.script("only", Script(prompt_tokens=6000, completion_tokens=0))
    assert client.post(CHAT, json=one.chat()).status_code == 200
    # The emergency channel may try it; what it gets there is an error, so that the refusal is seen.
    one.script("only", Script(status=429))
    refused = client.post(CHAT, json=one.chat())
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 30
