"""The counters by which processes notice changes of each other."""

from functools import partial
from typing import Literal, get_args

from django.db import transaction
from django.db.models import F

from agenthub.core.events import AgentsChanged, RoutingChanged, publish
from agenthub.core.models import ChangeCounter

CounterName = Literal["routing", "keys", "settings", "agents"]


@transaction.atomic
def bump(name: CounterName) -> None:
    """Count a change of kind `name` in the caller's transaction, and tell this process after its commit.

    Call it last in a transaction: the counter's row is locked until the commit.
    """
    if not ChangeCounter.objects.filter(name=name).update(number=F("number") + 1):
        _, created = ChangeCounter.objects.get_or_create(name=name, defaults={"number": 1})
        if not created:
            ChangeCounter.objects.filter(name=name).update(number=F("number") + 1)
    transaction.on_commit(partial(publish, AgentsChanged() if name == "agents" else RoutingChanged()))


def read_all() -> dict[str, int]:
    """Every counter; one that has never been bumped is 0."""
    return dict.fromkeys(get_args(CounterName), 0) | dict(ChangeCounter.objects.values_list("name", "number"))
