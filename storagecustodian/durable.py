"""Transactions whose end is an acknowledgement: what they wrote survives a loss of power."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction

from agenthub.core.errors import CheckpointsFull

_DISK_FULL = "53100"  # of PostgreSQL


@contextmanager
def durable() -> Iterator[None]:
    """One transaction that is on the disk when the block is over. Raises CheckpointsFull.

    SQLite syncs each commit only where it is told to, and can be told only outside a transaction; elsewhere in the
    house a commit is as safe as the last checkpoint of its write-ahead log. Inside an outer transaction, that one's
    end decides.
    """
    told = connection.vendor == "sqlite" and not connection.in_atomic_block
    if told:
        _synchronous("FULL")
    try:
        with transaction.atomic():
            yield
    except OperationalError as problem:
        if _is_full(problem):
            raise CheckpointsFull("The database's disk is full; nothing of the checkpoint was kept.") from None
        raise
    finally:
        if told:
            _synchronous("NORMAL")


def _synchronous(how: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA synchronous={how}")


def _is_full(problem: OperationalError) -> bool:
    return getattr(problem.__cause__, "sqlstate", None) == _DISK_FULL or "disk is full" in str(problem)
