"""Backends in the admin, with their mappings inline."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.admin import StackedInline
from unfold.decorators import action, display

from agenthub.core.crypto import Unreadable
from agenthub.core.ids import short_id
from agenthub.core.versions import bump
from providers.admin.forms import BackendForm, MappingForm
from providers.admin.transfer import TransferAdmin
from providers.models import Backend, ModelMapping
from providers.probes import Discovered, Tested, backend_discover, backends_test, reach_warning
from providers.rules import price_list
from providers.rules.base_url import base_url_warnings
from providers.rules.table import ApiKind, ErrorKind
from providers.selectors import api_key_masked
from providers.services.backends import (
    backend_delete,
    backend_duplicate,
    backend_enable,
    backend_error_clear,
    backend_save,
    mappings_add,
)
from providers.services.cooldowns import cooldown_clear
from providers.services.keys import secrets_set

STATUS_COLOURS = {"healthy": "success", "cooling": "warning", "error": "danger", "disabled": "info"}
MOST_ROWS_AT_ONCE = 100
CONNECTION_FIELDS = [
    "outgoing_proxy",
    "no_outgoing_proxy",
    "ca_bundle",
    "client_certificate",
    "no_client_certificate",
]


class MappingInline(StackedInline):
    """The models that the backend serves."""

    model = ModelMapping
    form = MappingForm
    extra = 0
    per_page = 50
    fields = (
        ("canonical", "native_id"),
        ("price_input_usd", "price_output_usd"),
        ("price_cache_read_usd", "price_cache_write_usd"),
        ("context_window", "max_tokens"),
        ("input_modalities", "first_token_timeout_seconds"),
        ("reasoning", "reasoning_effort"),
        "compat",
        "flag",
    )
    readonly_fields = ("flag",)

    @display(description="flag")
    def flag(self, mapping: ModelMapping) -> str:
        """What the backend has said of the model."""
        return f"{mapping.flagged_at:%Y-%m-%d %H:%M} UTC: {mapping.flag_reason}" if mapping.flagged_at else "–"


@admin.register(Backend)
class BackendAdmin(TransferAdmin):
    """Everything about a backend on one page."""

    form = BackendForm
    inlines = (MappingInline,)
    list_display = (
        "name",
        "label",
        "pool",
        "status_shown",
        "api_base_url",
        "key_shown",
        "models",
        "rpm_limit",
        "health_shown",
    )
    list_filter = ("status", "pool", "enabled", "api", "source")
    list_select_related = ("pool", "health")
    search_fields = ("name", "label", "api_base_url", "=id", "mappings__canonical")
    search_help_text = "Search by name, label, base URL, id or model."
    ordering = ("pool__order", "name")
    readonly_fields = ("id", "source", "status_shown", "trouble", "health_shown", "created_at", "updated_at")
    actions = ("test", "discover", "clear_cooldown", "enable", "disable", "duplicate", "export")
    actions_submit_line = ("save_and_test", "save_and_discover")

    def get_fieldsets(self, request: HttpRequest, obj: Backend | None = None) -> Any:
        """What it is, how it is, how much of it; a new one has no findings yet."""
        what: list[Any] = ["name", ("label", "pool"), "api_base_url", "api", "api_key", "no_api_key", "enabled"]
        limits = [("rpm_limit", "burst"), ("tpm_limit", "max_concurrency"), ("timeout_seconds", "weight"), "probe"]
        rest = [
            ("Limits", {"fields": limits}),
            ("Connection", {"classes": ["collapse"], "fields": CONNECTION_FIELDS}),
            ("More", {"classes": ["collapse"], "fields": ["services", "extra_headers", "metadata"]}),
        ]
        if obj is None:
            return [(None, {"fields": ["preset", *what]}), *rest]
        findings = ["status_shown", "trouble", "health_shown", ("id", "source"), ("created_at", "updated_at")]
        return [(None, {"fields": what}), ("State", {"fields": findings}), *rest]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Backend]:
        """With the number of their models."""
        backends: QuerySet[Backend] = super().get_queryset(request)
        return backends.select_related("pool", "health").annotate(model_count=Count("mappings"))

    @display(description="status", ordering="status", label=STATUS_COLOURS)
    def status_shown(self, backend: Backend) -> str:
        """What AgentHub has found out, in colour."""
        return backend.status

    @display(description="trouble")
    def trouble(self, backend: Backend) -> str:
        """Why it is not used now."""
        if backend.error_kind:
            return f"{backend.get_error_kind_display()}: {backend.error_reason}"
        if backend.cooldown_until:
            until = f"{backend.cooldown_until:%Y-%m-%d %H:%M:%S} UTC"
            return f"cooling until {until}, 429 number {backend.consecutive_429_count} in a row"
        return "none"

    @display(description="API key")
    def key_shown(self, backend: Backend) -> str:
        """Masked."""
        return api_key_masked(backend) or "none"

    @display(description="models", ordering="model_count")
    def models(self, backend: Any) -> int:
        """How many it serves."""
        return int(backend.model_count)

    @display(description="health")
    def health_shown(self, backend: Backend) -> str:
        """What the last probe or the live traffic has shown."""
        health = getattr(backend, "health", None)
        if health is None or health.last_check_at is None:
            return "unknown"
        status = str(health.last_status_code or "no answer")
        latency = "" if health.last_latency_ms is None else f", {health.last_latency_ms:.0f} ms"
        checked = f"checked at {health.last_check_at:%Y-%m-%d %H:%M:%S} UTC"
        return format_html('<span title="{}">{} ({}{})</span>', checked, health.state, status, latency)

    # Saving: secrets are sealed here, and every change ends with the counter that other processes watch.

    def save_model(self, request: HttpRequest, obj: Backend, form: BackendForm, change: bool) -> None:
        """Save it without touching what AgentHub has found out meanwhile."""
        # Django's inline forms take the id of a new parent away; the secrets are sealed for it.
        obj.id = obj.id or short_id("bkd")
        secrets = form.secrets()
        secrets_set(obj, secrets)
        backend_save(obj, secrets_given=bool(secrets))
        if form.connecting() or not change:
            transaction.on_commit(lambda: self._warn(request, obj))
        for submit_action in self.get_actions_submit_line(request, obj.pk):
            if submit_action.action_name in request.POST:
                submit_action.method(request, obj)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the mappings, then tell the other processes."""
        super().save_related(request, form, formsets, change)
        bump("routing")

    def _warn(self, request: HttpRequest, backend: Backend) -> None:
        unreachable = reach_warning(backend)
        odd = base_url_warnings(backend.api_base_url, ApiKind(backend.api))
        for warning in [*odd, *([unreachable] if unreachable else [])]:
            messages.warning(request, warning)

    def delete_model(self, request: HttpRequest, obj: Backend) -> None:
        """Take it away; usage and the log of cooldowns stay."""
        backend_delete(obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Backend]) -> None:
        """Take them away."""
        for backend in queryset:
            backend_delete(backend.pk)

    # What follows a save: the buttons only remember what to do, since the mappings are not saved yet.

    @action(description="Save and test connection", permissions=["change"])
    def save_and_test(self, request: HttpRequest, obj: Backend) -> None:
        """Test it once it is saved."""
        request.after_save = "test"  # type: ignore[attr-defined]

    @action(description="Save and discover models", permissions=["change"])
    def save_and_discover(self, request: HttpRequest, obj: Backend) -> None:
        """Look for its models once it is saved."""
        request.after_save = "discover"  # type: ignore[attr-defined]

    def response_change(self, request: HttpRequest, obj: Backend) -> HttpResponse:
        """Do what the button said."""
        after = getattr(request, "after_save", "")
        if after == "discover":
            return self._to_discovery([obj])
        if after == "test":
            self._report(request, [obj])
            return HttpResponseRedirect(reverse("admin:providers_backend_change", args=[obj.pk]))
        response: HttpResponse = super().response_change(request, obj)
        return response

    # Actions on many rows.

    @admin.action(description="Test connection", permissions=["change"])
    def test(self, request: HttpRequest, queryset: QuerySet[Backend]) -> None:
        """Call every upstream, all at the same time."""
        self._report(request, list(queryset[:MOST_ROWS_AT_ONCE]))

    def _report(self, request: HttpRequest, backends: list[Backend]) -> None:
        for backend, tested in zip(backends, backends_test(backends), strict=True):
            level = messages.SUCCESS if tested.ok else messages.ERROR
            self.message_user(request, f"{backend.name}: {_words(tested)}", level)

    @admin.action(description="Discover models", permissions=["change"])
    def discover(self, request: HttpRequest, queryset: QuerySet[Backend]) -> HttpResponse:
        """Show what the upstreams offer."""
        return self._to_discovery(list(queryset[:MOST_ROWS_AT_ONCE]))

    def _to_discovery(self, backends: list[Backend]) -> HttpResponse:
        ids = ",".join(backend.pk for backend in backends)
        return HttpResponseRedirect(f"{reverse('admin:providers_backend_discover')}?ids={ids}")

    @admin.action(description="Clear cooldown", permissions=["change"])
    def clear_cooldown(self, request: HttpRequest, queryset: QuerySet[Backend]) -> None:
        """Back to work, also after an error that an operator may clear."""
        for backend in queryset:
            cooldown_clear(backend.pk)
            backend_error_clear(backend.pk, kinds=(ErrorKind.CREDENTIALS, ErrorKind.QUOTA))
        self.message_user(request, "Their cooldowns are over; the next requests may try them.")

    @admin.action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Backend]) -> None:
        """Let them be used."""
        changed = sum(backend_enable(backend.pk, enabled=True) for backend in queryset)
        self.message_user(request, f"{changed} backends are now enabled.")

    @admin.action(description="Disable", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Backend]) -> None:
        """Let no request go to them."""
        changed = sum(backend_enable(backend.pk, enabled=False) for backend in queryset)
        self.message_user(request, f"{changed} backends are now disabled.")

    @admin.action(description="Duplicate", permissions=["add"])
    def duplicate(self, request: HttpRequest, queryset: QuerySet[Backend]) -> None:
        """Disabled copies, to be changed and enabled."""
        for backend in queryset:
            try:
                copy = backend_duplicate(backend.pk)
            except Unreadable as problem:
                self.message_user(request, f"{backend.name}: {problem}", messages.ERROR)
            else:
                self.message_user(request, f"{copy.name} was made, disabled.")

    # The page of discovered models.

    def get_urls(self) -> list[URLPattern]:
        """The page of discovered models stands before the page of one backend."""
        view = self.admin_site.admin_view(self.discover_view)
        return [path("discover/", view, name="providers_backend_discover"), *super().get_urls()]

    def discover_view(self, request: HttpRequest) -> HttpResponse:
        """What the upstreams list; those that are ticked become mappings."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        ids = request.GET.get("ids", "").split(",")[:MOST_ROWS_AT_ONCE]
        backends = list(Backend.objects.filter(id__in=ids).order_by("name"))
        if not backends:
            raise Http404("No backend was chosen.")
        found = [(backend, backend_discover(backend)) for backend in backends]
        if request.method == "POST":
            return self._add_ticked(request, found)
        context = {
            **self.admin_site.each_context(request),
            "title": "Discover models",
            "opts": self.model._meta,
            "found": found,
            "prices_as_of": price_list.AS_OF,
            "any_list_prices": any(each.list_prices for _, discovered in found for each in discovered.proposals),
        }
        return TemplateResponse(request, "providers/discover.html", context)

    def _add_ticked(self, request: HttpRequest, found: list[tuple[Backend, Discovered]]) -> HttpResponse:
        ticked = set(request.POST.getlist("model"))
        for backend, discovered in found:
            wanted = [each for each in discovered.proposals if f"{backend.id}:{each.native_id}" in ticked]
            if "list_prices" in request.POST:
                wanted = [each.with_list_prices() for each in wanted]
            added = mappings_add(backend_id=backend.id, found=wanted)
            self.message_user(request, f"{backend.name}: models added: {', '.join(added) or 'none'}.")
        if len(found) == 1:
            return HttpResponseRedirect(reverse("admin:providers_backend_change", args=[found[0][0].pk]))
        return HttpResponseRedirect(reverse("admin:providers_backend_changelist"))


def _words(tested: Tested) -> str:
    latency = "" if tested.latency_ms is None else f" {tested.latency_ms:.0f} ms."
    status = "" if tested.status_code is None else f" Status {tested.status_code}."
    models = f" {len(tested.models)} models: {', '.join(tested.models[:10])}" if tested.models else ""
    more = " …" if len(tested.models) > 10 else ""
    cleared = " Its error is cleared." if tested.error_cleared else ""
    return f"{tested.diagnosis.message}{status}{latency}{models}{more}{cleared}"
