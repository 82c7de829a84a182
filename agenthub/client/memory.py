"""What an agent must not forget when it is killed: messages to send, messages to handle, and its own state.

One SQLite file per agent. A message that has come is written down before it is acknowledged; it leaves the file in the
same transaction in which its answer and the state that its handler has changed come in. So a message has its effect
once, whenever the agent is killed.
"""

import fcntl
import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_OUTGOING = 10_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outgoing (
  n INTEGER PRIMARY KEY AUTOINCREMENT, local_id TEXT NOT NULL UNIQUE, frame TEXT NOT NULL, after TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS incoming (
  n INTEGER PRIMARY KEY AUTOINCREMENT, epoch TEXT NOT NULL, seq INTEGER NOT NULL, frame TEXT NOT NULL,
  UNIQUE (epoch, seq));
CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY CHECK (one = 1), epoch TEXT NOT NULL, seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), value TEXT NOT NULL);
"""


class MemoryInUse(Exception):
    """Another process of this agent is running with the same folder."""


class OutboxFull(Exception):
    """More waits to be sent than the file may hold: the hub has been away for long."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A frame that waits for its acknowledgement. `after` is sent right behind it, if anything."""

    n: int
    local_id: str
    frame: str
    after: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """How far the agent has taken its messages."""

    epoch: str
    seq: int


def new_local_id() -> str:
    """A name for a message that nobody has used before; later ones sort behind earlier ones."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


class Memory:
    """The file of one agent; `folder` None keeps all in memory alone, so that a kill loses it."""

    def __init__(self, folder: Path | None) -> None:
        self._lock = threading.Lock()
        self._held = _hold(folder) if folder is not None else None
        name = ":memory:" if folder is None else str(folder / "agent.sqlite3")
        self._db = sqlite3.connect(name, check_same_thread=False, isolation_level=None, timeout=20)
        if folder is not None:
            self._db.execute("PRAGMA journal_mode=WAL")
            # What is acknowledged to the hub, and what is promised to be sent, survives a loss of power.
            self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)
        found = self._db.execute("SELECT value FROM state").fetchone()
        self._state_text = found[0] if found else "{}"

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()
        if self._held is not None:
            os.close(self._held)
            self._held = None

    # Messages to send

    def keep(self, local_id: str, frame: str, *, after: str = "") -> bool:
        """Write down a frame that is to be sent; False if one of this name waits already. Raises OutboxFull."""
        with self._transaction():
            return self._keep(local_id, frame, after)

    def _keep(self, local_id: str, frame: str, after: str) -> bool:
        [waiting] = self._db.execute("SELECT count(*) FROM outgoing").fetchone()
        if waiting >= MOST_OUTGOING:
            raise OutboxFull(f"{waiting} messages wait for the hub; none is taken until some are sent.")
        done = self._db.execute(
            "INSERT INTO outgoing (local_id, frame, after) VALUES (?, ?, ?) ON CONFLICT (local_id) DO NOTHING",
            (local_id, frame, after),
        )
        return done.rowcount == 1

    def outgoing(self, *, behind: int, most: int = 64) -> list[Outgoing]:
        """Frames that wait, in order, behind a place among them."""
        with self._lock:
            rows = self._db.execute(
                "SELECT n, local_id, frame, after FROM outgoing WHERE n > ? ORDER BY n LIMIT ?", (behind, most)
            ).fetchall()
        return [Outgoing(*row) for row in rows]

    def sent(self, local_ids: Iterable[str]) -> None:
        """Forget frames: the hub has them, or will never take them."""
        with self._transaction():
            self._db.executemany("DELETE FROM outgoing WHERE local_id = ?", [(each,) for each in local_ids])

    # Messages to handle

    def place(self) -> Place | None:
        """How far messages were taken; None for an agent that has never connected."""
        with self._lock:
            found = self._db.execute("SELECT epoch, seq FROM place").fetchone()
        return Place(*found) if found else None

    def move(self, place: Place) -> None:
        """Take it from there: the hub says where its numbers are."""
        with self._transaction():
            self._move(place)

    def _move(self, place: Place) -> None:
        self._db.execute("INSERT OR REPLACE INTO place VALUES (1, ?, ?)", (place.epoch, place.seq))

    def take(self, frames: Sequence[tuple[int, str]], place: Place) -> list[str]:
        """Write down messages that have come, and that all up to a place have; those that had not come before.

        What is not behind the place where the agent was is passed over: it has been taken, and perhaps handled, by
        way of a connection that has ended since.
        """
        with self._transaction():
            found = self._db.execute("SELECT epoch, seq FROM place").fetchone()
            taken = found[1] if found and found[0] == place.epoch else None
            new = [(seq, text) for seq, text in frames if taken is None or seq > taken]
            self._db.executemany(
                "INSERT OR IGNORE INTO incoming (epoch, seq, frame) VALUES (?, ?, ?)",
                [(place.epoch, seq, text) for seq, text in new],
            )
            if taken is None or place.seq > taken:
                self._move(place)
        return [text for _, text in new]

    def waiting(self) -> list[str]:
        """Messages that came and have not been handled, in order."""
        with self._lock:
            return [frame for (frame,) in self._db.execute("SELECT frame FROM incoming ORDER BY n")]

    def finish(
        self,
        epoch: str,
        seq: int,
        *,
        answers: Iterable[tuple[str, str, str]] = (),
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """A message is handled: in one step it goes, its answers (local_id, frame, after) wait to be sent, and the
        state is what its handler has made of it."""
        with self._transaction():
            self._db.execute("DELETE FROM incoming WHERE epoch = ? AND seq = ?", (epoch, seq))
            for local_id, frame, after in answers:
                self._keep(local_id, frame, after)
            if state is not None:
                self._save(state)

    # State

    def state(self) -> dict[str, Any]:
        """What handlers have left."""
        found: dict[str, Any] = json.loads(self._state_text)
        return found

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep the state now."""
        with self._transaction():
            self._save(state)

    def _save(self, state: Mapping[str, Any]) -> None:
        text = json.dumps(state)
        if text != self._state_text:
            self._db.execute("INSERT OR REPLACE INTO state VALUES (1, ?)", (text,))
            self._state_text = text

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._db, self._lock)


class _Transaction:
    """One transaction by one thread at a time."""

    def __init__(self, db: sqlite3.Connection, lock: threading.Lock) -> None:
        self._db, self._lock = db, lock

    def __enter__(self) -> None:
        self._lock.acquire()
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._lock.release()
            raise

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._db.execute("COMMIT")
            else:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
        finally:
            self._lock.release()


def _hold(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    held = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise MemoryInUse(
            f"Another process works with {folder}; an agent runs once, or with folders of its own."
        ) from None
    return held
