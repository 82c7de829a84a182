"""Client keys in the admin."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.timezone import now
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from agenthub.core.admin.base import HouseAdmin
from proxy.models import ClientKey
from proxy.services import CreatedKey, client_key_create, client_key_revoke, client_key_update


class PatternsField(forms.CharField):
    """Patterns of models, one per line, kept as a list."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 4})

    def prepare_value(self, value: Any) -> Any:
        """A list as lines."""
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        """Lines as a list."""
        return [line.strip() for line in str(super().clean(value)).splitlines() if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether the patterns are others."""
        return self.clean(data or "") != (initial or [])


class ClientKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """A key's row; the key itself is never in a form."""

    allowed_models = PatternsField(
        required=False,
        help_text="Patterns of the models that it may use, one per line, e.g. gpt-4*. Empty: all models.",
    )

    class Meta:
        model = ClientKey
        fields = ("name", "owner", "agent_id", "enabled", "expires_at", "allowed_models")


@admin.register(ClientKey)
class ClientKeyAdmin(HouseAdmin):
    """Issue, limit and revoke client keys."""

    form = ClientKeyForm
    list_display = ("name", "prefix_shown", "state", "owner", "agent_id", "models_shown", "expires_at", "created_at")
    list_filter = ("enabled",)
    list_select_related = ("owner",)
    search_fields = ("name", "prefix", "owner__username", "agent_id")
    autocomplete_fields = ("owner",)
    readonly_fields = ("id", "prefix_shown", "created_at", "updated_at")
    actions = ("enable", "disable")

    def get_fieldsets(self, request: HttpRequest, obj: ClientKey | None = None) -> Any:
        """A new key has no prefix and no times yet."""
        fields = list(ClientKeyForm.Meta.fields)
        return [(None, {"fields": fields if obj is None else [*fields, *self.readonly_fields]})]

    @display(description="key")
    def prefix_shown(self, key: ClientKey) -> str:
        """The first characters of the key."""
        return f"{key.prefix}…"

    @display(description="state", label={"active": "success", "disabled": "danger", "expired": "warning"})
    def state(self, key: ClientKey) -> str:
        """Whether it opens the door now."""
        if not key.enabled:
            return "disabled"
        return "active" if key.usable_at(now()) else "expired"

    @display(description="models")
    def models_shown(self, key: ClientKey) -> str:
        """The patterns, or all."""
        return ", ".join(key.allowed_models)[:100] or "all"

    def save_model(self, request: HttpRequest, obj: ClientKey, form: Any, change: bool) -> None:
        """Issue a new key, or save what was changed."""
        if change:
            client_key_update(obj)
            return
        created = client_key_create(**form.cleaned_data)
        obj.pk, obj.prefix = created.row.pk, created.row.prefix
        obj._state.adding = False
        # For this answer alone; it goes into no session and no message.
        request.created_key = created  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: ClientKey, post_url_continue: str | None = None) -> HttpResponse:
        """The one page that ever shows the key."""
        created: CreatedKey = request.created_key  # type: ignore[attr-defined]
        context = {
            **self.admin_site.each_context(request),
            "title": "The new client key",
            "opts": self.model._meta,
            "created": created,
        }
        response = TemplateResponse(request, "proxy/key_created.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def delete_model(self, request: HttpRequest, obj: ClientKey) -> None:
        """Revoke it."""
        client_key_revoke(obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ClientKey]) -> None:
        """Revoke them."""
        for key in queryset:
            client_key_revoke(key.pk)

    @admin.action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[ClientKey]) -> HttpResponse:
        """Let them open the door again."""
        return self._switch(request, queryset, enabled=True)

    @admin.action(description="Disable", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[ClientKey]) -> HttpResponse:
        """Let them open nothing, until they are enabled."""
        return self._switch(request, queryset, enabled=False)

    def _switch(self, request: HttpRequest, queryset: QuerySet[ClientKey], *, enabled: bool) -> HttpResponse:
        changed = [key for key in queryset if key.enabled != enabled]
        for key in changed:
            key.enabled = enabled
            client_key_update(key)
        self.message_user(request, f"{len(changed)} keys are now {'enabled' if enabled else 'disabled'}.")
        return HttpResponseRedirect(reverse("admin:proxy_clientkey_changelist"))
