"""The root of the house as a Django application."""

from django.apps import AppConfig


class AgentHubConfig(AppConfig):
    """The commands of the house. The job application is loaded by the worker alone: web processes start no jobs."""

    name = "agenthub"
