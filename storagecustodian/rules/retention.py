"""Which checkpoints of one agent may go."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What is kept of automatic checkpoints."""

    count: int  # the newest of each task, at least 1
    days: float = 0  # 0: any age
    size_bytes: int = 0  # of an agent; 0: any size

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"At least the newest checkpoint is kept; {self.count} is too few.")
        if self.days < 0 or self.size_bytes < 0:
            raise ValueError("Ages and sizes can't be negative.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A checkpoint as retention sees it."""

    id: str
    task_id: str
    sequence: int
    size: int  # bytes on the disk
    created_at: datetime
    automatic: bool
    protected: bool  # the head, a labelled or pinned one, or one being restored


def prunable(checkpoints: Iterable[Kept], keep: Retention, *, now: datetime) -> list[Kept]:
    """Those that go, oldest first."""
    newest_first = sorted(checkpoints, key=lambda one: -one.sequence)
    seen: defaultdict[str, int] = defaultdict(int)
    total = sum(one.size for one in newest_first if one.protected)
    going = []
    for one in newest_first:
        if not one.automatic:
            continue
        seen[one.task_id] += 1
        if one.protected:
            continue
        old = keep.days > 0 and one.created_at < now - timedelta(days=keep.days)
        large = keep.size_bytes > 0 and total + one.size > keep.size_bytes
        if seen[one.task_id] > keep.count or old or large:
            going.append(one)
        else:
            total += one.size
    return going[::-1]
