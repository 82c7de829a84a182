"""What "Test connection" says of each trouble, found out over real sockets."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from agenthub.core.outbound_errors import OutboundError
from providers import probes
from providers.models import Backend
from providers.probes import backend_discover, backend_test
from providers.rules import diagnosis
from providers.rules.diagnosis import diagnosis_of, models_diagnosis, trial_diagnosis
from providers.services.backends import BackendData, backend_update
from tests.certificates import Issued, issued
from tests.factories import API_KEY, make_backend
from tests.outgoing_proxy import running_proxy
from tests.test_docs import REFERENCE, codes, rows
from tests.upstream import Upstream, running_upstream

pytestmark = pytest.mark.django_db

CA = issued("a private CA", ca=True)
PAGE = b"<!DOCTYPE html>\n<html><body>Welcome</body></html>"
MODELS = b'{"data": [{"id": "m1"}, {"id": "m2"}]}'
COMPLETION = b'{"id": "c", "choices": [{"message": {"content": "p"}}]}'


def found(backend: Backend, *, completion: bool = False) -> tuple[str, str]:
    """The word and the sentence of a test."""
    tested = backend_test(backend, completion=completion)
    assert API_KEY not in tested.diagnosis.message
    return tested.diagnosis.code, tested.diagnosis.message


def at(url: str, **values: Any) -> Backend:
    return make_backend(api_base_url=url, **values)


@pytest.mark.parametrize("elsewhere", [(404, b"{}"), (405, b"{}"), (200, PAGE), (404, PAGE)])
@pytest.mark.parametrize("path", ["", "/v1/v1", "/v1/chat/completions"])
def test_the_url_that_would_be_right_is_tried_and_named(
    upstream: Upstream, path: str, elsewhere: tuple[int, bytes]
) -> None:
    host = upstream.url.removesuffix("/v1")
    upstream.status, upstream.body = elsewhere
    upstream.by_path = {"/v1/models": (200, MODELS)}
    code, message = found(at(host + path))
    assert code == "wrong_base_url"
    assert message.endswith(f"works at {host}/v1: make that the base URL.")


def test_a_trial_is_tried_there_too(upstream: Upstream) -> None:
    host = upstream.url.removesuffix("/v1")
    upstream.refuse(404)
    upstream.by_path = {"/v1/chat/completions": (200, COMPLETION)}
    assert found(at(host), completion=True)[0] == "wrong_base_url"


@pytest.mark.parametrize(
    ("status", "body", "code"), [(404, b"{}", "not_found"), (405, b"{}", "not_found"), (200, PAGE, "web_page")]
)
def test_a_url_is_named_only_where_it_works(upstream: Upstream, status: int, body: bytes, code: str) -> None:
    upstream.status, upstream.body = status, body
    backend = at(upstream.url.removesuffix("/v1"))
    assert found(backend)[0] == code
    assert [each["path"] for each in upstream.seen] == ["/models", "/v1/models"]
    assert backend_discover(backend).diagnosis.code == code


def test_azure_is_asked_at_its_place(upstream: Upstream) -> None:
    host = upstream.url.removesuffix("/v1")
    backend = at(host, api="azure-openai", models={"gpt": {"native_id": "dep", "compat": {"api_version": "v9"}}})
    assert found(backend)[0] == "ok"
    assert upstream.seen[0]["path"] == "/openai/models?api-version=v9"
    assert upstream.seen[0]["headers"]["api-key"] == API_KEY
    upstream.body = COMPLETION
    assert found(backend, completion=True)[0] == "ok"
    assert upstream.seen[1]["path"] == "/openai/deployments/dep/chat/completions?api-version=v9"
    upstream.refuse(404, code="DeploymentNotFound", message="The API deployment for this resource does not exist.")
    code, message = found(backend, completion=True)
    assert (code, "dep" in message) == ("wrong_model", True)


def test_azure_with_the_newer_address_and_without_it(upstream: Upstream) -> None:
    host = upstream.url.removesuffix("/v1")
    assert found(at(f"{host}/openai/v1", api="azure-openai"))[0] == "ok"
    assert upstream.seen[0]["path"] == "/openai/v1/models"
    upstream.refuse(404)
    upstream.by_path = {"/openai/v1/models": (200, MODELS)}
    backend = make_backend("odd", api_base_url=f"{host}/openai/v1/v1", api="azure-openai")
    assert f"{host}/openai/v1: make" in found(backend)[1]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, {"message": "The model `gpt-9.5` does not exist or you do not have access to it."}),
        (404, {"code": "model_not_found"}),
        (404, {"type": "not_found_error", "message": "model: claude-9"}),
        (404, {"message": "model 'llama' not found, try pulling it first"}),
        (400, {"message": "Invalid model: tiny"}),
        (400, {"message": "tiny is not a valid model ID"}),
    ],
)
def test_a_wrong_model_is_compared_with_the_upstreams_list(
    upstream: Upstream, status: int, error: dict[str, str]
) -> None:
    upstream.refuse(status, **error)
    upstream.by_path = {"/v1/models": (200, MODELS)}
    mapped = {"a": {"native_id": "nine"}, "b": {"native_id": "m1"}, "m3": {}}
    code, message = found(at(upstream.url, models=mapped), completion=True)
    assert code == "wrong_model"
    assert f"does not know the model “nine” ({status})" in message
    assert message.endswith("not in its list: nine, m3.")


def test_without_a_list_a_wrong_model_is_still_one(upstream: Upstream) -> None:
    upstream.refuse(404, code="model_not_found")
    code, message = found(at(upstream.url), completion=True)
    assert (code, "native id" in message) == ("wrong_model", True)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (
            {"message": "Unsupported parameter: 'max_tokens' is not supported with this model.", "type": "i_r_e"},
            "refused",
        ),
        ({"message": "API key not valid. Please pass a valid API key."}, "unauthorized"),
        ({"message": "Incorrect API key provided"}, "unauthorized"),
        ({"message": "something else"}, "refused"),
    ],
)
def test_other_refusals_are_not_the_models(upstream: Upstream, error: dict[str, str], code: str) -> None:
    upstream.refuse(400, **error)
    assert found(at(upstream.url), completion=True)[0] == code


@pytest.mark.parametrize(
    ("body", "code"), [(PAGE, "web_page"), (b'{"error": "x"}', "not_a_completion"), (b"", "not_a_completion")]
)
def test_a_trial_wants_a_completion(upstream: Upstream, body: bytes, code: str) -> None:
    upstream.body = body
    assert found(at(upstream.url), completion=True)[0] == code


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("You exceeded your current quota, please check your plan and billing details.", "quota"),
        ("Insufficient Balance", "quota"),
        ("Rate limit reached for requests", "rate_limited"),
        ("See https://aka.example/quotaincrease to increase the rate limit.", "rate_limited"),
    ],
)
def test_a_spent_quota_is_told_from_a_rate_limit(upstream: Upstream, message: str, code: str) -> None:
    upstream.refuse(429, message=message)
    assert found(at(upstream.url))[0] == code


@pytest.mark.parametrize(
    ("certificate", "code"),
    [
        (issued(by=CA, days=-1), "tls_expired"),
        (issued(), "tls_untrusted"),
        (issued(by=issued("another CA", ca=True)), "tls_untrusted"),
        (issued("other.example", by=CA), "tls_wrong_host"),
        (issued(by=CA), "ok"),
    ],
)
def test_troubles_of_tls_are_told_apart(certificate: Issued, code: str, tmp_path: Path) -> None:
    with running_upstream(certificate.server_context(tmp_path)) as upstream:
        assert found(at(upstream.url, ca_bundle=CA.pem))[0] == code


def test_https_to_a_port_without_tls(upstream: Upstream) -> None:
    code, message = found(at(upstream.url.replace("http:", "https:")))
    assert (code, "http://" in message) == ("tls_not_spoken", True)


@pytest.mark.parametrize("trusted", [True, False])
def test_http_to_a_port_with_tls(trusted: bool, tmp_path: Path) -> None:
    with running_upstream(issued(by=CA).server_context(tmp_path)) as upstream:
        backend = at(upstream.url.replace("https:", "http:"), ca_bundle=CA.pem if trusted else "")
        code, message = found(backend)
        assert (code, "https://" in message) == ("tls_wanted", True)
        assert upstream.seen == []


@pytest.mark.parametrize(
    "words", ["The plain HTTP request was sent to HTTPS port", "Client sent an HTTP request to an HTTPS server."]
)
def test_servers_that_say_so_themselves(upstream: Upstream, words: str) -> None:
    upstream.status, upstream.body = 400, f"<html>{words}</html>".encode()
    assert found(at(upstream.url))[0] == "tls_wanted"


@contextmanager
def speaking(words: bytes) -> Iterator[str]:
    """A server that says `words` to everybody and hangs up, whatever is asked."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(1)
                connection.sendall(words)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_what_speaks_neither_is_no_http() -> None:
    with speaking(b"220 mail.example ESMTP\r\n") as url:
        assert found(at(url))[0] == "invalid_answer"


