"""What client keys may do, from outside: rates with their headers, parallel requests, budgets, turns in the line."""

import threading
from typing import Any

import httpx
import pytest

from agenthub.demo.standin.script import Script
from tests.hub import Hub, wait_until
from tests.hubs import MODES
from tests.proxy.conftest import MakeRoute, new_key

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("mode")]

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module", params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Every test of this file runs in every mode."""
    return str(request.param)


def test_requests_per_minute_are_told_and_kept(hub: Hub, route: MakeRoute) -> None:
    one = route("only")
    with hub.client(new_key(hub, rpm_limit=2)) as client:
        first = client.post(CHAT, json=one.chat())
        assert first.headers["x-ratelimit-limit-requests"] == "2"
        assert first.headers["x-ratelimit-remaining-requests"] == "1"
        assert 29 < float(first.headers["x-ratelimit-reset-requests"].removesuffix("s")) <= 30
        assert client.post(CHAT, json=one.chat()).status_code == 200
        refused = client.post(CHAT, json=one.chat())
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert one.asked() == {"only": 2}


def test_tokens_per_minute_are_settled_by_what_was_used(hub: Hub, route: MakeRoute) -> None:
    one = route("only")
    one.script("only", Script(prompt_tokens=900, completion_tokens=50))
    with hub.client(new_key(hub, tpm_limit=1000)) as client:
        answered = client.post(CHAT, json=one.chat())
        assert answered.headers["x-ratelimit-limit-tokens"] == "1000"
        refused = client.post(CHAT, json=one.chat(max_tokens=500))
    assert refused.status_code == 429
    assert "1000 tokens per minute" in refused.json()["error"]["message"]
    assert 20 <= int(refused.headers["retry-after"]) <= 30


def test_only_so_many_at_once(hub: Hub, route: MakeRoute) -> None:
    one = route("only")
    one.script("only", Script(gate=one.model))
    with hub.client(new_key(hub, max_parallel=1)) as client:
        answers: list[httpx.Response] = []
        first = threading.Thread(target=lambda: answers.append(client.post(CHAT, json=one.chat())))
        first.start()
        one.wait_seen("only", lambda _: True)
        assert client.post(CHAT, json=one.chat()).status_code == 429
        one.standin.open_gate(one.model)
        first.join()
        assert answers[0].status_code == 200
        assert client.post(CHAT, json=one.chat()).status_code == 200


def test_a_budget_ends_and_says_until_when(hub: Hub, route: MakeRoute) -> None:
    one = route("only", mappings={"only": {"cost": {"input": "0", "output": "0.01"}}})
    one.script("only", Script(prompt_tokens=1, completion_tokens=40))
    with hub.client(new_key(hub, budget_usd="1.00", budget_period="month")) as client:
        statuses = [client.post(CHAT, json=one.chat()).status_code for _ in range(4)]
        refused = client.post(CHAT, json=one.chat())
        own = client.get("/v1/key").json()
    assert statuses == [200, 200, 200, 429]
    assert refused.json()["error"]["code"] == "budget_exceeded"
    assert refused.headers["x-should-retry"] == "false"
    assert 0 < int(refused.headers["retry-after"]) <= 31 * 86_400
    assert float(own["budget"]["spent"]) == pytest.approx(1.2)
    assert float(own["budget"]["remaining"]) == 0


def test_somebody_is_told_when_a_budget_nears_its_end_and_when_it_has(hub: Hub, route: MakeRoute) -> None:
    one = route("only", mappings={"only": {"cost": {"input": "0", "output": "0.01"}}})
    one.script("only", Script(prompt_tokens=1, completion_tokens=85))
    key = new_key(hub, name="watched", budget_usd="1.00", budget_period="day")

    def rules() -> dict[str, Any]:
        alerts = hub.management.request("GET", "/alerts", limit=1000)
        return {each["rule"]: each for each in alerts if "watched" in each["summary"]}

    with hub.client(key) as client:
        client.post(CHAT, json=one.chat())
        wait_until(lambda: set(rules()) == {"budget_warning"}, "The warning is there")
        client.post(CHAT, json=one.chat())
        wait_until(lambda: set(rules()) == {"budget_warning", "budget_reached"}, "The alert is there")


