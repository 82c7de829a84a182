"""DATABASE_URL and the SQLite file as Django's database settings. Pure."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

SQLITE_BUSY_SECONDS = 20
POOL_SIZE = 10
"""Connections to PostgreSQL that one process holds at most, unless AGENTHUB_DATABASE_POOL_SIZE says otherwise."""

POOL_WAIT_SECONDS = 10
APPLICATION_NAME = "agenthub"

STATEMENT_MS, LOCK_MS, IDLE_IN_TRANSACTION_MS = 30_000, 10_000, 60_000
"""How long a statement, a wait for a lock and a pause inside a transaction of a web process may last. Other processes
have no such bounds: a migration, a dump or a clean-up takes as long as it takes."""

_AWAY = {
    "connect_timeout": "5",
    # A server that is gone without a word is noticed within a minute, not after the hours that the kernel would wait.
    "keepalives_idle": "20",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "40000",
    "application_name": APPLICATION_NAME,
}
_SQLITE_PRAGMAS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY;"


def sqlite_database(file: Path) -> dict[str, Any]:
    """SQLite as the house uses it: readers never wait, one writer at a time waits for its turn."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(file),
        "OPTIONS": {
            "timeout": SQLITE_BUSY_SECONDS,
            "transaction_mode": "IMMEDIATE",
            "init_command": _SQLITE_PRAGMAS,
        },
    }


def postgresql_database(url: str, *, pool_size: int = POOL_SIZE) -> dict[str, Any]:
    """A `postgresql:` address as settings with a pool; what follows `?` goes to the driver as it is."""
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "agenthub",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 0,
        # Looked at when it leaves the pool, so that a server that was restarted is not met by a request.
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            **_AWAY,
            **dict(parse_qsl(parts.query)),
            "pool": {"min_size": 1, "max_size": pool_size, "timeout": POOL_WAIT_SECONDS},
        },
    }


def bound_waits(database: dict[str, Any]) -> None:
    """Give the connections of these settings, as long as none is open, the bounds of a web process.

    Bounds of the address itself come later, and so win. SQLite has its own bound, SQLITE_BUSY_SECONDS.
    """
    if database["ENGINE"] != "django.db.backends.postgresql":
        return
    bounds = {
        "statement_timeout": STATEMENT_MS,
        "lock_timeout": LOCK_MS,
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_MS,
    }
    words = " ".join(f"-c {name}={value}" for name, value in bounds.items())
    options = database["OPTIONS"]
    options["options"] = f"{words} {options.get('options', '')}".strip()
