from datetime import datetime, timedelta

import pytest

from agenthub.core import versions
from agenthub.core.clock import utc_now
from providers.models import Backend, CooldownEvent
from providers.rules.table import ErrorKind
from providers.services.backends import backend_enable, backend_error, backend_recovered
from providers.services.cooldowns import cooldown_clear, cooldown_start, cooldowns_expire
from tests.factories import API_KEY, make_backend


@pytest.fixture(params=[pytest.param("sqlite", marks=pytest.mark.django_db), "postgresql"], autouse=True)
def database(request: pytest.FixtureRequest) -> None:
    if request.param == "postgresql":
        request.getfixturevalue("on_postgres")


def start(backend: Backend, seconds: float, *, at: datetime, count: int = 1, reason: str = "rate_limited") -> bool:
    return cooldown_start(
        backend_id=backend.id,
        until=at + timedelta(seconds=seconds),
        started_at=at,
        consecutive_count=count,
        reason=reason,
        response_summary="slow down",
    )


def test_a_cooldown_starts() -> None:
    backend, now, before = make_backend(), utc_now(), versions.read_all()["routing"]
    assert start(backend, 7, at=now)

    backend.refresh_from_db()
    assert (backend.status, backend.consecutive_429_count) == ("cooling", 1)
    assert backend.cooldown_until == now + timedelta(seconds=7)
    event = CooldownEvent.objects.get()
    assert (event.backend_id, event.backend_name, event.cooldown_seconds) == (backend.id, "one", 7)
    assert (event.reason, event.ended_at) == ("rate_limited", None)
    assert versions.read_all()["routing"] > before


def test_many_that_get_429_at_once_make_one_event() -> None:
    backend, now = make_backend(), utc_now()
    assert [start(backend, 7, at=now) for _ in range(20)] == [True] + [False] * 19
    assert CooldownEvent.objects.count() == 1


def test_a_later_end_extends_and_an_earlier_one_changes_nothing() -> None:
    backend, now = make_backend(), utc_now()
    start(backend, 30, at=now)
    assert start(backend, 60, at=now + timedelta(seconds=5), count=2)
    assert not start(backend, 10, at=now + timedelta(seconds=6), count=3)

    backend.refresh_from_db()
    event = CooldownEvent.objects.get()
    assert backend.cooldown_until == event.until == now + timedelta(seconds=65)
    assert (event.cooldown_seconds, event.consecutive_count, backend.consecutive_429_count) == (65, 2, 2)


def test_a_cooldown_after_one_that_had_passed_is_another_event() -> None:
    backend, now = make_backend(), utc_now()
    start(backend, 5, at=now)
    start(backend, 10, at=now + timedelta(seconds=6), count=2)

    second, first = CooldownEvent.objects.all()
    assert first.ended_at == now + timedelta(seconds=5)
    assert (second.ended_at, second.cooldown_seconds) == (None, 10)


def test_failures_are_told_apart_and_do_not_count_as_429() -> None:
    backend = make_backend()
    start(backend, 5, at=utc_now(), count=3, reason="failures")
    backend.refresh_from_db()
    assert (backend.status, backend.consecutive_429_count) == ("cooling", 0)
    assert CooldownEvent.objects.get().reason == "failures"


def test_expiry_ends_what_has_passed_and_keeps_the_count() -> None:
    over, lasts, now = make_backend("over"), make_backend("lasts"), utc_now()
    start(over, 5, at=now)
    start(lasts, 50, at=now)

    assert cooldowns_expire(now + timedelta(seconds=6)) == 1
    assert cooldowns_expire(now + timedelta(seconds=6)) == 0
    over.refresh_from_db()
    lasts.refresh_from_db()
    assert (over.status, over.cooldown_until, over.consecutive_429_count) == ("healthy", None, 1)
    assert lasts.status == "cooling"
    assert CooldownEvent.objects.get(backend_id=over.id).ended_at == now + timedelta(seconds=5)


def test_only_a_success_resets_the_count() -> None:
    backend, now = make_backend(), utc_now()
    start(backend, 5, at=now, count=3)
    assert backend_recovered(backend.id)
    assert not backend_recovered(backend.id)
    backend.refresh_from_db()
    assert (backend.consecutive_429_count, backend.status, backend.reset_count) == (0, "cooling", 0)


def test_an_operator_ends_a_cooldown_at_once() -> None:
    backend = make_backend()
    start(backend, 500, at=utc_now(), count=4)
    assert cooldown_clear(backend.id)
    backend.refresh_from_db()
    assert (backend.status, backend.cooldown_until, backend.consecutive_429_count) == ("healthy", None, 0)
    assert backend.reset_count == 1
    assert CooldownEvent.objects.get().ended_at is not None


def test_a_cooldown_hides_neither_an_error_nor_being_disabled() -> None:
    broken, off = make_backend("broken"), make_backend("off")
    backend_error(backend_id=broken.id, kind=ErrorKind.QUOTA, reason="spent")
    backend_enable(off.id, enabled=False)
    for backend, status in ((broken, "error"), (off, "disabled")):
        start(backend, 60, at=utc_now())
        backend.refresh_from_db()
        assert backend.status == status


def test_a_disabled_backend_that_is_enabled_goes_on_cooling() -> None:
    backend = make_backend()
    start(backend, 60, at=utc_now())
    backend_enable(backend.id, enabled=False)
    backend_enable(backend.id, enabled=True)
    backend.refresh_from_db()
    assert backend.status == "cooling"


def test_the_log_holds_no_secret_and_one_short_line() -> None:
    backend, now = make_backend(), utc_now()
    cooldown_start(
        backend_id=backend.id,
        until=now + timedelta(seconds=1),
        started_at=now,
        consecutive_count=1,
        reason="rate_limited",
        response_summary=f"key {API_KEY}\nof Bearer abc.def is slow\0 " + "x" * 500,
    )
    summary = CooldownEvent.objects.get().response_summary
    assert summary.startswith("key [secret] of [secret] is slow xxx")
    assert len(summary) == 200


def test_a_backend_that_is_gone_cools_no_more() -> None:
    backend = make_backend()
    backend.delete()
    assert not start(backend, 5, at=utc_now())
    assert not cooldown_clear(backend.id)
    assert not CooldownEvent.objects.exists()
