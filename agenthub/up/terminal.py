"""SIGHUP has two meanings: somebody asks for a reload, or the terminal that the hub was started at has been closed."""

import contextlib
import os


class Terminal:
    """The terminal that controls this process, if there is one."""

    def __init__(self) -> None:
        self._had = _is_there()

    def gone(self) -> bool:
        """Whether there was a terminal when this was made, and there is none any more."""
        return self._had and not _is_there()


def _is_there() -> bool:
    with contextlib.suppress(OSError):
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
        return True
    return False
