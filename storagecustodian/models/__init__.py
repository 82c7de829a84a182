"""The rows of the storage custodian; Django needs them all imported here."""

from storagecustodian.models.checkpoint import AgentLine, Checkpoint, Restore
from storagecustodian.models.graph import GraphCheckpoint, GraphValue, GraphWrite

__all__ = ["AgentLine", "Checkpoint", "GraphCheckpoint", "GraphValue", "GraphWrite", "Restore"]
