import pytest

from agenthub.core import versions
from agenthub.core.events import RoutingChanged, subscribe
from agenthub.core.models import ChangeCounter


@pytest.mark.django_db
def test_counters_start_at_nothing_and_grow() -> None:
    ChangeCounter.objects.all().delete()
    assert versions.read_all() == {"routing": 0, "keys": 0, "settings": 0, "agents": 0}
    versions.bump("keys")
    versions.bump("keys")
    versions.bump("routing")
    assert versions.read_all() == {"routing": 1, "keys": 2, "settings": 0, "agents": 0}


@pytest.mark.django_db
def test_this_process_is_told_after_the_commit(django_capture_on_commit_callbacks: object) -> None:
    heard: list[RoutingChanged] = []
    end = subscribe(RoutingChanged, heard.append)
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        versions.bump("routing")
        assert heard == []
    end()
    assert heard == [RoutingChanged()]
