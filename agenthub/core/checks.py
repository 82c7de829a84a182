"""System checks: what each variable allows, but not together."""

import os
from typing import Any

from django.core.checks import CheckMessage, Error, register

from agenthub.core.combinations import impossible
from agenthub.core.params import resolve


@register()
def settings_agree(**_: Any) -> list[CheckMessage]:
    """The run-time settings that the environment gives do not contradict each other."""
    return [Error(problem.message, hint=problem.hint, id=problem.id) for problem in impossible(resolve({}, os.environ))]
