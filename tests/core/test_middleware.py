"""What every answer of Django carries."""

import re
from typing import Any

import pytest
from django.test import AsyncClient, Client


@pytest.mark.django_db
def test_pages_run_only_the_scripts_of_the_house() -> None:
    policy = Client().get("/admin/login/").headers["content-security-policy"]
    scripts = re.search(r"script-src ([^;]*)", policy)
    assert scripts is not None
    assert scripts.group(1) == "'self' 'unsafe-eval'"
    assert "frame-ancestors 'none'" in policy


@pytest.mark.django_db
def test_the_sign_in_page_has_no_script_inside() -> None:
    page = Client().get("/admin/login/").content.decode()
    assert re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>", page) == []
    assert re.findall(r"\son(click|load|submit|change)=", page) == []


@pytest.mark.parametrize("given", ["a b c d e f g h", "short", "x" * 200, "line\tbreak-abc"])
def test_a_request_id_that_would_not_fit_a_log_line_is_replaced(given: str) -> None:
    answer = Client().get("/health", headers={"x-request-id": given})
    assert answer.headers["x-request-id"].startswith("req_")


def test_a_reasonable_request_id_is_kept() -> None:
    assert (
        Client().get("/health", headers={"x-request-id": "trace-12345678"}).headers["x-request-id"] == "trace-12345678"
    )


async def test_async_views_carry_the_same_headers() -> None:
    answer = await AsyncClient().get("/health")
    assert answer.headers["x-request-id"].startswith("req_")
    assert "content-security-policy" in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_static_files_come_out_of_where_they_lie() -> None:
    answer = Client().get("/static/admin/css/base.css")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/css")
    assert b":root" in answer.content
    again = Client().get("/static/admin/css/base.css", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    part = Client().get("/static/admin/css/base.css", headers={"range": "bytes=0-9"})
    assert (part.status_code, len(part.content)) == (206, 10)


@pytest.mark.parametrize("path", ["/static/../agenthub/settings.py", "/static/%2e%2e/manage.py", "/static/nothing.css"])
def test_nothing_else_comes_out(path: str) -> None:
    assert Client().get(path).status_code == 404


def test_behind_tls_plain_requests_are_sent_to_https_but_for_the_probes(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert Client().get("/admin/").headers["location"] == "https://testserver/admin/"
    assert Client().get("/health").status_code == 200
