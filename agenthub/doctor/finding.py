"""What `agenthub doctor` finds."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what it is like, and what to do about it where it is not well."""

    check: str
    level: Level
    what: str
    advice: str = ""


def ok(check: str, what: str) -> Finding:
    """It is well."""
    return Finding(check, "ok", what)


def warning(check: str, what: str, advice: str) -> Finding:
    """It works, but will not always, or is not as safe as it could be."""
    return Finding(check, "warning", what, advice)


def failed(check: str, what: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(check, "failed", what, advice)


def skipped(check: str, what: str) -> Finding:
    """There is nothing to look at."""
    return Finding(check, "skipped", what)
