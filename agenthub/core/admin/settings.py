"""Run-time settings in the admin: every setting has its row, also those that nobody has set."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from agenthub.core.admin.base import HouseAdmin
from agenthub.core.errors import NotFound, Refused
from agenthub.core.models import SystemConfig
from agenthub.core.settings_store import SettingState, setting_set, setting_state, setting_states, setting_unset


def value_field(state: SettingState) -> forms.Field:
    """The form field that fits a setting's type and range."""
    common: dict[str, Any] = {"label": state.key, "help_text": _help(state), "disabled": state.locked_by is not None}
    if state.choices:
        return forms.ChoiceField(
            choices=[(choice, choice) for choice in state.choices], widget=UnfoldAdminSelectWidget(), **common
        )
    match state.kind:
        case "bool":
            return forms.BooleanField(required=False, widget=UnfoldBooleanSwitchWidget(), **common)
        case "int":
            return forms.IntegerField(
                min_value=_whole(state.at_least),
                max_value=_whole(state.at_most),
                widget=UnfoldAdminIntegerFieldWidget(),
                **common,
            )
        case "float":
            return forms.FloatField(
                min_value=state.at_least,
                max_value=state.at_most,
                widget=UnfoldAdminDecimalFieldWidget(attrs={"step": "any"}),
                **common,
            )
        case _:
            return forms.CharField(max_length=500, widget=UnfoldAdminTextInputWidget(), **common)


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def _help(state: SettingState) -> str:
    parts = [state.help, f"Default: {state.default}."]
    if state.at_least is not None and state.at_most is not None:
        parts.append(f"From {state.at_least:g} to {state.at_most:g}.")
    if state.locked_by:
        parts.append(f"Held fixed by the environment variable {state.locked_by}.")
    return " ".join(parts)


class SettingForm(forms.Form):
    """One setting."""

    def __init__(self, state: SettingState, data: Any = None) -> None:
        super().__init__(data, initial={"value": state.value, "description": state.description})
        self.fields["value"] = value_field(state)
        self.fields["description"] = forms.CharField(
            required=False,
            max_length=2000,
            disabled=state.locked_by is not None,
            widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
            help_text="Why it is set so; for other people.",
        )


@admin.register(SystemConfig)
class SettingsAdmin(HouseAdmin):
    """All settings on one page, each with a typed form."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Every setting with its value, and where it comes from."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = self._context(request, "Settings") | {"states": setting_states()} | (extra_context or {})
        return TemplateResponse(request, "core/settings.html", context)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The form of one setting."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            state = setting_state(object_id or "")
        except NotFound as problem:
            raise Http404(problem.message) from None
        may_change = self.has_change_permission(request) and state.locked_by is None
        form = SettingForm(state, request.POST or None)
        if request.method == "POST":
            if not may_change:
                raise PermissionDenied
            if self._saved(request, state, form):
                return HttpResponseRedirect(reverse("admin:core_systemconfig_changelist"))
        context = self._context(request, state.key) | {"state": state, "form": form, "may_change": may_change}
        return TemplateResponse(request, "core/setting.html", context | (extra_context or {}))

    def _saved(self, request: HttpRequest, state: SettingState, form: SettingForm) -> bool:
        try:
            if "_default" in request.POST:
                after = setting_unset(key=state.key)
            elif form.is_valid():
                after = setting_set(key=state.key, **form.cleaned_data)
            else:
                return False
        except Refused as problem:
            form.add_error("value" if problem.param == "value" else None, problem.message)
            return False
        messages.success(request, f"{after.key} is now {after.value}.")
        return True

    def _context(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "title": title, "opts": self.model._meta}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """There are as many settings as there are."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """They go back to their default instead."""
        return False
