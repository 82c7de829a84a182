"""The queue of an embedded hub."""

import multiprocessing
import stat
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any
from uuid import uuid4

import pytest
from kombu import Connection

from agenthub.core.spool import spool_options

MESSAGES = 300
PADDING = "x" * 20_000


def connect(folder: Path) -> Connection:
    return Connection("spool://localhost", transport_options=spool_options(folder))


@pytest.fixture
def jobs() -> str:
    """A queue that no other test knows: kombu remembers for the whole process which ones have been declared."""
    return f"jobs-{uuid4().hex}"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    with connect(tmp_path / "queue") as made:
        yield made


def take(connection: Connection, jobs: str) -> Any:
    with connection.SimpleQueue(jobs) as queue:
        message = queue.get(block=False)
        message.ack()
        return message.payload


def send(folder: Path, jobs: str, sender: int) -> None:
    with connect(folder) as connection, connection.SimpleQueue(jobs) as queue:
        for number in range(MESSAGES):
            queue.put({"sender": sender, "number": number, "padding": PADDING})


def test_messages_come_in_order_and_once(connection: Connection, jobs: str) -> None:
    with connection.SimpleQueue(jobs) as queue:
        for number in range(20):
            queue.put(number)
    assert [take(connection, jobs) for _ in range(20)] == list(range(20))
    with pytest.raises(Empty):
        take(connection, jobs)


def test_only_its_user_sees_the_queue(connection: Connection, jobs: str, tmp_path: Path) -> None:
    with connection.SimpleQueue(jobs) as queue:
        queue.put("secret")
    paths = list((tmp_path / "queue").rglob("*"))
    assert any(path.is_file() for path in paths)
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in paths} == {0}


def test_a_reader_never_meets_half_a_message(jobs: str, tmp_path: Path) -> None:
    folder = tmp_path / "queue"
    context = multiprocessing.get_context("spawn")
    senders = [context.Process(target=send, args=(folder, jobs, sender)) for sender in range(2)]
    for sender in senders:
        sender.start()
    got: list[tuple[int, int]] = []
    with connect(folder) as connection, connection.SimpleQueue(jobs) as queue:
        while len(got) < 2 * MESSAGES:
            message = queue.get(timeout=30)
            assert message.payload["padding"] == PADDING
            got.append((message.payload["sender"], message.payload["number"]))
            message.ack()
    for sender in senders:
        sender.join(30)
        assert sender.exitcode == 0
    assert sorted(got) == [(sender, number) for sender in range(2) for number in range(MESSAGES)]
