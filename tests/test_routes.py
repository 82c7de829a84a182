"""Which addresses there are, and which of them answer a stranger, compared with the pages that list them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from proxy.rules.endpoints import ENDPOINTS
from tests.test_docs import REFERENCE, codes, rows

PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
MANAGEMENT = "/api/admin/"


def patterns(resolver: URLResolver, prefix: str = "/") -> Iterator[tuple[str, URLPattern]]:
    """Every address of Django's side, with its parameters in angle brackets."""
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from patterns(entry, prefix + str(entry.pattern))
        else:
            yield prefix + str(entry.pattern).removeprefix("^").removesuffix("$"), entry


def addresses() -> dict[str, URLPattern]:
    return dict(patterns(get_resolver()))


def view_of(pattern: URLPattern) -> Any:
    """The class of an API view."""
    return vars(pattern.callback)["view_class"]


def test_the_management_page_lists_every_route_with_its_methods() -> None:
    served = {
        PARAMETER.sub(r"{\1}", path): {method.upper() for method in view_of(pattern).operations}
        for path, pattern in addresses().items()
        if path.startswith(MANAGEMENT)
    }
    listed = {codes(row[0])[0]: set(row[1].split(", ")) for row in rows(REFERENCE / "management-api.md")}
    assert listed == served


def test_the_page_of_the_hub_lists_every_route_with_its_methods() -> None:
    served = {
        PARAMETER.sub(r"{\1}", path): {method.upper() for method in view_of(pattern).operations}
        for path, pattern in addresses().items()
        if getattr(vars(pattern.callback).get("view_class"), "__module__", "").startswith("agenthub.hub.")
    }
    listed = {codes(row[0])[0]: set(row[1].split(", ")) for row in rows(REFERENCE / "hub-api.md")}
    assert listed == served


def answers_a_stranger(client: Client, path: str) -> bool:
    """Whether a GET without any credentials is answered with something else than "who are you?"."""
    response = client.get(PARAMETER.sub("1", path).replace("(?P<url>.*)", "x"))
    if response.status_code in (401, 403):
        return False
    return not response.get("Location", "").startswith("/admin/login/")


@pytest.mark.django_db
def test_the_page_of_open_routes_is_all_that_answers_a_stranger(client: Client) -> None:
    listed = {codes(row[0])[0] for row in rows(REFERENCE / "open-routes.md")} - {"/static/…"}
    found = {PARAMETER.sub(r"{\1}", path) for path in addresses() if answers_a_stranger(client, path)}
    assert found == listed


def test_the_wire_page_lists_every_endpoint_of_the_proxy() -> None:
    posts = {f"POST {path}" for path in ENDPOINTS}
    gets = {f"GET {PARAMETER.sub('{id}', path)}" for path in addresses() if path.startswith("/v1/")}
    listed = {codes(row[0])[0] for row in rows(REFERENCE / "wire.md") if re.match(r"`(GET|POST) ", row[0])}
    assert listed == posts | gets


def test_the_table_of_rooms_names_every_package() -> None:
    root = Path(__file__).resolve().parent.parent
    listed = {codes(row[0])[0] for row in rows(root / "docs" / "architecture.md") if codes(row[0])}
    tops = {f"{path.parent.name}/" for path in root.glob("*/__init__.py")} - {"tests/"}
    assert tops <= listed
