"""An agent written with nothing but a WebSocket library and the table of plain clients works, in both modes."""

import json

import httpx
import pytest

from tests.gateway.people import People, Someone, agents, new_agent
from tests.gateway.wire import Wire, plain, welcomed
from tests.hub import Hub, wait_until

LOGGED = "up žluťoučký 🦜 日本語 \u202e \N{REPLACEMENT CHARACTER}"
"""PostgreSQL has no NUL in texts: reports, which are texts there, have the sign for what could not be kept."""

ODD = "žluťoučký 🦜 日本語 \u202e \x00 \\u0000 </script>"


def commanded(hub: Hub, agent: Someone, people: People, wire: Wire, person: Wire, text: str) -> dict:  # type: ignore[type-arg]
    person.send("CHAT", target_id=agent.id, payload=text, local_id=f"cmd-{agent.id}-{len(text)}")
    frame = wire.until("CHAT")
    assert frame["sender_id"] == people.admin.id
    assert frame["sender_role"] == "ADMIN"
    assert frame["payload"] == text
    return frame


def test_it_logs_is_commanded_and_streams_and_all_is_stored(hub: Hub, agent: Someone, people: People) -> None:
    with plain(hub, people.admin) as person, plain(hub, agent) as wire:
        wire.send(
            "SYSTEM_LOG", payload={"level": "SUCCESS", "content": LOGGED.replace("\N{REPLACEMENT CHARACTER}", "\0")}
        )
        log = person.until("SYSTEM_LOG", sender_id=agent.id)
        assert log["payload"] == {"level": "SUCCESS", "content": LOGGED}
        asked = commanded(hub, agent, people, wire, person, f"status {ODD}")
        back = {"target_id": asked["sender_id"], "stream_id": "s-1"}
        for piece in ("all ", "is ", "well 🎉"):
            wire.send("CHAT_STREAM", payload=piece, **back)
        wire.send("CHAT", payload="all is well 🎉", **back)
        wire.send("CHAT_STREAM_END", **back)
        pieces = [person.until("CHAT_STREAM", stream_id="s-1") for _ in range(3)]
        assert [piece["payload"] for piece in pieces] == ["all ", "is ", "well 🎉"]
        assert [piece["idx"] for piece in pieces] == [0, 1, 2]
        final = person.frame()
        assert (final["type"], final["payload"], final["sender_id"]) == ("CHAT", "all is well 🎉", agent.id)
        assert person.frame()["type"] == "CHAT_STREAM_END"
    [row] = hub.rows("hub_message", sender_id=agent.id)
    assert (json.loads(row["payload"]), row["stream_id"]) == ("all is well 🎉", "s-1")
    [kept] = wait_until(lambda: hub.rows("hub_agentlog", agent_id=agent.id), "The log is stored")
    assert (kept["level"], kept["content"]) == ("SUCCESS", LOGGED)


def test_a_frame_of_64_kib_goes_both_ways(hub: Hub, agent: Someone, people: People) -> None:
    def frame(target: int, size: int) -> str:
        empty = json.dumps({"type": "CHAT", "target_id": target, "payload": ""})
        return json.dumps({"type": "CHAT", "target_id": target, "payload": "x" * (size - len(empty))})

    with plain(hub, people.admin) as person, plain(hub, agent) as wire:
        person.raw(frame(agent.id, 65_536))
        got = wire.until("CHAT")
        wire.raw(frame(people.admin.id, 65_536))
        assert len(got["payload"]) == len(json.loads(frame(agent.id, 65_536))["payload"]) > 65_000
        back = person.until("CHAT", sender_id=agent.id)
        assert len(back["payload"]) == len(json.loads(frame(people.admin.id, 65_536))["payload"]) > 65_000


