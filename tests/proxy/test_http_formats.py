"""Every format of clients at every kind of backend, by the official clients: nothing is lost on the way."""

import json
from typing import Any
from uuid import uuid4

import anthropic
import httpx
import openai
import pytest

from agenthub.demo.standin.script import Script, ToolCall
from agenthub.demo.standin.server import StandIn
from tests.hub import Hub
from tests.proxy.conftest import MakeRoute
from tests.proxy.formats import FORMATS, KINDS, PIXEL, QUESTION, SYSTEM, TOOL, anthropic_client, ask, texts_seen
from tests.proxy.route import INPUT_PRICE, OUTPUT_PRICE, Route

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("mode")]

ENDPOINTS = {"chat": "chat/completions", "messages": "messages", "responses": "responses"}
UPSTREAM_PATHS = {
    "openai-completions": "chat/completions",
    "anthropic-messages": "messages",
    "openai-responses": "responses",
}


@pytest.fixture(params=["embedded", "distributed"], scope="module")
def mode(request: pytest.FixtureRequest) -> str:
    """Both ways from a socket to the proxy."""
    return str(request.param)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """What the backend speaks."""
    return str(request.param)


@pytest.fixture(params=FORMATS)
def wire(request: pytest.FixtureRequest) -> str:
    """What the client speaks."""
    return str(request.param)


@pytest.fixture(params=[False, True], ids=["json", "stream"])
def stream(request: pytest.FixtureRequest) -> bool:
    """Whether the answer is streamed."""
    return bool(request.param)


def of_kind(route: MakeRoute, kind: str, script: Script) -> Route:
    """A model with one backend of a kind."""
    made = route("only", fields={"only": {"api": kind}})
    made.script("only", script)
    return made


def test_a_question_with_an_image_is_answered(
    hub: Hub, key: str, route: MakeRoute, wire: str, kind: str, stream: bool
) -> None:
    one = of_kind(
        route, kind, Script(reasoning="Let me see. ", prompt_tokens=40, cached_tokens=24, completion_tokens=9)
    )
    said = ask(hub, key, wire, one.model, stream=stream)
    assert said.text == "word0 word1 word2 word3 word4 "
    assert said.reasoning == "Let me see. "
    assert said.stopped == "end"
    assert (said.prompt_tokens, said.cached_tokens, said.completion_tokens) == (40, 24, 9)
    [seen] = one.seen("only")
    assert seen.path.endswith(f"/v1/{UPSTREAM_PATHS[kind]}")
    assert seen.json["model"] == "native-only"
    assert list(texts_seen(kind, seen.json)) == [SYSTEM, QUESTION, PIXEL]
    record = hub.record(one.model)
    assert (record["input_tokens"], record["cache_read_tokens"], record["output_tokens"]) == (16, 24, 9)
    assert (record["endpoint"], record["status"], record["estimated"]) == (ENDPOINTS[wire], 200, False)


def test_tools_are_offered_and_called(hub: Hub, key: str, route: MakeRoute, wire: str, kind: str, stream: bool) -> None:
    calls = (ToolCall("call_1", TOOL, '{"city": "Köln"}'), ToolCall("call_2", TOOL, '{"city": "上海"}'))
    one = of_kind(route, kind, Script(chunks=1, tool_calls=calls))
    said = ask(hub, key, wire, one.model, stream=stream, tools=True)
    assert said.text == "word0 "
    assert said.calls == [("call_1", TOOL, {"city": "Köln"}), ("call_2", TOOL, {"city": "上海"})]
    assert said.stopped == "tools"
    [seen] = one.seen("only")
    assert list(texts_seen(kind, seen.json))[-1] == TOOL


def test_an_answer_that_is_too_long_says_so(
    hub: Hub, key: str, route: MakeRoute, wire: str, kind: str, stream: bool
) -> None:
    one = of_kind(route, kind, Script(finish_reason="length"))
    assert ask(hub, key, wire, one.model, stream=stream).stopped == "length"


