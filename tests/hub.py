"""A whole hub, started as people start it: for tests that look at it from outside."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import openai
import psycopg
from psycopg.rows import dict_row

from agenthub.demo.management import Management
from tests.settings import OURS

START_SECONDS = 60.0
STOP_SECONDS = 60.0
_SERVES = re.compile(r"serves on (http://\S+)")
_TOKEN = "test-admin-token-0123456789"
REPOSITORY = Path(__file__).resolve().parent.parent


def wait_until(condition: Callable[[], Any], what: str, *, seconds: float = 20.0) -> Any:
    """The first true value of the condition, which another process makes true. Raises AssertionError."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, f"{what}: not within {seconds:g} s"
        time.sleep(0.02)
    return value


class Hub:
    """One hub with a data folder of its own."""

    def __init__(self, folder: Path, *, environ: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.log_file = folder / "hub.log"
        self.token = _TOKEN
        self.base_url = ""
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith((*OURS, "DJANGO_"))},
            "AGENTHUB_DATA_DIR": str(self.data_dir),
            "AGENTHUB_PORT": "0",
            "AGENTHUB_METRICS_PORT": "0",
            "AGENTHUB_ADMIN_TOKEN": _TOKEN,
            "AGENTHUB_ADMIN_PASSWORD": "a password for tests",
            **(environ or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._management: Management | None = None

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.kill9()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()

    # Its life

    def start(self) -> Self:
        """Start it, and come back when it serves. A hub that was started before comes back on the same port."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "agenthub", "up"],
                env=self.environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=REPOSITORY,
                start_new_session=True,
            )
        found = wait_until(self._served, f"The hub of {self.folder} did not start", seconds=START_SECONDS)
        self.base_url = found.group(1)
        self.environ["AGENTHUB_PORT"] = self.base_url.rpartition(":")[2]
        return self

    def _served(self) -> re.Match[str] | None:
        assert self.running, f"The hub has ended:\n{self.log()}"
        return _SERVES.search(self.log())

    @property
    def running(self) -> bool:
        """Whether its parent process lives."""
        return self._process is not None and self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send its parent process a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end; the exit code."""
        assert self._process is not None
        return self._process.wait(STOP_SECONDS)

    def stop(self) -> int:
        """Stop it as Ctrl-C does; the exit code."""
        self.hang_up()
        if not self.running:
            return self.wait()
        self.signal(signal.SIGINT)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.kill9()
            raise

    def kill9(self) -> None:
        """Kill every process of it at once."""
        if self._process is None:
            return
        for pid in (self._process.pid, *_children(self._process.pid)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait(STOP_SECONDS)

    def pids(self) -> list[int]:
        """Its processes, the parent first."""
        assert self._process is not None
        return [self._process.pid, *_children(self._process.pid)]

    def pid(self, part: str) -> int:
        """The id of its only process that is a `part`: web, flusher or worker."""
        assert self._process is not None
        [found] = [pid for pid in _children(self._process.pid) if _command(pid)[-2:] == ["agenthub", part]]
        return found

    def log(self) -> str:
        """What it has written since its last start."""
        with self.log_file.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode(errors="replace")

    # Talking to it

    @property
    def management(self) -> Management:
        """Its management API, as the administrator."""
        if self._management is None:
            self._management = Management(self.base_url, token=self.token)
        return self._management

    def hang_up(self) -> None:
        """Close the administrator's connection, which a process that leaves would wait for; the next call opens it."""
        if self._management is not None:
            self._management.close()
            self._management = None

    @contextmanager
    def client(self, key: str | None = None) -> Iterator[httpx.Client]:
        """A plain client, with a client key where one is given."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        with httpx.Client(base_url=self.base_url, headers=headers, timeout=30, trust_env=False) as client:
            yield client

    @contextmanager
    def openai(self, key: str) -> Iterator[openai.OpenAI]:
        """The official client, as it comes but for its retries, which would hide what is tested."""
        with openai.OpenAI(base_url=f"{self.base_url}/v1", api_key=key, max_retries=0, timeout=30) as client:
            yield client

    @contextmanager
    def settings(self, **values: Any) -> Iterator[None]:
        """Run-time settings for the length of a block. Make routes inside it: once they serve, the settings hold."""
        for name, value in values.items():
            self.management.request("PUT", f"/config/{name}", {"value": value})
        try:
            yield
        finally:
            for name in values:
                self.management.request("DELETE", f"/config/{name}")

    # Looking into it

    def rows(self, table: str, **equal: Any) -> list[dict[str, Any]]:
        """Rows of its database, read behind its back; the columns named must equal the values given."""
        where = " AND ".join(f"{name} = :{name}" for name in equal) or "1 = 1"
        query = f"SELECT * FROM {table} WHERE {where}"
        if url := self.environ.get("DATABASE_URL"):
            query = re.sub(r":(\w+)", r"%(\1)s", query)
            with psycopg.connect(url, row_factory=dict_row) as connection:
                return connection.execute(query, equal).fetchall()
        address = f"file:{self.data_dir / 'agenthub.sqlite3'}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=20)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, equal)]

    def records(self, model: str, *, count: int) -> list[dict[str, Any]]:
        """The usage records of a model, once there are as many as expected; the oldest first."""

        def found() -> list[dict[str, Any]]:
            rows = self.rows("providers_usagerecord", model=model)
            return rows if len(rows) >= count else []

        rows = wait_until(found, f"{count} usage records of {model}")
        assert len(rows) == count
        for row in rows:
            row["trail"] = json.loads(row["trail"]) if isinstance(row["trail"], str) else row["trail"]
        return sorted(rows, key=lambda row: str(row["started_at"]))

    def record(self, model: str) -> dict[str, Any]:
        """The only usage record of a model."""
        return self.records(model, count=1)[0]


def _command(pid: int) -> list[str]:
    """The words of a process's command line; none of one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    except OSError:
        return []


def _children(parent: int) -> list[int]:
    """The ids of the processes below a process, which may be in sessions of their own."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    found = [parent]
    for each in found:
        found += [pid for pid, its_parent in parents.items() if its_parent == each]
    return found[1:]
