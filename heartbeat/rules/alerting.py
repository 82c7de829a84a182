"""What an alert is. Pure."""

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

LONGEST_RULE = 64
LONGEST_SOURCE = 128
LONGEST_SUMMARY = 300
DEEPEST_DETAILS = 8
LONGEST_DETAIL = 1_000
MOST_DETAILS = 100


class Severity(StrEnum):
    """How bad it is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class AlertState(StrEnum):
    """Where an alert stands."""

    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"  # somebody has seen it, and it is not over
    RESOLVED = "resolved"


def fingerprint(rule: str, source: str, scope: str) -> str:
    """32 hex characters that are the same for alerts that tell of the same thing, and different for others."""
    # Lengths between them, so that no text can run over into its neighbour.
    text = "".join(f"{len(part)}:{part}" for part in (rule, source, scope))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def text_kept(text: str, longest: int) -> str:
    """A text as every database takes it, cut where it is too long."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")[:longest]


def details_kept(details: Mapping[str, Any]) -> dict[str, Any]:
    """Details as every database takes them: what is no JSON becomes text, and what is too much is left out."""
    return {
        text_kept(str(name), LONGEST_SOURCE): _kept(value, DEEPEST_DETAILS)
        for name, value in list(details.items())[:MOST_DETAILS]
    }


def _kept(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and value - value == 0:  # JSON has no infinities and no NaN
        return value
    if isinstance(value, Mapping) and depth:
        return {text_kept(str(name), LONGEST_SOURCE): _kept(inner, depth - 1) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth:
        return [_kept(inner, depth - 1) for inner in list(value)[:MOST_DETAILS]]
    return text_kept(str(value), LONGEST_DETAIL)
