"""Values that a checkpoint must not keep, by their paths."""

from collections.abc import Mapping, Sequence
from typing import Any

from agenthub.core.statepaths import ANY

REDACTED = "[redacted]"


def redacted(value: Any, paths: Sequence[tuple[str, ...]]) -> Any:
    """The value with what stands at any of the paths replaced; what lies on no path is shared, not copied."""
    if not paths:
        return value
    if () in paths:
        return REDACTED
    if isinstance(value, Mapping):
        return {name: redacted(inner, _below(paths, name)) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(inner, _below(paths, str(place))) for place, inner in enumerate(value)]
    return value


def _below(paths: Sequence[tuple[str, ...]], name: object) -> list[tuple[str, ...]]:
    return [path[1:] for path in paths if path and path[0] in (name, ANY)]
