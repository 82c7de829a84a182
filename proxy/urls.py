"""What callers of /v1 may read; the POSTs never come to Django."""

from django.urls import URLPattern, URLResolver, path

from proxy.api.reads import ModelsView, ModelView, OwnKeyView, OwnUsageView

urlpatterns: list[URLPattern | URLResolver] = [
    path("models", ModelsView.as_view(), name="v1-models"),
    path("models/<path:model>", ModelView.as_view(), name="v1-model"),
    path("key", OwnKeyView.as_view(), name="v1-key"),
    path("usage", OwnUsageView.as_view(), name="v1-usage"),
]
