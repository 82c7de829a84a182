"""Python callables that checks may name by their dotted path: those that were registered, and no others.

Any installed app may have a module `component_checks` whose functions carry `@component_check`. A callable is sync or
async, takes keyword arguments, and is passed when it returns; a Finding says more, and what it raises is the error.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from django.utils.module_loading import autodiscover_modules

Checked = TypeVar("Checked", bound=Callable[..., Any])

_registered: dict[str, Callable[..., Any]] = {}


def component_check(function: Checked) -> Checked:
    """Register a callable under its dotted path."""
    _registered[f"{function.__module__}.{function.__qualname__}"] = function
    return function


def callables() -> dict[str, Callable[..., Any]]:
    """All that are registered, by dotted path."""
    autodiscover_modules("component_checks")
    return dict(_registered)
