"""The proxy as a Django application."""

from django.apps import AppConfig


class ProxyConfig(AppConfig):
    """Client keys, and the reads of /v1."""

    name = "proxy"

    def ready(self) -> None:
        """Start the trail."""
        from agenthub.core.audit import track  # noqa: PLC0415 - models can't be imported before apps are ready
        from proxy.models import ClientKey  # noqa: PLC0415

        track(ClientKey, secrets=("digest", "previous_digest"), without=("updated_at",))
