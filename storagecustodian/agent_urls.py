"""The API of checkpoints for agents, below /api/agent/."""

from django.urls import URLPattern, URLResolver, path

from storagecustodian.api import graphs, own

urlpatterns: list[URLPattern | URLResolver] = [
    path("checkpoints", own.OwnCheckpointsView.as_view(), name="own-checkpoints"),
    path("checkpoints/latest", own.OwnLatestView.as_view(), name="own-latest"),
    path("checkpoints/rollback", own.OwnRollbackView.as_view(), name="own-rollback"),
    path("checkpoints/<str:checkpoint_id>", own.OwnCheckpointView.as_view(), name="own-checkpoint"),
    path("checkpoints/<str:checkpoint_id>/restore", own.OwnRestoreView.as_view(), name="own-restore"),
    path("checkpoints/<str:checkpoint_id>/diff", own.OwnDiffView.as_view(), name="own-diff"),
    path("graphs/put", graphs.GraphPutView.as_view(), name="graphs-put"),
    path("graphs/writes", graphs.GraphWritesView.as_view(), name="graphs-writes"),
    path("graphs/get", graphs.GraphGetView.as_view(), name="graphs-get"),
    path("graphs/list", graphs.GraphListView.as_view(), name="graphs-list"),
    path("graphs/delete-thread", graphs.GraphDeleteThreadView.as_view(), name="graphs-delete-thread"),
    path("graphs/delete-runs", graphs.GraphDeleteRunsView.as_view(), name="graphs-delete-runs"),
    path("graphs/copy", graphs.GraphCopyView.as_view(), name="graphs-copy"),
    path("graphs/prune", graphs.GraphPruneView.as_view(), name="graphs-prune"),
]