def test_a_key_may_have_a_model_of_its_own(hub: Hub, route: MakeRoute) -> None:
    one = route("only")
    with hub.client(new_key(hub, default_model=one.model)) as client:
        answer = client.post(CHAT, json={"messages": one.chat()["messages"]})
    assert answer.status_code == 200
    assert one.seen("only")[0].json["model"] == "native-only"


def test_a_key_that_was_changed_for_another_works_a_while_longer(hub: Hub, route: MakeRoute) -> None:
    one = route("only")
    old = new_key(hub, name="rotated")
    key_id = next(
        each["id"] for each in hub.management.request("GET", "/keys", limit=1000) if each["name"] == "rotated"
    )
    new = hub.management.request("POST", f"/keys/{key_id}/rotate", {"overlap_seconds": 3600})["key"]
    with hub.client(old) as before, hub.client(new) as after:
        wait_until(lambda: after.post(CHAT, json=one.chat()).status_code == 200, "The new key works")
        assert before.post(CHAT, json=one.chat()).status_code == 200
        hub.management.request("POST", f"/keys/{key_id}/rotate", {"overlap_seconds": 0})
        wait_until(lambda: after.post(CHAT, json=one.chat()).status_code == 401, "Both keys are gone")
        assert before.post(CHAT, json=one.chat()).status_code == 401


def test_a_modest_key_waits_no_longer_than_its_share_behind_a_greedy_one(hub: Hub, route: MakeRoute) -> None:
    # One backend that takes a request at a time and answers when it is told to: the hub alone decides who is next.
    one = route("only", fields={"only": {"max_concurrency": 1}})
    one.script("only", Script(gate=f"{one.model}-first"), Script())
    greedy, modest = new_key(hub), new_key(hub)
    statuses: list[int] = []

    def ask(key: str, who: str) -> None:
        with hub.client(key) as client:
            statuses.append(client.post(CHAT, json=one.chat(user=who)).status_code)

    first = threading.Thread(target=ask, args=(greedy, "greedy"))
    first.start()
    one.wait_seen("only", lambda _: True)
    threads = [threading.Thread(target=ask, args=(greedy, "greedy")) for _ in range(40)]
    for thread in threads:
        thread.start()
    wait_until(lambda: waiting(hub) == 40, "The greedy key's requests wait")
    late = [threading.Thread(target=ask, args=(modest, "modest")) for _ in range(10)]
    for thread in late:
        thread.start()
    wait_until(lambda: waiting(hub) == 50, "All wait")
    one.standin.open_gate(f"{one.model}-first")
    for thread in (first, *threads, *late):
        thread.join()
    assert statuses == [200] * 51
    order = [seen.json["user"] for seen in one.seen("only")][1:]
    places = [place for place, who in enumerate(order) if who == "modest"]
    assert max(places) <= 2 * len(late)
    wait_until(lambda: waiting(hub) == 0, "Nobody is left in the line")


def test_who_hangs_up_leaves_no_ticket_behind(hub: Hub, key: str, route: MakeRoute) -> None:
    one = route("only", fields={"only": {"max_concurrency": 1}})
    one.script("only", Script(gate=one.model), Script())
    with hub.client(key) as client:
        first = threading.Thread(target=client.post, args=(CHAT,), kwargs={"json": one.chat()})
        first.start()
        one.wait_seen("only", lambda _: True)
        leavers = [threading.Thread(target=leave, args=(hub, key, one.chat())) for _ in range(10)]
        for thread in leavers:
            thread.start()
        for thread in leavers:
            thread.join()
        wait_until(lambda: waiting(hub) == 0, "All have left the line")
        one.standin.open_gate(one.model)
        first.join()
        assert client.post(CHAT, json=one.chat()).status_code == 200
    assert one.asked() == {"only": 2}


def leave(hub: Hub, key: str, body: dict[str, Any]) -> None:
    """Ask, and hang up while waiting for the answer."""
    with httpx.Client(base_url=hub.base_url, headers={"authorization": f"Bearer {key}"}, trust_env=False) as client:
        try:
            client.post(CHAT, json=body, timeout=httpx.Timeout(10, read=0.5))
        except httpx.ReadTimeout:
            return
    raise AssertionError("It was answered.")


def waiting(hub: Hub) -> int:
    """How many requests wait in the hub."""
    with hub.client() as client:
        text = client.get("/metrics", headers={"authorization": f"Bearer {hub.token}"}).text
    line = next(line for line in text.splitlines() if line.startswith("agenthub_queue_depth"))
    return int(float(line.rpartition(" ")[2]))
