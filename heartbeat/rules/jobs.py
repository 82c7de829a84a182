"""What jobs are made of: their kinds, the states of their runs, and which names and parameters they may have."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

LONGEST_KEY = 64
LONGEST_OUTPUT = 4096
LONGEST_ERROR = 500
LEASE_SECONDS = 10.0
"""A worker that does not renew a run for so long has lost it."""

_KEY = re.compile(r"[a-z0-9][a-z0-9_.-]*\Z")
RESERVED_KEYS = frozenset({"start-all", "stop-all"})
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class JobKind(StrEnum):
    """What a job does."""

    CALLABLE = "callable"
    HTTP = "http"
    COMMAND = "command"
    REMINDER = "reminder"
    CHECK_IN = "check_in"


class RunState(StrEnum):
    """Where a run stands."""

    SCHEDULED = "scheduled"
    RUNNING = "running"
    OK = "ok"
    FAILED = "failed"
    MISSED = "missed"  # nobody was there in time
    TIMED_OUT = "timed_out"
    SKIPPED = "skipped"  # a run before it was not over


OPEN = (RunState.SCHEDULED, RunState.RUNNING)
BAD = (RunState.FAILED, RunState.TIMED_OUT, RunState.MISSED)


def key_refusal(key: str) -> str:
    """Why a job can't be called so; "" if it can."""
    if len(key) > LONGEST_KEY or not _KEY.match(key):
        return f"A key is up to {LONGEST_KEY} small letters, digits, and . _ - between them."
    return f"{key} means something else in the API." if key in RESERVED_KEYS else ""


def parameters_refusal(kind: JobKind, parameters: Mapping[str, Any]) -> str:
    """Why a job of a kind can't be run with these parameters; "" if it can."""
    known = _KNOWN[kind]
    unknown = sorted(parameters.keys() - known.keys())
    if unknown:
        return f"A {kind} job has no parameter {unknown[0][:60]}; there are {', '.join(sorted(known)) or 'none'}."
    for name, (required, fits, text) in known.items():
        if name in parameters and not fits(parameters[name]):
            return f"{name} must be {text}."
        if required and name not in parameters:
            return f"A {kind} job needs {name}: {text}."
    return ""


def _text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 4000 and "\0" not in value


def _url(value: Any) -> bool:
    return _text(value) and value.startswith(("http://", "https://"))


def _words(value: Any) -> bool:
    return isinstance(value, list) and 0 < len(value) <= 100 and all(map(_text, value))


def _texts(value: Any) -> bool:
    return (
        isinstance(value, dict) and len(value) <= 100 and all(_text(k) and isinstance(v, str) for k, v in value.items())
    )


def _status(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599


def _object(value: Any) -> bool:
    return isinstance(value, dict)


_KNOWN: dict[JobKind, dict[str, tuple[bool, Any, str]]] = {
    JobKind.CALLABLE: {
        "callable": (True, _text, "the key of a registered function"),
        "arguments": (False, _object, "an object of keyword arguments"),
    },
    JobKind.HTTP: {
        "url": (True, _url, "an http or https URL"),
        "method": (False, METHODS.__contains__, f"one of {', '.join(METHODS)}"),
        "headers": (False, _texts, "an object of texts"),
        "json": (False, lambda _: True, "the body, as JSON"),
        "status": (False, _status, "the status that is expected; without it, any below 400 is good"),
    },
    JobKind.COMMAND: {
        "command": (True, _words, "a list of words, the program first"),
        "folder": (False, _text, "the folder in which it runs"),
        "environment": (False, _texts, "an object of texts"),
    },
    JobKind.REMINDER: {
        "message": (True, _text, "the text"),
        "email": (False, _words, "a list of addresses"),
    },
    JobKind.CHECK_IN: {},
}


def tail(text: str, most: int = LONGEST_OUTPUT) -> str:
    """The end of a text, without what databases can't hold."""
    return text.replace("\0", "�")[-most:]
