"""The root of the house as a Django application."""

from django.apps import AppConfig


class AgentHubConfig(AppConfig):
    """The commands of the house, and who hears what.

    The job application is loaded by the worker alone: web processes start no jobs.
    """

    name = "agenthub"

    def ready(self) -> None:
        """Join the listeners to the events, in every process of the house."""
        from heartbeat import listeners  # noqa: PLC0415 - models can't be imported before apps are ready

        listeners.subscribe_all()

        from agenthub.core.agents import agents_are_in, checkpoints_go_to  # noqa: PLC0415
        from agenthub.hub.directory import HubDirectory  # noqa: PLC0415
        from storagecustodian.sink import TaskCheckpoints  # noqa: PLC0415

        agents_are_in(HubDirectory())
        checkpoints_go_to(TaskCheckpoints())
