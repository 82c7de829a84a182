"""What is looked at before anything starts: each finding is one line that says what to do."""

import errno
import shutil
import socket
import time
from pathlib import Path

from agenthub.core.environment import Environment
from agenthub.core.secrets import private_folder

BACKLOG = 2048
LEAST_FREE_BYTES = 100 * 1024 * 1024
UNFINISHED_RESTORE = "restore.unfinished"
"""The file of a restore (heartbeat/backups/restoring.py) that has not come to its end."""

UNCLEAN_WAIT_SECONDS = 5.0
"""How long the port may still belong to the children of a hub that was killed."""


class CantStart(Exception):
    """The hub can't start; the message is for people."""


def check_data_folder(folder: Path) -> None:
    """That the data folder is there, private, and has room. Raises CantStart."""
    try:
        private_folder(folder)
        free = shutil.disk_usage(folder).free
    except OSError as problem:
        raise CantStart(
            f"The data folder {folder} can't be used: {problem.strerror}. Give another one in AGENTHUB_DATA_DIR."
        ) from None
    if (folder / UNFINISHED_RESTORE).exists():
        raise CantStart(
            f"A restore into {folder} was not finished. Run “agenthub restore” again, with the same backup or another."
        )
    if free < LEAST_FREE_BYTES:
        raise CantStart(
            f"The disk of the data folder {folder} has {free // 1024**2} MB left, and a hub needs "
            f"{LEAST_FREE_BYTES // 1024**2}. Make room, or give another folder in AGENTHUB_DATA_DIR."
        )


def bind(environment: Environment, *, wait: bool) -> socket.socket:
    """The socket that all web processes listen on. Raises CantStart.

    With `wait`, a port that is taken is tried again for a moment: a hub that was killed leaves children behind, which
    end by themselves.
    """
    deadline = time.monotonic() + (UNCLEAN_WAIT_SECONDS if wait else 0)
    while True:
        try:
            return _bound(environment.host, environment.port)
        except OSError as problem:
            if problem.errno == errno.EADDRINUSE and time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            raise CantStart(_why_not("", environment.host, environment.port, problem)) from None


def check_metrics_port(environment: Environment) -> None:
    """That the metrics endpoint can have its port. Raises CantStart."""
    try:
        _bound(environment.metrics_host, environment.metrics_port).close()
    except OSError as problem:
        raise CantStart(_why_not("METRICS_", environment.metrics_host, environment.metrics_port, problem)) from None


def _bound(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(address[:2], family=family, backlog=BACKLOG)


def _why_not(which: str, host: str, port: int, problem: OSError) -> str:
    variables = f"AGENTHUB_{which}HOST and AGENTHUB_{which}PORT"
    if problem.errno == errno.EADDRINUSE:
        return f"Port {port} of {host} is taken by another program. Stop it, or give another AGENTHUB_{which}PORT."
    if problem.errno == errno.EACCES:
        return f"This user may not bind port {port} of {host}. Give an AGENTHUB_{which}PORT above 1023."
    return f"Port {port} of {host} can't be bound: {problem.strerror or problem}. Check {variables}."
