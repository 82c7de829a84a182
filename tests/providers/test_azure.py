import pytest

from providers.rules.azure import DEFAULT_API_VERSION, api_version_of, azure_path
from providers.rules.base_url import base_url_put_right, base_url_warnings
from providers.rules.probing import auth_headers, probe_url
from providers.rules.table import ApiKind, MappingEntry

AZURE = ApiKind.AZURE_OPENAI
HOST = "https://name.openai.azure.com"


@pytest.mark.parametrize(
    ("base", "endpoint", "deployment", "target"),
    [
        ("", "chat/completions", "gpt", "/openai/deployments/gpt/chat/completions?api-version=v"),
        ("/", "/embeddings", "e", "/openai/deployments/e/embeddings?api-version=v"),
        ("/openai", "chat/completions", "gpt", "/openai/deployments/gpt/chat/completions?api-version=v"),
        ("/openai/", "chat/completions", "gpt", "/openai/deployments/gpt/chat/completions?api-version=v"),
        ("/gate/azure", "chat/completions", "g", "/gate/azure/openai/deployments/g/chat/completions?api-version=v"),
        ("/gate/openai", "models", "", "/gate/openai/models?api-version=v"),
        ("", "chat/completions", "a b/ü?", "/openai/deployments/a%20b%2F%C3%BC%3F/chat/completions?api-version=v"),
        ("", "files", "", "/openai/files?api-version=v"),
        ("", "files/file-1/content", "", "/openai/files/file-1/content?api-version=v"),
        ("", "files?limit=2", "", "/openai/files?limit=2&api-version=v"),
        ("/openai/v1", "chat/completions", "gpt", "/openai/v1/chat/completions"),
        ("/openai/v1/", "files?limit=2", "", "/openai/v1/files?limit=2"),
        ("/gate/openai/v1", "models", "", "/gate/openai/v1/models"),
    ],
)
def test_where_azure_takes_a_request(base: str, endpoint: str, deployment: str, target: str) -> None:
    assert azure_path(base, endpoint, deployment, "v") == target


@pytest.mark.parametrize(
    ("compat", "version"),
    [
        ({}, DEFAULT_API_VERSION),
        ({"api_version": "2025-01-01-preview"}, "2025-01-01-preview"),
        ({"api_version": " "}, DEFAULT_API_VERSION),
        ({"api_version": 2024}, DEFAULT_API_VERSION),
    ],
)
def test_a_mapping_may_name_a_version(compat: dict[str, object], version: str) -> None:
    assert api_version_of(MappingEntry("m", "m", compat=compat)) == version


def test_a_version_can_add_nothing_to_the_query() -> None:
    assert azure_path("", "models", "", "1&x=y z").endswith("?api-version=1%26x%3Dy%20z")


@pytest.mark.parametrize("path", ["", "/openai", "/openai/v1", "/gate/openai", "/v2/openai"])
def test_both_shapes_are_base_urls(path: str) -> None:
    assert base_url_warnings(HOST + path, AZURE) == []


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/v1", "/openai/v1"),
        ("/openai/v1/v1", "/openai/v1"),
        ("/v1/chat/completions", "/openai/v1"),
        ("/openai/v1/responses", "/openai/v1"),
        ("/openai/deployments/gpt", "/openai"),
        ("/openai/deployments/gpt/chat/completions", "/openai"),
    ],
)
def test_an_odd_one_comes_with_a_proposal(path: str, right: str) -> None:
    (warning,) = base_url_warnings(HOST + path, AZURE)
    assert warning.endswith(f"did you mean {HOST}{right}?")
    assert base_url_put_right(HOST + right, AZURE) == HOST + right


def test_probes_ask_each_kind_at_its_place() -> None:
    assert probe_url(HOST, AZURE, "/models") == f"{HOST}/openai/models?api-version={DEFAULT_API_VERSION}"
    assert probe_url(f"{HOST}/openai/v1", AZURE, "/models") == f"{HOST}/openai/v1/models"
    asked = probe_url(HOST, AZURE, "/chat/completions", deployment="d", api_version="v")
    assert asked == f"{HOST}/openai/deployments/d/chat/completions?api-version=v"
    assert probe_url("https://host/v1/", ApiKind.OPENAI_COMPLETIONS, "/models") == "https://host/v1/models"


@pytest.mark.parametrize(
    ("api", "headers"),
    [
        (ApiKind.OPENAI_COMPLETIONS, {"authorization": "Bearer k"}),
        (ApiKind.OPENAI_RESPONSES, {"authorization": "Bearer k"}),
        (ApiKind.OLLAMA, {"authorization": "Bearer k"}),
        (ApiKind.ANTHROPIC_MESSAGES, {"x-api-key": "k", "anthropic-version": "2023-06-01"}),
        (ApiKind.AZURE_OPENAI, {"api-key": "k"}),
    ],
)
def test_each_kind_is_authenticated_in_its_way(api: ApiKind, headers: dict[str, str]) -> None:
    assert auth_headers(api, "k") == headers
    without = {name: value for name, value in headers.items() if name == "anthropic-version"}
    assert auth_headers(api, "") == without
