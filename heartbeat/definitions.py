"""Whether a check that somebody asks for can be run, and may be asked for."""

import inspect
from collections.abc import Mapping
from typing import Any

from heartbeat.callables import callables
from heartbeat.rules.components import CheckKind, parameters_refusal


def check_refusal(kind: CheckKind, parameters: Mapping[str, Any], *, administrator: bool) -> str:
    """Why a check can't be had; "" if it can. Commands run with the rights of the hub, so they are administrators'."""
    if kind is CheckKind.COMMAND and not administrator:
        return "Only administrators may have commands run."
    refusal = parameters_refusal(kind, parameters)
    if refusal or kind is not CheckKind.CALLABLE:
        return refusal
    registered = callables()
    function = registered.get(parameters["path"])
    if function is None:
        return f"No check is registered as {parameters['path'][:100]}; there are {', '.join(sorted(registered))}."
    try:
        inspect.signature(function).bind(**parameters.get("arguments", {}))
    except TypeError as problem:
        return f"{parameters['path']} does not take these arguments: {problem}."
    return ""
