"""Run-time settings as they stand: rows, environment and defaults together, and the writes to them."""

import json
import os
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import transaction

from agenthub.core.combinations import impossible
from agenthub.core.errors import BadRequest, Conflict, NotFound
from agenthub.core.models import SystemConfig
from agenthub.core.params import (
    PARAMS,
    InvalidSetting,
    RuntimeSettings,
    Value,
    default_of,
    kind_of,
    locked_by,
    parse_value,
    resolve,
)
from agenthub.core.versions import bump


@dataclass(frozen=True, slots=True)
class SettingState:
    """One setting with all that a form or an answer says about it."""

    key: str
    value: Value
    default: Value
    kind: str  # "bool", "int", "float" or "str"
    help: str
    at_least: float | None
    at_most: float | None
    choices: tuple[str, ...]
    source: str  # "environment", "database" or "default"
    locked_by: str | None  # the environment variable that holds it fixed
    description: str  # what the person who set it wrote
    updated_at: datetime | None


def runtime_settings() -> RuntimeSettings:
    """The value of every setting now. Raises InvalidSetting for a bad environment value."""
    return resolve(dict(SystemConfig.objects.values_list("key", "value")), os.environ)


def setting_states() -> list[SettingState]:
    """Every setting, in the order of `RuntimeSettings`."""
    rows = {row.key: row for row in SystemConfig.objects.all()}
    values = resolve({key: row.value for key, row in rows.items()}, os.environ)
    return [_state(key, getattr(values, key), rows.get(key)) for key in PARAMS]


def setting_state(key: str) -> SettingState:
    """One setting. Raises NotFound."""
    if key not in PARAMS:
        raise NotFound(f"There is no setting {key}; GET /api/admin/config lists them.", param="key")
    row = SystemConfig.objects.filter(key=key).first()
    values = resolve({key: row.value} if row else {}, os.environ)
    return _state(key, getattr(values, key), row)


def _state(key: str, value: Value, row: SystemConfig | None) -> SettingState:
    param = PARAMS[key]
    variable = locked_by(key, os.environ)
    return SettingState(
        key=key,
        value=value,
        default=default_of(key),
        kind=kind_of(param).__name__,
        help=param.metadata["help"],
        at_least=param.metadata["at_least"],
        at_most=param.metadata["at_most"],
        choices=param.metadata["choices"],
        source="environment" if variable else "database" if row else "default",
        locked_by=variable,
        description=row.description if row else "",
        updated_at=row.updated_at if row else None,
    )


@transaction.atomic
def setting_set(*, key: str, value: object, description: str | None = None) -> SettingState:
    """Set one setting for all processes; `description` None keeps the old one.

    Raises NotFound, Conflict where the environment holds it fixed, BadRequest for a value that it can't have.
    """
    _refuse_locked(setting_state(key))
    try:
        parsed = parse_value(key, value)
    except InvalidSetting as problem:
        raise BadRequest(str(problem), param="value") from None
    contradiction = next(iter(impossible(_with(runtime_settings(), key, parsed))), None)
    if contradiction is not None:
        raise BadRequest(f"{contradiction.message} {contradiction.hint}", param="value")
    # Saved row by row, not by update(), so that the audit trail sees it.
    row = SystemConfig.objects.select_for_update().filter(key=key).first() or SystemConfig(key=key)
    row.value = json.dumps(parsed)
    row.description = row.description if description is None else description
    row.save()
    bump("settings")
    return setting_state(key)


@transaction.atomic
def setting_unset(*, key: str) -> SettingState:
    """Back to the default. Raises NotFound, and Conflict where the environment holds it fixed."""
    _refuse_locked(setting_state(key))
    row = SystemConfig.objects.filter(key=key).first()
    if row is not None:
        row.delete()
        bump("settings")
    return setting_state(key)


def _with(settings: RuntimeSettings, key: str, value: Value) -> RuntimeSettings:
    changes: dict[str, Any] = {key: value}
    return replace(settings, **changes)


def _refuse_locked(state: SettingState) -> None:
    if state.locked_by:
        raise Conflict(
            f"{state.key} is held fixed by the environment variable {state.locked_by}; change it there.", param="key"
        )
