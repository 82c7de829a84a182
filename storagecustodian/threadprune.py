"""Letting go of checkpoints of one namespace of a thread, with what nothing else holds."""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from storagecustodian.models import GraphCheckpoint, GraphValue, GraphWrite
from storagecustodian.rules.graphs import Node, ancestors_needed

BATCH = 500


def thread_prune(owner: str, thread_id: str, namespace: str, chosen: Collection[str] | None) -> int:
    """Delete the chosen checkpoints, or with None all but the newest; how many went. Inside a transaction.

    What a kept one is built from stays: the history of its delta channels back to their last snapshots.
    """
    place = {"owner": owner, "thread_id": thread_id, "namespace": namespace}
    rows = GraphCheckpoint.objects.filter(**place).order_by("-checkpoint_id")
    nodes = [_node(*row) for row in rows.values_list("checkpoint_id", "parent_id", "metadata", "versions", "inline")]
    if not nodes:
        return 0
    kept_for_themselves = [node.id for node in nodes if node.id not in chosen] if chosen is not None else [nodes[0].id]
    stored = set(GraphValue.objects.filter(**place).values_list("channel", "version"))
    kept = set(kept_for_themselves)
    if chosen is None:
        kept |= ancestors_needed({node.id: node for node in nodes}, kept_for_themselves, stored)
    gone = [node for node in nodes if node.id not in kept]
    if not gone:
        return 0
    ids = [node.id for node in gone]
    for some in _batches(ids):
        GraphWrite.objects.filter(**place, checkpoint_id__in=some).delete()
        GraphCheckpoint.objects.filter(**place, checkpoint_id__in=some).delete()
        # Whoever walks up from one that was kept finds its beginning, not a name of nothing.
        GraphCheckpoint.objects.filter(**place, parent_id__in=some).update(parent_id="")
    held = {pair for node in nodes if node.id in kept for pair in node.versions.items()}
    _forget_values(place, {pair for node in gone for pair in node.versions.items()} - held)
    return len(gone)


def _node(checkpoint_id: str, parent_id: str, metadata: str, versions: str, inline: str) -> Node:
    counters = json.loads(metadata).get("counters_since_delta_snapshot") or {}
    return Node(checkpoint_id, parent_id, json.loads(versions), frozenset(json.loads(inline)), frozenset(counters))


def _forget_values(place: Mapping[str, Any], pairs: Iterable[tuple[str, str]]) -> None:
    by_channel: dict[str, list[str]] = {}
    for channel, version in pairs:
        by_channel.setdefault(channel, []).append(version)
    for channel, versions in by_channel.items():
        for some in _batches(versions):
            GraphValue.objects.filter(**place, channel=channel, version__in=some).delete()


def _batches(items: list[str]) -> Iterable[list[str]]:
    return (items[first : first + BATCH] for first in range(0, len(items), BATCH))
