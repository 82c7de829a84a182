"""Roles: groups of Django, whose permissions hold alike in the admin and in the management API."""

from django.apps import AppConfig
from django.contrib.auth.models import AnonymousUser, Group, Permission, User

ADMINISTRATORS, OPERATORS, VIEWERS = "Administrators", "Operators", "Viewers"
MEMBERS = "Members"
"""People who talk to agents and to the Butler; the admin shows them nothing unless they have another role too."""

OPERATED_APPS = ("hub", "providers", "proxy", "heartbeat", "storagecustodian")
"""Operators change what stands in these; settings, people and the audit trail are the administrators'."""

_READ_BY_VIEWERS = (*OPERATED_APPS, "core", "auditlog")


def roles_grant(app: AppConfig) -> None:
    """Give the roles their permissions on the models of `app`; to be called when it has been migrated.

    Permissions are only ever added, so that what an operator of the hub grants beyond them stays.
    """
    permissions = list(Permission.objects.filter(content_type__app_label=app.label))
    for role, granted in (
        (ADMINISTRATORS, permissions),
        (OPERATORS, [p for p in permissions if _is_operators(p, app.label)]),
        (VIEWERS, [p for p in permissions if _is_viewers(p, app.label)]),
        (MEMBERS, []),
    ):
        group, _ = Group.objects.get_or_create(name=role)
        group.permissions.add(*granted)


def is_administrator(user: User | AnonymousUser) -> bool:
    """Whether a person may see what even operators may not."""
    return bool(user.is_active and (user.is_superuser or user.groups.filter(name=ADMINISTRATORS).exists()))


def _is_operators(permission: Permission, app_label: str) -> bool:
    return app_label in OPERATED_APPS or _is_viewers(permission, app_label)


def _is_viewers(permission: Permission, app_label: str) -> bool:
    return app_label in _READ_BY_VIEWERS and permission.codename.startswith("view_")
