"""The admin of the storage custodian; Django needs all of it imported here."""

from storagecustodian.admin.checkpoint import CheckpointAdmin, RestoreAdmin

__all__ = ["CheckpointAdmin", "RestoreAdmin"]
