"""What components are called, and what their checks may be told. Pure."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

LONGEST_NAME = 128
MOST_ARGUMENTS = 50
LONGEST_ARGUMENT = 1_000

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")


class CheckKind(StrEnum):
    """How a component is looked at, rather than waited for."""

    NONE = "none"  # it beats by itself
    HTTP = "http"
    TCP = "tcp"
    COMMAND = "command"
    CALLABLE = "callable"


class Kind(StrEnum):
    """What a component is. Those that AgentHub has itself, and `custom` for what operators add."""

    WEB = "web"
    ROUTING = "routing"
    FLUSHER = "flusher"
    JOURNAL = "journal"
    WORKER = "worker"
    SCHEDULER = "scheduler"
    DATABASE = "database"
    REDIS = "redis"
    PROVIDERS = "providers"
    HOST = "host"
    CUSTOM = "custom"


OF_PROCESSES = (Kind.WEB, Kind.ROUTING, Kind.FLUSHER, Kind.JOURNAL, Kind.WORKER, Kind.SCHEDULER, Kind.HOST)
"""Kinds that come and go with processes and nodes."""

ALIASES: Mapping[str, Kind] = {
    "config": Kind.ROUTING,
    "bus": Kind.WORKER,
    "session": Kind.DATABASE,
    "providers": Kind.PROVIDERS,
    "agent": Kind.WEB,
    "skills": Kind.WEB,
    "channels": Kind.WEB,
    "cron": Kind.SCHEDULER,
}
"""Names that other agent systems give to their core parts, and the parts of AgentHub that do the same."""


def component_name(process: str, part: str, node: str) -> str:
    """The name of a part of a process: web-1@node for the process itself, web-1.routing@node for a part of it."""
    # A process is called after its part, with a number where there are several.
    own = process.partition("-")[0] == part
    return f"{process}@{node}" if own else f"{process}.{part}@{node}"


def name_refusal(name: str) -> str:
    """Why a component can't be called so; "" if it can."""
    if not NAME.fullmatch(name):
        return "A name has 1 to 128 letters, digits and ._:@- and begins with a letter or digit."
    if name in ALIASES:
        return f"{name} is another name for AgentHub's own {ALIASES[name]}; choose one of your own."
    return ""


def parameters_refusal(check: CheckKind, parameters: Mapping[str, Any]) -> str:
    """Why a check can't be run with these parameters; "" if it can."""
    missing = [name for name in _NEEDED[check] if name not in parameters]
    if missing:
        return f"A check of kind {check} needs {' and '.join(missing)} in its parameters."
    unknown = sorted(set(parameters) - set(_TAKEN[check]))
    if unknown:
        return f"A check of kind {check} takes no {unknown[0][:50]} in its parameters."
    return next(
        (words for name, words in _TAKEN[check].items() if name in parameters and not _fits(name, parameters)), ""
    )


def _fits(name: str, parameters: Mapping[str, Any]) -> bool:
    value = parameters[name]
    match name:
        case "url":
            return isinstance(value, str) and bool(re.fullmatch(r"https?://[!-~]{1,1000}", value))
        case "status":
            return isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599
        case "port":
            return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535
        case "command":
            return (
                isinstance(value, list)
                and 0 < len(value) <= MOST_ARGUMENTS
                and all(isinstance(word, str) and len(word) <= LONGEST_ARGUMENT and "\0" not in word for word in value)
                and value[0] != ""
            )
        case "arguments":
            return isinstance(value, dict)
        case _:
            return isinstance(value, str) and 0 < len(value) <= LONGEST_ARGUMENT and value.isprintable()


_NEEDED: Mapping[CheckKind, tuple[str, ...]] = {
    CheckKind.NONE: (),
    CheckKind.HTTP: ("url",),
    CheckKind.TCP: ("host", "port"),
    CheckKind.COMMAND: ("command",),
    CheckKind.CALLABLE: ("path",),
}
_TAKEN: Mapping[CheckKind, Mapping[str, str]] = {
    CheckKind.NONE: {},
    CheckKind.HTTP: {
        "url": "url must be an http:// or https:// URL.",
        "status": "status must be the status that is expected, 100 to 599.",
        "contains": "contains must be a text that the answer holds.",
    },
    CheckKind.TCP: {"host": "host must be a name or address.", "port": "port must be a number from 1 to 65535."},
    CheckKind.COMMAND: {"command": 'command must be a list of words, e.g. ["systemctl", "is-active", "nginx"].'},
    CheckKind.CALLABLE: {
        "path": "path must be the dotted path of a registered callable.",
        "arguments": "arguments must be a JSON object.",
    },
}
