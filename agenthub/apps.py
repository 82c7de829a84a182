"""The root of the house as a Django application."""

from django.apps import AppConfig


class AgentHubConfig(AppConfig):
    """Loads the job application, and joins the events of lower rooms to their listeners in higher ones."""

    name = "agenthub"

    def ready(self) -> None:
        """Make `shared_task` find the job application."""
        from agenthub import celery  # noqa: F401, PLC0415 - only once Django's settings are there
