"""Backends that were asked too often are left alone as long as they wish, and come back by one trial."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from agenthub.demo.standin.script import Script
from tests.hub import Hub, wait_until
from tests.proxy.conftest import MakeRoute, queue_depth
from tests.proxy.route import Route
from tests.proxy.wires import WIRES, Wire

CHAT = "/v1/chat/completions"
BOTH_MODES = pytest.mark.parametrize("mode", ["embedded", "distributed"])


def limited(**headers: str) -> Script:
    """A 429."""
    return Script(status=429, headers={name.replace("_", "-"): value for name, value in headers.items()})


def ask(client: httpx.Client, route: Route) -> str:
    """The pool that answered."""
    answer = client.post(CHAT, json=route.chat())
    assert answer.status_code == 200, answer.text
    return str(answer.headers["x-agenthub-pool"])


@BOTH_MODES
def test_three_backends_of_which_the_first_wants_seven_seconds(
    mode: str, client: httpx.Client, route: MakeRoute
) -> None:
    three = route("first", "second", "third")
    three.script("first", limited(retry_after="7"))
    assert [ask(client, three) for _ in range(5)] == ["fallback"] * 5
    [event] = three.events("first")
    assert 7.0 <= event["cooldown_seconds"] <= 7.7
    assert (event["reason"], event["consecutive_count"], event["ended_at"]) == ("rate_limited", 1, None)
    backend = three.backend_when("first", status="cooling")
    assert backend["consecutive_429_count"] == 1


def test_without_a_given_time_it_is_thirty_seconds(client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second")
    two.script("first", limited())
    ask(client, two)
    [event] = two.events("first")
    assert 30.0 <= event["cooldown_seconds"] <= 33.0


@BOTH_MODES
def test_twenty_in_flight_make_one_event(mode: str, client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second")
    two.script("first", Script(status=429, headers={"retry-after": "7"}, gate=two.model))
    with ThreadPoolExecutor(20) as pool:
        asking = [pool.submit(ask, client, two) for _ in range(20)]
        two.wait_seen("first", lambda _: True, count=20)
        two.standin.open_gate(two.model)
        assert [each.result() for each in asking] == ["fallback"] * 20
    assert two.asked() == {"first": 20, "second": 20}
    [event] = two.events("first")
    assert 7.0 <= event["cooldown_seconds"] <= 7.7
    assert event["consecutive_count"] == 1
    assert two.backend_when("first", status="cooling")["consecutive_429_count"] == 1


@BOTH_MODES
def test_after_a_cooldown_one_trial_at_a_time_decides(mode: str, client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second")
    two.script("first", limited(retry_after_ms="300"), Script(gate=two.model), Script())
    assert ask(client, two) == "fallback"
    with ThreadPoolExecutor(1) as pool:
        trial = pool.submit(lambda: wait_until(lambda: ask(client, two) == "primary", "The trial is made"))
        two.wait_seen("first", lambda _: True, count=2)
        assert [ask(client, two) for _ in range(5)] == ["fallback"] * 5
        two.standin.open_gate(two.model)
        trial.result()
    assert [ask(client, two) for _ in range(3)] == ["primary"] * 3
    assert two.backend_when("first", status="healthy", cooldown_until=None, consecutive_429_count=0)
    [event] = two.events("first")
    assert event["ended_at"] is not None


def test_each_further_429_doubles_until_a_success(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    with hub.settings(cooldown_base_seconds=0.3):
        two = route("first", "second")
        two.script("first", limited(), limited(), limited(), Script(), limited())
        wait_until(lambda: ask(client, two) == "primary", "The backend is back")
        assert ask(client, two) == "fallback"
        four = two.events("first", count=4)
    assert [event["consecutive_count"] for event in four] == [1, 2, 3, 1]
    for event, least in zip(four, [0.3, 0.6, 1.2, 0.3], strict=True):
        assert least <= event["cooldown_seconds"] <= least * 1.1


def test_a_given_time_is_kept_but_not_below_the_backoff_before(
    hub: Hub, client: httpx.Client, route: MakeRoute
) -> None:
    with hub.settings(cooldown_base_seconds=1.5):
        two = route("first", "second")
        two.script("first", limited(retry_after_ms="200"), limited(retry_after_ms="100"), limited(retry_after="9"))
        wait_until(lambda: ask(client, two) and len(two.seen("first")) == 3, "Three 429s")
        three = two.events("first", count=3)
    for event, least in zip(three, [0.2, 1.5, 9], strict=True):
        assert least <= event["cooldown_seconds"] <= least * 1.1


@pytest.mark.parametrize(("sooner", "later"), [("5", "60"), ("60", "5")])
def test_the_later_end_stands_and_extends_the_open_event(
    client: httpx.Client, route: MakeRoute, sooner: str, later: str
) -> None:
    two = route("first", "second")
    gates = [f"{two.model}-{number}" for number in range(2)]
    two.script(
        "first",
        *(
            Script(status=429, headers={"retry-after": seconds}, gate=gate)
            for seconds, gate in zip((sooner, later), gates, strict=True)
        ),
    )
    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask, client, two) for _ in range(2)]
        two.wait_seen("first", lambda _: True, count=2)
        for number, gate in enumerate(gates):
            two.standin.open_gate(gate)
            two.wait_seen("second", lambda _: True, count=number + 1)
        for each in asking:
            each.result()
    wait_until(lambda: two.events("first")[0]["cooldown_seconds"] >= 60, "The later end stands")
    [event] = two.events("first")
    assert 60 <= event["cooldown_seconds"] <= 67  # since the first 429
    assert event["consecutive_count"] == 1


def test_three_failures_in_a_row_cool_for_seconds_and_are_told_apart(client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second")
    two.script("first", Script(status=503))
    assert [ask(client, two) for _ in range(4)] == ["fallback"] * 4
    assert two.asked()["first"] == 3
    [event] = two.events("first")
    assert 5.0 <= event["cooldown_seconds"] <= 5.5
    assert event["reason"] == "failures"


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
def test_content_is_no_success_before_the_stream_has_ended(client: httpx.Client, route: MakeRoute, wire: Wire) -> None:
    two = wire.route(route, "first", "second")
    cut = Script(cut="reset", cut_after=2)
    two.script("first", Script(status=429, headers={"retry-after-ms": "200"}), cut)
    wait_until(lambda: wire.stream(client, two.model).broken, "The trial is cut")
    cooled, again = two.events("first", count=2)
    assert (cooled["reason"], again["reason"]) == ("rate_limited", "failures")  # one failure of a trial is enough
    assert again["consecutive_count"] == 1  # content alone has not reset the count
    assert two.backend_when("first", status="cooling")["consecutive_429_count"] == 1
    assert two.asked()["first"] == 2


@BOTH_MODES
def test_those_who_wait_for_a_lone_backend_send_one_trial(
    mode: str, hub: Hub, client: httpx.Client, route: MakeRoute
) -> None:
    one = route("only")
    one.script("only", limited(retry_after_ms="500"), Script(gate=one.model), Script())
    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, client, one)]
        one.wait_seen("only", lambda seen: seen.finished)
        asking += [pool.submit(ask, client, one) for _ in range(3)]
        one.wait_seen("only", lambda _: True, count=2)
        wait_until(lambda: queue_depth(hub) == 3, "The others wait for the trial")
        assert one.asked() == {"only": 2}
        one.standin.open_gate(one.model)
        assert [each.result() for each in asking] == ["primary"] * 4
    assert one.asked() == {"only": 5}
    assert not any(record["emergency"] for record in hub.records(one.model, count=4))


def test_the_callers_mistakes_cool_nobody(client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second")
    two.script("first", *[Script(status=400)] * 6, Script())
    for _ in range(6):
        assert client.post(CHAT, json=two.chat()).status_code == 400
    assert ask(client, two) == "primary"
    assert two.cooldowns("first") == []


def test_an_operator_ends_a_cooldown(client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second")
    two.script("first", limited(retry_after="300"), Script())
    assert ask(client, two) == "fallback"
    two.backend_when("first", status="cooling")
    two.hub.management.request("POST", f"/backends/{two.ids['first']}/clear-cooldown", {})
    wait_until(lambda: ask(client, two) == "primary", "The backend serves again", seconds=5)
    [event] = two.events("first")
    assert event["ended_at"] is not None
    two.backend_when("first", status="healthy", consecutive_429_count=0)


def test_the_log_keeps_the_beginning_of_the_answer_without_secrets(client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second")
    secret = f"sk-upstream-first-{two.model}"
    two.script("first", Script(status=429, error_message=f"Key {secret} has asked too often. " + "x" * 1000))
    ask(client, two)
    [event] = two.events("first")
    assert "has asked too often" in event["response_summary"]
    assert secret not in event["response_summary"]
    assert len(event["response_summary"]) <= 200
    assert secret not in two.hub.log()
