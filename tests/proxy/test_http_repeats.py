"""Answers that are given again: the response cache, and requests that are sent twice on purpose."""

import threading
from typing import Any

import httpx
import pytest

from agenthub.demo.standin.script import Script
from tests.hub import Hub
from tests.hubs import MODES
from tests.proxy.conftest import MakeRoute, new_key
from tests.proxy.streams import read_stream

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("mode")]

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module", params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Every test of this file runs in every mode."""
    return str(request.param)


def cached(answer: httpx.Response) -> str:
    """What an answer says of the cache."""
    return str(answer.headers.get("x-agenthub-cache", ""))


# Sent twice on purpose


def test_the_same_request_with_the_same_key_is_answered_once(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    one = route("only")
    header = {"idempotency-key": one.model}
    first = client.post(CHAT, json=one.chat(), headers=header)
    again = client.post(CHAT, json=one.chat(), headers=header)
    assert again.status_code == 200
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert one.asked() == {"only": 1}
    charged = [record["cost_usd"] for record in hub.records(one.model, count=2)]
    assert charged[0]
    assert not charged[1]


def test_one_that_comes_meanwhile_waits_for_the_first_answer(
    hub: Hub, key: str, client: httpx.Client, route: MakeRoute
) -> None:
    one = route("only")
    one.script("only", Script(gate=one.model))
    answers: list[httpx.Response] = []

    def ask() -> None:
        with hub.client(key) as own:
            answers.append(own.post(CHAT, json=one.chat(), headers={"idempotency-key": one.model}))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    one.wait_seen("only", lambda _: True)
    one.standin.open_gate(one.model)
    for thread in threads:
        thread.join()
    assert one.asked() == {"only": 1}
    assert len({answer.content for answer in answers}) == 1
    assert sorted(answer.headers.get("idempotent-replayed", "") for answer in answers) == ["", "true", "true", "true"]


def test_a_stream_is_repeated_as_a_stream(client: httpx.Client, route: MakeRoute) -> None:
    one = route("only")
    client.headers["idempotency-key"] = one.model
    first, again = read_stream(client, one.chat()), read_stream(client, one.chat())
    assert again.raw == first.raw
    assert again.done
    assert one.asked() == {"only": 1}


def test_another_request_with_the_same_key_is_refused(client: httpx.Client, route: MakeRoute) -> None:
    one = route("only")
    header = {"idempotency-key": one.model}
    client.post(CHAT, json=one.chat(), headers=header)
    refused = client.post(CHAT, json=one.chat(temperature=1), headers=header)
    assert refused.status_code == 422
    assert refused.json()["error"]["code"] == "idempotency_key_reused"
    assert refused.headers["x-should-retry"] == "false"


def test_keys_of_different_callers_are_different_keys(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    one = route("only")
    header = {"idempotency-key": one.model}
    client.post(CHAT, json=one.chat(), headers=header)
    with hub.client(new_key(hub)) as other:
        assert "idempotent-replayed" not in other.post(CHAT, json=one.chat(), headers=header).headers
    assert one.asked() == {"only": 2}


def test_what_has_failed_is_tried_again(client: httpx.Client, route: MakeRoute) -> None:
    one = route("only", fields={"only": {"rpm_limit": None}})
    one.script("only", Script(status=503), Script(status=503), Script())
    header = {"idempotency-key": one.model}
    assert client.post(CHAT, json=one.chat(), headers=header).status_code == 503
    assert client.post(CHAT, json=one.chat(), headers=header).status_code == 200


# The cache


def test_nothing_is_cached_unless_somebody_says_so(client: httpx.Client, route: MakeRoute) -> None:
    one = route("only")
    for _ in range(2):
        assert cached(client.post(CHAT, json=one.chat(temperature=0))) == ""
    assert one.asked() == {"only": 2}


def test_a_key_gets_its_own_answers_again(hub: Hub, route: MakeRoute) -> None:
    one = route("only")
    with hub.client(new_key(hub, cache_seconds=60)) as client:
        first = client.post(CHAT, json=one.chat(temperature=0))
        again = client.post(CHAT, json=one.chat(temperature=0))
        assert (cached(first), cached(again)) == ("miss", "hit")
        assert again.json() == first.json()
        assert cached(client.post(CHAT, json=one.chat(temperature=0, seed=1))) == "miss"
        assert cached(client.post(CHAT, json=one.chat())) == ""  # another answer may be wished for
    with hub.client(new_key(hub, cache_seconds=60)) as other:
        assert cached(other.post(CHAT, json=one.chat(temperature=0))) == "miss"
    assert [bool(record["backend_id"]) for record in hub.records(one.model, count=5)] == [True, False, True, True, True]


def test_a_request_may_ask_for_the_cache_and_against_it(hub: Hub, route: MakeRoute) -> None:
    one = route("only")
    with hub.client(new_key(hub, cache_seconds=60)) as client:

        def ask(header: str) -> str:
            return cached(client.post(CHAT, json=one.chat(), headers={"x-agenthub-cache": header}))

        assert [ask(header) for header in ("on", "on", "off", "refresh", "on")] == ["miss", "hit", "", "miss", "hit"]
        assert client.post(CHAT, json=one.chat(), headers={"x-agenthub-cache": "maybe"}).status_code == 400


def test_streams_are_cached_as_streams(hub: Hub, route: MakeRoute) -> None:
    one = route("only")
    with hub.client(new_key(hub, cache_seconds=60)) as client:
        first, again = (read_stream(client, one.chat(temperature=0)) for _ in range(2))
        assert again.raw == first.raw
        assert again.headers["x-agenthub-cache"] == "hit"
        whole = client.post(CHAT, json=one.chat(temperature=0))
    assert cached(whole) == "miss"
    assert one.asked() == {"only": 2}


def test_an_answer_that_broke_off_is_not_kept(hub: Hub, route: MakeRoute) -> None:
    one = route("only")
    one.script("only", Script(cut="close", cut_after=2), Script())
    with hub.client(new_key(hub, cache_seconds=60)) as client:
        assert read_stream(client, one.chat(temperature=0)).broken
        good = read_stream(client, one.chat(temperature=0))
    assert good.done
    assert good.headers["x-agenthub-cache"] == "miss"


def test_a_models_cache_is_for_all_who_may_use_it(hub: Hub, route: MakeRoute) -> None:
    one = route("only")
    body: dict[str, Any] = {"name": one.model, "cache_seconds": 60}
    hub.management.request("POST", "/model-routes", body)
    with hub.client(new_key(hub)) as first, hub.client(new_key(hub)) as other:
        assert cached(first.post(CHAT, json=one.chat(temperature=0))) == "miss"
        assert cached(other.post(CHAT, json=one.chat(temperature=0))) == "hit"
    assert one.asked() == {"only": 1}
