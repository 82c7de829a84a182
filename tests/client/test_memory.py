"""What an agent must not forget: the file, its order, and one process at a time."""

import json
from pathlib import Path

import pytest

from agenthub.client.backoff import CAP_SECONDS, delay_seconds, is_final
from agenthub.client.connection import socket_address
from agenthub.client.frames import FRAME_BYTES, FrameTooLarge, frame_text
from agenthub.client.memory import Memory, MemoryInUse, OutboxFull, Place, new_local_id
from agenthub.client.message import message_of


def test_what_was_kept_is_there_after_a_restart_in_its_order(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    for n in range(5):
        assert memory.keep(f"m{n}", f"frame {n}", after=f"after {n}")
    assert not memory.keep("m0", "again")
    memory.take([(1, "one"), (2, "two")], Place("e", 2))
    memory.save({"count": 1})
    memory.close()
    again = Memory(tmp_path)
    assert [row.frame for row in again.outgoing(behind=0)] == [f"frame {n}" for n in range(5)]
    again.sent(["m0", "m3"])
    assert [row.local_id for row in again.outgoing(behind=0)] == ["m1", "m2", "m4"]
    assert again.waiting() == ["one", "two"]
    assert (again.place(), again.state()) == (Place("e", 2), {"count": 1})
    again.close()


def test_a_message_goes_with_its_answer_and_the_state_or_not_at_all(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.take([(1, "one")], Place("e", 1))
    with pytest.raises(TypeError):
        memory.finish("e", 1, answers=[("r1", "answer", "")], state={"not json": object()})
    assert memory.waiting() == ["one"]
    assert memory.outgoing(behind=0) == []
    memory.finish("e", 1, answers=[("r1", "answer", "end")], state={"done": True})
    assert memory.waiting() == []
    assert [(row.frame, row.after) for row in memory.outgoing(behind=0)] == [("answer", "end")]
    assert memory.state() == {"done": True}
    memory.close()


def test_a_message_that_comes_again_is_taken_once_even_when_it_was_handled_meanwhile(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    assert memory.take([(1, "one")], Place("e", 1)) == ["one"]
    assert memory.take([(1, "one"), (2, "two")], Place("e", 2)) == ["two"]
    memory.finish("e", 1)
    assert memory.take([(1, "one"), (2, "two")], Place("e", 2)) == []
    assert (memory.waiting(), memory.place()) == (["two"], Place("e", 2))
    memory.close()


def test_numbers_of_another_epoch_are_other_messages(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.take([(1, "old one"), (2, "old two")], Place("old", 2))
    memory.move(Place("new", 0))
    assert memory.take([(1, "new one")], Place("new", 1)) == ["new one"]
    assert memory.waiting() == ["old one", "old two", "new one"]
    memory.finish("old", 1)
    assert memory.waiting() == ["old two", "new one"]
    memory.close()


def test_a_folder_is_one_process_s(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    with pytest.raises(MemoryInUse):
        Memory(tmp_path)
    memory.close()
    Memory(tmp_path).close()


def test_a_full_outbox_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agenthub.client.memory.MOST_OUTGOING", 2)
    memory = Memory(tmp_path)
    memory.keep("a", "x")
    memory.keep("b", "x")
    with pytest.raises(OutboxFull):
        memory.keep("c", "x")
    memory.close()


def test_later_names_sort_behind_earlier_ones() -> None:
    names = [new_local_id() for _ in range(100)]
    assert len(set(names)) == 100
    assert names[0][:12] <= names[-1][:12]
    assert max(map(len, names)) <= 64


@pytest.mark.parametrize(
    ("code", "final"), [(None, False), (1000, False), (1006, False), (4002, False), (4500, True), (4503, True)]
)
def test_which_codes_are_final(code: int | None, *, final: bool) -> None:
    assert is_final(code) is final


def test_waits_grow_to_their_cap() -> None:
    assert [delay_seconds(n, chance=1) for n in (0, 1, 2, 10, 1000)] == [0.5, 1, 2, CAP_SECONDS, CAP_SECONDS]
    assert delay_seconds(5, chance=0) == 0


def test_frames_are_bounded_and_addresses_are_of_sockets() -> None:
    with pytest.raises(FrameTooLarge):
        frame_text({"type": "CHAT", "payload": "é" * (FRAME_BYTES // 2)})
    assert socket_address("https://hub.example/") == "wss://hub.example/api/ws"
    assert socket_address("ws://127.0.0.1:1/ws/agents") == "ws://127.0.0.1:1/ws/agents"
    with pytest.raises(ValueError, match="no address"):
        socket_address("hub.example")


def test_commands_are_words_and_quotes_hold_them_together() -> None:
    frame = {"type": "CHAT", "id": 1, "seq": 1, "sender_id": 2, "sender_role": "BUTLER"}
    said = message_of({**frame, "payload": 'get "a b" c'})
    assert (said.words, said.is_from_person) == (["get", "a b", "c"], False)
    assert message_of({**frame, "payload": 'say "open'}).words == ["say", '"open']
    assert message_of({**frame, "payload": {"command": "get", "args": ["a b"]}}).words == ["get", "a b"]
    assert message_of({**frame, "payload": json.loads("{}")}).words == []
    assert message_of({**frame, "payload": "x", "expires_at": "2020-01-01T00:00:00Z"}).is_over()
