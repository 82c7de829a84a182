"""How the house logs: an event name with fields, on one line, without secrets.

`log.info("backend_cooled", extra={"backend_id": "bkd_…", "seconds": 7})` becomes one line of text, or one JSON object
with AGENTHUB_LOG_FORMAT=json. Each line carries the id of the request that it was written for.
"""

import json
import logging
import os
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from agenthub.core.environment import Environment

FILE_BYTES = 10 * 1024 * 1024
FILE_COUNT = 5
PROCESS_NAME_VARIABLE = "AGENTHUB_PROCESS_NAME"
"""Set by `agenthub up` for each child; names its log file and its lines."""

HIDDEN = "[hidden]"
SHORTEST_SECRET = 8

current_request_id: ContextVar[str] = ContextVar("current_request_id", default="")

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"\b(?:ah|aht|ahu|ahb|sk|pk|nvapi|gsk|xai|AIza|hf|r8)[-_][A-Za-z0-9_-]{12,}"), HIDDEN),
    (re.compile(r"(?i)([?&](?:token|key|api[-_]?key|access_token|secret|password)=)[^&\s\"']+"), rf"\1{HIDDEN}"),
    (
        re.compile(
            r"(?i)([\"']?(?:x-)?(?:api[-_]?key|authorization|password|secret|token)[\"']?\s*[:=]\s*)"
            r"(?!(?:bearer|basic)\s|\[)([\"']?)[^\s\"',;&}]{6,}"
        ),
        rf"\1\2{HIDDEN}",
    ),
    (re.compile(r"([a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(?=@)"), rf"\1{HIDDEN}"),
)

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class SecretHider:
    """Replaces what looks like a secret, and every secret of this hub, in a text."""

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        known = sorted({secret for secret in secrets if len(secret) >= SHORTEST_SECRET}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text


class _Formatter(logging.Formatter):
    """What both formats have in common: the fields of a record, and that nothing secret leaves."""

    def __init__(self, hide: SecretHider, process_name: str) -> None:
        super().__init__()
        self.hide = hide
        self.process_name = process_name

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """What the record carries beside its message."""
        own = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        request = current_request_id.get()
        if request:
            own.setdefault("request_id", request)
        # Django hands over the request object itself, whose repr would tell the path with its query; uvicorn says
        # everything a second time in colour.
        own.pop("request", None)
        own.pop("color_message", None)
        return own

    def trace(self, record: logging.LogRecord) -> str:
        """The traceback of the record, if it has one."""
        if record.exc_info:
            return self.formatException(record.exc_info)
        return record.exc_text or ""


class ConsoleFormatter(_Formatter):
    """One line for people: time, level, process, logger, event, fields."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        fields = "".join(f" {name}={value}" for name, value in self.fields(record).items())
        line = f"{moment} {record.levelname:<7} {self.process_name} {record.name}: {record.getMessage()}{fields}"
        trace = self.trace(record)
        return self.hide(f"{line}\n{trace}" if trace else line)


class JsonFormatter(_Formatter):
    """One JSON object per line for machines."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self.process_name,
            "logger": record.name,
            "event": self.hide(record.getMessage()),
        }
        for name, value in self.fields(record).items():
            plain = value is None or isinstance(value, bool | int | float)
            entry.setdefault(name, value if plain else self.hide(str(value)))
        trace = self.trace(record)
        if trace:
            entry["traceback"] = self.hide(trace)
        return json.dumps(entry, ensure_ascii=False)


def logging_settings(environment: Environment) -> dict[str, Any]:
    """The set-up for `logging.config.dictConfig`, as Django's LOGGING or for a process without Django.

    Each process writes a file of its own below AGENTHUB_LOG_DIR, so that no two of them rotate the same one.
    """
    process_name = os.environ.get(PROCESS_NAME_VARIABLE, "agenthub")
    hide = SecretHider(_secrets(environment))
    formatter = JsonFormatter if environment.log_format == "json" else ConsoleFormatter
    handlers: dict[str, Any] = {"console": {"class": "logging.StreamHandler", "formatter": "line"}}
    if environment.log_dir is not None:
        environment.log_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        handlers["file"] = {
            "class": "logging.handlers.RotatingFileHandler",
            "formatter": "line",
            "filename": str(environment.log_dir / f"{process_name}.log"),
            "maxBytes": FILE_BYTES,
            "backupCount": FILE_COUNT,
            "encoding": "utf-8",
            "delay": True,
        }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter, "hide": hide, "process_name": process_name}},
        "handlers": handlers,
        "root": {"level": environment.log_level, "handlers": list(handlers)},
        "loggers": {
            # Libraries that would tell every request, or that have handlers of their own.
            "django": {"level": "INFO", "handlers": [], "propagate": True},
            "django.server": {"level": "INFO", "handlers": [], "propagate": True},
            "uvicorn": {"level": "WARNING", "handlers": [], "propagate": True},
            "celery": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
            "httpcore": {"level": "WARNING"},
        },
    }


def _secrets(environment: Environment) -> tuple[str, ...]:
    """The secrets of this hub, which must never be in a line."""
    return (
        *environment.encryption_key.split(","),
        environment.secret_key,
        environment.admin_token or "",
        environment.admin_password or "",
    )