def test_it_is_sent_what_it_has_missed_with_the_old_ids_and_only_once(hub: Hub, agent: Someone, people: People) -> None:
    with welcomed(hub, people.admin) as person:
        acks = [person.chat(agent.id, f"number {n}", f"missed-{agent.id}-{n}") for n in range(5)]
        assert not any(ack["target_online"] for ack in acks)
        with plain(hub, agent) as wire:
            got = [wire.until("CHAT") for _ in range(5)]
        assert [frame["id"] for frame in got] == [ack["id"] for ack in acks]
        assert [frame["payload"] for frame in got] == [f"number {n}" for n in range(5)]
        assert [frame["seq"] for frame in got] == [1, 2, 3, 4, 5]
        place = wait_until(
            lambda: hub.rows("hub_participant", id=agent.id, acked_seq=5), "What was written counts as received"
        )
        assert place
        with plain(hub, agent) as wire:
            person.chat(agent.id, "number 5", f"missed-{agent.id}-5")
            assert wire.until("CHAT")["payload"] == "number 5"


def test_at_most_a_hundred_are_replayed_and_none_where_the_agent_says_so(hub: Hub, people: People) -> None:
    many, none = new_agent(hub), new_agent(hub, replays_to_legacy=False)
    with welcomed(hub, people.butler) as butler:
        for n in range(103):
            butler.chat(many.id, str(n), f"many-{many.id}-{n}")
        butler.chat(none.id, "old", f"none-{none.id}-1")
        with plain(hub, many) as wire, plain(hub, none) as silent:
            assert [wire.until("CHAT")["payload"] for _ in range(100)] == [str(n) for n in range(3, 103)]
            butler.chat(none.id, "new", f"none-{none.id}-2")
            assert silent.until("CHAT")["payload"] == "new"


def test_it_is_never_sent_a_frame_that_it_does_not_know(hub: Hub, agent: Someone, people: People) -> None:
    known = {"SYSTEM_LOG", "CHAT", "CHAT_STREAM", "CHAT_STREAM_END"}
    fields = {"type", "id", "seq", "local_id", "sender_id", "sender_name", "sender_role", "target_id"}
    fields |= {"payload", "timestamp", "conversation_id", "stream_id"}
    with welcomed(hub, people.admin) as person, plain(hub, agent) as wire:
        wire.send("HEARTBEAT", status="busy")
        wire.send("CHAT", target_id=9_999_999, payload="nobody")
        wire.send("NO_SUCH_TYPE")
        person.send("CANCEL", target_id=agent.id, task_id="t-1", local_id=f"cancel-{agent.id}")
        person.until("ACK")
        person.chat(agent.id, {"command": "last"}, f"last-{agent.id}", meta={"a": 1})
        frame = wire.frame()
        assert frame["type"] in known
        assert frame["payload"] == {"command": "last"}
        assert set(frame) <= fields
    notes = wait_until(lambda: hub.rows("hub_agentlog", agent_id=agent.id, level="WARNING"), "People are told instead")
    assert any("9999999" in note["content"] for note in notes)


def test_the_other_path_and_refusals_are_those_of_echocenter(hub: Hub, agent: Someone) -> None:
    with plain(hub, agent, path="/ws/agents") as wire:
        wire.send("SYSTEM_LOG", payload={"level": "INFO", "content": "hello"})
        wait_until(lambda: hub.rows("hub_agentlog", agent_id=agent.id), "The log is stored")
    agents(hub, "PATCH", f"/{agent.id}", {"enabled": False})
    upgrade = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    for token, status in (("", 401), ("aht_1_nonsense", 401), (agent.token, 403)):
        answer = httpx.get(f"{hub.base_url}/api/ws", params={"token": token}, headers=upgrade, trust_env=False)
        assert answer.status_code == status
        assert answer.json()["error"]["message"]


@pytest.mark.parametrize("level", ["DEBUG", "", None])
def test_a_report_of_no_level_is_noted_for_people(hub: Hub, agent: Someone, level: str | None) -> None:
    with plain(hub, agent) as wire:
        wire.send("SYSTEM_LOG", payload={"level": level, "content": "?"})
        wait_until(lambda: hub.rows("hub_agentlog", agent_id=agent.id, level="WARNING"), "It is noted")
