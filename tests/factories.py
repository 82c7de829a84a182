"""Rows for tests, made by the services that the product makes them with."""

from typing import Any

from providers.models import Backend, Pool
from providers.services.backends import BackendData, MappingData, backend_create

API_KEY = "sk-abcdefghijklmnopwxyz"


def make_backend(
    name: str = "one", *, api_key: str = API_KEY, models: dict[str, dict[str, Any]] | None = None, **values: Any
) -> Backend:
    """A backend in the pool `primary`, serving `small` unless told otherwise."""
    mappings = {"small": {}} if models is None else models
    return backend_create(
        data=BackendData(
            values={
                "name": name,
                "api_base_url": "http://127.0.0.1:1/v1",
                "pool": Pool.objects.get(name="primary"),
                **values,
            },
            api_key=api_key,
            mappings=tuple(MappingData(canonical=model, values=columns) for model, columns in mappings.items()),
        )
    )
