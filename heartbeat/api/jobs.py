"""The management API of jobs."""

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import ManagementView, Operation, Query, json_object, page_asked, text_asked
from agenthub.core.api_access import administers
from agenthub.core.errors import BadRequest, Conflict, NotFound
from agenthub.core.serializer_fields import JsonObjectField
from heartbeat.checkin_urls import ping_url
from heartbeat.definitions import job_refusal
from heartbeat.models import Job, JobRun
from heartbeat.models.job import LONGEST_RUN_SECONDS
from heartbeat.rules.jobs import LONGEST_KEY, JobKind, RunState, key_refusal
from heartbeat.rules.schedule import LEAST_SECONDS, LONGEST_SECONDS, Misfire, Overlap, ScheduleKind
from heartbeat.selectors import job_keyed, jobs, runs_of
from heartbeat.services.jobs import (
    job_register,
    job_run_now,
    job_unregister,
    job_update,
    jobs_start_all,
    jobs_stop_all,
)

STATES = [state.value for state in RunState]
KINDS = [kind.value for kind in JobKind]


class JobAnswer(serializers.ModelSerializer[Job]):
    """A job, with its last run."""

    kind = serializers.ChoiceField(choices=KINDS)
    schedule = serializers.ChoiceField(choices=[kind.value for kind in ScheduleKind])
    misfire = serializers.ChoiceField(choices=[rule.value for rule in Misfire])
    overlap = serializers.ChoiceField(choices=[rule.value for rule in Overlap])
    parameters = JsonObjectField()
    ping_url = serializers.SerializerMethodField(help_text="What a check_in job calls; null for others.")
    last_state = serializers.ChoiceField(choices=STATES, allow_null=True)
    last_run = serializers.DateTimeField(allow_null=True)
    last_error = serializers.CharField(allow_null=True)

    class Meta:
        model = Job
        exclude = ("id", "ping_id")

    def get_ping_url(self, job: Job) -> str | None:
        """The whole address where it is known, else the path."""
        return ping_url(job.ping_id) if job.kind == JobKind.CHECK_IN else None


class JobRunAnswer(serializers.ModelSerializer[JobRun]):
    """A run of a job."""

    state = serializers.ChoiceField(choices=STATES)

    class Meta:
        model = JobRun
        fields = (
            "id",
            "scheduled_for",
            "state",
            "manual",
            "attempt",
            "worker",
            "started_at",
            "ended_at",
            "output",
            "error",
        )


