"""`agenthub jobs`."""

import json
from argparse import SUPPRESS, ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import IntegrityError

from agenthub.core.commands import HouseCommand, table
from heartbeat.checkin_urls import ping_url
from heartbeat.definitions import job_refusal
from heartbeat.models import Job, JobRun
from heartbeat.rules.jobs import JobKind, key_refusal
from heartbeat.selectors import job_keyed, jobs, runs_of
from heartbeat.services.jobs import (
    job_register,
    job_run_now,
    job_start,
    job_stop,
    job_unregister,
    jobs_start_all,
    jobs_stop_all,
)

COLUMNS = ("key", "kind", "schedule", "enabled", "next_due", "last_state", "last_run", "last_error")
RUN_COLUMNS = ("scheduled_for", "state", "attempt", "started_at", "ended_at", "error")
MOST_RUNS = 50


class Command(HouseCommand):
    """Jobs on the command line. Exit codes: 0 done, 1 not done, 2 wrong use."""

    help = "List jobs and their runs, run, start, stop, add and delete jobs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One word says what to do."""
        super().add_arguments(parser)
        words = parser.add_subparsers(dest="action", required=True, metavar="action")
        for word, text in (
            ("list", "Show all jobs, with their last runs."),
            ("start-all", "Start all jobs that are stopped."),
            ("stop-all", "Stop all jobs, AgentHub's own too."),
        ):
            _json(words.add_parser(word, help=text))
        for word, text in (
            ("runs", "Show the newest runs of a job."),
            ("run", "Have a worker run a job now."),
            ("start", "Let a job run by its schedule."),
            ("stop", "Let a job run no longer."),
            ("delete", "Take a job and its runs away."),
        ):
            one = words.add_parser(word, help=text)
            one.add_argument("key", help="The key of the job.")
            _json(one)
        self._offer(words.add_parser("add", help="Register a job."))

    def _offer(self, parser: ArgumentParser) -> None:
        parser.add_argument("key", help="The key of the job.")
        parser.add_argument("--kind", choices=[kind.value for kind in JobKind], default=JobKind.HTTP.value)
        parser.add_argument("--every", type=float, help="Each so many seconds (60).")
        parser.add_argument("--cron", help="A cron expression instead.")
        parser.add_argument("--time-zone", help="The time zone of the cron expression (UTC).")
        parser.add_argument("--parameters", default="{}", help="What the run is told, as a JSON object.")
        parser.add_argument("--description", default="")
        _json(parser)

    def act(self, **options: Any) -> None:
        """Do what the word says."""
        word = options["action"].replace("-", "_")
        getattr(self, f"_{word}")(**options)

    def _list(self, *, json: bool, **_: Any) -> None:
        rows = [_row(job) for job in jobs()]
        self.say(rows, table(COLUMNS, rows), as_json=json)

    def _runs(self, *, key: str, json: bool, **_: Any) -> None:
        rows = [_run_row(run) for run in runs_of(_job(key))[:MOST_RUNS]]
        self.say(rows, table(RUN_COLUMNS, rows), as_json=json)

    def _run(self, *, key: str, json: bool, **_: Any) -> None:
        run = job_run_now(job_id=_job(key).pk)
        self.say(_run_row(run), f"A worker will run {key}; “agenthub jobs runs {key}” shows it.", as_json=json)

    def _start(self, *, key: str, json: bool, **_: Any) -> None:
        changed = job_start(job_id=_job(key).pk)
        self.say({"changed": changed}, f"{key} {'is started' if changed else 'was started already'}.", as_json=json)

    def _stop(self, *, key: str, json: bool, **_: Any) -> None:
        changed = job_stop(job_id=_job(key).pk)
        self.say({"changed": changed}, f"{key} {'is stopped' if changed else 'was stopped already'}.", as_json=json)

    def _start_all(self, *, json: bool, **_: Any) -> None:
        changed = jobs_start_all()
        self.say({"changed": changed}, f"{changed} jobs are started.", as_json=json)

    def _stop_all(self, *, json: bool, **_: Any) -> None:
        changed = jobs_stop_all()
        self.say({"changed": changed}, f"{changed} jobs are stopped.", as_json=json)

    def _delete(self, *, key: str, json: bool, **_: Any) -> None:
        job_unregister(job_id=_job(key).pk)
        self.say({"deleted": key}, f"{key} is gone.", as_json=json)

    def _add(self, *, key: str, json: bool, **given: Any) -> None:
        values = _values(given)
        refusal = key_refusal(key) or job_refusal(JobKind(values["kind"]), values["parameters"], administrator=True)
        if refusal:
            raise CommandError(refusal)
        try:
            job_register(key=key, values=values)
        except IntegrityError:
            raise CommandError(f"There is a job {key} already.") from None
        job = _job(key)
        where = f" It checks in at {ping_url(job.ping_id)}." if job.kind == JobKind.CHECK_IN else ""
        self.say(_row(job), f"{key} is registered.{where}", as_json=json)


def _values(given: dict[str, Any]) -> dict[str, Any]:
    try:
        parameters = json.loads(given["parameters"])
    except json.JSONDecodeError as problem:
        raise CommandError(f"--parameters is not JSON: {problem}.") from None
    values = {"kind": given["kind"], "parameters": parameters, "description": given["description"]}
    if given["cron"]:
        values |= {"schedule": "cron", "cron": given["cron"]}
    if given["every"] is not None:
        values["every_seconds"] = given["every"]
    return values | ({"time_zone": given["time_zone"]} if given["time_zone"] else {})


def _json(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", default=SUPPRESS, help="Answer in JSON.")


def _job(key: str) -> Job:
    job = job_keyed(key)
    if job is None:
        raise CommandError(f"There is no job {key[:64]}; “agenthub jobs list” shows them.")
    return job


def _row(job: Any) -> dict[str, Any]:
    return {
        "key": job.key,
        "kind": job.kind,
        "schedule": f"{job.cron} {job.time_zone}" if job.schedule == "cron" else f"every {job.every_seconds:g} s",
        "enabled": job.enabled,
        "next_due": _time(job.next_due),
        "last_state": job.last_state,
        "last_run": _time(job.last_run),
        "last_error": job.last_error or None,
    }


def _run_row(run: JobRun) -> dict[str, Any]:
    return {
        "scheduled_for": _time(run.scheduled_for),
        "state": str(run.state),
        "attempt": run.attempt,
        "started_at": _time(run.started_at),
        "ended_at": _time(run.ended_at),
        "error": run.error or None,
    }


def _time(at: Any) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds")
