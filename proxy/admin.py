"""Client keys in the admin."""

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.timezone import now
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminIntegerFieldWidget, UnfoldAdminTextareaWidget

from agenthub.core.admin.base import HouseAdmin
from agenthub.core.money import PICODOLLAR_DIGITS, picodollars_from_usd, usd_text
from proxy.models import ClientKey
from proxy.rules.caller import Period
from proxy.selectors import client_keys
from proxy.services import (
    LONGEST_OVERLAP_SECONDS,
    OVERLAP_SECONDS,
    CreatedKey,
    KeyValues,
    client_key_create,
    client_key_revoke,
    client_key_rotate,
    client_key_update,
)


class LinesField(forms.CharField):
    """Texts, one per line, kept as a list."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 4})

    def prepare_value(self, value: Any) -> Any:
        """A list as lines."""
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        """Lines as a list."""
        return [line.strip() for line in str(super().clean(value)).splitlines() if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether the lines are others."""
        return self.clean(data or "") != (initial or [])


class UsdField(forms.DecimalField):
    """An amount in USD, exact to a picodollar."""

    widget = UnfoldAdminDecimalFieldWidget(attrs={"step": "any", "min": "0"})

    def prepare_value(self, value: Any) -> Any:
        """A stored amount as it is edited."""
        return usd_text(value) if isinstance(value, Decimal) else value

    def clean(self, value: Any) -> Decimal | None:
        """An amount that can be stored."""
        usd: Decimal | None = super().clean(value)
        try:
            picodollars_from_usd(usd or Decimal(0))
        except ValueError as problem:
            raise forms.ValidationError(str(problem), code="invalid") from None
        return usd


class ClientKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """A key's row; the key itself is never in a form."""

    allowed_models = LinesField(
        required=False,
        help_text="Patterns of the models that it may use, one per line, e.g. gpt-4*. Empty: all models.",
    )
    tags = LinesField(required=False, help_text="Words to find and group keys by, one per line.")
    budget_usd = UsdField(
        required=False,
        label="Budget",
        decimal_places=PICODOLLAR_DIGITS,
        help_text="USD that it may spend in each period; empty for no limit.",
    )

    class Meta:
        model = ClientKey
        fields = tuple(KeyValues.__annotations__)


class RotateForm(forms.Form):
    """How to rotate a key."""

    overlap_seconds = forms.IntegerField(
        min_value=0,
        max_value=LONGEST_OVERLAP_SECONDS,
        initial=OVERLAP_SECONDS,
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text="How long the old key works beside the new one: 0 ends it at once, 86400 is a day, 2592000 the most.",
    )


@admin.register(ClientKey)
class ClientKeyAdmin(HouseAdmin):
    """Issue, limit and revoke client keys."""

    form = ClientKeyForm
    list_display = (
        "name",
        "prefix_shown",
        "state",
        "owner",
        "team",
        "models_shown",
        "limits_shown",
        "budget_shown",
        "expires_at",
        "created_at",
    )
    list_filter = ("enabled", "team", "budget_period")
    list_select_related = ("owner",)
    search_fields = ("name", "prefix", "previous_prefix", "owner__username", "team", "tags", "agent_id")
    autocomplete_fields = ("owner",)
    readonly_fields = ("id", "prefix_shown", "previous_shown", "created_at", "updated_at")
    actions = ("enable", "disable")
    actions_detail = ("rotate",)

    def get_fieldsets(self, request: HttpRequest, obj: ClientKey | None = None) -> Any:
        """A new key has no prefix and no times yet."""
        whose: list[Any] = ["name", ("owner", "team"), ("agent_id", "expires_at"), "tags", "enabled"]
        known: list[Any] = [("prefix_shown", "previous_shown"), "id", ("created_at", "updated_at")]
        return [
            (None, {"fields": whose}),
            *([] if obj is None else [("Key", {"fields": known})]),
            ("Limits", {"fields": ["allowed_models", ("rpm_limit", "tpm_limit", "max_parallel")]}),
            ("Budget", {"fields": [("budget_usd", "budget_period")]}),
            ("Behaviour", {"fields": ["default_model", ("resume", "cache_seconds")]}),
        ]

    @display(description="key")
    def prefix_shown(self, key: ClientKey) -> str:
        """The first characters of the key."""
        return f"{key.prefix}…"

    @display(description="key before it")
    def previous_shown(self, key: ClientKey) -> str:
        """The old key, while it works too."""
        if not key.rotating_at(now()):
            return "none"
        return f"{key.previous_prefix}… works until {key.previous_until:%Y-%m-%d %H:%M:%S} UTC"

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

    @display(description="limits")
    def limits_shown(self, key: ClientKey) -> str:
        """Those that are set."""
        limits = ((key.rpm_limit, "requests/min"), (key.tpm_limit, "tokens/min"), (key.max_parallel, "parallel"))
        return ", ".join(f"{limit} {unit}" for limit, unit in limits if limit is not None) or "none"

    @display(description="budget", ordering="budget_usd")
    def budget_shown(self, key: ClientKey) -> str:
        """The amount and its period."""
        if key.budget_usd is None:
            return "none"
        per = "in all" if key.budget_period == Period.TOTAL else f"per {key.budget_period}"
        return f"{usd_text(key.budget_usd)} USD {per}"

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
        return self._shown_once(request, created)

    def _shown_once(self, request: HttpRequest, created: CreatedKey) -> HttpResponse:
        context = self._context(request, "The new client key") | {"created": created}
        response = TemplateResponse(request, "proxy/key_created.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def _context(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "title": title, "opts": self.model._meta}

    @action(description="Rotate", url_path="rotate", permissions=["change"])
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask how long the old key shall work, then show the new one, this once."""
        key = client_keys().filter(pk=object_id).first()
        if key is None:
            raise Http404("There is no such client key.")
        form = RotateForm(request.POST or None)
        if form.is_valid():
            return self._shown_once(request, client_key_rotate(key_id=key.pk, **form.cleaned_data))
        context = self._context(request, f"Rotate the key of {key.name}")
        context |= {"form": form, "key": key, "rotating": key.rotating_at(now())}
        return TemplateResponse(request, "proxy/key_rotate.html", context)

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
