"""The management API of client keys, below /api/admin/."""

from django.urls import URLPattern, URLResolver, path

from proxy.api.keys import KeyRotateView, KeysView, KeyView

urlpatterns: list[URLPattern | URLResolver] = [
    path("keys", KeysView.as_view(), name="keys"),
    path("keys/<str:key_id>", KeyView.as_view(), name="key"),
    path("keys/<str:key_id>/rotate", KeyRotateView.as_view(), name="key-rotate"),
]
