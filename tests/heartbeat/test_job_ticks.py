"""Ticks and runs of jobs on a database, with the time as an argument."""

import threading
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connections

from agenthub.core.errors import Conflict
from heartbeat.models import Alert, Job, JobRun
from heartbeat.registry import Definition, definitions
from heartbeat.rules.jobs import LEASE_SECONDS, RunState
from heartbeat.services.jobs import (
    job_register,
    job_run_now,
    job_start,
    job_stop,
    job_unregister,
    job_update,
    jobs_seed,
    jobs_start_all,
    jobs_stop_all,
)
from heartbeat.services.runs import Claim, Ended, Hold, run_claim, run_finish, run_renew, runs_prune, runs_reap
from heartbeat.services.ticks import WAKE_AGAIN, jobs_tick, runs_to_wake
from heartbeat.services.watchdog import UNHEARD_AFTER, jobs_watch

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
pytestmark = pytest.mark.django_db(transaction=True)
OK = Ended(RunState.OK, "done")
BAD = Ended(RunState.FAILED, "half done", "It broke.")


def make_job(key: str = "own", **values: Any) -> Job:
    """A job that is due each minute, next at noon."""
    given = {"kind": "http", "parameters": {"url": "http://127.0.0.1/"}, **values}
    job = job_register(key=key, values=given)
    Job.objects.filter(id=job.pk).update(next_due=NOON)
    return job


def claim_one(now: datetime = NOON, worker: str = "w", run: JobRun | None = None) -> Claim | None:
    waiting = run or JobRun.objects.filter(state=RunState.SCHEDULED).order_by("scheduled_for").first()
    assert waiting is not None
    return run_claim(run_id=waiting.pk, worker=worker, now=now, able=lambda _: True)


def must_claim(now: datetime = NOON, worker: str = "w") -> Claim:
    claim = claim_one(now, worker)
    assert claim is not None
    return claim


def states() -> list[str]:
    return list(JobRun.objects.order_by("scheduled_for").values_list("state", flat=True))


def test_a_tick_makes_one_run_and_the_next_tick_is_set() -> None:
    job = make_job()
    assert jobs_tick(now=NOON - SECOND) == 0
    assert jobs_tick(now=NOON) == 1
    assert jobs_tick(now=NOON + SECOND) == 0
    run = JobRun.objects.get()
    assert (run.scheduled_for, run.ready_at, run.state) == (NOON, NOON, "scheduled")
    assert Job.objects.get(id=job.pk).next_due == NOON + MINUTE


def test_a_run_is_claimed_once_renewed_and_ended() -> None:
    make_job()
    jobs_tick(now=NOON)
    claim = must_claim(worker="first")
    assert claim_one(run=JobRun.objects.get(), worker="second") is None
    assert run_renew(claim=claim, now=NOON + SECOND) is Hold.KEPT
    assert run_finish(claim=claim, ended=OK, now=NOON + 2 * SECOND)
    run = JobRun.objects.get()
    assert (run.state, run.output, run.attempt, run.worker) == ("ok", "done", 1, "first")
    assert (run.started_at, run.ended_at, run.lease_until) == (NOON, NOON + 2 * SECOND, None)
    # What comes late changes nothing.
    assert run_renew(claim=claim, now=NOON + 3 * SECOND) is Hold.LOST
    assert not run_finish(claim=claim, ended=BAD, now=NOON + 3 * SECOND)
    assert states() == ["ok"]


def test_no_run_begins_before_its_jitter_is_over() -> None:
    make_job(jitter_seconds=30)
    jobs_tick(now=NOON)
    run = JobRun.objects.get()
    assert NOON < run.ready_at < NOON + 30 * SECOND
    assert runs_to_wake(now=NOON) == []
    assert claim_one(now=NOON) is None
    assert runs_to_wake(now=run.ready_at) == [run.pk]
    assert claim_one(now=run.ready_at) is not None


def test_workers_are_told_again_of_a_run_that_nobody_begins() -> None:
    make_job()
    jobs_tick(now=NOON)
    [run_id] = runs_to_wake(now=NOON)
    assert runs_to_wake(now=NOON + SECOND) == []
    assert runs_to_wake(now=NOON + WAKE_AGAIN) == [run_id]
    must_claim(now=NOON + WAKE_AGAIN)
    assert runs_to_wake(now=NOON + 2 * WAKE_AGAIN) == []


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("forbid", ["running", "skipped"]),
        ("allow", ["running", "scheduled"]),
        ("replace", ["running", "scheduled"]),
    ],
)
def test_a_tick_during_a_run_is_treated_by_its_rule(overlap: str, expected: list[str]) -> None:
    make_job(overlap=overlap)
    jobs_tick(now=NOON)
    claim = must_claim()
    jobs_tick(now=NOON + MINUTE)
    assert states() == expected
    hold = run_renew(claim=claim, now=NOON + MINUTE)
    assert hold is (Hold.STOP if overlap == "replace" else Hold.KEPT)
    if overlap != "forbid":
        begun = claim_one(NOON + MINUTE, "second")
        assert (begun is not None) == (overlap == "allow")
    run_finish(claim=claim, ended=OK, now=NOON + MINUTE)
    if overlap == "replace":
        must_claim(NOON + MINUTE, "second")


