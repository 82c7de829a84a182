"""The main job in every mode, with the official client as it comes: what people do with a hub every day."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest

from agenthub.demo.standin.script import Script
from tests.hub import Hub, wait_until
from tests.hubs import MODES
from tests.proxy.conftest import MakeRoute
from tests.proxy.route import CACHE_READ_PRICE, INPUT_PRICE, OUTPUT_PRICE
from tests.proxy.streams import read_stream

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("mode")]

ASK: Any = [{"role": "user", "content": "Hello there"}]


@pytest.fixture(scope="module", params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Every test of this file runs in every mode."""
    return str(request.param)


@pytest.fixture
def official(hub: Hub, key: str) -> Iterator[openai.OpenAI]:
    """The official client."""
    with hub.openai(key) as running:
        yield running


def test_a_chat_is_answered(official: openai.OpenAI, route: MakeRoute) -> None:
    one = route("only")
    answer = official.chat.completions.create(model=one.model, messages=ASK)
    assert answer.choices[0].message.content == "word0 word1 word2 word3 word4 "
    assert answer.usage is not None
    assert answer.usage.total_tokens == 16


def test_the_backend_gets_its_own_model_name_and_key_and_nothing_of_the_caller(
    official: openai.OpenAI, route: MakeRoute, key: str
) -> None:
    one = route("only")
    official.chat.completions.create(model=one.model, messages=ASK, temperature=0.25, extra_body={"odd": [1, {}]})
    [seen] = one.seen("only")
    assert seen.json == {"model": "native-only", "messages": ASK, "temperature": 0.25, "odd": [1, {}]}
    assert seen.headers["authorization"] == f"Bearer sk-upstream-only-{one.model}"
    assert seen.headers["accept-encoding"] == "identity"
    assert key not in repr(seen.headers)


