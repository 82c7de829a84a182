"""Fills a hub's new database for the bench: `python -m bench.seed ORDER` prints the client key as JSON."""

import json
import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agenthub.settings")

import django

django.setup()

from django.core.management import call_command  # noqa: E402 - the database is known only now
from django.db import transaction  # noqa: E402

from bench.payload import JSON_MODEL, STREAM_MODEL  # noqa: E402
from providers.models import Backend, Pool  # noqa: E402
from providers.services.backends import BackendData, MappingData, backend_create  # noqa: E402
from proxy.models import ClientKey  # noqa: E402
from proxy.services import client_key_create, key_digest  # noqa: E402

DEEP_BUCKET = {"rpm_limit": 100_000, "burst": 2_000_000_000}
"""Requests are taken from a bucket that the load never empties; a form would not take such a burst."""

PRICES = {"price_input_usd": "0.0000005", "price_output_usd": "0.0000015"}


def add_backend(name: str, port: int, model: str) -> None:
    """One backend that serves one model."""
    mapping = MappingData(canonical=model, values={"native_id": "native-model", **PRICES})
    values = {"name": name, "api_base_url": f"http://127.0.0.1:{port}/v1", "pool": Pool.objects.get(name="primary")}
    backend_create(data=BackendData(values=values, api_key=f"sk-bench-{name}", mappings=(mapping,)))


@transaction.atomic
def fill(order: dict[str, int]) -> str:
    """The two backends that are measured, as many more as ordered, and client keys; the key to use comes back."""
    add_backend("json", order["json_port"], JSON_MODEL)
    add_backend("stream", order["stream_port"], STREAM_MODEL)
    for number in range(order.get("other_backends", 0)):
        add_backend(f"other-{number}", order["json_port"], f"other-model-{number}")
    for number in range(order.get("same_backends", 0)):
        add_backend(f"same-{number}", order["json_port"], JSON_MODEL)
    Backend.objects.update(**DEEP_BUCKET)
    key = client_key_create(name="bench").key
    names = (f"bench-{number}" for number in range(order.get("other_keys", 0)))
    ClientKey.objects.bulk_create(
        (ClientKey(name=name, prefix="ah-bench", digest=key_digest(name)) for name in names), batch_size=1000
    )
    return key


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    print(json.dumps({"key": fill(json.loads(sys.argv[1]))}))
