"""Reading the database as it is at one instant."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def one_view() -> Iterator[None]:
    """All reads inside see what had been committed when the first of them began, whatever others write meanwhile.

    It keeps no writer waiting. On PostgreSQL it can't stand inside a transaction; on SQLite it may.
    """
    if connection.vendor == "postgresql":
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
    elif connection.in_atomic_block:  # every transaction of SQLite has one view
        yield
    else:
        with connection.cursor() as cursor:
            # By hand, since the transactions of the house begin as writers (core/databases.py).
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")
