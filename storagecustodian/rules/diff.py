"""What differs between two states."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MOST_CHANGES = 1_000


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; `before` is meaningless where something was added, `after` where it was removed."""

    path: str
    kind: str  # "added", "removed" or "changed"
    before: Any = None
    after: Any = None


@dataclass(frozen=True, slots=True)
class Diff:
    """The differences, and whether there are more than are shown."""

    changes: tuple[Change, ...]
    more: bool


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> Diff:
    """What differs, in the order of the states; lists are compared by place, and then by what follows at their end."""
    found: list[Change] = []
    for change in _changes(before, after, ""):
        if len(found) == MOST_CHANGES:
            return Diff(tuple(found), more=True)
        found.append(change)
    return Diff(tuple(found), more=False)


def _changes(before: Any, after: Any, path: str) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _of_objects(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _of_lists(before, after, path)
    # 1, 1.0 and true are equal in Python and not in JSON.
    elif before != after or type(before) is not type(after):
        yield Change(path, "changed", before, after)


def _of_objects(before: Mapping[str, Any], after: Mapping[str, Any], path: str) -> Iterator[Change]:
    for name, value in before.items():
        below = f"{path}.{name}" if path else name
        if name in after:
            yield from _changes(value, after[name], below)
        else:
            yield Change(below, "removed", before=value)
    for name, value in after.items():
        if name not in before:
            yield Change(f"{path}.{name}" if path else name, "added", after=value)


def _of_lists(before: list[Any], after: list[Any], path: str) -> Iterator[Change]:
    for place, (old, new) in enumerate(zip(before, after, strict=False)):
        yield from _changes(old, new, f"{path}[{place}]")
    for place in range(len(after), len(before)):
        yield Change(f"{path}[{place}]", "removed", before=before[place])
    for place in range(len(before), len(after)):
        yield Change(f"{path}[{place}]", "added", after=after[place])
