import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from agenthub.core.clock import utc_now
from agenthub.core.events import AlertRaised, AlertResolved, publish
from heartbeat import jobs
from heartbeat.models import Alert
from heartbeat.services import alerts
from heartbeat.services.alerts import alert_acknowledge, alert_close, alert_raise, alert_resolve, alerts_prune

KEY = "key:key_0123456789ab"


def budget_reached(**changes: Any) -> bool:
    values: dict[str, Any] = {
        "rule": "budget_reached",
        "severity": "warning",
        "source": KEY,
        "summary": "ann has spent its budget.",
        "details": {"spent_usd": "5"},
    }
    return alert_raise(**values | changes)


@pytest.mark.django_db
def test_a_new_alert_fires() -> None:
    assert budget_reached(scope="2026-03")
    alert = Alert.objects.get()
    assert (alert.rule, alert.severity, alert.source, alert.scope) == ("budget_reached", "warning", KEY, "2026-03")
    assert (alert.state, alert.count, alert.details) == ("firing", 1, {"spent_usd": "5"})
    assert alert.started_at == alert.last_seen_at


@pytest.mark.django_db
def test_a_repeat_only_counts() -> None:
    budget_reached()
    first = Alert.objects.get()
    assert not budget_reached(severity="critical", summary="again", details={})
    again = Alert.objects.get()
    assert (again.count, again.severity, again.summary, again.details) == (2, "warning", first.summary, first.details)
    assert again.started_at == first.started_at
    assert again.last_seen_at > first.last_seen_at


@pytest.mark.django_db
@pytest.mark.parametrize("other", [{"rule": "budget_warning"}, {"source": "key:key_other"}, {"scope": "2026-04"}])
def test_what_tells_of_something_else_is_another_alert(other: dict[str, str]) -> None:
    assert budget_reached()
    assert budget_reached(**other)
    assert Alert.objects.count() == 2


@pytest.mark.django_db
def test_an_acknowledged_alert_goes_on_and_a_resolved_one_comes_anew() -> None:
    budget_reached()
    alert = Alert.objects.get()
    assert alert_acknowledge(alert_id=alert.id, by="ann")
    assert not alert_acknowledge(alert_id=alert.id, by="bob")
    assert not budget_reached()
    alert.refresh_from_db()
    assert (alert.state, alert.acknowledged_by, alert.count) == ("acknowledged", "ann", 2)

    assert alert_resolve(rule="budget_reached", source=KEY)
    assert not alert_resolve(rule="budget_reached", source=KEY)
    alert.refresh_from_db()
    assert (alert.state, alert.resolved_by) == ("resolved", "")
    assert alert.resolved_at is not None
    assert budget_reached()
    assert Alert.objects.filter(state="firing").count() == 1
    # The old one stays over, whoever says that it is.
    assert not alert_close(alert_id=alert.id, by="ann")
    assert not alert_acknowledge(alert_id=alert.id, by="ann")
    assert Alert.objects.filter(state="firing").count() == 1


@pytest.mark.django_db
def test_hostile_texts_and_details_are_kept_as_far_as_they_can_be() -> None:
    hostile = {"source": "key:\0" + "x" * 1_000, "summary": "\ud800" * 1_000, "scope": "s" * 1_000}
    details = {"a\0": float("nan"), "b": {"c": ["\0"]}, "d": object()}
    assert budget_reached(**hostile, details=details)
    assert not budget_reached(**hostile, details=details)
    Alert.objects.get().full_clean()
    with pytest.raises(ValueError, match="terrible"):
        budget_reached(severity="terrible")


@pytest.mark.django_db
def test_the_database_itself_keeps_to_one_that_is_open() -> None:
    budget_reached()
    row = Alert.objects.get()
    alert_acknowledge(alert_id=row.id, by="ann")
    row.pk, row.state = "alt_another", "firing"
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save(force_insert=True)


@pytest.mark.django_db(transaction=True)
def test_only_new_alerts_are_counted_by_the_metric() -> None:
    counted = alerts.alerts_total.labels("budget_reached", "warning")
    before = counted._value.get()
    budget_reached()
    budget_reached()
    assert counted._value.get() == before + 1


@pytest.mark.django_db
def test_alerts_come_by_events() -> None:
    publish(AlertRaised(rule="pool_exhausted", severity="critical", source="pool:primary", summary="Nothing left."))
    alert = Alert.objects.get()
    assert (alert.rule, alert.source, alert.details) == ("pool_exhausted", "pool:primary", {})
    publish(AlertResolved(rule="pool_exhausted", source="pool:primary"))
    publish(AlertResolved(rule="pool_exhausted", source="pool:other"))
    alert.refresh_from_db()
    assert alert.state == "resolved"


@pytest.mark.django_db
def test_resolved_ones_go_after_thirty_days_and_others_never() -> None:
    budget_reached()
    for days, scope in ((29, "young"), (31, "old"), (400, "older")):
        budget_reached(scope=scope)
        alert_resolve(rule="budget_reached", source=KEY, scope=scope)
        Alert.objects.filter(scope=scope).update(resolved_at=utc_now() - timedelta(days=days))
    Alert.objects.filter(scope="").update(last_seen_at=utc_now() - timedelta(days=400))
    assert alerts_prune(now=utc_now(), batch=1) == 2
    assert jobs.alerts_prune() == 0
    assert set(Alert.objects.values_list("scope", flat=True)) == {"", "young"}


def at_once(work: Callable[[], bool], times: int) -> list[bool]:
    """What `work` answers in as many threads, which begin together."""
    together = threading.Barrier(times)
    answers: list[bool] = []

    def run() -> None:
        together.wait()
        try:
            answers.append(work())
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.usefixtures("on_postgres")
def test_raised_by_many_at_once_it_is_one() -> None:
    for number in range(10):
        answers = at_once(lambda scope=str(number): budget_reached(scope=scope), 8)  # type: ignore[misc]
        assert sorted(answers) == [False] * 7 + [True]
    assert list(Alert.objects.values_list("count", flat=True)) == [8] * 10


@pytest.mark.usefixtures("on_postgres")
def test_the_second_of_two_waits_until_the_first_is_committed() -> None:
    inserted, answers = threading.Event(), list[bool]()

    def second() -> None:
        inserted.wait()
        answers.append(budget_reached())
        connection.close()

    thread = threading.Thread(target=second)
    thread.start()
    with transaction.atomic():
        assert budget_reached()
        inserted.set()
        waits_for_lock()
    thread.join()
    assert answers == [False]
    assert Alert.objects.get().count == 2


def waits_for_lock() -> None:
    """Come back when another connection waits for a lock that this one holds."""
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    with connection.cursor() as cursor:
        cursor.execute(waiting)
        while cursor.fetchone() is None:
            cursor.execute(waiting)
