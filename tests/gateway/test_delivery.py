"""What version 1 promises of messages: acknowledged ones are there, in order, once, however connections end."""

import json
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from tests.gateway.people import People, Someone
from tests.gateway.wire import connected, welcomed
from tests.hub import Hub, wait_until


def test_an_acknowledgement_is_of_a_row_and_says_whether_the_target_is_there(
    hub: Hub, agent: Someone, people: People
) -> None:
    with welcomed(hub, people.admin) as person:
        first = person.chat(agent.id, "one", f"d1-{agent.id}")
        assert (first["dup"], first["target_online"]) == (False, False)
        [row] = hub.rows("hub_message", id=first["id"])
        assert (row["target_id"], row["seq"], json.loads(row["payload"])) == (agent.id, 1, "one")
        with welcomed(hub, agent):
            assert person.chat(agent.id, "two", f"d2-{agent.id}")["target_online"] is True


def test_the_same_message_again_is_the_same_and_another_under_its_name_is_refused(
    hub: Hub, agent: Someone, people: People
) -> None:
    with welcomed(hub, people.admin) as person:
        first = person.chat(agent.id, {"a": 1}, f"again-{agent.id}")
        again = person.chat(agent.id, {"a": 1}, f"again-{agent.id}")
        assert (again.get("id"), again.get("dup")) == (first["id"], True), again
        other = person.chat(agent.id, {"a": 2}, f"again-{agent.id}")
        assert (other["type"], other["code"]) == ("ERROR", "id_reuse")
        # Twice at once, so that both come into one transaction.
        for _ in range(2):
            person.send("CHAT", target_id=agent.id, payload="twin", local_id=f"twin-{agent.id}")
        acks = [person.until("ACK", local_id=f"twin-{agent.id}") for _ in range(2)]
        assert acks[0]["id"] == acks[1]["id"]
        assert [ack["dup"] for ack in acks] == [False, True]
    assert len(hub.rows("hub_message", target_id=agent.id)) == 2


def test_resuming_goes_on_where_the_client_was(hub: Hub, agent: Someone, people: People) -> None:
    with welcomed(hub, people.admin) as person:
        with welcomed(hub, agent) as wire:
            assert wire.welcome["resumed"] is False
            epoch = wire.welcome["epoch"]
            for n in range(3):
                person.chat(agent.id, str(n), f"r-{agent.id}-{n}")
            assert [wire.until("CHAT")["seq"] for _ in range(3)] == [1, 2, 3]
        person.chat(agent.id, "3", f"r-{agent.id}-3")
        with welcomed(hub, agent, resume={"epoch": epoch, "last_seq": 2}) as wire:
            assert (wire.welcome["resumed"], wire.welcome["replay_from"], wire.welcome["head_seq"]) == (True, 3, 4)
            assert [wire.until("CHAT")["payload"] for _ in range(2)] == ["2", "3"]
            wire.send("ACK", seq=4)
            wire.beats()
        wait_until(lambda: hub.rows("hub_participant", id=agent.id, acked_seq=4), "The acknowledgement is saved")
        with welcomed(hub, agent) as wire:
            assert wire.welcome["replay_from"] == 5
            person.chat(agent.id, "4", f"r-{agent.id}-4")
            frame = wire.until("CHAT")
            assert (frame["seq"], frame["epoch"]) == (5, epoch)


@pytest.mark.parametrize("resume", [{"epoch": "another", "last_seq": 0}, {"last_seq": 99}])
def test_numbers_of_another_time_are_told_as_a_gap(
    hub: Hub, agent: Someone, people: People, resume: dict[str, object]
) -> None:
    with welcomed(hub, people.admin) as person, welcomed(hub, agent) as wire:
        epoch = wire.welcome["epoch"]
        person.chat(agent.id, "x", f"g-{agent.id}")
        wire.until("CHAT")
    with welcomed(hub, agent, resume={"epoch": epoch, **resume}) as wire:
        assert wire.welcome["resumed"] is False
        if resume["last_seq"]:
            gap = wire.until("GAP")
            assert (gap["to"], gap["reason"]) == (99, "restored")
        assert wire.until("CHAT")["seq"] == 1


def test_acknowledging_what_was_never_sent_ends_the_connection(hub: Hub, agent: Someone) -> None:
    with welcomed(hub, agent) as wire:
        wire.send("ACK", seq=1)
        assert wire.closed() == 4005


def test_no_more_than_the_window_is_sent_until_it_is_acknowledged(hub: Hub, agent: Someone, people: People) -> None:
    big = "x" * 60_000
    with welcomed(hub, people.butler) as butler:
        for n in range(30):
            assert butler.chat(agent.id, f"{n} {big}", f"w-{agent.id}-{n}")["type"] == "ACK"
        with welcomed(hub, agent) as wire:
            got = [wire.until("CHAT")["seq"] for _ in range(18)]  # a MiB, and the one that went over it
            wire.beats()  # nothing else has come meanwhile
            assert got == list(range(1, 19))
            wire.send("ACK", seq=18)
            rest = [wire.until("CHAT") for _ in range(12)]
            assert [frame["seq"] for frame in rest] == list(range(19, 31))
            assert rest[-1]["payload"].startswith("29 ")


