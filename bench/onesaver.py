"""`python -m bench.onesaver NAME PLACE`: one saver of LangGraph threads, measured in a process of its own.

Each size is written as a thread of its own: messages that are new in every checkpoint, a number, and the versions that
the saver gives. The answer is JSON on standard output.
"""

import itertools
import json
import os
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint

SIZES_KIB = (1, 16, 256)
PUTS = {1: 300, 16: 300, 256: 80}
READS = 200
LISTED = 10


@contextmanager
def langgraph_sqlite(place: str) -> Iterator[BaseCheckpointSaver[Any]]:
    """LangGraph's saver on SQLite."""
    from langgraph.checkpoint.sqlite import SqliteSaver

    connection = sqlite3.connect(place, check_same_thread=False)
    yield SqliteSaver(connection)
    connection.close()


@contextmanager
def langgraph_postgres(place: str) -> Iterator[BaseCheckpointSaver[Any]]:
    """LangGraph's saver on PostgreSQL."""
    from langgraph.checkpoint.postgres import PostgresSaver

    with PostgresSaver.from_conn_string(place) as saver:
        saver.setup()
        yield saver


@contextmanager
def agenthub(_place: str) -> Iterator[BaseCheckpointSaver[Any]]:
    """Ours, on the hub's database as the environment says."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from storagecustodian.langgraph import HubSaver

    call_command("migrate", verbosity=0)
    connection.ensure_connection()  # as in a worker's thread, which keeps its own
    yield HubSaver()
    connection.close()


SAVERS = {
    "agenthub-sqlite": agenthub,
    "langgraph-sqlite": langgraph_sqlite,
    "agenthub-postgres": agenthub,
    "langgraph-postgres": langgraph_postgres,
}


def measured(work: Callable[[], object], times: int) -> dict[str, float]:
    """The median time of a call and its CPU in this process, in µs."""
    taken, cpu = [], time.process_time()
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return {"p50_us": statistics.median(taken) * 1e6, "cpu_us": (time.process_time() - cpu) / times * 1e6}


def messages(kib: int, number: int) -> list[dict[str, str]]:
    """About so many KiB of messages, different ones each time."""
    chunk = f"{number:08d} " + "lorem ipsum dolor sit amet " * 8
    return [{"role": "user", "content": f"{place} {chunk}"} for place in range(max(1, kib * 1024 // 250))]


def measure(saver: BaseCheckpointSaver[Any], kib: int) -> dict[str, dict[str, float]]:
    """Put, get the latest, list the last ten."""
    thread: Any = {"configurable": {"thread_id": f"thread-{kib}", "checkpoint_ns": ""}}
    place, version, numbers = [thread], [None], itertools.count()

    def put() -> None:
        number = next(numbers)
        version[0] = saver.get_next_version(version[0], None)  # type: ignore[arg-type]
        checkpoint: Any = empty_checkpoint()
        checkpoint["v"] = 4
        checkpoint["channel_values"] = {"messages": messages(kib, number), "count": number}
        checkpoint["channel_versions"] = {"messages": version[0], "count": version[0]}
        place[0] = saver.put(place[0], checkpoint, {"source": "loop", "step": number}, checkpoint["channel_versions"])

    def latest() -> None:
        assert saver.get_tuple(thread) is not None

    def listed() -> None:
        assert len(list(saver.list(thread, limit=LISTED))) == LISTED

    measured(put, LISTED)  # warm
    return {
        "put": measured(put, PUTS[kib]),
        "get latest": measured(latest, READS),
        f"list {LISTED}": measured(listed, READS // LISTED),
    }


def main() -> None:
    """Measure the saver that is named."""
    name, place = sys.argv[1:]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agenthub.settings")
    with SAVERS[name](place) as saver:
        print(json.dumps({str(kib): measure(saver, kib) for kib in SIZES_KIB}))


if __name__ == "__main__":
    main()
