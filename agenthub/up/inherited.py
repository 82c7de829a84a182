"""What a child of `agenthub up` inherits: its parent's lifeline, a pipe to say how it is, and for web processes the
listening socket, the gate that opens when the database is prepared, and the bell that tells a stop of the whole hub
from that of one process.
"""

import contextlib
import os
import select
import signal
import socket
import threading
from collections.abc import Mapping

LISTEN_VARIABLE = "AGENTHUB_LISTEN_FD"
STATUS_VARIABLE = "AGENTHUB_STATUS_FD"
LIFELINE_VARIABLE = "AGENTHUB_LIFELINE_FD"
GATE_VARIABLE = "AGENTHUB_GATE_FD"
BELL_VARIABLE = "AGENTHUB_BELL_FD"

READY = "ready"
STOPPING = "stopping"


def listening_socket(environ: Mapping[str, str]) -> socket.socket:
    """The socket that the parent has bound."""
    return socket.socket(fileno=int(environ[LISTEN_VARIABLE]))


def wait_at_gate(environ: Mapping[str, str]) -> None:
    """Come back when the parent has prepared the database; until then a process may load its code, and no more."""
    handle = environ.get(GATE_VARIABLE)
    if handle is not None:
        # Nobody ever writes: the parent opens the gate by closing its end, for this process and those after it.
        os.read(int(handle), 1)


def hub_stops(environ: Mapping[str, str]) -> bool:
    """Whether the whole hub stops, and not only this process, in whose place another one serves."""
    handle = environ.get(BELL_VARIABLE)
    # Nobody ever writes: the parent rings by closing its end, before it sends any signal, or by being gone.
    return handle is None or bool(select.select([int(handle)], [], [], 0)[0])


def tell(environ: Mapping[str, str], word: str, seconds: float = 0) -> None:
    """Tell the parent, if there is one: READY, or STOPPING and the seconds that this may take."""
    handle = environ.get(STATUS_VARIABLE)
    if handle is not None:
        with contextlib.suppress(OSError):
            os.write(int(handle), f"{word} {seconds:g}\n".encode())


def follow_parent(environ: Mapping[str, str]) -> None:
    """Stop this process as by SIGTERM when its parent is gone, however that ended: nothing stays behind."""
    handle = environ.get(LIFELINE_VARIABLE)
    if handle is None:
        return

    def wait() -> None:
        # Nobody ever writes: the read ends when the last holder of the other end, the parent, is gone.
        with contextlib.suppress(OSError):
            os.read(int(handle), 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