class JobInput(serializers.Serializer[Job]):
    """A job in a request. What is not given stays as it is, or is the default of a new one."""

    key = serializers.CharField(max_length=LONGEST_KEY)
    kind = serializers.ChoiceField(required=False, choices=KINDS)
    description = serializers.CharField(required=False, allow_blank=True, max_length=500)
    enabled = serializers.BooleanField(required=False)
    schedule = serializers.ChoiceField(required=False, choices=[kind.value for kind in ScheduleKind])
    every_seconds = serializers.FloatField(required=False, min_value=LEAST_SECONDS, max_value=LONGEST_SECONDS)
    cron = serializers.CharField(required=False, allow_blank=True, max_length=200)
    time_zone = serializers.CharField(required=False, max_length=64)
    at = serializers.DateTimeField(required=False, allow_null=True)
    jitter_seconds = serializers.FloatField(required=False, min_value=0, max_value=3600)
    misfire = serializers.ChoiceField(required=False, choices=[rule.value for rule in Misfire])
    overlap = serializers.ChoiceField(required=False, choices=[rule.value for rule in Overlap])
    grace_seconds = serializers.FloatField(required=False, min_value=1, max_value=LONGEST_SECONDS)
    max_run_seconds = serializers.FloatField(required=False, min_value=1, max_value=LONGEST_RUN_SECONDS)
    retries = serializers.IntegerField(required=False, min_value=0, max_value=10)
    parameters = JsonObjectField(required=False)

    def validate_key(self, value: str) -> str:
        """A key that fits an address; it stays."""
        if self.instance is not None:
            if value != self.instance.key:
                raise serializers.ValidationError("The key of a job stays as it is.")
            return value
        refusal = key_refusal(value)
        if refusal:
            raise serializers.ValidationError(refusal)
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Kind and parameters must fit each other, and the role of who asks."""
        job = self.instance
        if job is not None and job.built_in and attrs.keys() & {"kind", "parameters"}:
            raise serializers.ValidationError({"kind": f"{job.key} is one of AgentHub's own: what it does stays."})
        if job is None or attrs.keys() & {"kind", "parameters"}:
            kind = JobKind(attrs.get("kind", job.kind if job else JobKind.HTTP))
            parameters = attrs.get("parameters", job.parameters if job else {})
            refusal = job_refusal(kind, parameters, administrator=self.context["administrator"])
            if refusal:
                raise serializers.ValidationError({"parameters": refusal})
        return attrs


class JobsChanged(serializers.Serializer[Any]):
    """How many jobs were changed."""

    changed = serializers.IntegerField()


class JobsView(ManagementView):
    """All jobs."""

    permission_model = Job
    operations: ClassVar = {
        "get": Operation(
            "jobs_list",
            "List jobs by key",
            answer=JobAnswer,
            many=True,
            query=(Query("kind", help=f"Only those of a kind: {', '.join(KINDS)}."),),
        ),
        "post": Operation("jobs_create", "Register a job", answer=JobAnswer, body=JobInput, status=201, errors=(409,)),
    }

    def get(self, request: Request) -> Response:
        """They, with their last runs."""
        kind = text_asked(request, "kind")
        if kind and kind not in KINDS:
            raise BadRequest(f"kind must be one of {', '.join(KINDS)}.", param="kind")
        page = page_asked(request, jobs().filter(kind=kind) if kind else jobs())
        return Response(JobAnswer(page.rows, many=True).data, headers=page.headers)

    def post(self, request: Request) -> Response:
        """Add one."""
        values = _checked(request, None)
        key = values.pop("key")
        try:
            with transaction.atomic():
                job_register(key=key, values=values)
        except ValidationError as problem:
            raise _refused(problem) from None
        except IntegrityError:
            raise _taken(key) from None
        return Response(JobAnswer(_job(key)).data, status=201)


class JobView(ManagementView):
    """One job."""

    permission_model = Job
    operations: ClassVar = {
        "get": Operation("jobs_get", "Show a job", answer=JobAnswer, errors=(404,)),
        "patch": Operation(
            "jobs_update", "Change, start or stop a job", answer=JobAnswer, body=JobInput, errors=(404,)
        ),
        "delete": Operation("jobs_delete", "Unregister a job", answer=JobAnswer, errors=(404, 409)),
    }

    def get(self, request: Request, key: str) -> Response:
        """It."""
        return Response(JobAnswer(_job(key)).data)

    def patch(self, request: Request, key: str) -> Response:
        """Change what is given."""
        job = _job(key)
        values = _checked(request, job)
        values.pop("key", None)
        try:
            job_update(job_id=job.pk, values=values)
        except ValidationError as problem:
            raise _refused(problem) from None
        return Response(JobAnswer(_job(job.key)).data)

    def delete(self, request: Request, key: str) -> Response:
        """Take it and its runs away."""
        job = _job(key)
        answer = JobAnswer(job).data
        job_unregister(job_id=job.pk)
        return Response(answer)


class JobRunNowView(ManagementView):
    """A run at once."""

    permission_model = Job
    actions = True
    operations: ClassVar = {
        "post": Operation(
            "jobs_run", "Have a worker run a job now", answer=JobRunAnswer, status=202, errors=(404, 409)
        ),
    }

    def post(self, request: Request, key: str) -> Response:
        """Ask for it; its run says what comes of it."""
        return Response(JobRunAnswer(job_run_now(job_id=_job(key).pk)).data, status=202)


class JobRunsView(ManagementView):
    """The runs of a job."""

    permission_model = Job
    operations: ClassVar = {
        "get": Operation(
            "jobs_runs",
            "List the runs of a job, newest first",
            answer=JobRunAnswer,
            many=True,
            query=(Query("state", help=f"Only those that are {', '.join(STATES[:-1])} or {STATES[-1]}."),),
            errors=(404,),
        )
    }

    def get(self, request: Request, key: str) -> Response:
        """They, of one state where it is named."""
        state = text_asked(request, "state")
        if state and state not in STATES:
            raise BadRequest(f"state must be one of {', '.join(STATES)}.", param="state")
        page = page_asked(request, runs_of(_job(key), state=state))
        return Response(JobRunAnswer(page.rows, many=True).data, headers=page.headers)


class JobsStartView(ManagementView):
    """All at once."""

    permission_model = Job
    actions = True
    operations: ClassVar = {"post": Operation("jobs_start_all", "Start all jobs", answer=JobsChanged)}

    def post(self, request: Request) -> Response:
        """Start those that are stopped."""
        return Response({"changed": jobs_start_all()})


class JobsStopView(ManagementView):
    """All at once."""

    permission_model = Job
    actions = True
    operations: ClassVar = {"post": Operation("jobs_stop_all", "Stop all jobs, AgentHub's own too", answer=JobsChanged)}

    def post(self, request: Request) -> Response:
        """Stop those that run by their schedule."""
        return Response({"changed": jobs_stop_all()})


def _checked(request: Request, job: Job | None) -> dict[str, Any]:
    json_object(request)
    given = JobInput(job, data=request.data, partial=job is not None, context={"administrator": administers(request)})
    given.is_valid(raise_exception=True)
    values: dict[str, Any] = dict(given.validated_data)
    if job is None and Job.objects.filter(key=values["key"]).exists():
        raise _taken(values["key"])
    return values


def _refused(problem: ValidationError) -> serializers.ValidationError:
    return serializers.ValidationError(problem.message_dict)


def _taken(key: str) -> Conflict:
    return Conflict(f"There is a job {key} already.", param="key")


def _job(key: str) -> Job:
    job = job_keyed(key) if "\0" not in key else None
    if job is None:
        raise NotFound(f"There is no job {key[:40]}; GET /api/admin/jobs lists them.", param="key")
    return job
