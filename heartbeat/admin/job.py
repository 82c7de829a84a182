"""Jobs and their runs in the admin."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display

from agenthub.core.access import is_administrator
from agenthub.core.admin.base import HouseAdmin, ReadOnlyAdmin
from agenthub.core.errors import Conflict
from heartbeat.checkin_urls import ping_url
from heartbeat.definitions import job_refusal
from heartbeat.models import Job, JobRun
from heartbeat.rules.jobs import JobKind, key_refusal
from heartbeat.rules.schedule import ScheduleKind
from heartbeat.selectors import jobs
from heartbeat.services.jobs import (
    job_register,
    job_run_now,
    job_start,
    job_stop,
    job_unregister,
    job_update,
)
from providers.admin.forms import JsonField

COLOURS = {
    "ok": "success",
    "running": "info",
    "scheduled": "info",
    "skipped": "warning",
    "missed": "warning",
    "failed": "danger",
    "timed_out": "danger",
}
WHAT = ("kind", "parameters")
EDITED = (
    "description",
    *WHAT,
    "enabled",
    "schedule",
    "every_seconds",
    "cron",
    "time_zone",
    "at",
    "jitter_seconds",
    "misfire",
    "overlap",
    "grace_seconds",
    "max_run_seconds",
    "retries",
)


class JobForm(forms.ModelForm):  # type: ignore[type-arg]
    """A job, its schedule and what it does."""

    parameters = JsonField(
        help_text='http: {"url": …, "method": …, "headers": {…}, "json": …, "status": …}. '
        'command: {"command": ["word", …], "folder": …, "environment": {…}}. '
        'callable: {"callable": …, "arguments": {…}}. reminder: {"message": …, "email": [address, …]}. check_in: {}.'
    )
    administrator = False

    class Meta:
        model = Job
        fields = ("key", *EDITED)

    def clean_key(self) -> str:
        """A key that fits an address."""
        key: str = self.cleaned_data["key"]
        refusal = key_refusal(key)
        if refusal:
            raise forms.ValidationError(refusal, code="invalid")
        return key

    def clean(self) -> dict[str, Any] | None:
        """Kind and parameters must fit each other, and the role of who asks."""
        data = super().clean()
        data = self.cleaned_data if data is None else data
        changed = self.instance.pk is None or {*WHAT} & set(self.changed_data)
        if changed and {*WHAT} <= data.keys():
            refusal = job_refusal(JobKind(data["kind"]), data["parameters"], administrator=self.administrator)
            if refusal:
                self.add_error("parameters", refusal)
        return data


@admin.register(Job)
class JobAdmin(HouseAdmin):
    """What runs when, and how its last run went."""

    form = JobForm
    list_display = ("key", "kind", "timing_label", "enabled", "next_label", "last_label", "last_run", "last_error")
    list_filter = ("kind", "enabled", "built_in", "late")
    search_fields = ("key", "description")
    search_help_text = "Search by key, or by what it does."
    ordering = ("key",)
    what = (
        "key",
        "description",
        *WHAT,
        "enabled",
        ("schedule", "every_seconds"),
        ("cron", "time_zone"),
        "at",
        ("misfire", "overlap"),
        ("grace_seconds", "max_run_seconds"),
        ("jitter_seconds", "retries"),
    )
    findings = ("next_due", "last_seen", "check_in_at", "its_runs", "created_at")
    actions = ("run_now", "start", "stop")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        """Each with its last run."""
        return jobs()

    def get_fieldsets(self, request: HttpRequest, obj: Job | None = None) -> Any:
        """What it is, and how it is; a new one has no findings yet."""
        what = [(None, {"fields": self.what})]
        return what if obj is None else [*what, ("State", {"fields": self.findings})]

    def get_readonly_fields(self, request: HttpRequest, obj: Job | None = None) -> Any:
        """The findings and the key; of AgentHub's own jobs what they do as well."""
        if obj is None:
            return self.findings
        return ("key", *(WHAT if obj.built_in else ()), *self.findings)

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """A form that knows what the person may ask for."""
        form = super().get_form(request, *args, **kwargs)
        user = request.user
        form.administrator = isinstance(user, User) and is_administrator(user)
        return form

    @display(description="schedule")
    def timing_label(self, job: Job) -> str:
        """When it runs, in words."""
        if job.schedule == ScheduleKind.CRON:
            return f"{job.cron} {job.time_zone}"
        if job.schedule == ScheduleKind.ONCE:
            return f"once, {job.at:%Y-%m-%d %H:%M}" if job.at else "once"
        return f"every {job.every_seconds:g} s"

    @display(description="next due", ordering="next_due")
    def next_label(self, job: Job) -> str:
        """When it is due next, to the second."""
        return _moment(job.next_due)

    @display(description="last run", label=COLOURS)
    def last_label(self, job: Any) -> str:
        """How the last run ended, in colour."""
        return job.last_state or "-"

    @display(description="at")
    def last_run(self, job: Any) -> str:
        """The tick of the last run."""
        return _moment(job.last_run)

    @display(description="error")
    def last_error(self, job: Any) -> str:
        """What was wrong with the last run."""
        return (job.last_error or "")[:80]

    @display(description="checks in at")
    def check_in_at(self, job: Job) -> str:
        """The address that an outside job calls."""
        return ping_url(job.ping_id) if job.kind == JobKind.CHECK_IN else "-"

    @display(description="runs")
    def its_runs(self, job: Job) -> str:
        """The list of its runs."""
        address = reverse("admin:heartbeat_jobrun_changelist")
        return format_html('<a href="{}?job__id__exact={}">its runs</a>', address, job.pk)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """AgentHub's own jobs would only come back."""
        return bool(super().has_delete_permission(request, obj)) and not (obj is not None and obj.built_in)

    def save_model(self, request: HttpRequest, obj: Job, form: JobForm, change: bool) -> None:
        """Save what people set, without what was found meanwhile."""
        values = {column: form.cleaned_data[column] for column in EDITED if column in form.cleaned_data}
        if change:
            job_update(job_id=obj.pk, values=values)
        else:
            obj.pk = job_register(key=form.cleaned_data["key"], values=values).pk

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Take away those that may be."""
        for job in queryset:
            self._tried(request, partial(job_unregister, job_id=job.pk))

    @admin.action(description="Run now", permissions=["change"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Have a worker run them at once."""
        asked = sum(self._tried(request, partial(job_run_now, job_id=job.pk)) for job in queryset)
        self.message_user(request, f"{asked} runs were asked for.")

    @admin.action(description="Start", permissions=["change"])
    def start(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Let them run by their schedule."""
        self.message_user(request, f"{sum(job_start(job_id=job.pk) for job in queryset)} jobs were started.")

    @admin.action(description="Stop", permissions=["change"])
    def stop(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Let them run no longer."""
        self.message_user(request, f"{sum(job_stop(job_id=job.pk) for job in queryset)} jobs were stopped.")

    def _tried(self, request: HttpRequest, service: Callable[[], Any]) -> bool:
        try:
            service()
        except Conflict as problem:
            self.message_user(request, problem.message, "warning")
            return False
        return True


def _moment(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


@admin.register(JobRun)
class JobRunAdmin(ReadOnlyAdmin):
    """What became of each tick."""

    list_display = ("scheduled_for", "job", "state_label", "attempt", "started_at", "ended_at", "worker", "error")
    list_filter = ("state", "job")
    ordering = ("-scheduled_for", "-id")
    list_select_related = ("job",)
    fields = (
        ("job", "scheduled_for"),
        ("state", "manual", "attempt"),
        ("started_at", "ended_at"),
        ("worker", "lease_until", "stop_asked"),
        "error",
        "output",
    )

    @display(description="state", ordering="state", label=COLOURS)
    def state_label(self, run: JobRun) -> str:
        """How it ended, in colour."""
        return run.state
