"""Writes that are tried again where the database chose them to give way to another."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError

T = TypeVar("T")

TRIES = 5
_GAVE_WAY = ("40P01", "40001")  # deadlock and serialization failure of PostgreSQL


def retried(write: Callable[[], T]) -> T:
    """Run `write`, which is one whole transaction, again while it lost against another; never inside a transaction."""
    for tries_left in reversed(range(TRIES)):
        try:
            return write()
        except OperationalError as problem:
            if not tries_left or not gave_way(problem):
                raise
            time.sleep(random.uniform(0.01, 0.05))
    raise AssertionError  # pragma: no cover - the loop returns or raises


def gave_way(problem: OperationalError) -> bool:
    """Whether nothing is wrong but that another write went first."""
    state = getattr(problem.__cause__, "sqlstate", None)
    return state in _GAVE_WAY or "database is locked" in str(problem)
