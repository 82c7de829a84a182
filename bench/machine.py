"""What the operating system says of processes and of the machine: CPU time, memory, and what the neighbours do."""

import os
import resource
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

CALM_OTHERS = 0.15
"""A sample is calm where everything that is not of the bench used less than this many cores."""


def cores() -> tuple[int, int]:
    """The core of the gateway, and the one of everything else; the same one on a machine with a single core."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def family(pid: int) -> list[int]:
    """A process and all that it has started and that still runs."""
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                waiting.extend(int(child) for child in children.read_text().split())
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its children, ended threads included, to the nanosecond."""
    total = 0.0
    for one in family(pid):
        try:
            # How Linux numbers the CPU clock of a whole process.
            total += time.clock_gettime((~one << 3) | 2)
        except OSError:
            continue
    return total


def user_and_system_seconds(pid: int) -> tuple[float, float]:
    """CPU time in the program and in the kernel on its behalf, to 1/100 s."""
    user = system = 0
    for one in family(pid):
        try:
            after_name = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        user += int(after_name[11])
        system += int(after_name[12])
    ticks = os.sysconf("SC_CLK_TCK")
    return user / ticks, system / ticks


def rss_bytes(pid: int) -> int:
    """Resident memory of a process and its children."""
    pages = 0
    for one in family(pid):
        try:
            pages += int(Path(f"/proc/{one}/statm").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return pages * os.sysconf("SC_PAGE_SIZE")


def pin(pid: int, core: int) -> None:
    """Move a process, its children and all their threads to one core."""
    for one in family(pid):
        for task in os.listdir(f"/proc/{one}/task"):
            os.sched_setaffinity(int(task), {core})


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started inside the block runs on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, slots=True)
class Noise:
    """What else the machine did during a sample, in cores (1.0 = one core all the time)."""

    others: float
    steal: float

    @property
    def calm(self) -> bool:
        """Whether the sample may be compared with other calm ones."""
        return self.others + self.steal < CALM_OTHERS

    def as_json(self) -> dict[str, float | bool]:
        """For the results file."""
        return {**asdict(self), "calm": self.calm}


class NoiseMeter:
    """Measures from its making to `read` what was done by others than the bench's own processes `pids`."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = list(pids)
        self._start = self._look()

    def read(self) -> Noise:
        """The noise since the start."""
        before, now = self._start, self._look()
        elapsed = max(now[0] - before[0], 0.001)
        busy, steal, own = (now[index] - before[index] for index in (1, 2, 3))
        return Noise(others=round(max(0.0, busy - own) / elapsed, 3), steal=round(steal / elapsed, 3))

    def _look(self) -> tuple[float, float, float, float]:
        ticks = os.sysconf("SC_CLK_TCK")
        fields = [int(text) / ticks for text in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        user, nice, system, _idle, _iowait, irq, softirq, steal = fields
        me = resource.getrusage(resource.RUSAGE_SELF)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = me.ru_utime + me.ru_stime + ended.ru_utime + ended.ru_stime + sum(map(cpu_seconds, self._pids))
        return time.monotonic(), user + nice + system + irq + softirq, steal, own
