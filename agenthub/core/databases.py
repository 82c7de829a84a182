"""DATABASE_URL and the SQLite file as Django's database settings. Pure."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

SQLITE_BUSY_SECONDS = 20
POOL_SIZE = 10
"""Connections to PostgreSQL that one process holds at most."""

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


def postgresql_database(url: str) -> dict[str, Any]:
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
        "OPTIONS": {
            **dict(parse_qsl(parts.query)),
            "pool": {"min_size": 1, "max_size": POOL_SIZE, "timeout": 10},
        },
    }
