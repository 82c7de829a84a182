"""Private PostgreSQL and Redis servers of one test run: started at the first need, shared by all its processes.

The process that runs the session makes a folder and puts its name into the environment; whoever needs a server first
starts it under a lock and writes its address there; the session's process stops what was started.
"""

import fcntl
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import redis

FOLDER_VARIABLE = "TEST_SERVERS_DIR"
START_SECONDS = 30
_POSTGRES_FOLDERS = "/usr/lib/postgresql/*/bin"
_started: list["subprocess.Popen[bytes]"] = []
"""Kept, because the servers outlive the functions that start them."""


class Missing(Exception):
    """A server that this machine can't run; the message is the reason of the skip."""


def make_folder() -> Path:
    """The folder of this test run, made by the process that runs the session."""
    folder = Path(tempfile.mkdtemp(prefix="agenthub-servers-"))
    folder.chmod(0o755)
    os.environ[FOLDER_VARIABLE] = str(folder)
    return folder


def stop_all(folder: Path) -> None:
    """Stop every server that was started for this run, and remove the folder."""
    for file in folder.glob("*.json"):
        with suppress(ProcessLookupError):
            _stop(json.loads(file.read_text())["pid"])
    shutil.rmtree(folder, ignore_errors=True)
    os.environ.pop(FOLDER_VARIABLE, None)


def postgres_url() -> str:
    """The address of a PostgreSQL server whose user may create databases: TEST_DATABASE_URL, or a private one."""
    return os.environ.get("TEST_DATABASE_URL") or _shared("postgres", _start_postgres)


def redis_url() -> str:
    """The address of a Redis server: TEST_REDIS_URL, or a private one. Tests use keys of their own; nobody flushes."""
    return os.environ.get("TEST_REDIS_URL") or _shared("redis", _start_redis)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has bound at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _shared(name: str, start: Callable[[Path], tuple[int, str]]) -> str:
    folder = Path(os.environ[FOLDER_VARIABLE])
    file = folder / f"{name}.json"
    with _locked(folder / f"{name}.lock"):
        if not file.exists():
            pid, url = start(folder / name)
            file.write_text(json.dumps({"pid": pid, "url": url}))
        return str(json.loads(file.read_text())["url"])


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _binary(name: str) -> str:
    found = shutil.which(name)
    candidates = [found] if found else sorted(str(path) for path in Path("/").glob(f"{_POSTGRES_FOLDERS[1:]}/{name}"))
    if not candidates:
        raise Missing(f"{name} is not installed on this machine")
    return candidates[-1]


class PrivatePostgres:
    """A PostgreSQL server in a folder, which may be stopped and started again on its port."""

    def __init__(self, folder: Path) -> None:
        """Make its data. Raises Missing."""
        initdb, self._program = _binary("initdb"), _binary("postgres")
        self.folder = folder
        self.pid = 0
        folder.mkdir()
        user = _unprivileged(folder)
        self._identity: dict[str, object] = (
            {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        )
        subprocess.run(
            [initdb, "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=folder,
            **self._identity,  # type: ignore[call-overload]
        )
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Come back when it answers."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "max_connections": 200,
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
        }
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        process = _spawn([self._program, "-D", str(self.folder / "data"), *settings], self.folder, self._identity)
        self.pid = process.pid

        def answers() -> None:
            psycopg.connect(self.url, connect_timeout=2).close()

        _await(answers, psycopg.OperationalError, process, self.folder)

    def stop(self) -> None:
        """Come back when it has ended; its clients are cut off."""
        _stop(self.pid)


@contextmanager
def private_postgres() -> Iterator[PrivatePostgres]:
    """A server that only one test knows. Raises Missing."""
    folder = Path(tempfile.mkdtemp(prefix="agenthub-postgres-"))
    folder.chmod(0o755)
    try:
        server = PrivatePostgres(folder / "server")
        server.start()
        try:
            yield server
        finally:
            with suppress(ProcessLookupError):
                server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start_postgres(folder: Path) -> tuple[int, str]:
    server = PrivatePostgres(folder)
    server.start()
    return server.pid, server.url


def _start_redis(folder: Path) -> tuple[int, str]:
    binary = _binary("redis-server")
    folder.mkdir()
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    process = _spawn([binary, *options], folder, {})
    client = redis.Redis(port=port)
    _await(client.ping, redis.ConnectionError, process, folder)
    client.close()
    return process.pid, f"redis://127.0.0.1:{port}/0"


def _unprivileged(folder: Path) -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root, so root runs it as somebody else, who then owns the folder."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            os.chown(folder, user.pw_uid, user.pw_gid)
            return user
    raise Missing("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


def _spawn(command: list[str], folder: Path, identity: dict[str, object]) -> "subprocess.Popen[bytes]":
    with (folder / "server.log").open("wb") as log:
        process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
            command, stdout=log, stderr=subprocess.STDOUT, cwd=folder, start_new_session=True, **identity
        )
    _started.append(process)
    return process


def _await(
    ask: Callable[[], object], not_yet: type[Exception], process: "subprocess.Popen[bytes]", folder: Path
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            ask()
            return
        except not_yet:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((folder / "server.log").read_text()) from None
            time.sleep(0.05)


def _stop(pid: int) -> None:
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)


def database_url(server: str, name: str) -> str:
    """The address of database `name` on the server of another address."""
    return server.partition("?")[0].rpartition("/")[0] + f"/{name}"
