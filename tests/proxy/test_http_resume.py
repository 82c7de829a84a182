"""Streams that are cut after content go on at another backend, for keys that want it: the client sees one stream."""

from typing import Any

import httpx
import pytest

from agenthub.demo.standin.script import Script, ToolCall
from tests.hub import Hub
from tests.proxy.conftest import MakeRoute, new_key
from tests.proxy.route import Route
from tests.proxy.streams import Streamed, read_stream
from tests.proxy.strict import read_strictly
from tests.proxy.wires import CHAT, MESSAGES, RESPONSES, Wire

CUT = Script(cut="reset", cut_after=2)
REST = Script(text="more{n} ")
SAID = "word0 word1 "
TEXT = SAID + "more0 more1 more2 more3 more4 "
USAGE = {"stream_options": {"include_usage": True}}
CONTINUES: dict[str, Any] = {"compat": {"prefill": "continue"}}
ANTHROPIC = {"api": "anthropic-messages"}


@pytest.fixture(scope="module")
def resuming_key(embedded_hub: Hub) -> str:
    """A client key whose streams are resumed."""
    return new_key(embedded_hub, resume=True)


@pytest.fixture
def key(resuming_key: str) -> str:
    """The key of every client here."""
    return resuming_key


def broken(streamed: Streamed) -> bool:
    """Whether a stream ends as any that was cut: said so far, one error, and abnormally."""
    errors = [error["code"] for error in streamed.errors]
    return (streamed.text, errors, streamed.done, streamed.broken) == (SAID, ["stream_broken"], False, True)


def last_message(route: Route, name: str) -> dict[str, Any]:
    """What the backend was asked to go on with."""
    message: dict[str, Any] = route.seen(name)[0].json["messages"][-1]
    return message


@pytest.mark.parametrize("way", [True, "prefix", "continue"])
def test_a_chat_backend_goes_on_where_its_mapping_says_how(
    hub: Hub, client: httpx.Client, route: MakeRoute, way: bool | str
) -> None:
    two = route("first", "second", mappings={"second": {"compat": {"prefill": way}}})
    two.script("first", CUT)
    two.script("second", REST)
    read = read_strictly(read_stream(client, two.chat(max_tokens=100, **USAGE)).raw)
    assert read.text == TEXT
    assert read.model == "native-first"
    asked = two.seen("second")[0].json
    assert last_message(two, "second") == {
        "role": "assistant",
        "content": SAID,
        **({"prefix": True} if way == "prefix" else {}),
    }
    assert asked.get("continue_final_message", False) is (way == "continue")
    assert asked["model"] == "native-second"
    assert 80 <= asked["max_tokens"] < 100
    record = hub.record(two.model)
    assert [attempt[1] for attempt in record["trail"]] == ["ended_early", "ok"]
    assert (record["status"], record["error_type"], record["partial"], record["estimated"]) == (200, "", False, True)
    assert record["backend_id"] == two.ids["second"]
    assert read.usage is not None
    assert read.usage["completion_tokens"] == record["output_tokens"] > 5  # both parts, of which the second told five
    assert read.usage["prompt_tokens"] == record["input_tokens"] > 11


def test_an_anthropic_backend_goes_on_and_says_no_white_space_twice(
    hub: Hub, client: httpx.Client, route: MakeRoute
) -> None:
    two = route("first", "second", fields={"second": ANTHROPIC})
    two.script("first", CUT)
    two.script("second", Script(text=" more{n}"))
    read = read_strictly(read_stream(client, two.chat(**USAGE)).raw)
    assert read.text == "word0 word1 more0 more1 more2 more3 more4"
    assert last_message(two, "second") == {
        "role": "assistant",
        "content": [{"type": "text", "text": "word0 word1"}],
    }
    assert read.usage is not None
    assert read.usage["completion_tokens"] == hub.record(two.model)["output_tokens"] > 5


