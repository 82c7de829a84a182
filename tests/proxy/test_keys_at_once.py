import threading

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from proxy.models import ClientKey
from proxy.selectors import callers
from proxy.services import client_key_create, client_key_rotate, key_digest

ROTATIONS = 4


def all_wait() -> None:
    """Come back when all the rotations wait for the row: the first for this transaction, the others for the first."""
    others = """
        SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
        WHERE locktype = 'tuple' AND NOT granted AND datname = current_database()
    """
    with connection.cursor() as cursor:
        count = 0
        while count < ROTATIONS - 1:
            cursor.execute(others)
            (count,) = cursor.fetchone() or (0,)


@pytest.mark.usefixtures("on_postgres")
def test_rotations_at_once_come_one_after_the_other() -> None:
    row = client_key_create(name="ci", owner=User.objects.create_user("ann")).row
    keys: list[str] = []

    def rotate() -> None:
        try:
            keys.append(client_key_rotate(key_id=row.id).key)
        finally:
            connection.close()

    threads = [threading.Thread(target=rotate) for _ in range(ROTATIONS)]
    with transaction.atomic():
        ClientKey.objects.select_for_update().get()
        for thread in threads:
            thread.start()
        all_wait()
    for thread in threads:
        thread.join()

    row = ClientKey.objects.get()
    assert len(set(keys)) == ROTATIONS
    # The one before the last is the previous one, and not the key that all of them have found at first.
    assert {row.digest, row.previous_digest} < {key_digest(key) for key in keys}
    assert set(callers()) == {bytes.fromhex(row.digest), bytes.fromhex(row.previous_digest)}
