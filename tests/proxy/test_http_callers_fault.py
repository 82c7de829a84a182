"""What is the caller's own fault goes back to it, and no backend pays for it."""

from typing import Any

import httpx
import pytest

from agenthub.demo.standin.script import Script
from tests.hub import Hub, wait_until
from tests.proxy.conftest import MakeRoute
from tests.proxy.streams import Streamed, pieces
from tests.proxy.wires import CHAT, TEXT, WIRES, Wire

ALL = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
ENOUGH_TO_COOL = 4

REFUSALS = {
    "400": (Script(status=400, error_message="It makes no sense."), "client_error"),
    "413": (Script(status=413, error_message="It is too large."), "client_error"),
    "422": (Script(status=422, body='{"detail": [{"msg": "It has no place here."}]}'), "client_error"),
    "filter": (Script(status=400, error_code="content_filter", error_message="Filtered."), "content_filter"),
    "403 of a filter": (Script(status=403, error_code="content_policy_violation"), "content_filter"),
}


@ALL
@pytest.mark.parametrize(("script", "error_type"), REFUSALS.values(), ids=REFUSALS.keys())
def test_it_is_passed_back_untouched_and_cools_nobody(
    hub: Hub, client: httpx.Client, route: MakeRoute, wire: Wire, script: Script, error_type: str
) -> None:
    two = wire.route(route, "first", "second")
    two.script("first", *[script] * ENOUGH_TO_COOL, Script())
    for number in range(ENOUGH_TO_COOL):
        answer = wire.post(client, two.model, stream=number % 2 == 1)
        assert answer.status_code == script.status
        said = answer.json()["detail"][0]["msg"] if script.body else answer.json()["error"]["message"]
        assert said == "It has no place here." if script.body else said == script.error_message
    assert wire.said(client, two.model, stream=False) == TEXT
    assert two.asked() == {"first": ENOUGH_TO_COOL + 1, "second": 0}
    assert two.cooldowns("first") == []
    assert two.backend("first")["status"] == "healthy"
    found = {record["error_type"] for record in hub.records(two.model, count=ENOUGH_TO_COOL + 1)}
    assert found == {error_type, ""}


def test_who_leaves_cools_nobody(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    two = CHAT.route(route, "first", "second")
    two.script("first", *[Script(silent_after=2)] * ENOUGH_TO_COOL, Script())
    for _ in range(ENOUGH_TO_COOL):
        leave(client, two.chat())
    two.wait_seen("first", lambda seen: seen.disconnected, count=ENOUGH_TO_COOL)
    wait_until(lambda: CHAT.said(client, two.model, stream=True) == TEXT, "It is served")
    assert two.asked()["second"] == 0
    assert two.cooldowns("first") == []
    statuses = [record["status"] for record in hub.records(two.model, count=ENOUGH_TO_COOL + 1)]
    assert statuses == [499] * ENOUGH_TO_COOL + [200]


def test_who_leaves_gives_the_trial_after_a_cooldown_back(client: httpx.Client, route: MakeRoute) -> None:
    two = CHAT.route(route, "first", "second")
    two.script(
        "first", Script(status=429, headers={"retry-after-ms": "200"}), Script(silent_after=2), Script(text="back ")
    )

    def trial() -> bool:
        leave(client, two.chat())
        return len(two.seen("first")) == 2

    wait_until(trial, "The trial is made")
    two.wait_seen("first", lambda seen: seen.finished or seen.disconnected, count=2)
    wait_until(lambda: CHAT.said(client, two.model, stream=True) == "back " * 5, "The next has the trial")
    assert two.asked()["first"] == 3


def leave(client: httpx.Client, body: dict[str, Any]) -> None:
    """Ask for a stream and hang up after its first words."""
    for piece in pieces(client, body, Streamed()):
        assert piece
        break


TOO_LONG = {
    "chat": Script(status=400, error_code="context_length_exceeded", error_message="Too long."),
    "messages": Script(status=400, error_message="prompt is too long: 9000 tokens > 8000 maximum"),
    "responses": Script(status=400, error_code="context_length_exceeded", error_message="Too long."),
}


@ALL
@BOTH
def test_what_is_too_long_goes_to_a_larger_window(
    hub: Hub, client: httpx.Client, route: MakeRoute, wire: Wire, stream: bool
) -> None:
    windows = {"first": 8000, "second": 8000, "third": 100_000}
    three = wire.route(route, *windows, mappings={name: {"context_window": size} for name, size in windows.items()})
    three.script("first", TOO_LONG[wire.name])
    assert wire.said(client, three.model, stream=stream) == TEXT
    assert three.asked() == {"first": 1, "second": 0, "third": 1}
    assert [attempt[1] for attempt in hub.record(three.model)["trail"]] == ["context_length", "ok"]
    assert three.backend("first")["status"] == "healthy"


@ALL
def test_what_is_too_long_for_all_is_passed_back(client: httpx.Client, route: MakeRoute, wire: Wire) -> None:
    two = wire.route(route, "first", "second", mappings={"first": {"context_window": 200_000}})
    two.script("first", *[TOO_LONG[wire.name]] * ENOUGH_TO_COOL)
    for number in range(ENOUGH_TO_COOL):
        answer = wire.post(client, two.model, stream=number % 2 == 1)
        assert answer.status_code == 400
        assert "oo long" in answer.json()["error"]["message"]
    assert two.asked() == {"first": ENOUGH_TO_COOL, "second": 0}
    assert two.cooldowns("first") == []


def test_what_is_passed_back_in_the_end_is_in_the_callers_words_and_names_its_backend(
    hub: Hub, client: httpx.Client, route: MakeRoute
) -> None:
    with hub.settings(queue_timeout_seconds=0):
        two = route(
            "small",
            "large",
            fields={"small": {"api": "anthropic-messages"}},
            mappings={"small": {"context_window": 8000}},
        )
        two.script("small", TOO_LONG["messages"])
        two.script("large", Script(status=500))
        answer = CHAT.post(client, two.model)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "context_length_exceeded"
    assert answer.headers["x-agenthub-backend"] == two.ids["small"]
    assert two.asked() == {"small": 1, "large": 2}
