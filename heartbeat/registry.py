"""Python functions and classes that jobs may run: those that were registered, and no others.

Any installed app may have a module `jobs` whose functions carry `@job`. A function is sync or async and takes keyword
arguments; a class is made without arguments and has a method `run`. What it returns is kept as the output of the run.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from django.utils.module_loading import autodiscover_modules

from heartbeat.rules.schedule import DEFAULT_SECONDS

Registered = TypeVar("Registered", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A registered callable, and the job that is made for it."""

    key: str
    function: Callable[..., Any] = field(repr=False)
    description: str
    values: Mapping[str, Any]  # columns of the job that differ from their defaults

    @property
    def run(self) -> Callable[..., Any]:
        """What is called: the function, or the method of an object of the class."""
        run: Callable[..., Any] = self.function
        if inspect.isclass(run):
            made: Any = run()
            run = made.run
        return run


_registered: dict[str, Definition] = {}


def job(
    *, key: str = "", every_seconds: float = DEFAULT_SECONDS, cron: str = "", **values: Any
) -> Callable[[Registered], Registered]:
    """Register a function or class as a job, which runs every minute unless something else is said.

    `values` are other columns of `Job`: time_zone, jitter_seconds, misfire, overlap, grace_seconds, max_run_seconds,
    retries, enabled. Operators may change them later; their changes stay. The first line of the docstring is the
    description. Raises ValueError for a key that another callable has.
    """

    def register(function: Registered) -> Registered:
        name = key or function.__name__
        known = _registered.get(name)
        if known is not None and _place(known.function) != _place(function):
            raise ValueError(f"Two callables want to be the job {name}: {_place(known.function)}, {_place(function)}.")
        schedule = {"schedule": "cron", "cron": cron} if cron else {"every_seconds": every_seconds}
        lines = (inspect.getdoc(function) or "").splitlines()
        _registered[name] = Definition(
            key=name, function=function, description=lines[0] if lines else "", values=schedule | values
        )
        return function

    return register


def _place(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def definitions() -> dict[str, Definition]:
    """All that are registered, by key."""
    _discover()
    return dict(_registered)


def definition(key: str) -> Definition | None:
    """One that is registered."""
    _discover()
    return _registered.get(key)


@cache
def _discover() -> None:
    # Once: looking for modules that are not there costs milliseconds, and runs are many.
    autodiscover_modules("jobs")


def unregister(key: str) -> None:
    """Forget a callable in this process; its job stays, and its runs find nobody who knows it."""
    _registered.pop(key, None)
