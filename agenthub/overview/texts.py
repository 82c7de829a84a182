"""The words that the dashboard's scripts put on the page; in braces stand names of values."""

from django.utils.translation import gettext as _
from django.utils.translation import pgettext


def dashboard_texts() -> dict[str, str]:
    """All of them in the language of the request, by the names that the scripts use."""
    return {**_connection(), **_figures(), **_backends(), **_cooldowns(), **_charts()}


def _connection() -> dict[str, str]:
    return {
        "connecting": _("Connecting…"),
        "live": pgettext("state of the stream", "Live"),
        "stale": _("Stale: reconnecting…"),
        "signedOut": _("Signed out"),
        "updated": _("updated {age} ago"),
        "staleNote": _("The figures below are {age} old: the connection to AgentHub broke off, and is tried again."),
        "signedOutNote": _("You are signed out, or your role no longer allows to see this page."),
        "databaseNote": _("The database does not answer: its figures are missing. The proxy goes on serving."),
        "workersNote": _(
            "In flight and waiting are counts of one of {workers} web processes; limits stand as it last heard of them."
        ),
    }


def _figures() -> dict[str, str]:
    return {
        "errorsOf": _("{errors} of {requests} in the last minute"),
        "noRequests": _("no request in the last minute"),
        "inAll": _("{value} in all"),
        "noPrice": _("no priced request today"),
        "percentiles": _("p95 {p95} · p99 {p99}"),
        "waitingOf": _("room for {most}"),
    }


def _backends() -> dict[str, str]:
    return {
        "healthy": pgettext("status of a backend", "healthy"),
        "cooling": pgettext("status of a backend", "cooling"),
        "error": pgettext("status of a backend", "error"),
        "disabled": pgettext("status of a backend", "disabled"),
        "halfOpen": _("on trial: one request at a time"),
        "coolingFor": _("back in {time}"),
        "count429": _("429 number {count} in a row"),
        "degraded": _("probe: degraded"),
        "down": _("probe: down"),
        "errorCredentials": _("credentials rejected"),
        "errorQuota": _("quota spent"),
        "errorKey": _("stored key unreadable"),
        "rpmUse": _("Use of the requests per minute of {name}"),
        "unlimited": _("no limit"),
        "models": _("models: {count}"),
        "noBackends": _("No backend in this pool."),
        "healthyOf": _("{healthy} of {enabled} healthy"),
        "allDisabled": _("none enabled"),
        "least_utilised": _("least utilised first"),
        "round_robin": _("round robin"),
        "weighted": _("weighted"),
        "lowest_latency": _("lowest latency first"),
        "cheapest": _("cheapest first"),
        "sticky": _("sticky"),
    }


def _cooldowns() -> dict[str, str]:
    return {
        "rate_limited": _("rate limited (429)"),
        "failures": _("failures (5xx, connection, timeout)"),
        "lasts": _("{length}, still cooling"),
        "ago": _("{age} ago"),
        "noCooldowns": _("No cooldown yet."),
    }


def _charts() -> dict[str, str]:
    return {
        "answered": _("Answered"),
        "errors": _("Errors"),
        "prompt": _("Prompt"),
        "completion": _("Completion"),
        "cost": _("Cost"),
        "latency": _("Latency"),
        "ttft": _("Time to first token"),
        "time": _("Time"),
        "chartEmpty": _("Nothing in this time."),
        "chartFailed": _("These figures could not be read. They are asked for again shortly."),
        "chartSummary": _("{title}: {total} in this time, the highest bar is {most}."),
        "chartMeans": _("{title}: means of each bucket of time; {latest} at the end."),
        "copied": _("Copied"),
    }
