"""The management API of checkpoints, below /api/admin/. Ids of agents hold any characters, slashes too."""

from django.urls import URLPattern, URLResolver, path, register_converter
from django.urls.converters import StringConverter

from storagecustodian.api import management, of_agent


class AgentIdConverter(StringConverter):
    """Any text at all."""

    regex = "(?s:.+)"


register_converter(AgentIdConverter, "agent")

urlpatterns: list[URLPattern | URLResolver] = [
    path("checkpoints", management.CheckpointsView.as_view(), name="checkpoints"),
    path("checkpoints/latest", management.LatestView.as_view(), name="checkpoints-latest"),
    path("checkpoints/export", management.ExportView.as_view(), name="checkpoints-export"),
    path("checkpoints/import", management.ImportView.as_view(), name="checkpoints-import"),
    path("checkpoints/<str:checkpoint_id>", management.CheckpointView.as_view(), name="checkpoint"),
    path("checkpoints/<str:checkpoint_id>/restore", management.RestoreView.as_view(), name="checkpoint-restore"),
    path("checkpoints/<str:checkpoint_id>/diff", management.DiffView.as_view(), name="checkpoint-diff"),
    path("checkpoints/<str:checkpoint_id>/download", management.DownloadView.as_view(), name="checkpoint-download"),
    path("agents/<agent:agent_id>/checkpoints", of_agent.AgentCheckpointsView.as_view(), name="agent-checkpoints"),
    path("agents/<agent:agent_id>/checkpoints/latest", of_agent.AgentLatestView.as_view(), name="agent-latest"),
    path("agents/<agent:agent_id>/checkpoints/cleanup", of_agent.AgentCleanupView.as_view(), name="agent-cleanup"),
    path("agents/<agent:agent_id>/checkpoints/rollback", of_agent.AgentRollbackView.as_view(), name="agent-rollback"),
]
