"""Telling the web processes of all machines at once that something has changed in the database.

It is a hint only: they look at the counters each second anyway. Only a hub with a Redis imports this.
"""

import logging

import msgspec
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from agenthub.core.clock import monotonic_seconds
from agenthub.core.events import RoutingChanged
from proxy.redis_link import CALL_SECONDS, OUTAGE_SECONDS
from proxy.rules.breaker import Breaker
from proxy.state.redis import CHANGED

logger = logging.getLogger(__name__)


class Pusher:
    """Publishes changes. It listens in the thread of whoever has made one, and holds nobody up for long."""

    def __init__(self, url: str, channel: bytes) -> None:
        self._redis = Redis.from_url(
            url,
            socket_timeout=CALL_SECONDS,
            socket_connect_timeout=CALL_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._channel = channel
        self._breaker = Breaker(OUTAGE_SECONDS)

    def __call__(self, _: RoutingChanged) -> None:
        """Something has changed, and is committed."""
        if not self._breaker.allows(monotonic_seconds()):
            return
        try:
            self._redis.publish(self._channel, msgspec.msgpack.encode([CHANGED]))
        except (RedisError, OSError) as problem:
            if self._breaker.failed(monotonic_seconds()):
                logger.warning("redis_away", extra={"purpose": "pushing changes", "reason": str(problem)})
        else:
            self._breaker.succeeded()
