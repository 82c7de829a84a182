"""Whatever a client sends: a clear ERROR or close, nobody else is touched, and nobody speaks as another."""

import json
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from tests.gateway.people import People, Someone, new_agent
from tests.gateway.wire import Wire, welcomed
from tests.hub import Hub, wait_until


def deep(levels: int) -> str:
    return '{"type":"CHAT","target_id":1,"local_id":"d","payload":' + '{"a":' * levels + "1" + "}" * levels + "}"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("nonsense", "bad_frame"),
        ("[1]", "bad_frame"),
        ("", "bad_frame"),
        (b"\x00\x01", "bad_frame"),
        ("{}", "bad_frame"),
        ('{"type": 7}', "bad_frame"),
        ('{"type": "chat"}', "bad_frame"),
        ('{"type": "CHAT", "target_id": -1, "payload": "", "local_id": "a"}', "bad_frame"),
        ('{"type": "CHAT", "target_id": 1e300, "payload": "", "local_id": "a"}', "bad_frame"),
        ('{"type": "CHAT", "target_id": 1, "payload": 7, "local_id": "a"}', "bad_frame"),
        ('{"type": "CHAT", "target_id": 1, "payload": "\\ud800", "local_id": "a"}', "bad_frame"),
        ('{"type": "CHAT", "target_id": 1, "payload": "no local_id"}', "bad_frame"),
        ('{"type": "CHAT", "payload": "no target", "local_id": "a"}', "bad_frame"),
        ('{"type": "CHAT", "target_id": 1, "payload": "", "local_id": "a b"}', "bad_frame"),
        (deep(17), "bad_frame"),
        (deep(3000), "bad_frame"),
        (json.dumps({"type": "CHAT", "target_id": 1, "local_id": "big", "payload": "x" * 65_536}), "too_big"),
        ('{"type": "NO_SUCH_TYPE"}', "unknown_type"),
        ('{"type": "WELCOME"}', "forbidden_type"),
        (
            '{"type": "AUTH_RESPONSE", "local_id": "a", "payload": {"action_id": "x", "approved": true}}',
            "forbidden_type",
        ),
        ('{"type": "AUTH_REQUEST", "payload": {}}', "forbidden_type"),
        ('{"type": "CANCEL", "target_id": 1, "task_id": "t"}', "forbidden_type"),
        ('{"type": "HELLO", "v": 1}', "bad_frame"),
        ('{"type": "CHAT", "target_id": 0, "payload": "", "local_id": "a"}', "forbidden_type"),
        ('{"type": "CHAT", "target_id": 987654321, "payload": "", "local_id": "a"}', "unknown_target"),
        ('{"type": "CHAT_STREAM", "target_id": 1, "payload": ""}', "bad_frame"),
        ('{"type": "SYSTEM_LOG", "level": "INFO", "content": "' + "x" * 5000 + '"}', "bad_frame"),
        ('{"type": "SUBSCRIBE", "topics": ["alerts"]}', "forbidden_type"),
        ('{"type": "TASK", "task_id": "t", "status": "sleeping", "local_id": "a"}', "bad_frame"),
        ('{"type": "ACK"}', "bad_frame"),
    ],
)
def test_an_agent_that_sends_this_is_told_why_not(hub: Hub, agent: Someone, sent: str | bytes, code: str) -> None:
    with welcomed(hub, agent) as wire:
        wire.raw(sent)
        error = wire.error()
        assert error["code"] == code
        assert len(error["message"]) > 10
        if code == "too_big":
            assert error["local_id"] == "big"
        wire.beats()


def test_three_frames_that_cant_be_read_are_too_many(hub: Hub, agent: Someone) -> None:
    with welcomed(hub, agent) as wire:
        for _ in range(3):
            wire.raw("nonsense")
        assert wire.closed() == 4505


def test_a_frame_beyond_all_bounds_ends_the_connection_alone(hub: Hub, agent: Someone) -> None:
    other = new_agent(hub)
    with welcomed(hub, other) as calm, welcomed(hub, agent) as wire:
        wire.raw("x" * 200_000)
        assert wire.closed() == 1009
        calm.beats()


