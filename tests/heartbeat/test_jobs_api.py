"""Jobs by the management API, in the admin and on the command line."""

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.test import Client

from heartbeat.models import Job, JobRun
from heartbeat.registry import definitions
from heartbeat.services.jobs import job_register, jobs_seed
from tests.management import TOKEN, Management, with_environment

pytestmark = pytest.mark.django_db
LIST = "/admin/heartbeat/job/"
NIGHTLY: dict[str, Any] = {"key": "nightly", "cron": "0 3 * * *", "schedule": "cron"}
CALL = {"url": "http://127.0.0.1/x", "headers": {"authorization": "Bearer geheim"}}
NIGHTLY["parameters"] = CALL
NIGHTLY_WORDS = ("--cron", "0 3 * * *", "--time-zone", "Asia/Tokyo")
UNFIT = {"callable": "usage_prune", "arguments": {"x": 1}}


@pytest.fixture
def management() -> Iterator[Management]:
    with with_environment(admin_token=TOKEN, public_url="https://hub.example"):
        yield Management()


def staff(role: str) -> Client:
    user = User.objects.create_user(role.lower(), is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def test_an_operator_makes_changes_runs_and_takes_away_a_job(management: Management) -> None:
    made = management.good("POST", "jobs", NIGHTLY)
    assert (made["kind"], made["enabled"], made["last_state"], made["ping_url"]) == ("http", True, None, None)
    assert made["next_due"].endswith("03:00:00Z")
    management.error(409, "POST", "jobs", {"key": "nightly", "parameters": CALL})
    changed = management.good("PATCH", "jobs/nightly", {"enabled": False, "retries": 2})
    assert (changed["enabled"], changed["next_due"], changed["retries"]) == (False, None, 2)
    run = management.good("POST", "jobs/nightly/run")
    assert (run["state"], run["manual"]) == ("scheduled", True)
    management.error(409, "POST", "jobs/nightly/run")
    assert management.good("GET", "jobs/nightly")["last_state"] == "scheduled"
    assert [each["id"] for each in management.good("GET", "jobs/nightly/runs?state=scheduled")] == [run["id"]]
    assert management.good("GET", "jobs/nightly/runs?state=ok") == []
    assert management.good("POST", "jobs/start-all")["changed"] >= 1
    assert management.good("POST", "jobs/stop-all")["changed"] >= 1
    management.good("DELETE", "jobs/nightly")
    management.error(404, "GET", "jobs/nightly")
    assert not JobRun.objects.filter(id=run["id"]).exists()
    trail = LogEntry.objects.filter(object_repr="nightly")
    assert {0, 1, 2} <= set(trail.values_list("action", flat=True))
    assert "geheim" not in json.dumps(list(trail.values_list("changes", flat=True)))


def test_a_check_in_has_its_address(management: Management) -> None:
    made = management.good("POST", "jobs", {"key": "dump", "kind": "check_in"})
    assert made["ping_url"] == f"https://hub.example/ping/{Job.objects.get(key='dump').ping_id}"
    assert management.error(409, "POST", "jobs/dump/run")["message"].startswith("dump runs outside")
    assert [each["key"] for each in management.good("GET", "jobs?kind=check_in")] == ["dump"]
    management.error(400, "GET", "jobs?kind=other")
    management.error(400, "GET", "jobs/dump/runs?state=other")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "key"),
        ({"key": "A b", "parameters": CALL}, "key"),
        ({"key": "stop-all", "parameters": CALL}, "key"),
        ({"key": "x" * 65, "parameters": CALL}, "key"),
        ({"key": "a"}, "parameters"),
        ({"key": "a", "parameters": {"url": "file:///etc/passwd"}}, "parameters"),
        ({"key": "a", "parameters": {**CALL, "methud": "GET"}}, "parameters"),
        ({"key": "a", "parameters": {**CALL, "status": True}}, "parameters"),
        ({"key": "a", "parameters": []}, "parameters"),
        ({"key": "a", "kind": "shell"}, "kind"),
        ({"key": "a", "kind": "callable", "parameters": {"callable": "os.system"}}, "parameters"),
        (
            {"key": "a", "kind": "callable", "parameters": UNFIT},
            "parameters",
        ),
        ({"key": "a", "kind": "command", "parameters": {"command": "ls -l"}}, "parameters"),
        ({"key": "a", "kind": "reminder", "parameters": {"message": ""}}, "parameters"),
        ({"key": "a", "kind": "check_in", "parameters": {"x": 1}}, "parameters"),
        ({"key": "a", "parameters": CALL, "every_seconds": 0}, "every_seconds"),
        ({"key": "a", "parameters": CALL, "schedule": "cron", "cron": "every day"}, "cron"),
        ({"key": "a", "parameters": CALL, "schedule": "cron", "cron": "* * * * *", "time_zone": "Mars"}, "time_zone"),
        ({"key": "a", "parameters": CALL, "schedule": "once"}, "at"),
        ({"key": "a", "parameters": CALL, "schedule": "once", "at": "2020-01-01T00:00:00Z"}, "at"),
        ({"key": "a", "parameters": CALL, "retries": 11}, "retries"),
        ({"key": "a", "parameters": CALL, "max_run_seconds": 0}, "max_run_seconds"),
        ({"key": "a", "parameters": CALL, "overlap": "perhaps"}, "overlap"),
    ],
)
def test_a_job_that_makes_no_sense_is_refused_by_its_field(
    management: Management, body: dict[str, Any], field: str
) -> None:
    assert management.error(400, "POST", "jobs", body)["param"] == field
    assert not Job.objects.filter(built_in=False).exists()


