"""How often a request is tried: one quick retry, so many backends, and a connection that had gone stale."""

import httpx

from agenthub.demo.standin.script import Script
from tests.hub import Hub, wait_until
from tests.proxy.conftest import MakeRoute
from tests.proxy.wires import CHAT, TEXT


def test_a_request_has_one_quick_retry(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    with hub.settings(queue_timeout_seconds=0):
        three = route("first", "second", "third")
        three.script("first", Script(status=500))
        three.script("second", Script(status=503))
        assert CHAT.said(client, three.model, stream=False) == TEXT
    assert three.asked() == {"first": 2, "second": 1, "third": 1}


def test_a_trial_after_a_cooldown_is_not_retried(client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second")
    two.script("first", Script(status=429, headers={"retry-after-ms": "200"}), Script(status=500))
    wait_until(lambda: CHAT.said(client, two.model, stream=False) and len(two.seen("first")) > 1, "The trial is made")
    assert CHAT.said(client, two.model, stream=False) == TEXT
    assert two.asked()["first"] == 2
    assert [event["reason"] for event in two.events("first", count=2)] == ["rate_limited", "failures"]


def test_refused_connections_are_retried_once(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second", addresses={"first": "http://127.0.0.1:9/v1"})
    assert CHAT.said(client, two.model, stream=True) == TEXT
    assert [attempt[1] for attempt in hub.record(two.model)["trail"]] == ["connect_failed", "connect_failed", "ok"]


def test_a_kept_connection_that_has_gone_is_dialled_anew_and_counts_for_nothing(
    hub: Hub, client: httpx.Client, route: MakeRoute
) -> None:
    two = route("first", "second")
    two.script("first", Script(), Script(cut="close", cut_before_head=True), Script())
    for _ in range(2):
        assert CHAT.said(client, two.model, stream=False) == TEXT
    assert two.asked() == {"first": 3, "second": 0}
    trails = [[attempt[1] for attempt in record["trail"]] for record in hub.records(two.model, count=2)]
    assert trails == [["ok"], ["ok"]]


def test_the_budget_of_backends_holds_over_all_pools(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    with hub.settings(max_pool_retries=2, queue_timeout_seconds=0):
        three = route("first", "second", "third")
        three.script("first", Script(status=500))
        three.script("second", Script(status=404, error_message="Not here."))
        answer = CHAT.post(client, three.model)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "all_pools_exhausted")
    assert three.asked() == {"first": 2, "second": 1, "third": 0}  # the quick retry is not counted


def test_a_spent_budget_still_waits_for_those_that_were_tried(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    with hub.settings(max_pool_retries=1):
        two = route("first", "second")
        two.script("first", Script(status=429, headers={"retry-after-ms": "400"}), Script())
        assert CHAT.said(client, two.model, stream=False) == TEXT
    assert two.asked() == {"first": 2, "second": 0}
    record = hub.record(two.model)
    assert record["queue_wait_us"] > 0
    assert not record["emergency"]


def test_the_emergency_channel_is_beside_the_budget(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    with hub.settings(max_pool_retries=1, queue_timeout_seconds=0):
        one = route("only")
        one.script("only", Script(status=429, headers={"retry-after": "300"}), Script())
        assert CHAT.said(client, one.model, stream=False) == TEXT
    assert one.asked() == {"only": 2}
    assert hub.record(one.model)["emergency"]
