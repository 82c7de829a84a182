"""The waiting line under pressure: whoever comes while others wait stands behind them and is served, not refused."""

import threading

import httpx

from agenthub.demo.standin.script import Script
from tests.hub import Hub
from tests.proxy.conftest import MakeRoute

CHAT = "/v1/chat/completions"


def test_everybody_who_comes_while_others_wait_is_served(hub: Hub, key: str, route: MakeRoute) -> None:
    # A burst of one and a token every three milliseconds: often one has just become free while others wait for it.
    one = route("only", fields={"only": {"rpm_limit": 20_000, "burst": 1}})
    one.script("only", Script())
    statuses: list[int] = []

    def caller() -> None:
        with hub.client(key) as client:
            for _ in range(50):
                statuses.append(client.post(CHAT, json=one.chat()).status_code)

    callers = [threading.Thread(target=caller) for _ in range(8)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert statuses == [200] * 400
    assert one.asked() == {"only": 400}
    assert not any(record["emergency"] for record in hub.records(one.model, count=400))


def test_a_line_of_no_length_refuses_at_once(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    with hub.settings(queue_max_depth=0):
        one = route("only", fields={"only": {"max_concurrency": 1}})
        one.script("only", Script(gate=one.model))
        first = threading.Thread(target=client.post, args=(CHAT,), kwargs={"json": one.chat()})
        first.start()
        one.wait_seen("only", lambda _: True)
        refused = client.post(CHAT, json=one.chat())
        one.standin.open_gate(one.model)
        first.join()
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "queue_full"
    assert int(refused.headers["retry-after"]) >= 1
