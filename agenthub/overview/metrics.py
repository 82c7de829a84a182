"""`/metrics` on the main port, for those who hold the admin token."""

import os

from django.http import HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

from agenthub.core.api_access import AdminTokenAuthentication

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@api_view(["GET"])
@authentication_classes([AdminTokenAuthentication])
@permission_classes([IsAuthenticated])
def metrics(request: Request) -> HttpResponse:
    """The counters of all processes of this hub in the Prometheus text format."""
    return HttpResponse(metrics_text(), content_type=CONTENT_TYPE_LATEST)


def metrics_text() -> bytes:
    """The counters of all processes that share a folder, or of this one where it runs alone."""
    if FOLDER_VARIABLE not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