def test_each_part_is_billed_at_the_prices_of_its_backend(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    free = {"input": "0", "output": "0"}
    two = route("first", "second", mappings={"first": {"cost": free}, "second": CONTINUES})
    two.script("first", CUT)
    two.script("second", REST)
    read_strictly(read_stream(client, two.chat()).raw)
    assert hub.record(two.model)["cost_usd"] == 11 * 2_500_000 + 5 * 10_000_000


def test_where_nobody_can_go_on_it_is_broken_as_ever(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second")
    two.script("first", CUT)
    assert broken(read_stream(client, two.chat()))
    assert two.asked() == {"first": 1, "second": 0}
    record = hub.record(two.model)
    assert (record["error_type"], record["partial"]) == ("stream_broken", True)
    assert record["output_tokens"] > 0


def test_a_call_of_a_tool_can_not_be_gone_on_with(client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second", mappings={"second": CONTINUES})
    two.script("first", Script(chunks=1, tool_calls=(ToolCall("call_1", "look_up"),), cut="reset", cut_after=2))
    streamed = read_stream(client, two.chat())
    assert streamed.broken
    assert len(streamed.errors) == 1
    assert two.asked() == {"first": 1, "second": 0}


def test_an_answer_that_has_ended_is_not_gone_on_with(client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second", mappings={"second": CONTINUES})
    finish = 'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
    two.script("first", Script(inserts={5: finish + CHAT.error_event("overloaded_error", "x")}))
    streamed = read_stream(client, two.chat())
    assert streamed.broken
    assert two.asked() == {"first": 1, "second": 0}


def test_several_answers_at_once_are_not_gone_on_with(client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second", mappings={"second": CONTINUES})
    two.script("first", CUT)
    assert broken(read_stream(client, two.chat(n=2)))
    assert two.asked() == {"first": 1, "second": 0}


def test_what_is_cut_again_goes_on_at_a_third(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    three = route("first", "second", "third", mappings={"second": CONTINUES}, fields={"third": ANTHROPIC})
    three.script("first", CUT)
    three.script("second", Script(text="more{n} ", cut="close", cut_after=3))
    three.script("third", Script(text="last{n} ", chunks=1))
    read = read_strictly(read_stream(client, three.chat(**USAGE)).raw)
    assert read.text == "word0 word1 more0 more1 more2 last0 "
    assert last_message(three, "third")["content"][0]["text"] == "word0 word1 more0 more1 more2"
    record = hub.record(three.model)
    assert [attempt[1] for attempt in record["trail"]] == ["ended_early", "ended_early", "ok"]
    assert read.usage is not None
    assert read.usage["completion_tokens"] == record["output_tokens"]


def test_a_second_that_falls_silent_is_left_within_its_first_token_limit(
    hub: Hub, client: httpx.Client, route: MakeRoute
) -> None:
    client.timeout = 9
    with hub.settings(first_token_timeout_seconds=0.3):
        three = route("first", "second", "third", mappings={"second": CONTINUES, "third": CONTINUES})
        three.script("first", CUT)
        three.script("second", Script(silent_after=0))
        three.script("third", REST)
        assert read_strictly(read_stream(client, three.chat()).raw).text == TEXT
    outcomes = [attempt[1] for attempt in hub.record(three.model)["trail"]]
    assert outcomes == ["ended_early", "first_token_timeout", "ok"]


REFUSALS = {
    "500": Script(status=500),
    "400": Script(status=400, error_message="The last message must be a user's."),
    "404": Script(status=404, error_message="No such model."),
    "too long": Script(status=400, error_code="context_length_exceeded"),
    "an answer at once": Script(body='{"choices": [{"message": {"content": "x"}}]}'),
    "an error object": Script(body='{"error": {"message": "No.", "code": 400}}'),
    "an error event": Script(inserts={0: CHAT.error_event("invalid_request_error", "No.")}),
}


@pytest.mark.parametrize("script", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_second_that_refuses_is_passed_over(client: httpx.Client, route: MakeRoute, script: Script) -> None:
    mappings = {"second": CONTINUES, "third": CONTINUES | {"context_window": 200_000}}
    three = route("first", "second", "third", mappings=mappings)
    three.script("first", CUT)
    three.script("second", script)
    three.script("third", REST)
    assert read_strictly(read_stream(client, three.chat()).raw).text == TEXT


@pytest.mark.parametrize("script", REFUSALS.values(), ids=REFUSALS.keys())
def test_where_the_second_refuses_and_there_is_no_third_it_is_broken_as_ever(
    hub: Hub, client: httpx.Client, route: MakeRoute, script: Script
) -> None:
    with hub.settings(queue_timeout_seconds=0):
        two = route("first", "second", mappings={"second": CONTINUES})
        two.script("first", CUT)
        two.script("second", script)
        assert broken(read_stream(client, two.chat()))
    record = hub.record(two.model)
    assert (record["status"], record["error_type"], record["partial"]) == (200, "stream_broken", True)
    assert record["attempts"] >= 2


def test_a_backend_that_refused_to_go_on_adds_nothing_to_the_bill(
    hub: Hub, client: httpx.Client, route: MakeRoute
) -> None:
    with hub.settings(queue_timeout_seconds=0):
        two = route("first", "second", mappings={"second": CONTINUES})
        two.script("first", CUT)
        two.script("second", Script(status=400))
        assert broken(read_stream(client, two.chat()))
        with hub.client(new_key(hub)) as plain:
            assert broken(read_stream(plain, two.chat()))
    assert two.asked() == {"first": 2, "second": 1}
    one, other = hub.records(two.model, count=2)
    for name in ("backend_id", "input_tokens", "output_tokens", "cost_usd"):
        assert one[name] == other[name], name


def test_a_key_that_did_not_ask_for_it_gets_a_broken_stream(hub: Hub, route: MakeRoute) -> None:
    two = route("first", "second", mappings={"second": CONTINUES})
    two.script("first", CUT)
    with hub.client(new_key(hub)) as client:
        assert broken(read_stream(client, two.chat()))
    assert two.asked() == {"first": 1, "second": 0}


@pytest.mark.parametrize("wire", [MESSAGES, RESPONSES], ids=lambda wire: wire.name)
def test_only_chat_is_resumed(client: httpx.Client, route: MakeRoute, wire: Wire) -> None:
    two = wire.route(route, "first", "second", mappings={"second": CONTINUES})
    two.script("first", CUT)
    streamed = wire.stream(client, two.model)
    assert streamed.broken
    assert len(wire.errors(streamed)) == 1
    assert two.asked() == {"first": 1, "second": 0}
