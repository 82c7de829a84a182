"""People and roles, in the look of the other pages."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class PeopleAdmin(UserAdmin, ModelAdmin):  # type: ignore[type-arg]
    """People who may sign in."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class RolesAdmin(GroupAdmin, ModelAdmin):
    """Roles: Administrators, Operators, Viewers, and what else the hub's administrators make."""
