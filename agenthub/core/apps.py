"""The shared kernel as a Django application."""

from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed
from django.apps.registry import Apps
from django.db.models.signals import post_migrate


class CoreConfig(AppConfig):
    """Settings, counters, roles and the audit trail."""

    name = "agenthub.core"
    label = "core"
    verbose_name = "System"

    def ready(self) -> None:
        """Keep the roles complete: their permissions exist only once an app has been migrated. Start the trail."""
        post_migrate.connect(_grant, dispatch_uid="agenthub.core.roles")
        from django.contrib.auth.models import Group, User  # noqa: PLC0415 - not before apps are ready

        from agenthub.core import checks  # noqa: F401, PLC0415 - registers them
        from agenthub.core.audit import track  # noqa: PLC0415
        from agenthub.core.models import SystemConfig  # noqa: PLC0415

        track(SystemConfig, without=("updated_at",))
        track(User, secrets=("password",), without=("last_login",), many=("groups", "user_permissions"))
        track(Group, many=("permissions",))


def _grant(sender: AppConfig, apps: Apps = installed, **_: Any) -> None:
    from auditlog.context import disable_auditlog  # noqa: PLC0415

    from agenthub.core.access import roles_grant  # noqa: PLC0415 - models can't be imported before apps are ready

    try:
        apps.get_model("auth", "Group")
    except LookupError:  # only a part of the apps has been migrated so far
        return
    # The hub's own beginnings are nobody's change.
    with disable_auditlog():
        roles_grant(sender)
