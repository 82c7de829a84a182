"""The queue of an embedded hub."""

import multiprocessing
import stat
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from kombu import Connection

from agenthub.core.spool import spool_options

MESSAGES = 300
PADDING = "x" * 20_000
JOBS = "jobs"


def connect(folder: Path) -> Connection:
    return Connection("spool://localhost", transport_options=spool_options(folder))


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    with connect(tmp_path / "queue") as made:
        yield made


def take(connection: Connection) -> Any:
    with connection.SimpleQueue(JOBS) as queue:
        message = queue.get(block=False)
        message.ack()
        return message.payload


def send(folder: Path, sender: int) -> None:
    with connect(folder) as connection, connection.SimpleQueue(JOBS) as queue:
        for number in range(MESSAGES):
            queue.put({"sender": sender, "number": number, "padding": PADDING})


def test_messages_come_in_order_and_once(connection: Connection) -> None:
    with connection.SimpleQueue(JOBS) as queue:
        for number in range(20):
            queue.put(number)
    assert [take(connection) for _ in range(20)] == list(range(20))
    with pytest.raises(Empty):
        take(connection)


def test_only_its_user_sees_the_queue(connection: Connection, tmp_path: Path) -> None:
    with connection.SimpleQueue(JOBS) as queue:
        queue.put("secret")
    paths = list((tmp_path / "queue").rglob("*"))
    assert any(path.is_file() for path in paths)
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in paths} == {0}


def test_a_reader_never_meets_half_a_message(tmp_path: Path) -> None:
    folder = tmp_path / "queue"
    context = multiprocessing.get_context("spawn")
    senders = [context.Process(target=send, args=(folder, sender)) for sender in range(2)]
    for sender in senders:
        sender.start()
    got: list[tuple[int, int]] = []
    with connect(folder) as connection, connection.SimpleQueue(JOBS) as queue:
        while len(got) < 2 * MESSAGES:
            message = queue.get(timeout=30)
            assert message.payload["padding"] == PADDING
            got.append((message.payload["sender"], message.payload["number"]))
            message.ack()
    for sender in senders:
        sender.join(30)
        assert sender.exitcode == 0
    assert sorted(got) == [(sender, number) for sender in range(2) for number in range(MESSAGES)]