def test_nobody_speaks_as_another(hub: Hub, agent: Someone, people: People) -> None:
    forged = {
        "id": 1,
        "seq": 99,
        "epoch": "mine",
        "sender_id": people.admin.id,
        "sender_name": "root",
        "sender_role": "ADMIN",
        "timestamp": "1970-01-01T00:00:00Z",
    }
    with welcomed(hub, people.member) as person, welcomed(hub, agent) as wire:
        person.chat(agent.id, "hello", f"f-{agent.id}", **forged)
        frame = wire.until("CHAT")
        assert (frame["sender_id"], frame["sender_role"]) == (people.member.id, "MEMBER")
        assert (frame["sender_name"], frame["seq"]) == (people.member.name, 1)
        assert frame["epoch"] == wire.welcome["epoch"]
        assert not frame["timestamp"].startswith("1970")
        wire.send("SYSTEM_LOG", level="INFO", content="hello", **forged)
        kept = wait_until(lambda: hub.rows("hub_agentlog", agent_id=agent.id), "The log is stored")
        assert kept[0]["content"] == "hello"


def test_unknown_fields_travel_on_in_meta_alone(hub: Hub, agent: Someone, people: People) -> None:
    with welcomed(hub, people.admin) as person, welcomed(hub, agent) as wire:
        person.chat(agent.id, "hi", f"u-{agent.id}", v=1, priority="high", meta={"a": [1]})
        frame = wire.until("CHAT")
        assert frame["meta"] == {"priority": "high", "a": [1]}
        assert "priority" not in frame


def test_anothers_thread_is_not_written_to(hub: Hub, agent: Someone, people: People) -> None:
    with welcomed(hub, people.member) as one, welcomed(hub, people.admin) as two, welcomed(hub, agent) as wire:
        thread = one.chat(agent.id, "mine", f"t1-{agent.id}")["conversation_id"]
        assert two.chat(agent.id, "not mine", f"t2-{agent.id}", conversation_id=thread)["code"] == "unknown_target"
        other = two.chat(agent.id, "mine", f"t3-{agent.id}")["conversation_id"]
        assert other != thread
        wire.until("CHAT", payload="mine", sender_id=people.admin.id)
        answer = wire.chat(people.member.id, "wrong thread", f"t4-{agent.id}", conversation_id=other)
        assert answer["code"] == "unknown_target"


def test_anothers_stream_is_another_stream(hub: Hub, people: People) -> None:
    one_agent, other = new_agent(hub, may_notify=True), new_agent(hub, may_notify=True)
    with (
        welcomed(hub, people.admin) as person,
        welcomed(hub, one_agent) as one,
        welcomed(hub, other) as two,
    ):
        for wire in (one, two):
            wire.send("CHAT_STREAM", target_id=people.admin.id, stream_id="same", idx=0, payload=f"of {wire is one}")
        pieces = {
            frame["sender_id"]: frame["payload"] for frame in (person.until("CHAT_STREAM"), person.until("CHAT_STREAM"))
        }
        assert pieces == {one_agent.id: "of True", other.id: "of False"}


def test_an_agent_writes_to_people_who_spoke_first(hub: Hub, agent: Someone, people: People) -> None:
    notifier = new_agent(hub, may_notify=True)
    with welcomed(hub, agent) as wire, welcomed(hub, notifier) as may, welcomed(hub, people.operator) as person:
        assert wire.chat(people.operator.id, "buy", f"n1-{agent.id}")["code"] == "forbidden_type"
        assert may.chat(people.operator.id, "fire", f"n2-{agent.id}")["type"] == "ACK"
        person.chat(agent.id, "yes?", f"n3-{agent.id}")
        assert wire.chat(people.operator.id, "buy", f"n4-{agent.id}")["type"] == "ACK"
        assert person.until("CHAT", sender_id=agent.id)["payload"] == "buy"


