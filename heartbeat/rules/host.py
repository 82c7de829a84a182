"""What figures of a machine mean. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How serious a finding is."""

    OK = ""
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has found."""

    level: Level
    text: str


_RANK = (Level.OK, Level.WARNING, Level.CRITICAL)


def level_of(value: float, *, warn: float, critical: float) -> Level:
    """The level of a figure that is bad when it is high. Raises ValueError where the bounds contradict each other."""
    if not warn <= critical:
        raise ValueError(f"warn ({warn:g}) must not be above critical ({critical:g}).")
    return Level.CRITICAL if value >= critical else Level.WARNING if value >= warn else Level.OK


def worst(findings: Collection[Finding]) -> Finding:
    """The finding that matters; of several alike, all their texts."""
    level = max((finding.level for finding in findings), key=_RANK.index)
    return Finding(level, "; ".join(finding.text for finding in findings if finding.level is level))


def memory_used_percent(meminfo: str) -> float:
    """The part of the memory that is not available, out of the text of /proc/meminfo. Raises ValueError."""
    kilobytes = {}
    for line in meminfo.splitlines():
        name, _, rest = line.partition(":")
        number = rest.split()
        if number and number[0].isdecimal():
            kilobytes[name] = int(number[0])
    total, available = kilobytes.get("MemTotal", 0), kilobytes.get("MemAvailable")
    if not total or available is None:
        raise ValueError("/proc/meminfo says neither MemTotal nor MemAvailable.")
    return 100.0 * (1.0 - available / total)


def used_percent(*, total: int, free: int, available: int) -> float:
    """The part of a file system that is used, as `df` has it: what is reserved for root counts as neither."""
    used = total - free
    return 100.0 * used / (used + available) if used + available else 0.0


def days_level(days_left: float, *, warn_days: float, critical_days: float) -> Level:
    """The level of a time that runs out. Raises ValueError where the bounds contradict each other."""
    if not critical_days <= warn_days:
        raise ValueError(f"critical_days ({critical_days:g}) must not be above warn_days ({warn_days:g}).")
    return Level.CRITICAL if days_left <= critical_days else Level.WARNING if days_left <= warn_days else Level.OK
