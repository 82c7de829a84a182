"""The pages across all parts as a Django application."""

from django.apps import AppConfig


class OverviewConfig(AppConfig):
    """The dashboard, the probes and the metrics."""

    name = "agenthub.overview"
    label = "overview"