@pytest.mark.parametrize(
    ("refuses", "password", "code", "words"),
    [
        (0, "swordfish", "proxy_credentials", "407"),
        (403, "", "proxy_failed", "forbids"),
        (502, "", "proxy_failed", "can't reach"),
    ],
)
def test_what_an_outgoing_proxy_refuses(tmp_path: Path, refuses: int, password: str, code: str, words: str) -> None:
    with running_upstream(issued(by=CA).server_context(tmp_path)) as upstream, running_proxy() as proxy:
        proxy.refuses, proxy.password = refuses, password
        backend = at(upstream.url, ca_bundle=CA.pem)
        backend = backend_update(backend_id=backend.id, data=BackendData(outgoing_proxy=proxy.with_user("trout")))
        assert found(backend)[0] == code
        assert words in found(backend)[1]
        assert "trout" not in found(backend)[1]
        assert upstream.seen == []


def test_an_answer_that_may_be_the_proxys_own() -> None:
    with running_proxy() as proxy:
        proxy.refuses = 502
        backend = backend_update(backend_id=at("http://127.0.0.1:1/v1").id, data=BackendData(outgoing_proxy=proxy.url))
        code, message = found(backend)
        assert (code, "outgoing proxy" in message) == ("upstream_error", True)


def test_an_outgoing_proxy_that_is_not_there() -> None:
    backend = at("https://upstream.invalid/v1")
    data = BackendData(outgoing_proxy="http://127.0.0.1:1")
    assert found(backend_update(backend_id=backend.id, data=data))[0] == "proxy_unreachable"


