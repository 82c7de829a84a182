"""Processes that the bench starts: pinned to a core, with a log of their own, stopped at the end."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.machine import on_core

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "bench" / ".work"
"""All that the bench writes but docs/benchmarks.md; git ignores it."""

_OURS = ("AGENTHUB_", "SIDECAR_", "DATABASE_", "REDIS_", "LOG_", "DJANGO_", "PROMETHEUS_")


class CantRun(Exception):
    """A part of the bench can't be run here; the message says why."""


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without what would point a hub at somebody's real data."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**kept, "PYTHONPATH": str(ROOT), **(extra or {})}


@contextmanager
def only_one() -> Iterator[None]:
    """One bench at a time: two would measure each other. Raises CantRun."""
    WORK.mkdir(exist_ok=True)
    with (WORK / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CantRun("Another bench is running here. Wait for its end.") from None
        yield


def run_folder(name: str) -> Path:
    """An empty folder for one part of this run."""
    folder = WORK / "run" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    return folder


class Process:
    """One started program."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        core: int,
        log: Path,
        environ: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.log = log
        with log.open("ab") as output, on_core(core):
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=dict(environ) if environ is not None else clean_environment(),
                pass_fds=pass_fds,
            )
        self.pid = self._process.pid

    def wait_for_port(self, port: int, *, seconds: float = 60) -> None:
        """Return when the program accepts connections. Raises CantRun with the end of its log."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise CantRun(f"{self._name} ended with {self._process.returncode}:\n{self._last_words()}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        raise CantRun(f"{self._name} does not listen on port {port} after {seconds:g} s:\n{self._last_words()}")

    def stop(self) -> None:
        """End it, kindly at first."""
        if self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def _name(self) -> str:
        return self.log.stem

    def _last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
