"""The one door between async code and the ORM."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a sync service or selector on a worker thread and return its plain result.

    Stale database connections of that thread are closed before and after, as Django does around a request, so that
    a database that went away and came back does not leave a dead connection behind.
    """

    def call() -> T:
        close_old_connections()
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    result: T = await sync_to_async(call, thread_sensitive=False)()
    return result
