"""The proxy as a Django application."""

from django.apps import AppConfig
from django.conf import settings

from agenthub.core.events import RoutingChanged, subscribe
from proxy.rules.keyhash import pepper


class ProxyConfig(AppConfig):
    """Client keys, and the reads of /v1."""

    name = "proxy"

    def ready(self) -> None:
        """Start the trail, and tell other machines of changes where there is a Redis."""
        from agenthub.core.audit import track  # noqa: PLC0415 - models can't be imported before apps are ready
        from proxy.models import ClientKey  # noqa: PLC0415

        environment = settings.ENVIRONMENT
        if environment.redis_url is not None:
            from proxy.pushing import Pusher  # noqa: PLC0415 - embedded hubs are spared the Redis client
            from proxy.state.shared import channel  # noqa: PLC0415

            prefix = pepper(environment.secret_key).hex()[:8]
            subscribe(RoutingChanged, Pusher(environment.redis_url, channel(prefix)))
        track(ClientKey, secrets=("digest", "previous_digest"), without=("updated_at",))
