"""How the admin looks and how one finds one's way in it: the settings of the admin theme."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext_lazy as _

Item = dict[str, Any]


def _icon(_request: HttpRequest) -> str:
    return static("overview/icon.svg")


def _at_home(request: HttpRequest) -> bool:
    return request.path in (reverse("admin:index"), reverse("dashboard"))


def _administers(request: HttpRequest) -> bool:
    from agenthub.core.access import is_administrator  # noqa: PLC0415 - settings import this before apps are ready

    return is_administrator(request.user)


def _to_list(title: Any, icon: str, app: str, model: str) -> Item:
    """A link to the list of a model, for those who may see it."""
    permission = f"{app}.view_{model}"
    return _to(title, icon, f"admin:{app}_{model}_changelist", lambda request: request.user.has_perm(permission))


def _to(title: Any, icon: str, view: str, permission: Callable[[HttpRequest], bool] | None = None) -> Item:
    item: Item = {"title": title, "icon": icon, "link": reverse_lazy(view)}
    return item if permission is None else item | {"permission": permission}


NAVIGATION: list[Item] = [
    {
        "items": [
            _to(_("Dashboard"), "monitoring", "admin:index") | {"active": _at_home},
            _to_list(_("Alerts"), "notifications", "heartbeat", "alert"),
            _to_list(_("Components"), "ecg_heart", "heartbeat", "component"),
            _to_list(_("Jobs"), "schedule", "heartbeat", "job"),
        ]
    },
    {
        "title": _("Providers"),
        "items": [
            _to_list(_("Backends"), "dns", "providers", "backend"),
            _to_list(_("Pools"), "account_tree", "providers", "pool"),
            _to_list(_("Model routes"), "alt_route", "providers", "modelroute"),
            _to_list(_("Cooldown events"), "mode_cool", "providers", "cooldownevent"),
        ],
    },
    {
        "title": _("Callers"),
        "items": [_to_list(_("Client keys"), "key", "proxy", "clientkey")],
    },
    {
        "title": _("Agents"),
        "items": [
            _to_list(_("Agents"), "smart_toy", "hub", "agent"),
            _to_list(_("Connections"), "cable", "hub", "agentsession"),
            _to_list(_("Reports"), "summarize", "hub", "agentlog"),
            _to_list(_("Approvals"), "gavel", "hub", "approval"),
            _to(_("Threads"), "forum", "admin:hub_thread_changelist", _administers),
            _to(_("Messages"), "chat", "admin:hub_message_changelist", _administers),
            _to_list(_("Checkpoints"), "save", "storagecustodian", "checkpoint"),
            _to_list(_("Restores"), "settings_backup_restore", "storagecustodian", "restore"),
        ],
    },
    {
        "title": _("Usage"),
        "items": [
            _to_list(_("Requests"), "swap_vert", "providers", "usagerecord"),
            _to_list(_("Hourly usage"), "bar_chart", "providers", "hourlyusage"),
            _to_list(_("Daily stats"), "calendar_month", "providers", "dailystats"),
        ],
    },
    {
        "title": _("System"),
        "items": [
            _to_list(_("Settings"), "tune", "core", "systemconfig"),
            _to_list(_("Audit trail"), "history", "auditlog", "logentry"),
            _to_list(_("People"), "person", "auth", "user"),
            _to_list(_("Roles"), "group", "auth", "group"),
            _to(_("API reference"), "api", "docs"),
        ],
    },
]

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "AgentHub",
    "SITE_HEADER": "AgentHub",
    "SITE_SYMBOL": "hub",
    "SITE_ICON": _icon,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "sizes": "any", "href": _icon}],
    "SITE_URL": None,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_HISTORY": True,
    "DASHBOARD_CALLBACK": "agenthub.overview.views.home_context",
    "BORDER_RADIUS": "6px",
    "COLORS": {
        "primary": {
            "50": "oklch(96.2% .018 272.3)",
            "100": "oklch(93% .034 272.8)",
            "200": "oklch(87% .065 274)",
            "300": "oklch(78.5% .115 274.7)",
            "400": "oklch(67.3% .182 276.9)",
            "500": "oklch(65% .195 277)",
            "600": "oklch(51.1% .262 277)",
            "700": "oklch(45.7% .24 277)",
            "800": "oklch(39.8% .195 277.4)",
            "900": "oklch(35.9% .144 278.7)",
            "950": "oklch(25.7% .09 281.3)",
        },
    },
    "SIDEBAR": {"show_search": False, "show_all_applications": False, "navigation": NAVIGATION},
}
