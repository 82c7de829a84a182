import threading

import pytest
from django.contrib.auth.models import User
from django.db import connection

from proxy.models import ClientKey
from proxy.selectors import callers
from proxy.services import client_key_create, client_key_rotate, key_digest


@pytest.mark.usefixtures("on_postgres")
def test_rotations_at_once_come_one_after_the_other() -> None:
    row = client_key_create(name="ci", owner=User.objects.create_user("ann")).row
    together = threading.Barrier(4)
    keys: list[str] = []

    def rotate() -> None:
        together.wait()
        try:
            keys.append(client_key_rotate(key_id=row.id).key)
        finally:
            connection.close()

    threads = [threading.Thread(target=rotate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    row = ClientKey.objects.get()
    assert len(set(keys)) == 4
    # The last two are good, and the one before the last is the previous one, not one that was read too early.
    assert {row.digest, row.previous_digest} < {key_digest(key) for key in keys}
    assert set(callers()) == {bytes.fromhex(row.digest), bytes.fromhex(row.previous_digest)}
