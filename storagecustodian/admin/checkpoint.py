"""Checkpoints in the admin: look, compare, download, go back."""

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from agenthub.core.access import is_administrator
from agenthub.core.admin.base import HouseAdmin, ReadOnlyAdmin
from agenthub.core.agents import agent_directory
from agenthub.core.errors import NotFound, Refused
from storagecustodian.api.management import download
from storagecustodian.models import Checkpoint, Restore
from storagecustodian.models.checkpoint import LONGEST_NOTE
from storagecustodian.rules.diff import diff
from storagecustodian.rules.paths import LONGEST_ID
from storagecustodian.selectors import checkpoint_load, checkpoint_named, head
from storagecustodian.services.changing import checkpoint_delete, checkpoint_update
from storagecustodian.services.restoring import checkpoint_restore

LONGEST_SHOWN = 64 * 1024
LONGEST_VALUE = 400


class RestoreForm(forms.Form):
    """Why, for whom, and whether a document of an unknown version is tried."""

    reason = forms.CharField(
        required=False, max_length=LONGEST_NOTE, widget=UnfoldAdminTextInputWidget(), help_text="For other people."
    )
    agent_id = forms.CharField(
        required=False,
        max_length=LONGEST_ID,
        strip=False,
        label="For another agent",
        widget=UnfoldAdminTextInputWidget(),
        help_text="Its id; empty for the checkpoint's own agent. The other one gets a copy.",
    )
    any_version = forms.BooleanField(
        required=False,
        label="Try any version",
        widget=UnfoldBooleanSwitchWidget(),
        help_text="Also a document of a version that this hub does not know.",
    )

    def __init__(self, *args: Any, administrator: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not administrator:
            del self.fields["agent_id"]


@admin.register(Checkpoint)
class CheckpointAdmin(HouseAdmin):
    """Saved states of agents."""

    list_display = (
        "agent_shown",
        "sequence",
        "kind_label",
        "label",
        "iteration",
        "task_id",
        "status",
        "size_shown",
        "pinned",
        "created_at",
    )
    list_filter = ("kind", "pinned", "status")
    search_fields = ("id", "agent_id", "agent_name", "task_id", "label")
    search_help_text = "Search by agent, task, label or id."
    ordering = ("-created_at", "-id")
    fields = (
        ("label", "pinned"),
        "note",
        ("id", "agent_id", "agent_name"),
        ("kind", "sequence", "epoch", "is_head"),
        ("task_id", "status", "iteration"),
        ("size_shown", "sha256", "damaged_at"),
        "created_at",
        "state_shown",
    )
    actions = ("compare",)
    actions_detail = ("restore", "download")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Checkpoint]:
        """Without the states, which may be large."""
        rows: QuerySet[Checkpoint] = super().get_queryset(request)
        return rows.defer("body")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """All but what people note about it."""
        given = ("label", "pinned", "note")
        names = (name for row in self.fields for name in (row if isinstance(row, tuple) else (row,)))
        return [name for name in names if name not in given]

    def has_add_permission(self, request: HttpRequest, *_: Any) -> bool:
        """Agents save, not people."""
        return False

    @display(description="agent", ordering="agent_id")
    def agent_shown(self, checkpoint: Checkpoint) -> str:
        """Its name and id."""
        agent_id = checkpoint.agent_id
        name = checkpoint.agent_name or agent_directory().names([agent_id]).get(agent_id, "")
        return f"{name} ({agent_id})" if name else agent_id

    @display(
        description="kind",
        ordering="kind",
        label={"manual": "info", "pre_restore": "warning", "restored": "warning", "crash": "danger"},
    )
    def kind_label(self, checkpoint: Checkpoint) -> str:
        """Why it was made, in colour."""
        return checkpoint.kind

    @display(description="size", ordering="size")
    def size_shown(self, checkpoint: Checkpoint) -> str:
        """Of the document, and in the database."""
        if checkpoint.stored_size == checkpoint.size:
            return filesizeformat(checkpoint.size)
        return f"{filesizeformat(checkpoint.size)}, {filesizeformat(checkpoint.stored_size)} stored"

    @display(description="head", boolean=True)
    def is_head(self, checkpoint: Checkpoint) -> bool:
        """Whether it is what its agent would load."""
        newest = head(checkpoint.agent_id)
        return newest is not None and newest.id == checkpoint.id

    @display(description="state")
    def state_shown(self, checkpoint: Checkpoint) -> SafeString | str:
        """The state, as far as a page shows it."""
        try:
            state = checkpoint_load(checkpoint.id, any_version=True).envelope.state
        except Refused as problem:
            return problem.message
        text = json.dumps(state, indent=2, ensure_ascii=False)
        more = "" if len(text) <= LONGEST_SHOWN else "\n…"
        return format_html('<pre class="whitespace-pre-wrap break-all">{}{}</pre>', text[:LONGEST_SHOWN], more)

    def save_model(self, request: HttpRequest, obj: Checkpoint, form: Any, change: bool) -> None:
        """Label, pin and note."""
        data = {name: form.cleaned_data[name] for name in ("label", "pinned", "note")}
        checkpoint_update(checkpoint_id=obj.pk, **data)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The audit trail has it."""

    def delete_model(self, request: HttpRequest, obj: Checkpoint) -> None:
        """With its file."""
        checkpoint_delete(checkpoint_id=obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Checkpoint]) -> None:
        """With their files."""
        for checkpoint_id in queryset.values_list("pk", flat=True):
            checkpoint_delete(checkpoint_id=checkpoint_id)

    def get_urls(self) -> list[URLPattern]:
        """The page of two checkpoints stands before the page of one."""
        view = self.admin_site.admin_view(self.compare_view)
        return [path("compare/", view, name="storagecustodian_checkpoint_compare"), *super().get_urls()]

    @admin.action(description="Compare two", permissions=["view"])
    def compare(self, request: HttpRequest, queryset: QuerySet[Checkpoint]) -> HttpResponse | None:
        """To the page of both, the older one first."""
        ids = list(queryset.order_by("created_at", "sequence").values_list("pk", flat=True)[:3])
        if len(ids) != 2:
            self.message_user(request, "Tick two checkpoints to compare them.", messages.WARNING)
            return None
        address = reverse("admin:storagecustodian_checkpoint_compare")
        return HttpResponseRedirect(f"{address}?before={ids[0]}&after={ids[1]}")

    def compare_view(self, request: HttpRequest) -> HttpResponse:
        """What differs between two states."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = self._context(request, "Compare checkpoints")
        try:
            before, after = (checkpoint_load(request.GET.get(name, "")) for name in ("before", "after"))
        except NotFound as problem:
            raise Http404(problem.message) from None
        except Refused as problem:
            context |= {"problem": problem.message}
        else:
            found = diff(before.envelope.state, after.envelope.state)
            rows = [(one.kind, one.path, *_values(one.kind, one.before, one.after)) for one in found.changes]
            context |= {"before": before.checkpoint, "after": after.checkpoint, "rows": rows, "more": found.more}
        return TemplateResponse(request, "storagecustodian/compare.html", context)

    @action(description="Restore", url_path="restore", permissions=["change"])
    def restore(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then go back to it."""
        checkpoint = self._named(object_id)
        administrator = is_administrator(request.user)
        form = RestoreForm(request.POST or None, administrator=administrator)
        if request.method == "POST" and form.is_valid():
            data = form.cleaned_data | {"agent_id": form.cleaned_data.get("agent_id") or None}
            try:
                done = checkpoint_restore(
                    checkpoint_id=checkpoint.id, by=request.user.get_username(), administrator=administrator, **data
                )
            except Refused as problem:
                form.add_error(None, problem.message)
            else:
                agent_id = done.checkpoint.agent_id
                self.message_user(request, f"Agent {agent_id} is back at {done.checkpoint.id}, in epoch {done.epoch}.")
                return HttpResponseRedirect(reverse("admin:storagecustodian_checkpoint_changelist"))
        context = self._context(request, f"Restore checkpoint {checkpoint.sequence} of agent {checkpoint.agent_id}")
        context |= {"form": form, "checkpoint": checkpoint, "head": head(checkpoint.agent_id)}
        return TemplateResponse(request, "storagecustodian/restore.html", context)

    @action(description="Download", url_path="download", permissions=["view"])
    def download(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The document as it was saved."""
        try:
            return download(checkpoint_load(self._named(object_id).id, any_version=True).checkpoint)
        except Refused as problem:
            self.message_user(request, problem.message, messages.ERROR)
            return HttpResponseRedirect(reverse("admin:storagecustodian_checkpoint_changelist"))

    def _named(self, checkpoint_id: str) -> Checkpoint:
        try:
            return checkpoint_named(checkpoint_id)
        except NotFound as problem:
            raise Http404(problem.message) from None

    def _context(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "title": title, "opts": self.model._meta}


def _values(kind: str, before: object, after: object) -> tuple[str, str]:
    old, new = (json.dumps(value, ensure_ascii=False) for value in (before, after))
    shown = ("" if kind == "added" else old, "" if kind == "removed" else new)
    return shown[0][:LONGEST_VALUE], shown[1][:LONGEST_VALUE]


@admin.register(Restore)
class RestoreAdmin(ReadOnlyAdmin):
    """Who went back to what, when and why."""

    list_display = ("created_at", "agent_id", "epoch", "checkpoint_id", "pre_restore_id", "by", "reason")
    search_fields = ("agent_id", "checkpoint_id", "by", "reason")
    search_help_text = "Search by agent, checkpoint, person or reason."
    ordering = ("-created_at", "-id")