def test_many_small_ones_wait_for_acknowledgements_too(hub: Hub, agent: Someone, people: People) -> None:
    for part in range(3):  # what one connection may send at once is bounded
        with welcomed(hub, people.butler) as butler:
            for n in range(100):
                butler.chat(agent.id, str(n), f"m-{agent.id}-{part}-{n}")
    with welcomed(hub, agent) as wire:
        assert [wire.until("CHAT")["seq"] for _ in range(256)] == list(range(1, 257))
        wire.beats()
        wire.send("ACK", seq=100)
        assert [wire.until("CHAT")["seq"] for _ in range(44)] == list(range(257, 301))


def test_what_has_run_out_is_told_as_a_gap_and_its_sender_hears(hub: Hub, agent: Someone, people: People) -> None:
    soon = "2026-01-01T00:00:00Z"
    with welcomed(hub, people.admin) as person:
        late = person.chat(agent.id, "late", f"e-{agent.id}-0", expires_at=soon)
        assert (late["type"], late["code"]) == ("ERROR", "expired")
        wrong = person.chat(agent.id, "late", f"e-{agent.id}-1", expires_at="tomorrow")
        assert wrong["code"] == "bad_frame"


def test_what_ran_out_while_it_waited_is_not_given_out(hub: Hub, agent: Someone, people: People) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=1)
    with welcomed(hub, people.admin) as person:
        person.chat(agent.id, "short", f"x-{agent.id}-0", expires_at=ends.isoformat())
        person.chat(agent.id, "long", f"x-{agent.id}-1")
        wait_until(lambda: datetime.now(UTC) > ends, "Its time is over")
        with welcomed(hub, agent) as wire:
            gap = wire.until("GAP")
            assert (gap["from"], gap["to"], gap["reason"]) == (1, 1, "expired")
            assert wire.until("CHAT")["payload"] == "long"
        assert person.error()["code"] == "expired"


def test_a_persons_other_tabs_see_what_was_sent(hub: Hub, agent: Someone, people: People) -> None:
    with welcomed(hub, people.operator) as one, welcomed(hub, people.operator) as two, welcomed(hub, agent) as wire:
        one.send("CHAT", target_id=agent.id, payload="hello", local_id=f"tab-{agent.id}")
        for tab in (one, two):
            echo = tab.until("CHAT", sender_id=people.operator.id)
            assert (echo["payload"], echo["local_id"]) == ("hello", f"tab-{agent.id}")
            assert "seq" not in echo
        asked = wire.until("CHAT")
        wire.chat(people.operator.id, "hi", f"tab-answer-{agent.id}", reply_to=asked["id"])
        for tab in (one, two):
            assert tab.until("CHAT", sender_id=agent.id)["reply_to"] == asked["id"]
        one.send("READ", conversation_id=asked["conversation_id"], id=asked["id"])
        assert two.until("READ")["id"] == asked["id"]


def test_what_an_agent_has_saved_of_a_task_comes_back_in_its_welcome(hub: Hub, agent: Someone) -> None:
    with welcomed(hub, agent) as wire:
        wire.send("CHECKPOINT", task_id="t-1", n=3, state={"step": 3}, note="half", local_id="c-1")
        assert wire.until("ACK", local_id="c-1")["id"]
    with welcomed(hub, agent) as wire:
        [task] = wire.welcome["open_tasks"]
        assert (task["task_id"], task["checkpoint"]["state"], task["checkpoint"]["n"]) == ("t-1", {"step": 3}, 3)
        wire.send("TASK", task_id="t-1", status="completed", local_id="t-end")
        wire.until("ACK", local_id="t-end")
        wire.send("CHECKPOINT", task_id="t-2", n=1, state=[], local_id="c-2")
        assert wire.error()["code"] == "bad_frame"
    with welcomed(hub, agent) as wire:
        assert wire.welcome["open_tasks"] == []


def test_a_newer_connection_takes_the_place_of_an_older_one(hub: Hub, agent: Someone) -> None:
    with welcomed(hub, agent) as old, welcomed(hub, agent) as new:
        assert old.closed() == 4503
        new.beats()


def test_of_many_connections_at_once_the_last_one_stays(hub: Hub, agent: Someone) -> None:
    with ExitStack() as stack:
        wires = [stack.enter_context(connected(hub, agent)) for _ in range(8)]
        for wire in wires:
            wire.send("HELLO", v=1)
        codes = [wire.closed() for wire in wires[:-1]]
        assert codes == [4503] * 7
        wires[-1].until("WELCOME")
        wires[-1].beats()
