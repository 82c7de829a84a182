"""Backends that the environment gives at start: created or updated by name, never deleted."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from django.db import transaction

from agenthub.core.env import EnvError
from agenthub.core.errors import BadRequest
from providers.models import Backend
from providers.rules.base_url import base_url_put_right
from providers.rules.entries import MOST_BYTES, Entry, Format, entries_read
from providers.services.entries import entry_apply

FILE, SIDECAR_KEY, SIDECAR_UPSTREAM = "AGENTHUB_BACKENDS_FILE", "SIDECAR_API_KEY", "SIDECAR_UPSTREAM"
DEFAULT_SIDECAR_UPSTREAM = "https://integrate.api.nvidia.com/v1"
SIDECAR_NAME = "sidecar"
_FROM_VARIABLES = {
    "api_key": "key",
    "outgoing_proxy": "outgoing proxy",
    "client_certificate": "client certificate",
}
"""What an entry may leave to a variable that it names, so that the file needs no secret."""


def backends_from_environment(environ: Mapping[str, str]) -> list[str]:
    """Create or update the backends that the environment names; the answer is their names.

    All of them or none. Raises EnvError naming the variable, and the entry and field that is wrong.
    """
    with transaction.atomic():
        return [_apply(variable, entry) for variable, entry in _entries(environ)]


def _entries(environ: Mapping[str, str]) -> Iterable[tuple[str, Entry]]:
    if environ.get(FILE):
        for entry in _read(Path(environ[FILE])):
            yield FILE, _with_secrets(entry, environ)
    if environ.get(SIDECAR_KEY):
        # Sidecar took the upstream with its version, without it, or with it twice.
        url = base_url_put_right(environ.get(SIDECAR_UPSTREAM) or DEFAULT_SIDECAR_UPSTREAM)
        values = {"name": SIDECAR_NAME, "api_base_url": url, "api_key": environ[SIDECAR_KEY]}
        yield SIDECAR_KEY, Entry(SIDECAR_UPSTREAM, values)


def _read(path: Path) -> list[Entry]:
    try:
        text = path.read_bytes() if path.stat().st_size <= MOST_BYTES else b""
        if not text:
            raise EnvError(f"{FILE}: {path} is empty, or larger than {MOST_BYTES} bytes.")
    except OSError as problem:
        raise EnvError(f"{FILE}: {path} can't be read: {problem.strerror}.") from None
    try:
        return entries_read(text, Format.YAML)
    except BadRequest as problem:
        raise EnvError(f"{FILE}: {path}: {problem.message}") from None


def _with_secrets(entry: Entry, environ: Mapping[str, str]) -> Entry:
    given = dict(entry.values)
    for field, word in _FROM_VARIABLES.items():
        variable = given.pop(f"{field}_env", None)
        if variable is None:
            continue
        if not environ.get(str(variable)):
            raise EnvError(f"{FILE}: backend {given['name']} wants its {word} from {variable}, which is not set.")
        given[field] = environ[str(variable)]
    return Entry(entry.place, given)


def _apply(variable: str, entry: Entry) -> str:
    try:
        return entry_apply(entry, source=Backend.Source.ENV, key_needed=True).name
    except BadRequest as problem:
        raise EnvError(f"{variable}: {problem.message}") from None
