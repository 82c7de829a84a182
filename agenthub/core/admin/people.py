"""People and roles, in the look of the other pages."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from agenthub.core.versions import bump

admin.site.unregister(User)
admin.site.unregister(Group)


class _Told:
    """Open connections of people are looked at again when people or roles have changed."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save groups and permissions too, then tell."""
        super().save_related(request, form, formsets, change)  # type: ignore[misc]
        bump("agents")

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete, then tell."""
        super().delete_model(request, obj)  # type: ignore[misc]
        bump("agents")

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete, then tell."""
        super().delete_queryset(request, queryset)  # type: ignore[misc]
        bump("agents")


@admin.register(User)
class PeopleAdmin(_Told, UserAdmin, ModelAdmin):  # type: ignore[type-arg]
    """People who may sign in."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class RolesAdmin(_Told, GroupAdmin, ModelAdmin):
    """Roles: Administrators, Operators, Viewers, Members, and what else the hub's administrators make."""