def test_what_is_replaced_before_it_begins_is_skipped() -> None:
    make_job(overlap="replace")
    jobs_tick(now=NOON)
    jobs_tick(now=NOON + MINUTE)
    assert states() == ["skipped", "scheduled"]


def test_missed_ticks_are_written_down_and_told_of_until_a_run_is_good() -> None:
    make_job(misfire="skip", grace_seconds=30)
    jobs_tick(now=NOON + 5 * MINUTE)
    assert states() == ["missed"] * 5 + ["scheduled"]
    alert = Alert.objects.get()
    assert (alert.rule, alert.source, alert.state) == ("job_missed", "job:own", "firing")
    claim = must_claim(NOON + 5 * MINUTE)
    run_finish(claim=claim, ended=OK, now=NOON + 5 * MINUTE)
    assert Alert.objects.get().state == "resolved"


def test_all_that_was_missed_is_run_one_after_the_other() -> None:
    make_job(misfire="all", grace_seconds=10)
    jobs_tick(now=NOON + 3 * MINUTE)
    assert states() == ["scheduled"] * 4
    first = must_claim(NOON + 3 * MINUTE)
    later = JobRun.objects.filter(state=RunState.SCHEDULED).order_by("scheduled_for")[0]
    assert claim_one(NOON + 3 * MINUTE, run=later) is None
    run_finish(claim=first, ended=OK, now=NOON + 3 * MINUTE)
    assert claim_one(NOON + 3 * MINUTE, run=later) is not None


def test_a_run_that_failed_is_tried_again_by_its_rule() -> None:
    make_job(retries=1)
    jobs_tick(now=NOON)
    assert run_finish(claim=must_claim(), ended=BAD, now=NOON)
    run = JobRun.objects.get()
    assert (run.state, run.ready_at, run.error) == ("scheduled", NOON + 10 * SECOND, "It broke.")
    assert not Alert.objects.exists()
    assert claim_one(NOON + 9 * SECOND) is None
    again = must_claim(NOON + 10 * SECOND)
    assert again.attempt == 2
    run_finish(claim=again, ended=BAD, now=NOON + 11 * SECOND)
    run.refresh_from_db()
    assert (run.state, run.output) == ("failed", "half done")
    assert (Alert.objects.get().rule, Alert.objects.get().summary) == ("job_failed", "own: It broke.")


@pytest.mark.parametrize(("retries", "expected"), [(0, "failed"), (1, "scheduled")])
def test_a_run_whose_worker_died_is_found(retries: int, expected: str) -> None:
    make_job(retries=retries)
    jobs_tick(now=NOON)
    claim = must_claim(worker="dead")
    over = NOON + timedelta(seconds=LEASE_SECONDS)
    assert runs_reap(now=over - SECOND) == 0
    assert runs_reap(now=over) == 1
    assert runs_reap(now=over) == 0
    assert states() == [expected]
    assert "dead" in JobRun.objects.get().error
    # One that was only asleep hears that the run is no longer its own.
    assert run_renew(claim=claim, now=over) is Hold.LOST
    assert not run_finish(claim=claim, ended=OK, now=over)
    if retries:
        assert must_claim(over, "alive").attempt == 2


def test_a_stopped_job_has_no_ticks_and_may_be_asked_for() -> None:
    job = make_job()
    jobs_tick(now=NOON)
    assert job_stop(job_id=job.pk)
    assert not job_stop(job_id=job.pk)
    assert states() == ["skipped"]
    assert jobs_tick(now=NOON + timedelta(days=1)) == 0
    run = job_run_now(job_id=job.pk, now=NOON + MINUTE)
    assert run.manual
    assert must_claim(NOON + MINUTE).run_id == run.pk
    assert job_start(job_id=job.pk)
    assert Job.objects.get(id=job.pk).next_due is not None
    assert jobs_stop_all() == 1
    assert jobs_start_all() == 1


def test_a_run_is_not_asked_for_beside_another_that_forbids_it() -> None:
    job = make_job()
    job_run_now(job_id=job.pk, now=NOON)
    with pytest.raises(Conflict, match="waits or is under way"):
        job_run_now(job_id=job.pk, now=NOON + SECOND)
    both = make_job("both", overlap="allow")
    job_run_now(job_id=both.pk, now=NOON)
    with pytest.raises(Conflict, match="same moment"):
        job_run_now(job_id=both.pk, now=NOON)


