"""Reads of alerts."""

from django.db.models import QuerySet

from heartbeat.models import Alert


def alerts(*, state: str = "") -> QuerySet[Alert]:
    """All alerts, those that were seen last first; only those of one state where it is named."""
    found = Alert.objects.order_by("-last_seen_at", "-id")
    return found.filter(state=state) if state else found
