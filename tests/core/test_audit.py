import pytest
from auditlog.models import LogEntry

from agenthub.core.clock import utc_now
from agenthub.core.settings_store import setting_set
from providers.rules.table import ErrorKind
from providers.services.backends import BackendData, backend_error, backend_error_clear, backend_update
from providers.services.cooldowns import cooldown_clear, cooldown_start
from providers.services.keys import keys_rotate
from tests.factories import make_backend

pytestmark = pytest.mark.django_db


def newest() -> LogEntry:
    entry = LogEntry.objects.order_by("-id").first()
    assert entry is not None
    return entry


def test_the_first_start_is_nobodys_change() -> None:
    assert not LogEntry.objects.exists()


def test_a_change_says_what_from_and_what_to() -> None:
    backend = make_backend()
    backend_update(backend_id=backend.id, data=BackendData(values={"rpm_limit": 7}))
    assert newest().changes_dict == {"rpm_limit": ["40", "7"]}
    setting_set(key="queue_max_depth", value=7)
    assert newest().changes_dict["value"] == ["", "7"] or newest().changes_dict["value"] == ["None", "7"]


def test_secrets_are_only_said_to_have_changed() -> None:
    backend = make_backend()
    backend_update(backend_id=backend.id, data=BackendData(api_key="sk-another-key-1234"))
    assert newest().changes_dict == {"api_key_sealed": ["changed", "changed"]}


def test_what_agenthub_finds_out_is_not_in_the_trail() -> None:
    backend, now = make_backend(), utc_now()
    before = LogEntry.objects.count()
    backend_error(backend_id=backend.id, kind=ErrorKind.QUOTA, reason="402")
    backend_error_clear(backend.id)
    cooldown_start(
        backend_id=backend.id,
        until=now.replace(year=now.year + 1),
        started_at=now,
        consecutive_count=1,
        reason="rate_limited",
        response_summary="",
    )
    cooldown_clear(backend.id)
    keys_rotate()
    assert LogEntry.objects.count() == before


def test_a_change_without_a_difference_leaves_no_entry() -> None:
    backend = make_backend()
    before = LogEntry.objects.count()
    backend_update(backend_id=backend.id, data=BackendData(values={"rpm_limit": 40}))
    assert LogEntry.objects.count() == before
