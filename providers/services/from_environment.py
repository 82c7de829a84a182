"""Backends that the environment gives at start: created or updated by name, never deleted."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from django.core.exceptions import ValidationError as InvalidModel
from django.db import transaction
from rest_framework.exceptions import ValidationError

from agenthub.core.api_errors import messages_by_field
from agenthub.core.env import EnvError
from agenthub.core.settings_store import runtime_settings
from providers.api.serializers import BackendInput
from providers.models import Backend, Pool
from providers.rules.base_url import base_url_put_right
from providers.services.backends import BackendData, backend_create, backend_update
from providers.services.keys import api_key_opened

FILE, SIDECAR_KEY, SIDECAR_UPSTREAM = "AGENTHUB_BACKENDS_FILE", "SIDECAR_API_KEY", "SIDECAR_UPSTREAM"
DEFAULT_SIDECAR_UPSTREAM = "https://integrate.api.nvidia.com/v1"
SIDECAR_NAME = "sidecar"
MOST_FILE_BYTES = 16 * 1024 * 1024


def backends_from_environment(environ: Mapping[str, str]) -> list[str]:
    """Create or update the backends that the environment names; the answer is their names.

    All of them or none. Raises EnvError naming the variable, and the entry and field that is wrong.
    """
    with transaction.atomic():
        return [_apply(variable, entry) for variable, entry in _entries(environ)]


def _entries(environ: Mapping[str, str]) -> Iterable[tuple[str, dict[str, Any]]]:
    if environ.get(FILE):
        for entry in _read(Path(environ[FILE])):
            yield FILE, _with_key(entry, environ)
    if environ.get(SIDECAR_KEY):
        # Sidecar took the upstream with its version, without it, or with it twice.
        url = base_url_put_right(environ.get(SIDECAR_UPSTREAM) or DEFAULT_SIDECAR_UPSTREAM)
        yield SIDECAR_KEY, {"name": SIDECAR_NAME, "api_base_url": url, "api_key": environ[SIDECAR_KEY]}


def _read(path: Path) -> list[Any]:
    try:
        if path.stat().st_size > MOST_FILE_BYTES:
            raise EnvError(f"{FILE}: {path} is larger than {MOST_FILE_BYTES} bytes.")
        # JSON is YAML too.
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise EnvError(f"{FILE}: {path} can't be read: {problem.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        # What the parser says may quote the file, keys included.
        raise EnvError(f"{FILE}: {path} is neither JSON nor YAML.") from None
    if not isinstance(entries, list):
        raise EnvError(f"{FILE}: {path} must hold a list of backends.")
    return entries


def _with_key(entry: Any, environ: Mapping[str, str]) -> dict[str, Any]:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise EnvError(f"{FILE}: every entry must be an object with a name.")
    given = {str(name): value for name, value in entry.items()}
    variable = given.pop("api_key_env", None)
    if variable is not None:
        if not environ.get(str(variable)):
            raise EnvError(f"{FILE}: backend {entry['name']} wants its key from {variable}, which is not set.")
        given["api_key"] = environ[str(variable)]
    return given


def _apply(variable: str, entry: dict[str, Any]) -> str:
    backend = Backend.objects.filter(name=entry["name"]).first()
    given = BackendInput(backend, data=entry, partial=backend is not None)
    try:
        given.is_valid(raise_exception=True)
        unknown = sorted(set(entry) - set(given.fields))
        if unknown:
            raise EnvError(f"{variable}: backend {entry['name']} has a field {unknown[0]}, which there is not.")
        data = given.backend_data()
        if backend is None:
            backend_create(data=data.with_defaults(_defaults(data)), source=Backend.Source.ENV)
        else:
            values = {**data.values, "source": Backend.Source.ENV}
            backend_update(backend_id=backend.id, data=_unless_same_key(backend, data, values))
    except ValidationError as problem:
        field, message = next(iter(messages_by_field(problem.detail).items()))
        raise EnvError(f"{variable}: backend {entry['name']}, {field}: {message}") from None
    except InvalidModel as problem:
        raise EnvError(f"{variable}: backend {entry['name']}: {' '.join(problem.messages)}") from None
    return str(entry["name"])


def _defaults(data: BackendData) -> dict[str, Any]:
    settings = runtime_settings()
    defaults: dict[str, Any] = {
        "rpm_limit": settings.default_rpm_limit,
        "timeout_seconds": settings.default_request_timeout_seconds,
    }
    if "pool" not in data.values:
        defaults["pool"] = Pool.objects.order_by("order", "name").first()
    return defaults


def _unless_same_key(backend: Backend, data: BackendData, values: dict[str, Any]) -> BackendData:
    # Sealing the same key again would look like a change in the audit trail at every start.
    same = data.api_key is not None and data.api_key == api_key_opened(backend)
    return BackendData(
        values=values,
        api_key=None if same else data.api_key,
        extra_headers=data.extra_headers,
        mappings=data.mappings,
    )
