"""Streams: in order, ended in order, never in another's name, and never lost when their end does not come."""

import json
from typing import Any

from tests.gateway.people import People, Someone
from tests.gateway.wire import Wire, welcomed
from tests.hub import Hub, wait_until


def asked(person: Wire, wire: Wire, agent: Someone, name: str) -> dict:  # type: ignore[type-arg]
    """The agent has been asked, so that it may answer."""
    person.chat(agent.id, "go", f"ask-{name}-{agent.id}")
    return wire.until("CHAT")


def test_pieces_final_chat_and_end_come_in_this_order(hub: Hub, agent: Someone, people: People) -> None:
    with welcomed(hub, people.admin) as person, welcomed(hub, agent) as wire:
        asked(person, wire, agent, "order")
        to = {"target_id": people.admin.id, "stream_id": "s"}
        for n in range(50):
            wire.send("CHAT_STREAM", idx=n, payload=f"{n} ", **to)
        wire.send("CHAT", payload="whole", local_id="final", **to)
        wire.send("CHAT_STREAM_END", **to)
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["type"] != "CHAT_STREAM_END":
            frame = person.frame()
            if frame.get("stream_id") == "s":
                seen.append(frame)
        assert [frame["idx"] for frame in seen[:50]] == list(range(50))
        assert [frame["type"] for frame in seen[50:]] == ["CHAT", "CHAT_STREAM_END"]
        wire.send("CHAT_STREAM", idx=50, payload="late", **to)
        assert wire.error()["code"] == "stream_closed"


def test_a_missing_piece_is_told_and_the_rest_travels_on(hub: Hub, agent: Someone, people: People) -> None:
    with welcomed(hub, people.admin) as person, welcomed(hub, agent) as wire:
        asked(person, wire, agent, "gap")
        for n in (0, 2):
            wire.send("CHAT_STREAM", target_id=people.admin.id, stream_id="g", idx=n, payload=str(n))
        assert "gap" not in person.until("CHAT_STREAM", idx=0)
        assert person.until("CHAT_STREAM", idx=2)["gap"] is True


def test_an_end_without_its_chat_keeps_the_text(hub: Hub, agent: Someone, people: People) -> None:
    with welcomed(hub, people.admin) as person, welcomed(hub, agent) as wire:
        question = asked(person, wire, agent, "syn")
        to = {"target_id": people.admin.id, "stream_id": "lonely", "reply_to": question["id"]}
        for n, piece in enumerate(("half ", "an ", "answer")):
            wire.send("CHAT_STREAM", idx=n, payload=piece, **to)
        wire.send("CHAT_STREAM_END", **to)
        chat = person.until("CHAT", stream_id="lonely")
        assert (chat["payload"], chat["synthesized"], chat["reply_to"]) == ("half an answer", True, question["id"])
        assert person.until("CHAT_STREAM_END")["stream_id"] == "lonely"
    [row] = hub.rows("hub_message", stream_id="lonely", sender_id=agent.id)
    assert json.loads(row["payload"]) == "half an answer"


def test_an_agent_that_is_gone_in_the_middle_leaves_what_it_said(hub: Hub, agent: Someone, people: People) -> None:
    with welcomed(hub, people.operator) as person:
        with welcomed(hub, agent) as wire:
            asked(person, wire, agent, "lost")
            wire.send("CHAT_STREAM", target_id=people.operator.id, stream_id="cut", idx=0, payload="I was about to")
            person.until("CHAT_STREAM")
        rows = wait_until(
            lambda: hub.rows("hub_message", stream_id="cut", sender_id=agent.id), "It is kept", seconds=60
        )
        assert json.loads(rows[0]["payload"]) == "I was about to"
        while (frame := person.frame())["type"] != "CHAT_STREAM_END":
            assert frame["type"] in ("CHAT", "PRESENCE", "SYSTEM_LOG")
        assert frame["reason"] == "agent_lost"


def test_a_person_who_comes_in_the_middle_is_sent_the_text_so_far(hub: Hub, agent: Someone, people: People) -> None:
    with welcomed(hub, agent) as wire:
        with welcomed(hub, people.member) as person:
            asked(person, wire, agent, "snap")
        for n in range(3):
            wire.send("CHAT_STREAM", target_id=people.member.id, stream_id="snap", idx=n, payload=f"{n}.")
        wire.beats()
        with welcomed(hub, people.member) as person:
            so_far = person.until("CHAT_STREAM", stream_id="snap")
            assert (so_far["payload"], so_far["snapshot"], so_far["idx"]) == ("0.1.2.", True, 2)


def test_the_butler_reads_whole_answers_and_administrators_look_on(hub: Hub, agent: Someone, people: People) -> None:
    with (
        welcomed(hub, people.butler) as butler,
        welcomed(hub, people.admin) as admin,
        welcomed(hub, agent) as wire,
    ):
        butler_id = butler.welcome["you"]["id"]
        butler.chat(agent.id, "status", f"b-{agent.id}")
        question = wire.until("CHAT")
        assert question["sender_role"] == "BUTLER"
        wire.send("CHAT_STREAM", target_id=butler_id, stream_id="b", idx=0, payload="not shown")
        wire.chat(butler_id, "fine", f"answer-{agent.id}", stream_id="b", reply_to=question["id"])
        answer = butler.until("CHAT", sender_id=agent.id)
        assert (answer["payload"], answer["reply_to"]) == ("fine", question["id"])
        looked_on = [admin.until("BUTLER_AGENT_MESSAGE", target_id=to) for to in (agent.id, butler_id)]
        assert [frame["payload"]["content"] for frame in looked_on] == ["status", "fine"]


def test_people_are_told_who_is_there(hub: Hub, agent: Someone, people: People) -> None:
    with welcomed(hub, people.viewer) as person:
        assert person.until("PRESENCE", agent_id=agent.id)["state"] == "offline"
        with welcomed(hub, agent) as wire:
            assert person.until("PRESENCE", agent_id=agent.id)["state"] == "online"
            wire.send("HEARTBEAT", status="busy", task_id="t-9", load=0.5)
            busy = person.until("PRESENCE", agent_id=agent.id)
            assert (busy["state"], busy["status"]) == ("busy", {"load": 0.5, "task_id": "t-9"})
        assert person.until("PRESENCE", agent_id=agent.id)["state"] == "offline"