def test_another_backend_of_another_kind_takes_over_unseen(
    hub: Hub, key: str, route: MakeRoute, wire: str, kind: str, stream: bool
) -> None:
    two = route("first", "second", fields={"first": {"api": "openai-completions"}, "second": {"api": kind}})
    two.script("first", Script(status=503))
    two.script("second", Script(text="two "))
    assert ask(hub, key, wire, two.model, stream=stream).text == "two " * 5


@pytest.mark.parametrize("kind", ["openai-completions", "anthropic-messages"])
def test_a_stream_that_only_lacks_its_last_event_is_whole(
    hub: Hub, key: str, route: MakeRoute, wire: str, kind: str
) -> None:
    one = of_kind(route, kind, Script(done=False, prompt_tokens=40, completion_tokens=9))
    said = ask(hub, key, wire, one.model, stream=True)
    assert (said.text, said.stopped) == ("word0 word1 word2 word3 word4 ", "end")
    assert (said.prompt_tokens, said.completion_tokens) == (40, 9)


def test_a_stream_that_breaks_after_content_is_an_error_for_its_client(
    hub: Hub, key: str, route: MakeRoute, wire: str, kind: str
) -> None:
    one = of_kind(route, kind, Script(cut="close", cut_after=2))
    with pytest.raises((openai.OpenAIError, anthropic.AnthropicError, httpx.RemoteProtocolError, RuntimeError)):
        ask(hub, key, wire, one.model, stream=True)
    assert hub.record(one.model)["error_type"] == "stream_broken"


def test_the_callers_own_mistake_comes_back_in_its_own_format(
    hub: Hub, key: str, route: MakeRoute, wire: str, kind: str
) -> None:
    one = of_kind(route, kind, Script(status=400, error_message="max_tokens is odd"))
    with pytest.raises((openai.BadRequestError, anthropic.BadRequestError)) as refused:
        ask(hub, key, wire, one.model, stream=False)
    assert "max_tokens is odd" in str(refused.value)
    error: Any = refused.value
    assert error.status_code == 400
    body = error.response.json()
    assert (body.get("type") == "error") is (wire == "messages")


# What only one format has


def test_what_can_not_be_said_in_the_backends_format_is_refused_by_its_name(
    hub: Hub, key: str, route: MakeRoute
) -> None:
    one = of_kind(route, "openai-completions", Script())
    with anthropic_client(hub, key) as client, pytest.raises(anthropic.BadRequestError) as refused:
        client.messages.create(
            model=one.model, max_tokens=5, messages=[{"role": "user", "content": "x"}], extra_body={"top_k": 3}
        )
    assert "top_k" in str(refused.value)
    assert one.asked() == {"only": 0}


def test_what_one_backend_can_not_be_told_another_can(hub: Hub, key: str, route: MakeRoute) -> None:
    two = route("first", "second", fields={"second": {"api": "anthropic-messages"}})
    with anthropic_client(hub, key) as client:
        client.messages.create(
            model=two.model, max_tokens=5, messages=[{"role": "user", "content": "x"}], extra_body={"top_k": 3}
        )
    assert two.asked() == {"first": 0, "second": 1}
    assert two.seen("second")[0].json["top_k"] == 3


def test_a_message_for_an_anthropic_backend_goes_as_it_came_with_its_own_headers(
    hub: Hub, key: str, route: MakeRoute
) -> None:
    one = of_kind(route, "anthropic-messages", Script(api_key=""))
    body = {"model": one.model, "max_tokens": 7, "messages": [{"role": "user", "content": "x"}], "odd": [1, {}]}
    with hub.client(key) as client:
        client.post("/v1/messages", json=body, headers={"anthropic-beta": "b-1", "anthropic-version": "2023-01-01"})
    [seen] = one.seen("only")
    assert seen.json == {**body, "model": "native-only"}
    assert (seen.headers["anthropic-beta"], seen.headers["anthropic-version"]) == ("b-1", "2023-01-01")
    assert seen.headers["x-api-key"] == f"sk-upstream-only-{one.model}"
    assert "authorization" not in seen.headers


