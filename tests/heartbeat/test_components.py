"""Components beat, report, expire and come back; each rule on both databases where its statement differs."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agenthub.core.clock import epoch_seconds, utc_now
from agenthub.core.errors import Conflict
from heartbeat.models import Alert, Component
from heartbeat.rules.components import Kind
from heartbeat.rules.host import Level
from heartbeat.rules.lateness import Overall
from heartbeat.selectors import component_named, pulse
from heartbeat.services.components import (
    component_beat,
    component_delete,
    component_leave,
    component_pause,
    component_register,
    component_report,
    component_resume,
    component_seen,
    component_update,
    components_alert,
    components_prune,
    components_sweep,
)

pytestmark = pytest.mark.django_db


def made(name: str = "part", **values: Any) -> Component:
    return component_register(name=name, values=values)


def shown(name: str = "part") -> tuple[str, int, list[str]]:
    component = Component.objects.get(name=name)
    return component.status, component.transitions, [error["text"] for error in component.errors]


class World:
    """One component and a clock."""

    def __init__(self) -> None:
        made()
        self.now = epoch_seconds()

    def after(self, seconds: float) -> float:
        self.now += seconds
        return self.now


def check_the_walk() -> None:
    world = World()
    assert component_beat(name="part", now=world.now)
    assert shown() == ("healthy", 1, [])
    assert components_sweep(now=world.after(30)) == 0  # exactly on time
    assert components_sweep(now=world.after(0.5)) == 1
    assert shown() == ("late", 2, [])
    assert components_sweep(now=world.after(29)) == 0
    assert components_sweep(now=world.after(1)) == 1
    for _ in range(3):
        components_sweep(now=world.after(5))  # the error is noted once
    assert shown() == ("error", 3, ["heartbeat timeout"])
    assert component_beat(name="part", now=world.now)
    assert shown() == ("healthy", 4, ["heartbeat timeout"])


def check_errors_are_bounded() -> None:
    world = World()
    for number in range(12):
        component_report(name="part", ok=False, text=f"error {number}", now=world.now)
        component_report(name="part", ok=False, text="again", now=world.now)
        component_beat(name="part", now=world.now)
    errors = Component.objects.get().errors
    assert [error["text"] for error in errors] == [f"error {number}" for number in range(2, 12)]
    assert all(set(error) == {"at", "text"} for error in errors)
    # An outage that no sweep has seen.
    component_beat(name="part", now=world.after(100))
    assert [error["text"] for error in Component.objects.get().errors][-2:] == ["error 11", "heartbeat timeout"]
    assert len(Component.objects.get().errors) == 10


def test_a_component_walks_through_an_outage() -> None:
    check_the_walk()


def test_errors_are_noted_once_per_outage_and_ten_are_kept() -> None:
    check_errors_are_bounded()


@pytest.mark.usefixtures("on_postgres")
@pytest.mark.django_db(transaction=True)
def test_both_hold_on_postgresql() -> None:
    check_the_walk()
    Component.objects.all().delete()
    check_errors_are_bounded()


def test_the_first_beat_after_an_outage_that_no_sweep_has_seen_is_right() -> None:
    world = World()
    component_beat(name="part", now=world.now)
    component_beat(name="part", now=world.after(61))
    assert shown() == ("healthy", 3, ["heartbeat timeout"])


def test_the_first_report_of_an_error_after_an_outage_finds_the_outage() -> None:
    world = World()
    component_beat(name="part", now=world.now)
    component_report(name="part", ok=False, text="burnt", now=world.after(61))
    assert shown() == ("error", 2, ["heartbeat timeout"])
    assert Component.objects.get().note == "burnt"


def test_a_beat_of_what_is_well_is_one_statement() -> None:
    made()
    component_beat(name="part")
    with CaptureQueriesContext(connection) as asked:
        component_beat(name="part")
    assert len(asked) == 1
    assert shown() == ("healthy", 1, [])


def test_a_sweep_is_two_statements_however_many_there_are() -> None:
    now = epoch_seconds()
    Component.objects.bulk_create(
        Component(name=f"c{number}", late_after=now - 40 + number, error_after=now - 10 + number)
        for number in range(50)
    )
    with CaptureQueriesContext(connection) as asked:
        assert components_sweep(now=now) == 40
    assert len(asked) == 2
    assert Component.objects.filter(status="error").count() == 10
    assert Component.objects.filter(status="late").count() == 30


def test_beats_that_come_twice_or_out_of_order_are_left_out() -> None:
    world = World()
    assert component_beat(name="part", sequence=7, now=world.now)
    assert not component_beat(name="part", sequence=7, now=world.after(1))
    assert not component_beat(name="part", sequence=3, now=world.after(1))
    assert component_beat(name="part", sequence=8, now=world.after(1))
    components_sweep(now=world.after(31))
    assert component_beat(name="part", sequence=1, now=world.now)  # its sender has begun anew
    assert Component.objects.get().sequence == 1
    assert not component_beat(name="nobody")


def test_what_is_paused_is_left_alone_until_it_is_resumed() -> None:
    world = World()
    component = Component.objects.get()
    assert component_pause(component_id=component.pk)
    assert not component_pause(component_id=component.pk)
    component_beat(name="part", now=world.now)
    component_report(name="part", ok=False, text="no", now=world.now)
    assert components_sweep(now=world.after(1_000)) == 0
    assert shown() == ("paused", 1, [])
    assert component_resume(component_id=component.pk)
    assert not component_resume(component_id=component.pk)
    assert shown()[0] == "new"
    assert components_sweep(now=epoch_seconds() + 29) == 0


def test_what_never_beats_becomes_an_error() -> None:
    world = World()
    components_sweep(now=world.after(62))
    assert shown() == ("error", 1, ["heartbeat timeout"])


def test_a_new_interval_begins_anew() -> None:
    component = made(interval_seconds=5)
    component_update(component_id=component.pk, values={"interval_seconds": 100.0})
    assert components_sweep(now=epoch_seconds() + 50) == 0
    with pytest.raises(ValidationError, match="interval_seconds"):
        component_update(component_id=component.pk, values={"interval_seconds": 0})


def test_alerts_follow_the_components() -> None:
    world = World()
    component_beat(name="part", now=world.now)
    components_sweep(now=world.after(61))
    assert components_alert() == 1
    assert components_alert() == 0
    alert = Alert.objects.get()
    assert (alert.rule, alert.severity, alert.source) == ("component_error", "critical", "component:part")
    component_report(name="part", ok=True, level=Level.WARNING, text="nearly full", now=world.now)
    assert components_alert() == 2
    assert dict(Alert.objects.values_list("rule", "state")) == {
        "component_error": "resolved",
        "component_warning": "firing",
    }
    component_delete(component_id=Component.objects.get().pk)
    assert components_alert() == 1
    assert set(Alert.objects.values_list("state", flat=True)) == {"resolved"}


def test_parts_of_agenthub_register_themselves_and_leave() -> None:
    component_seen(name="web-1@here", kind=Kind.WEB)
    component_seen(name="web-1@here", kind=Kind.WEB)
    component = Component.objects.get()
    assert (component.status, component.kind, component.sequence) == ("healthy", "web", 2)
    assert component_leave(name="web-1@here")
    assert not component_leave(name="web-1@here")
    made("own")
    assert not component_leave(name="own")


def test_processes_that_are_gone_for_long_are_forgotten_and_nothing_else() -> None:
    for name, kind in (("gone@a", Kind.WEB), ("here@b", Kind.WEB), ("own", Kind.CUSTOM)):
        component_seen(name=name, kind=kind)
    Component.objects.exclude(name="here@b").update(last_seen=utc_now() - timedelta(hours=25))
    assert components_prune(now=utc_now()) == 1
    assert sorted(Component.objects.values_list("name", flat=True)) == ["here@b", "own"]


def test_own_checks_stay() -> None:
    component = made(built_in=True)
    with pytest.raises(Conflict, match="pause it"):
        component_delete(component_id=component.pk)


def test_how_all_are_is_told_without_a_sweep() -> None:
    assert pulse().status is Overall.UNKNOWN
    now = epoch_seconds()
    made("a")
    made("b")
    component_beat(name="a", now=now)
    component_beat(name="b", now=now)
    assert pulse().status is Overall.HEALTHY
    component_beat(name="b", now=now - 40)
    assert pulse().status is Overall.DEGRADED
    component_beat(name="b", now=now - 70)  # the worker that sweeps is gone too
    found = pulse()
    assert found.status is Overall.ERROR
    assert (found.counts["total"], found.counts["healthy"], found.counts["error"]) == (2, 1, 1)
    assert [component.name for component in found.troubled] == ["b"]


def test_other_names_stand_for_the_worst_of_the_parts() -> None:
    now = epoch_seconds()
    for name, age in (("worker.scheduler@a", 0), ("worker.scheduler@b", 40)):
        component_seen(name=name, kind=Kind.SCHEDULER)
        component_beat(name=name, now=now - age)
    found = component_named("cron")
    assert found is not None
    assert (found.name, found.status) == ("worker.scheduler@b", "late")
    assert component_named("config") is None
