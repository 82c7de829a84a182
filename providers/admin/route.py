"""Routes of model names in the admin."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from agenthub.core.admin.base import HouseAdmin
from providers.models import ModelRoute
from providers.selectors import model_route_warnings
from providers.services.routes import model_route_delete, model_route_refusals, model_route_save


class ModelsField(forms.CharField):
    """Model names, one a line, kept as a list."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 4, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        """A list as lines."""
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        """Lines as a list."""
        return [line.strip() for line in str(super().clean(value)).splitlines() if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether the names or their order are others."""
        return self.clean(data or "") != (initial or [])


class ModelRouteForm(forms.ModelForm):  # type: ignore[type-arg]
    """One route."""

    fallbacks = ModelsField(
        required=False,
        help_text="Canonical models, one a line, that serve in this order when every backend of the first is out.",
    )

    class Meta:
        model = ModelRoute
        fields = ("name", "target", "fallbacks", "resume", "cache_seconds")

    def _post_clean(self) -> None:
        # Django fills in the row here; what the other routes say against it is known only then.
        super()._post_clean()  # type: ignore[misc]
        if not self.errors:
            for field, problem in model_route_refusals(self.instance).items():
                self.add_error(field, problem)


@admin.register(ModelRoute)
class ModelRouteAdmin(HouseAdmin):
    """Aliases, fallbacks and options of model names."""

    form = ModelRouteForm
    list_display = ("name", "target", "fallbacks_shown", "resume", "cache_seconds")
    list_filter = ("resume",)
    search_fields = ("name", "target")
    search_help_text = "Search by name or target."
    ordering = ("name",)
    readonly_fields = ("created_at", "updated_at")

    @display(description="fallbacks")
    def fallbacks_shown(self, route: ModelRoute) -> str:
        """In their order."""
        return ", ".join(route.fallbacks) or "–"

    def save_model(self, request: HttpRequest, obj: ModelRoute, form: Any, change: bool) -> None:
        """Save it for all processes; what looks wrong is said."""
        model_route_save(obj)
        for warning in model_route_warnings(obj):
            messages.warning(request, warning)

    def delete_model(self, request: HttpRequest, obj: ModelRoute) -> None:
        """Take it away."""
        model_route_delete(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ModelRoute]) -> None:
        """Take them away."""
        for route in queryset:
            model_route_delete(route)
