"""Components in the admin."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from unfold.decorators import display

from agenthub.core.access import is_administrator
from agenthub.core.admin.base import HouseAdmin
from agenthub.core.clock import epoch_seconds
from agenthub.core.errors import Conflict
from heartbeat.definitions import check_refusal
from heartbeat.models import Component
from heartbeat.rules.components import CheckKind, name_refusal
from heartbeat.services.components import (
    component_check_now,
    component_delete,
    component_pause,
    component_register,
    component_resume,
    component_update,
)
from providers.admin.forms import JsonField

COLOURS = {
    "new": "info",
    "healthy": "success",
    "late": "warning",
    "error": "danger",
    "unknown": "warning",
    "paused": "info",
}
EDITED = ("interval_seconds", "stale_factor", "check_kind", "parameters", "timeout_seconds", "node")


class ComponentForm(forms.ModelForm):  # type: ignore[type-arg]
    """A component and its check."""

    parameters = JsonField(
        help_text='http: {"url": …}. tcp: {"host": …, "port": …}. command: {"command": ["word", …]}. '
        'callable: {"path": …, "arguments": {…}}.'
    )
    administrator = False

    class Meta:
        model = Component
        fields = ("name", *EDITED)

    def clean_name(self) -> str:
        """A name that fits an address."""
        name: str = self.cleaned_data["name"]
        refusal = name_refusal(name)
        if refusal:
            raise forms.ValidationError(refusal, code="invalid")
        return name

    def clean(self) -> dict[str, Any] | None:
        """Check and parameters must fit each other, and the role of who asks."""
        data = super().clean()
        data = self.cleaned_data if data is None else data
        if {"check_kind", "parameters"} & set(self.changed_data) and {"check_kind", "parameters"} <= data.keys():
            kind = CheckKind(data["check_kind"])
            refusal = check_refusal(kind, data["parameters"], administrator=self.administrator)
            if refusal:
                self.add_error("parameters", refusal)
        return data


@admin.register(Component)
class ComponentAdmin(HouseAdmin):
    """What must give signs of life, and whether it does."""

    form = ComponentForm
    list_display = (
        "name",
        "kind",
        "status_label",
        "note",
        "last_seen",
        "interval_seconds",
        "check_kind",
        "transitions",
    )
    list_filter = ("status", "kind", "check_kind", "node")
    search_fields = ("name", "note")
    search_help_text = "Search by name, or by what was found."
    ordering = ("name",)
    fields = ("name", ("interval_seconds", "stale_factor"), ("check_kind", "timeout_seconds"), "parameters", "node")
    findings = ("status_label", "note", "last_seen", "sequence", "transitions", "last_errors", "created_at")
    actions = ("pause", "resume", "check_now")

    def get_fieldsets(self, request: HttpRequest, obj: Component | None = None) -> Any:
        """What it is, and how it is; a new one has no findings yet."""
        what = [(None, {"fields": self.fields})]
        return what if obj is None else [*what, ("State", {"fields": self.findings})]

    def get_readonly_fields(self, request: HttpRequest, obj: Component | None = None) -> Any:
        """The findings, and the name, by which senders know it."""
        return self.findings if obj is None else ("name", *self.findings)

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """A form that knows what the person may ask for."""
        form = super().get_form(request, *args, **kwargs)
        user = request.user
        form.administrator = isinstance(user, User) and is_administrator(user)
        return form

    @display(description="status", ordering="status", label=COLOURS)
    def status_label(self, component: Component) -> str:
        """How it is at this moment, in colour."""
        return component.status_at(epoch_seconds()).value

    @display(description="last errors")
    def last_errors(self, component: Component) -> str:
        """The first sign of each of the last outages."""
        rows = ((error["at"], error["text"]) for error in reversed(component.errors))
        return format_html_join("", "<div>{}: {}</div>", rows) or "none"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """AgentHub's own checks would only come back."""
        return bool(super().has_delete_permission(request, obj)) and not (obj is not None and obj.built_in)

    def save_model(self, request: HttpRequest, obj: Component, form: ComponentForm, change: bool) -> None:
        """Save what people set, without what was found meanwhile."""
        values = {column: form.cleaned_data[column] for column in EDITED}
        if change:
            component_update(component_id=obj.pk, values=values)
        else:
            obj.pk = component_register(name=form.cleaned_data["name"], values=values).pk

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Component]) -> None:
        """Take away those that may be."""
        for component in queryset:
            try:
                component_delete(component_id=component.pk)
            except Conflict as problem:
                self.message_user(request, problem.message, "warning")

    @admin.action(description="Pause", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Component]) -> None:
        """Look at them no longer."""
        self._each(request, queryset, component_pause, "paused")

    @admin.action(description="Resume", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Component]) -> None:
        """Look at them again."""
        self._each(request, queryset, component_resume, "looked at again")

    @admin.action(description="Check now", permissions=["change"])
    def check_now(self, request: HttpRequest, queryset: QuerySet[Component]) -> None:
        """Have a worker run their checks with its next pass."""
        self._each(request, queryset, component_check_now, "checked within some seconds")

    def _each(
        self, request: HttpRequest, queryset: QuerySet[Component], service: Callable[..., bool], done: str
    ) -> None:
        changed = sum(service(component_id=component.pk) for component in queryset)
        self.message_user(request, f"{changed} components are now {done}.")