def test_a_chat_is_streamed_with_usage(official: openai.OpenAI, route: MakeRoute) -> None:
    one = route("only")
    stream = official.chat.completions.create(
        model=one.model, messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "word0 word1 word2 word3 word4 "
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 5


def test_a_caller_that_did_not_ask_for_usage_sees_none_and_it_is_recorded_all_the_same(
    hub: Hub, official: openai.OpenAI, route: MakeRoute
) -> None:
    one = route("only")
    chunks = list(official.chat.completions.create(model=one.model, messages=ASK, stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert one.seen("only")[0].json["stream_options"] == {"include_usage": True}
    record = hub.record(one.model)
    assert (record["input_tokens"], record["output_tokens"], record["estimated"]) == (11, 5, False)


def test_completions_are_answered_and_streamed(official: openai.OpenAI, route: MakeRoute) -> None:
    one = route("only")
    assert official.completions.create(model=one.model, prompt="Hello").choices[0].text.startswith("word0 word1")
    stream = official.completions.create(model=one.model, prompt="Hello", stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == "word0 word1 word2 word3 word4 "


def test_embeddings_are_answered(hub: Hub, official: openai.OpenAI, route: MakeRoute) -> None:
    one = route("only")
    answer = official.embeddings.create(model=one.model, input=["one", "two"], encoding_format="float")
    assert [each.embedding for each in answer.data] == [[0.25, -0.5, 1.0]] * 2
    assert hub.record(one.model)["input_tokens"] == 11


def test_models_are_listed_with_what_the_hub_knows(official: openai.OpenAI, route: MakeRoute) -> None:
    one = route("only", mappings={"only": {"context_window": 32_000}})
    assert one.model in [model.id for model in official.models.list()]
    found = official.models.retrieve(one.model)
    assert found.object == "model"
    assert found.to_dict()["context_window"] == 32_000


def test_wrong_keys_are_authentication_errors(hub: Hub, route: MakeRoute) -> None:
    one = route("only")
    with hub.openai("ah-wrong") as official, pytest.raises(openai.AuthenticationError) as refused:
        official.chat.completions.create(model=one.model, messages=ASK)
    assert refused.value.code == "invalid_api_key"
    with hub.openai("ah-wrong") as official, pytest.raises(openai.AuthenticationError):
        official.models.list()


def test_unknown_models_are_not_found_errors(official: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        official.chat.completions.create(model="no-such-model", messages=ASK)
    assert refused.value.code == "model_not_found"


def test_backends_that_all_fail_are_internal_server_errors(official: openai.OpenAI, route: MakeRoute) -> None:
    two = route("first", "second")
    two.script("first", Script(status=500))
    two.script("second", Script(status=503))
    with pytest.raises(openai.InternalServerError) as refused:
        official.chat.completions.create(model=two.model, messages=ASK)
    assert (refused.value.status_code, refused.value.code) == (503, "all_pools_exhausted")
    assert refused.value.type == "AllPoolsExhausted"


def test_an_upstreams_bad_request_is_a_bad_request_error(official: openai.OpenAI, route: MakeRoute) -> None:
    two = route("first", "second")
    two.script("first", Script(status=400, error_code="unsupported_value", error_message="No such temperature."))
    with pytest.raises(openai.BadRequestError, match="No such temperature"):
        official.chat.completions.create(model=two.model, messages=ASK)
    assert two.asked() == {"first": 1, "second": 0}


def test_a_rate_limited_backend_is_stepped_over_unseen(official: openai.OpenAI, route: MakeRoute) -> None:
    three = route("first", "second", "third")
    three.script("first", Script(status=429, headers={"retry-after": "7"}))
    for _ in range(3):
        assert official.chat.completions.create(model=three.model, messages=ASK).choices
    assert three.asked() == {"first": 1, "second": 3, "third": 0}
    [event] = three.events("first")
    assert 7.0 <= event["cooldown_seconds"] <= 7.7
    assert event["reason"] == "rate_limited"


def test_a_stream_that_breaks_before_content_goes_on_elsewhere_unseen(client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second")
    two.script("first", Script(cut="reset", cut_after=0))
    streamed = read_stream(client, two.chat())
    assert (streamed.status, streamed.text) == (200, "word0 word1 word2 word3 word4 ")
    assert streamed.done
    assert not streamed.broken
    assert two.asked() == {"first": 1, "second": 1}


def test_a_stream_that_breaks_after_content_never_looks_complete(
    hub: Hub, client: httpx.Client, route: MakeRoute
) -> None:
    two = route("first", "second")
    two.script("first", Script(cut="reset", cut_after=2))
    streamed = read_stream(client, two.chat())
    assert streamed.text == "word0 word1 "
    assert streamed.errors
    assert not streamed.done
    assert streamed.broken
    assert two.asked() == {"first": 1, "second": 0}
    record = hub.record(two.model)
    assert (record["error_type"], record["partial"], record["estimated"]) == ("stream_broken", True, True)


def test_the_task_that_a_request_is_for_stands_in_its_record(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    one = route("only")
    client.post("/v1/chat/completions", json=one.chat(), headers={"x-agenthub-work-item": "TASK-7"})
    assert hub.record(one.model)["work_item_id"] == "TASK-7"


def test_every_request_is_in_the_sums_exactly_once_with_its_exact_cost(
    hub: Hub, client: httpx.Client, route: MakeRoute
) -> None:
    one = route("only")
    one.script("only", Script(prompt_tokens=1003, cached_tokens=320, completion_tokens=77, reasoning_tokens=12))
    for number in range(20):
        if number % 2:
            assert read_stream(client, one.chat()).done
        else:
            assert client.post("/v1/chat/completions", json=one.chat()).status_code == 200
    records = hub.records(one.model, count=20)
    each = (1003 - 320) * Decimal(INPUT_PRICE) + 320 * Decimal(CACHE_READ_PRICE) + 77 * Decimal(OUTPUT_PRICE)
    assert {record["cost_usd"] for record in records} == {int(each * 10**12)}
    [row] = hub.rows("providers_hourlyusage", model=one.model, backend_id=one.ids["only"])
    assert (row["request_count"], row["error_count"], row["estimated_count"]) == (20, 0, 0)
    assert (row["input_tokens"], row["cache_read_tokens"]) == (20 * (1003 - 320), 20 * 320)
    assert (row["output_tokens"], row["reasoning_tokens"]) == (20 * (77 - 12), 20 * 12)
    assert row["cost_usd"] == int(20 * each * 10**12)
    shown = hub.management.request("GET", "/stats/hourly", backend_id=one.ids["only"])
    assert [(row["request_count"], Decimal(row["cost"])) for row in shown] == [(20, 20 * each)]


def test_a_change_by_the_management_api_is_in_force_in_a_moment(client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second")
    assert client.post("/v1/chat/completions", json=two.chat()).headers["x-agenthub-pool"] == "primary"
    two.change("first", enabled=False)
    wait_until(
        lambda: client.post("/v1/chat/completions", json=two.chat()).headers["x-agenthub-pool"] == "fallback",
        "The second backend serves",
        seconds=5,
    )


def test_answers_say_how_they_were_served(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second")
    two.script("first", Script(status=500))
    answer = client.post("/v1/chat/completions", json=two.chat())
    assert answer.headers["x-agenthub-backend"] == two.ids["second"]
    assert answer.headers["x-agenthub-pool"] == "fallback"
    assert answer.headers["x-agenthub-attempts"] == "3"  # with one quick retry
    assert answer.headers["x-request-id"] == hub.record(two.model)["id"]
