"""What a checkpoint of a LangGraph thread is built from."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """A checkpoint among its relatives."""

    id: str
    parent: str
    versions: Mapping[str, str]  # of channels whose value has a row, if it has a value
    inline: frozenset[str]  # channels whose value is inside
    delta: frozenset[str]  # channels whose value is what was written since the last snapshot


def ancestors_needed(nodes: Mapping[str, Node], kept: Iterable[str], stored: Collection[tuple[str, str]]) -> set[str]:
    """The ancestors that the delta channels of kept checkpoints are built from.

    A delta channel has a value at its snapshots only; between them it is the last snapshot and the writes since. So
    every ancestor counts until each such channel has met a stored value, or to the beginning where one has none.
    """
    needed: set[str] = set()
    for start in kept:
        waiting = {name for name in nodes[start].delta if not _has_value(nodes[start], name, stored)}
        parent, seen = nodes[start].parent, {start}
        while waiting and parent in nodes and parent not in seen:
            seen.add(parent)
            needed.add(parent)
            waiting = {name for name in waiting if not _has_value(nodes[parent], name, stored)}
            parent = nodes[parent].parent
    return needed


def _has_value(node: Node, channel: str, stored: Collection[tuple[str, str]]) -> bool:
    return channel in node.inline or (channel, node.versions.get(channel, "")) in stored
