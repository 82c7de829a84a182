"""Figures of a running process, out of /proc."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sockets:
    """The open sockets of a process."""

    local: Counter[int]  # IPv4 connections by the port at this end
    remote: Counter[int]  # and by the port at the other
    others: int  # of other families, and those that are connected to nothing any more


def sockets_of(pid: int) -> Sockets:
    """The sockets of a process, whatever state they are in."""
    inodes = set(_inodes(pid))
    local: Counter[int] = Counter()
    remote: Counter[int] = Counter()
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[9] in inodes:
            inodes.discard(fields[9])
            local[_port(fields[1])] += 1
            remote[_port(fields[2])] += 1
    return Sockets(local, remote, len(inodes))


def memory_bytes(pid: int) -> int:
    """The memory of a process that is its own, without what it has mapped of files."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [found] = [line.split() for line in lines if line.startswith("RssAnon:")]
    return int(found[1]) * 1024


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def _inodes(pid: int) -> Iterator[str]:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except OSError:
            continue  # closed meanwhile
        if target.startswith("socket:["):
            yield target[8:-1]
