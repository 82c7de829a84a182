"""Whether a check or a job that somebody asks for can be run, and may be asked for."""

import inspect
from collections.abc import Mapping
from typing import Any

from heartbeat.callables import callables
from heartbeat.registry import definitions
from heartbeat.rules import jobs
from heartbeat.rules.components import CheckKind, parameters_refusal
from heartbeat.rules.jobs import JobKind


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


def job_refusal(kind: JobKind, parameters: Mapping[str, Any], *, administrator: bool) -> str:
    """Why a job can't be had; "" if it can. Commands run with the rights of the hub, so they are administrators'."""
    if kind is JobKind.COMMAND and not administrator:
        return "Only administrators may have commands run."
    refusal = jobs.parameters_refusal(kind, parameters)
    if refusal or kind is not JobKind.CALLABLE:
        return refusal
    registered = definitions()
    definition = registered.get(parameters["callable"])
    if definition is None:
        return f"No job is registered as {parameters['callable'][:100]}; there are {', '.join(sorted(registered))}."
    try:
        inspect.signature(definition.run).bind(**parameters.get("arguments", {}))
    except TypeError as problem:
        return f"{parameters['callable']} does not take these arguments: {problem}."
    return ""
