"""The jobs of the storage custodian as tasks: each calls one service."""

from celery import shared_task

from agenthub.core.clock import utc_now
from agenthub.core.settings_store import runtime_settings
from storagecustodian.services import pruning, verifying


@shared_task
def checkpoints_prune() -> int:
    """Delete automatic checkpoints that retention does not keep; how many went."""
    keep = pruning.retention_of(runtime_settings())
    return sum(len(done.ids) for done in pruning.checkpoints_prune(keep=keep, now=utc_now()))


@shared_task
def checkpoints_verify() -> int:
    """Check the hash of every checkpoint; how many are damaged."""
    return len(verifying.checkpoints_verify().damaged)
