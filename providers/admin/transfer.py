"""Export and import of backends in the admin."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.decorators import action
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget, UnfoldBooleanSwitchWidget

from agenthub.core.access import is_administrator
from agenthub.core.admin.base import HouseAdmin
from agenthub.core.errors import Refused
from providers.api.transfer import file_response
from providers.models import Backend
from providers.rules.entries import MOST_BYTES, Format, entries_read, format_of
from providers.selectors import backends_with_mappings
from providers.services.entries import entries_apply, entries_of

FORMATS = [(kind.value, kind.upper()) for kind in Format]


class ExportForm(forms.Form):
    """How to write backends."""

    format = forms.ChoiceField(choices=FORMATS, widget=UnfoldAdminSelectWidget())
    with_keys = forms.BooleanField(
        required=False,
        label="With API keys",
        widget=UnfoldBooleanSwitchWidget(),
        help_text="API keys and the other secrets in the clear. The audit trail notes it. Keep the file safe.",
    )

    def __init__(self, *args: Any, may_see_keys: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not may_see_keys:
            del self.fields["with_keys"]


class ImportForm(forms.Form):
    """What to read backends from."""

    file = forms.FileField(
        widget=UnfoldAdminFileFieldWidget(),
        help_text="JSON, YAML or CSV, as its name says. Backends are created or updated by name, all of them or none.",
    )

    def clean_file(self) -> Any:
        """A file of a bounded size, of a format that its name says."""
        file = self.cleaned_data["file"]
        if format_of(file.name) is None:
            raise forms.ValidationError("The file's name must end with .json, .yaml, .yml or .csv.", code="invalid")
        if file.size > MOST_BYTES:
            raise forms.ValidationError(f"The file is larger than {MOST_BYTES} bytes; import it in parts.", code="huge")
        return file


class TransferAdmin(HouseAdmin):
    """The two pages, the action that leads to the one and the button that leads to the other."""

    actions_list = ("to_import",)

    @action(description="Import", url_path="to-import", permissions=["to_import"])
    def to_import(self, request: HttpRequest) -> HttpResponse:
        """To the form."""
        return HttpResponseRedirect(reverse("admin:providers_backend_import"))

    def has_to_import_permission(self, request: HttpRequest, *_: Any) -> bool:
        """An import adds and changes."""
        return bool(self.has_add_permission(request) and self.has_change_permission(request))

    @admin.action(description="Export", permissions=["view"])
    def export(self, request: HttpRequest, queryset: QuerySet[Backend]) -> HttpResponse:
        """To the form, for the backends that are ticked."""
        ids = ",".join(queryset.values_list("pk", flat=True))
        return HttpResponseRedirect(f"{reverse('admin:providers_backend_export')}?ids={ids}")

    def get_urls(self) -> list[URLPattern]:
        """The two pages stand before the page of one backend."""
        view = self.admin_site.admin_view
        own = [
            path("export/", view(self.export_view), name="providers_backend_export"),
            path("import/", view(self.import_view), name="providers_backend_import"),
        ]
        return [*own, *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for the format, then answer the file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        chosen = backends_with_mappings().filter(id__in=request.GET.get("ids", "").split(",")).order_by("name")
        if not chosen:
            raise Http404("No backend was chosen.")
        form = ExportForm(request.POST or None, may_see_keys=is_administrator(request.user))
        if form.is_valid():
            data = form.cleaned_data
            try:
                return file_response(entries_of(chosen, with_keys=data.get("with_keys", False)), Format(data["format"]))
            except Refused as problem:
                form.add_error(None, problem.message)
        names = ", ".join(backend.name for backend in chosen)
        return self._page(request, form, "Export backends", "Export", names)

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for the file, then say what has become of each entry."""
        if not self.has_to_import_permission(request):
            raise PermissionDenied
        form = ImportForm(request.POST or None, request.FILES or None)
        if form.is_valid():
            file = form.cleaned_data["file"]
            try:
                applied = entries_apply(entries_read(file.read(), format_of(file.name) or Format.JSON))
            except Refused as problem:
                form.add_error("file", problem.message)
            else:
                for each in applied:
                    level = messages.WARNING if each.notes else messages.SUCCESS
                    self.message_user(request, f"{each.name}: {each.outcome}. {' '.join(each.notes)}".strip(), level)
                return HttpResponseRedirect(reverse("admin:providers_backend_changelist"))
        return self._page(request, form, "Import backends", "Import", "")

    def _page(self, request: HttpRequest, form: forms.Form, title: str, button: str, names: str) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.model._meta,
            "form": form,
            "button": button,
            "names": names,
        }
        return TemplateResponse(request, "providers/transfer.html", context)
