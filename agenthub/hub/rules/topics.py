"""News that people may ask for."""

from collections.abc import Callable, Iterable

from agenthub.hub.rules.rights import Sender

OF_ALL = frozenset({"heartbeat", "process", "alerts", "barriers", "locks", "dashboard"})
LOGS = "logs"


def allowed_topics(asked: Iterable[str], sees: Callable[[int], bool], sender: Sender) -> frozenset[str]:
    """Those of the topics that there are and that somebody may have."""
    return frozenset(topic for topic in asked if _is_allowed(topic, sees, sender))


def _is_allowed(topic: str, sees: Callable[[int], bool], sender: Sender) -> bool:
    if topic in OF_ALL or topic == LOGS:
        return sender.sees_agents
    kind, _, number = topic.partition(":")
    return kind == LOGS and number.isascii() and number.isdigit() and len(number) < 19 and sees(int(number))