def test_an_agent_streams_to_people_who_spoke_first(hub: Hub, agent: Someone, people: People) -> None:
    stranger = people.viewer
    with welcomed(hub, stranger) as person, welcomed(hub, agent) as wire:
        to = {"target_id": stranger.id, "stream_id": f"spam-{agent.id}"}
        wire.send("CHAT_STREAM", idx=0, payload="buy", **to)
        assert wire.error()["code"] == "forbidden_type"
        wire.send("CHAT_STREAM_END", **to)
        wire.beats()
        person.send("HEARTBEAT", acked_seq=0)
        while (frame := person.frame())["type"] != "HEARTBEAT_ACK":
            assert not frame["type"].startswith("CHAT")
    assert hub.rows("hub_message", sender_id=agent.id) == []


def test_after_a_restart_of_the_agent_it_still_streams_to_who_spoke(hub: Hub, agent: Someone, people: People) -> None:
    with welcomed(hub, people.admin) as person:
        with welcomed(hub, agent) as wire:
            person.chat(agent.id, "go", f"go-{agent.id}")
            wire.until("CHAT")
            wire.send("ACK", seq=1)
            wire.beats()
        with welcomed(hub, agent) as wire:
            for n in range(3):
                wire.send("CHAT_STREAM", idx=n, payload=str(n), target_id=people.admin.id, stream_id="later")
            assert [person.until("CHAT_STREAM", stream_id="later")["idx"] for _ in range(3)] == [0, 1, 2]


def test_agents_talk_to_their_peers_and_to_the_butler_alone(hub: Hub, agent: Someone, people: People) -> None:
    stranger = new_agent(hub)
    peer = new_agent(hub, peers=[agent.name])
    with welcomed(hub, agent) as wire, welcomed(hub, people.butler) as butler:
        assert wire.chat(stranger.id, "hi", f"p1-{agent.id}")["code"] == "forbidden_type"
        assert wire.chat(peer.id, "hi", f"p2-{agent.id}")["type"] == "ACK"
        assert wire.chat(butler.welcome["you"]["id"], "hi", f"p3-{agent.id}")["type"] == "ACK"
        assert butler.until("CHAT", sender_id=agent.id)["sender_role"] == "AGENT"


def test_members_write_to_agents_that_are_open_to_them_and_viewers_to_none(hub: Hub, people: People) -> None:
    closed = new_agent(hub, open_to_members=False)
    named = new_agent(hub, open_to_members=False, members=[people.member.name])
    with welcomed(hub, people.member) as member, welcomed(hub, people.viewer) as viewer:
        assert member.chat(closed.id, "hi", f"m1-{closed.id}")["code"] == "forbidden_type"
        assert member.chat(named.id, "hi", f"m2-{closed.id}")["type"] == "ACK"
        assert viewer.chat(named.id, "hi", f"m3-{closed.id}")["code"] == "forbidden_type"
        member.send("CANCEL", target_id=named.id, task_id="not-mine", local_id=f"m4-{closed.id}")
        assert member.error()["code"] == "forbidden_type"
        assert member.chat(people.viewer.id, "hi", f"m5-{closed.id}")["code"] == "forbidden_type"
        member.send("SYSTEM_LOG", level="INFO", content="x")
        assert member.error()["code"] == "forbidden_type"


def test_one_that_floods_is_told_when_to_go_on_and_in_the_end_to_leave(
    hub: Hub, people: People, agent: Someone
) -> None:
    codes: list[object] = []
    with welcomed(hub, people.member) as flood:
        with suppress(ConnectionClosed):
            while True:
                codes += flooded(flood, agent.id, len(codes))
        assert codes[:25].count("ACK") >= 20
        assert "rate_limited" in codes[:25]
        assert flood.closed() == 4004


def flooded(wire: Wire, target: int, first: int) -> list[object]:
    """Send more than may be sent; what each was answered."""
    for n in range(25):
        wire.send("CHAT", target_id=target, payload="x", local_id=f"flood-{target}-{first + n}")
    answers = [answered(wire) for _ in range(25)]
    assert all(frame["retry_after_ms"] for frame in answers if frame.get("code") == "rate_limited")
    return [frame.get("code", "ACK") for frame in answers]


def answered(wire: Wire) -> dict[str, object]:
    """The next ACK or ERROR."""
    while True:
        frame = wire.frame()
        if frame["type"] in ("ACK", "ERROR"):
            return frame
