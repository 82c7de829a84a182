"""Many writers at once, on both databases."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from storagecustodian.models import AgentLine, Checkpoint
from storagecustodian.selectors import latest_of_agent
from storagecustodian.services.restoring import checkpoint_restore
from storagecustodian.services.saving import checkpoint_save
from tests.storagecustodian.factories import state

WRITERS, EACH = 6, 15


def save_some(writer: int) -> None:
    try:
        for n in range(EACH):
            checkpoint_save(agent_id="7", state=state(writer * 100 + n), label="newest")
    finally:
        connections.close_all()


@pytest.mark.usefixtures("shared_database")
def test_numbers_have_no_gaps_and_labels_one_place() -> None:
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(save_some, range(WRITERS)))
    sequences = Checkpoint.objects.order_by("sequence").values_list("sequence", flat=True)
    assert list(sequences) == list(range(1, WRITERS * EACH + 1))
    assert AgentLine.objects.get().sequence == WRITERS * EACH
    labelled = Checkpoint.objects.get(label="newest")
    assert labelled.sequence == WRITERS * EACH
    assert latest_of_agent("7").checkpoint.id == labelled.id


@pytest.mark.usefixtures("shared_database")
def test_restores_at_once_have_an_epoch_each() -> None:
    first = checkpoint_save(agent_id="7", state=state(1))

    def restore(_: int) -> int:
        try:
            return checkpoint_restore(checkpoint_id=first.id, by="ann").epoch
        finally:
            connections.close_all()

    with ThreadPoolExecutor(WRITERS) as pool:
        assert sorted(pool.map(restore, range(WRITERS))) == list(range(1, WRITERS + 1))
    assert latest_of_agent("7").checkpoint.id == first.id