def test_thinking_of_another_backend_is_taken_out_before_anthropic_sees_it(
    hub: Hub, key: str, route: MakeRoute
) -> None:
    one = of_kind(route, "anthropic-messages", Script())
    thought = {"type": "thinking", "thinking": "hm", "signature": ""}
    answer = {"role": "assistant", "content": [thought, {"type": "text", "text": "yes"}]}
    turns = [{"role": "user", "content": "x"}, answer, {"role": "user", "content": "y"}]
    with hub.client(key) as client:
        client.post("/v1/messages", json={"model": one.model, "max_tokens": 7, "messages": turns})
    assert one.seen("only")[0].json["messages"][1]["content"] == [{"type": "text", "text": "yes"}]


def test_tokens_are_counted_by_a_backend_that_can_and_estimated_where_none_can(
    hub: Hub, key: str, route: MakeRoute
) -> None:
    counts = of_kind(route, "anthropic-messages", Script(prompt_tokens=1234))
    other = of_kind(route, "openai-completions", Script())
    with anthropic_client(hub, key) as client:
        ask_of: Any = {"messages": [{"role": "user", "content": "Hello there, how are you today?"}]}
        assert client.messages.count_tokens(model=counts.model, **ask_of).input_tokens == 1234
        estimated = client.messages.with_raw_response.count_tokens(model=other.model, **ask_of)
    assert 5 <= json.loads(estimated.text())["input_tokens"] <= 40
    assert estimated.headers["x-agenthub-estimated"] == "true"
    assert other.asked() == {"only": 0}


def test_a_key_that_is_no_good_is_refused_in_the_words_of_each_format(hub: Hub) -> None:
    with anthropic_client(hub, "ah-nothing") as client, pytest.raises(anthropic.AuthenticationError) as refused:
        client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}])
    assert json.loads(refused.value.response.text)["type"] == "error"


def test_anthropics_cached_tokens_cost_what_cached_tokens_cost(hub: Hub, key: str, route: MakeRoute) -> None:
    one = route(
        "only",
        fields={"only": {"api": "anthropic-messages"}},
        mappings={
            "only": {
                "cost": {
                    "input": INPUT_PRICE,
                    "output": OUTPUT_PRICE,
                    "cacheRead": "0.00000025",
                    "cacheWrite": "0.000003125",
                }
            }
        },
    )
    one.script("only", Script(prompt_tokens=1000, cached_tokens=600, cache_write_tokens=300, completion_tokens=10))
    ask(hub, key, "messages", one.model, stream=True)
    record = hub.record(one.model)
    assert (record["cache_read_tokens"], record["cache_write_tokens"]) == (600, 300)
    plain = record["input_tokens"]
    assert record["cost_usd"] == plain * 2_500_000 + 600 * 250_000 + 300 * 3_125_000 + 10 * 10_000_000


def test_azure_is_asked_by_deployment_and_with_its_own_header(
    hub: Hub, key: str, standin: StandIn, route: MakeRoute
) -> None:
    name = f"azure-{uuid4().hex}"
    one = route("only", addresses={"only": standin.root(name)}, fields={"only": {"api": "azure-openai"}})
    said = ask(hub, key, "messages", one.model, stream=True)
    assert said.text
    [seen] = [each for each in standin.seen(name) if each.method == "POST"]
    assert (seen.deployment, seen.query) == ("native-only", "api-version=2024-10-21")
    assert seen.headers["api-key"] == f"sk-upstream-only-{one.model}"
    assert "authorization" not in seen.headers


def test_the_newer_address_of_azure_is_like_openais(hub: Hub, key: str, standin: StandIn, route: MakeRoute) -> None:
    name = f"azure-{uuid4().hex}"
    address = f"{standin.root(name)}/openai/v1"
    one = route("only", addresses={"only": address}, fields={"only": {"api": "azure-openai"}})
    assert ask(hub, key, "chat", one.model, stream=False).text
    [seen] = [each for each in standin.seen(name) if each.method == "POST"]
    assert seen.json["model"] == "native-only"
    assert seen.headers["api-key"] == f"sk-upstream-only-{one.model}"
