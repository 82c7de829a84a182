"""`kill -9` of a whole hub while it streams and agents talk: every request that a client saw to its end is in the sums
exactly once, and every message that was acknowledged has its effect exactly once."""

import os
import random
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from agenthub.demo.standin.script import Script
from tests.faults.conversation import Conversation
from tests.hub import Hub, wait_until
from tests.proxy.route import make_route
from tests.stand_in import standin_in_thread

KILLS = int(os.environ.get("TORTURE_HUB_KILLS", "10"))
CLIENTS = 6
CHUNKS = 8


class Load:
    """Clients that stream one answer after the other until the hub dies, and note what they saw to its end."""

    def __init__(self, hub: Hub, key: str, body: dict[str, Any]) -> None:
        self.finished: set[str] = set()
        self._hub, self._key, self._body = hub, key, body
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Let the clients loose."""
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Come back when all have noticed that the hub is gone."""
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with self._hub.client(self._key) as client:
            try:
                while True:
                    self._stream(client)
            except httpx.TransportError:
                return

    def _stream(self, client: httpx.Client) -> None:
        with client.stream("POST", "/v1/chat/completions", json=self._body) as answer:
            assert answer.status_code == 200
            text = "".join(answer.iter_text())
        if text.endswith("data: [DONE]\n\n"):
            self.finished.add(answer.headers["x-request-id"])


@pytest.mark.timeout(120 + 15 * KILLS)
def test_every_finished_request_is_counted_once_and_every_message_arrives_once(tmp_path: Path) -> None:
    chance = random.Random()
    with standin_in_thread() as standin, Hub(tmp_path) as hub:
        key = str(hub.management.request("POST", "/keys", {"name": "load"})["key"])
        route = make_route(hub, standin, ["only"], key=key, fields={"only": {"rpm_limit": None}})
        route.script("only", Script(chunks=CHUNKS, between_chunks_seconds=0.005))
        conversation = Conversation(hub, tmp_path)
        conversation.start()
        load = Load(hub, key, route.chat(stream=True, stream_options={"include_usage": True}))
        for number in range(1, KILLS + 1):
            acked = len(conversation.acked())
            load.start()
            wait_until(lambda wanted=number * CLIENTS: len(load.finished) >= wanted, "requests are served")  # type: ignore[misc]
            wait_until(lambda acked=acked: len(conversation.acked()) > acked, "messages are acknowledged", seconds=60)  # type: ignore[misc]
            time.sleep(chance.uniform(0, 0.3))  # no event to await: the kill is to come at any instant
            hub.kill9()
            load.wait()
            hub.start()
        try:
            conversation.assert_kept()
        finally:
            conversation.stop()
        _assert_counted_once(hub, route.model, load.finished)


def _assert_counted_once(hub: Hub, model: str, finished: set[str]) -> None:
    """All of `finished` in the records, and the records in the sums."""

    def good() -> tuple[list[dict[str, Any]], list[list[dict[str, Any]]]] | None:
        rows = hub.rows("providers_usagerecord", model=model)
        sums = [hub.rows("providers_hourlyusage", model=model), hub.rows("providers_dailystats")]
        # The flusher may still be closing what a kill has interrupted: only what has stood still between two looks at
        # the records belongs together.
        steady = len(hub.rows("providers_usagerecord", model=model)) == len(rows)
        missing = finished - {row["id"] for row in rows}
        damaged = list((hub.data_dir / "journal").glob("*.corrupt"))
        return (rows, sums) if steady and not missing and not damaged else None

    rows, sums = wait_until(good, "all finished requests are recorded")
    by_id = {row["id"]: row for row in rows}
    for request_id in finished:
        row = by_id[request_id]
        assert (row["status"], row["error_type"], row["output_tokens"]) == (200, "", CHUNKS)
    for row in rows:
        assert row["error_type"] in ("", "interrupted", "client_gone")
    for each_sums in sums:
        assert sum(each["request_count"] for each in each_sums) == len(rows)
        assert sum(each["output_tokens"] for each in each_sums) == sum(row["output_tokens"] for row in rows)
        assert sum(each["cost_usd"] or 0 for each in each_sums) == sum(row["cost_usd"] or 0 for row in rows)
