"""Outside jobs that check in at their URLs."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from heartbeat.models import Alert, Job, JobRun
from heartbeat.services.checkins import Signal, check_in
from heartbeat.services.jobs import job_register, job_stop
from heartbeat.services.ticks import jobs_tick

pytestmark = pytest.mark.django_db(transaction=True)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def make(**values: Any) -> Job:
    """It checks in each hour, with five minutes of grace."""
    given = {"kind": "check_in", "every_seconds": 3600, "grace_seconds": 300, **values}
    return job_register(key="dump", values=given)


def ping(job: Job, word: str = "", **given: Any) -> int:
    address = f"/ping/{job.ping_id}" + (f"/{word}" if word else "")
    return Client(enforce_csrf_checks=True).generic(given.pop("method", "GET"), address, **given).status_code


def runs() -> list[tuple[str, str, str]]:
    return list(JobRun.objects.order_by("scheduled_for").values_list("state", "output", "error"))


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_call_is_a_good_run(method: str) -> None:
    job = make()
    assert ping(job, method=method) == 200
    assert [state for state, _, _ in runs()] == ["ok"]
    job.refresh_from_db()
    assert job.last_seen is not None
    assert job.next_due is not None
    assert job.next_due - job.last_seen == timedelta(seconds=3900)


@pytest.mark.parametrize(
    ("word", "state", "error"),
    [
        ("0", "ok", ""),
        ("00", "ok", ""),
        ("1", "failed", "It ended with exit code 1."),
        ("255", "failed", "It ended with exit code 255."),
        ("fail", "failed", "It said that it failed."),
        ("start", "running", ""),
        ("log", "ok", ""),
    ],
)
def test_the_word_says_how_it_is(word: str, state: str, error: str) -> None:
    assert ping(make(), word, method="POST", data="what it wrote", content_type="text/plain") == 200
    assert runs() == [(state, "what it wrote", error)]
    assert Alert.objects.filter(rule="job_failed", source="job:dump").exists() == (state == "failed")


@pytest.mark.parametrize("word", ["256", "-1", "stop", "1x", "٣", "9" * 5000])
def test_another_word_is_not_understood(word: str) -> None:
    assert ping(make(), word) == 404
    assert runs() == []


def test_nobody_else_is_known_and_nothing_but_reading_and_posting_is_answered() -> None:
    job = make()
    assert Client().get(f"/ping/{uuid4()}").status_code == 404
    assert Client().get("/ping/dump").status_code == 404
    assert ping(job, method="DELETE") == 405
    # The id of a job that is run here says nothing.
    own = job_register(key="own", values={"kind": "reminder", "parameters": {"message": "m"}})
    assert ping(own) == 404


def test_a_start_and_an_end_are_one_run() -> None:
    job = make()
    check_in(ping_id=job.ping_id, signal=Signal.START, now=NOON, output="begun\n")
    assert Job.objects.get().next_due == NOON + 5 * MINUTE
    check_in(ping_id=job.ping_id, signal=Signal.LOG, now=NOON + MINUTE, output="half\n")
    check_in(ping_id=job.ping_id, signal=Signal.OK, now=NOON + 2 * MINUTE, output="done\n")
    run = JobRun.objects.get()
    assert (run.state, run.output, run.started_at, run.ended_at) == (
        "ok",
        "begun\nhalf\ndone\n",
        NOON,
        NOON + 2 * MINUTE,
    )
    check_in(ping_id=job.ping_id, signal=Signal.START, now=NOON + 3 * MINUTE)
    check_in(ping_id=job.ping_id, signal=Signal.START, now=NOON + 4 * MINUTE)
    assert [state for state, _, _ in runs()] == ["ok", "failed", "running"]


def test_its_silence_is_an_alert_until_it_comes() -> None:
    job = make()
    assert jobs_tick(now=NOON) == 0  # it has never come, and is not awaited
    check_in(ping_id=job.ping_id, signal=Signal.OK, now=NOON)
    assert jobs_tick(now=NOON + 64 * MINUTE) == 0
    assert jobs_tick(now=NOON + 65 * MINUTE) == 1
    assert jobs_tick(now=NOON + 600 * MINUTE) == 0  # once an outage
    assert Job.objects.get().late
    alert = Alert.objects.get()
    assert (alert.rule, alert.source, alert.count, alert.state) == ("job_late", "job:dump", 1, "firing")
    assert "13:00:00 UTC" in alert.summary
    assert [state for state, _, _ in runs()] == ["ok", "missed"]
    check_in(ping_id=job.ping_id, signal=Signal.OK, now=NOON + 700 * MINUTE)
    assert not Job.objects.get().late
    assert Alert.objects.get().state == "resolved"


def test_one_that_is_stopped_is_heard_and_not_awaited() -> None:
    job = make()
    job_stop(job_id=job.pk)
    assert ping(job) == 200
    assert Job.objects.get().next_due is None
    assert len(runs()) == 1


def test_calls_in_one_moment_are_runs_of_their_own() -> None:
    job = make()
    for _ in range(3):
        check_in(ping_id=job.ping_id, signal=Signal.OK, now=NOON)
    assert len(runs()) == 3


def test_of_a_long_body_the_beginning_is_read_and_no_more_than_fits_is_kept() -> None:
    assert ping(make(), method="POST", data="x" * 50_000 + "\0", content_type="text/plain") == 200
    assert len(runs()[0][1]) == 4096