def test_refused_unknown_and_silent_are_told_apart(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(make_backend("a", api_base_url="http://127.0.0.1:1/v1"))[0] == "connection_refused"
    assert found(make_backend("b", api_base_url="https://127.0.0.1:1/v1"))[0] == "connection_refused"
    assert found(make_backend("c", api_base_url="https://name.invalid/v1"))[0] == "dns_failed"
    monkeypatch.setenv("AGENTHUB_HEALTH_CHECK_TIMEOUT_SECONDS", "0.3")
    upstream.hangs = True
    assert found(make_backend("d", api_base_url=upstream.url))[0] == "timeout"


def test_hostile_answers_are_judged_in_bounds() -> None:
    deep = b"[" * 100_000
    assert models_diagnosis(200, deep).code == "not_a_model_list"
    assert trial_diagnosis(200, deep).code == "not_a_completion"
    assert trial_diagnosis(404, b"model " * 500_000).code == "not_found"
    assert trial_diagnosis(404, b"\xff\xfe").code == "not_found"
    assert models_diagnosis(200, json.dumps({"data": [{"id": "x" * 500}]}).encode()).ok
    assert diagnosis_of(418).code == "refused"


def errors_below(kind: type[OutboundError]) -> Iterator[type[OutboundError]]:
    for child in kind.__subclasses__():
        yield child
        yield from errors_below(child)


def test_the_page_lists_every_word() -> None:
    sources = [Path(module.__file__ or "").read_text() for module in (probes, diagnosis)]
    words = {word for source in sources for word in re.findall(r'(?:Diagnosis\(|\d: \()"(\w+)"', source)}
    assert len(words) > 15
    listed = {word for row in rows(REFERENCE / "connection-test.md") for word in codes(row[0])}
    assert listed == words | {error.code for error in errors_below(OutboundError)}
