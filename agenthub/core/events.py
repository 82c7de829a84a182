"""All news that travels upwards in the house, and the one place where it is published.

An event is past tense, frozen, published after the commit, and stays inside this process: other processes learn of
changes from the version counters (`core/versions.py`). Listeners are joined in `agenthub/apps.py`.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar


@dataclass(frozen=True, slots=True)
class RoutingChanged:
    """Backends, mappings, pools, client keys or settings have changed in the database."""


Event = TypeVar("Event")

_listeners: dict[type[Any], list[Callable[[Any], None]]] = defaultdict(list)


def subscribe(kind: type[Event], listener: Callable[[Event], None]) -> Callable[[], None]:
    """Call `listener` for every event of `kind`; the answer is a function that ends it.

    Listeners run in the publisher's thread and must be quick.
    """
    _listeners[kind].append(listener)
    return lambda: _listeners[kind].remove(listener)


def publish(event: object) -> None:
    """Tell every listener of the event's class."""
    for listener in tuple(_listeners[type(event)]):
        listener(event)