def test_a_changed_schedule_counts_from_now_and_other_changes_leave_it() -> None:
    job = make_job()
    job_update(job_id=job.pk, values={"description": "What it does."})
    assert Job.objects.get(id=job.pk).next_due == NOON
    changed = job_update(job_id=job.pk, values={"schedule": "cron", "cron": "0 0 1 1 *", "time_zone": "Asia/Shanghai"})
    assert changed.next_due is not None
    assert changed.next_due.strftime("%m-%d %H:%M") == "12-31 16:00"
    with pytest.raises(ValidationError, match="minute"):
        job_update(job_id=job.pk, values={"cron": "61 * * * *"})
    with pytest.raises(ValidationError, match="passed"):
        make_job("late", schedule="once", at=NOON - timedelta(days=1000))


def test_builtin_jobs_are_seeded_once_and_what_people_changed_stays() -> None:
    registered = list(definitions().values())
    assert {"backends_probe", "backup_daily", "jobs_watch"} <= {each.key for each in registered}
    Job.objects.filter(key__in=[each.key for each in registered]).delete()
    assert jobs_seed(registered) == len(registered)
    probe = Job.objects.get(key="backends_probe")
    assert (probe.built_in, probe.every_seconds, probe.overlap) == (True, 5, "allow")
    job_update(job_id=probe.pk, values={"every_seconds": 30})
    assert jobs_seed(registered) == 0
    assert Job.objects.get(key="backends_probe").every_seconds == 30
    with pytest.raises(Conflict, match="stop it instead"):
        job_unregister(job_id=probe.pk)


def test_a_job_of_a_person_is_not_taken_over_by_a_builtin_of_its_name() -> None:
    make_job("mine")
    jobs_seed([Definition(key="mine", function=print, description="", values={})])
    assert Job.objects.get(key="mine").built_in is False


def test_old_runs_are_forgotten_the_newest_hundred_and_open_ones_not() -> None:
    job = make_job(overlap="allow")
    JobRun.objects.bulk_create(
        JobRun(job=job, scheduled_for=NOON + n * SECOND, ready_at=NOON, state="ok", ended_at=NOON) for n in range(150)
    )
    JobRun.objects.create(job=job, scheduled_for=NOON - SECOND, ready_at=NOON, state="scheduled")
    assert runs_prune(now=NOON + MINUTE, batch=20) == 50
    assert JobRun.objects.count() == 101
    assert runs_prune(now=NOON + timedelta(days=31), batch=20) == 100
    assert states() == ["scheduled"]


def test_the_watchdog_tells_of_what_nobody_runs() -> None:
    make_job()
    assert jobs_watch(now=NOON + UNHEARD_AFTER) == 0
    assert jobs_watch(now=NOON + UNHEARD_AFTER + SECOND) == 1
    assert (Alert.objects.get().rule, Alert.objects.get().severity) == ("job_missed", "critical")
    jobs_tick(now=NOON)
    assert jobs_watch(now=NOON + UNHEARD_AFTER + SECOND) == 0
    assert jobs_watch(now=NOON + UNHEARD_AFTER + timedelta(seconds=601)) == 1


def at_once(work: Any, times: int) -> list[Any]:
    """The results of calls in threads that begin together."""
    barrier, results = threading.Barrier(times), []

    def call() -> None:
        barrier.wait()
        try:
            results.append(work())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=call) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.usefixtures("on_postgres")
def test_many_schedulers_and_workers_at_once_make_one_run_and_one_claim() -> None:
    for number in range(5):
        make_job(f"job-{number}")
    at_once(lambda: jobs_tick(now=NOON), 8)
    assert JobRun.objects.count() == 5
    runs = list(JobRun.objects.all())
    woken = at_once(lambda: runs_to_wake(now=NOON), 4)
    assert sorted(chain.from_iterable(woken)) == sorted(run.pk for run in runs)
    claims = at_once(lambda: claim_one(run=runs[0]), 8)
    assert sum(claim is not None for claim in claims) == 1


@pytest.mark.usefixtures("on_postgres")
def test_two_runs_of_one_job_are_not_begun_at_once() -> None:
    job = make_job()
    for number in range(8):
        JobRun.objects.create(job=job, scheduled_for=NOON + number * SECOND, ready_at=NOON, state="scheduled")
    waiting = list(JobRun.objects.all())
    claims = at_once(lambda: claim_one(run=waiting.pop()), 8)
    assert sum(claim is not None for claim in claims) == 1
