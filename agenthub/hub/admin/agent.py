"""Agents in the admin."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html_join
from django.utils.timezone import now
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from agenthub.core.admin.base import HouseAdmin
from agenthub.hub.models import Agent
from agenthub.hub.selectors import agents
from agenthub.hub.services.agents import (
    LONGEST_OVERLAP_SECONDS,
    OVERLAP_SECONDS,
    Issued,
    agent_create,
    agent_delete,
    agent_token_rotate,
    agent_update,
)

WHAT_IT_IS = ("username", "display_name", "description", "agent_class", "kind", "owner", "enabled")
WHO_TALKS = ("open_to_members", "members", "peers", "may_notify", "replays_to_legacy")
HOW_IT_WORKS = (
    *("coordinator", "backup_agent", "time_zone", "workspace", "check_list", "openclaw_id", "multica_uuid"),
)
EDITED = (*WHAT_IT_IS, *WHO_TALKS, *HOW_IT_WORKS)


class RotateForm(forms.Form):
    """How to rotate a token."""

    overlap_seconds = forms.IntegerField(
        min_value=0,
        max_value=LONGEST_OVERLAP_SECONDS,
        initial=OVERLAP_SECONDS,
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text="How long the old token works beside the new one: 0 ends it at once, 2592000 is the most.",
    )


@admin.register(Agent)
class AgentAdmin(HouseAdmin):
    """Make agents, and give them tokens."""

    list_display = ("username", "display_name", "state", "owner", "last_seen_at", "created_at")
    list_filter = ("enabled",)
    search_fields = ("username", "display_name", "description")
    autocomplete_fields = ("owner", "members", "peers", "coordinator", "backup_agent")
    fields = EDITED
    findings = ("id", "tokens_shown", "last_seen_at", "created_at")
    readonly_fields = findings
    actions_detail = ("rotate",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Agent]:
        """Each with its owner and tokens."""
        return agents()

    def get_fieldsets(self, request: HttpRequest, obj: Agent | None = None) -> Any:
        """A new one has no number, token and times yet."""
        what = [
            (None, {"fields": WHAT_IT_IS}),
            ("Who talks to it", {"fields": WHO_TALKS}),
            ("How it works", {"fields": HOW_IT_WORKS}),
        ]
        return what if obj is None else [*what, ("State", {"fields": self.findings})]

    @display(description="state", label={"enabled": "success", "disabled": "danger"})
    def state(self, agent: Agent) -> str:
        """Whether its tokens work."""
        return "enabled" if agent.enabled else "disabled"

    @display(description="tokens")
    def tokens_shown(self, agent: Agent) -> str:
        """The ends of those that work."""
        rows = (
            (token, f"works until {token.ends_at:%Y-%m-%d %H:%M:%S} UTC" if token.ends_at else "works")
            for token in agent.tokens.all()
            if token.works_at(now())
        )
        return format_html_join("", "<div>{} {}</div>", rows) or "none"

    def save_model(self, request: HttpRequest, obj: Agent, form: Any, change: bool) -> None:
        """Make it with its first token, or save what was changed."""
        values = {column: form.cleaned_data[column] for column in EDITED}
        values["check_list"] = values["check_list"] or []  # an empty field is no value of JSON
        if change:
            agent_update(agent_id=obj.pk, values=values)
            return
        issued = agent_create(username=values.pop("username"), values=values)
        obj.pk = issued.agent.pk
        obj._state.adding = False
        # For this answer alone; it goes into no session and no message.
        request.issued = issued  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: Agent, post_url_continue: str | None = None) -> HttpResponse:
        """The one page that ever shows the token."""
        issued: Issued = request.issued  # type: ignore[attr-defined]
        return self._shown_once(request, issued)

    def _shown_once(self, request: HttpRequest, issued: Issued) -> HttpResponse:
        context = self._context(request, "The new agent token") | {"issued": issued}
        response = TemplateResponse(request, "hub/token_created.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def _context(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "title": title, "opts": self.model._meta}

    @action(description="Rotate token", url_path="rotate", permissions=["change"])
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask how long the old token shall work, then show the new one, this once."""
        agent = agents().filter(pk=object_id).first()
        if agent is None:
            raise Http404("There is no such agent.")
        form = RotateForm(request.POST or None)
        if form.is_valid():
            return self._shown_once(request, agent_token_rotate(agent_id=agent.pk, **form.cleaned_data))
        context = self._context(request, f"Rotate the token of {agent}") | {"form": form, "agent": agent}
        return TemplateResponse(request, "hub/token_rotate.html", context)

    def delete_model(self, request: HttpRequest, obj: Agent) -> None:
        """Take it away; what it has saved stays."""
        agent_delete(agent_id=obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        """Take them away."""
        for agent in queryset:
            agent_delete(agent_id=agent.pk)