def test_of_its_own_jobs_times_may_be_changed_and_nothing_else(management: Management) -> None:
    jobs_seed(definitions().values())
    assert management.good("PATCH", "jobs/usage_prune", {"every_seconds": 7200})["every_seconds"] == 7200
    management.error(400, "PATCH", "jobs/usage_prune", {"parameters": {"callable": "backup_daily"}})
    management.error(400, "PATCH", "jobs/usage_prune", {"key": "other"})
    management.error(409, "DELETE", "jobs/usage_prune")


def test_commands_are_for_administrators_and_viewers_only_look() -> None:
    command = {"key": "a", "kind": "command", "parameters": {"command": ["true"]}}
    operator = Management(staff("Operators"))
    assert "administrators" in operator.error(400, "POST", "jobs", command)["message"]
    operator.good("POST", "jobs", {"key": "b", "parameters": CALL})
    viewer = Management(staff("Viewers"))
    viewer.good("GET", "jobs")
    for method, path in (("POST", "jobs/b/run"), ("PATCH", "jobs/b"), ("DELETE", "jobs/b"), ("POST", "jobs/stop-all")):
        viewer.error(403, method, path, {})
    Management(staff("Administrators")).good("POST", "jobs", command)


def test_the_admin_makes_runs_stops_and_shows_jobs() -> None:
    client = staff("Operators")
    form = {
        "key": "call",
        "kind": "http",
        "parameters": '{"url": "http://127.0.0.1/"}',
        "enabled": "on",
        "schedule": "every",
        "every_seconds": "60",
        "time_zone": "UTC",
        "jitter_seconds": "0",
        "misfire": "once",
        "overlap": "forbid",
        "grace_seconds": "60",
        "max_run_seconds": "600",
        "retries": "0",
    }
    refused = client.post(f"{LIST}add/", {**form, "schedule": "cron", "cron": "nonsense"})
    assert b"Five fields" in refused.content
    assert client.post(f"{LIST}add/", form).status_code == 302
    job = Job.objects.get(key="call")
    assert job.next_due is not None
    assert client.post(f"{LIST}{job.pk}/change/", {**form, "retries": "3"}).status_code == 302
    job.refresh_from_db()
    assert job.retries == 3
    for action in ("run_now", "stop", "start"):
        assert client.post(LIST, {"action": action, "_selected_action": [job.pk]}).status_code == 302
    assert JobRun.objects.get().manual
    runs = "/admin/heartbeat/jobrun/"
    for page in (LIST, f"{LIST}{job.pk}/change/", runs, f"{runs}{JobRun.objects.get().pk}/change/"):
        assert client.get(page).status_code == 200, page
    assert client.post("/admin/heartbeat/jobrun/add/", {}).status_code == 403


def said(*words: str) -> str:
    out = StringIO()
    call_command("jobs", *words, stdout=out)
    return out.getvalue()


def test_the_command_line_does_the_same() -> None:
    assert "is registered" in said("add", "call", "--every", "30", "--parameters", '{"url": "http://127.0.0.1/"}')
    assert "checks in at /ping/" in said(
        "add", "dump", "--kind", "check_in", "--cron", "0 3 * * *", "--time-zone", "Asia/Tokyo"
    )
    rows = {row["key"]: row for row in json.loads(said("list", "--json"))}
    assert (rows["call"]["schedule"], rows["dump"]["schedule"]) == ("every 30 s", "0 3 * * * Asia/Tokyo")
    assert "A worker will run call" in said("run", "call")
    assert "scheduled" in said("runs", "call")
    assert "is stopped" in said("stop", "call")
    assert "was stopped already" in said("stop", "call")
    assert "is started" in said("start", "call")
    assert json.loads(said("stop-all", "--json"))["changed"] >= 2
    assert json.loads(said("start-all", "--json"))["changed"] >= 2
    assert "is gone" in said("delete", "call")
    for words in (
        ("run", "call"),
        ("add", "dump", "--kind", "check_in"),
        ("add", "b", "--parameters", "{"),
        ("add", "b", "--parameters", "{}"),
        ("add", "B b"),
        ("run", "dump"),
    ):
        with pytest.raises(CommandError):
            said(*words)
    assert not Job.objects.filter(key="b").exists()


def test_the_command_line_names_jobs_that_people_made() -> None:
    job_register(key="remind", values={"kind": "reminder", "parameters": {"message": "m"}})
    assert "remind" in said("list")
