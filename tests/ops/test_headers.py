"""Every route's answer is safe to show: headers, and nothing that a strict policy forbids."""

import re

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.ops.conftest import Caller

RUN = "model=llama-3-8b&method=qlora&gpu=rtx-4090"
PAGES = [
    "/",
    f"/?{RUN}",
    "/compare",
    "/docs",
    f"/embed/result?{RUN}",
    f"/embed/calculator?{RUN}",
    f"/embed/table?{RUN}",
    f"/badge.svg?{RUN}",
    "/static/nothing.js",
    "/nothing",
    "/openapi.json",
    f"/api/v1/estimate?{RUN}",
    "/api/v1/estimate?model=nothing",
    "/api/v1/models",
    "/healthz",
]
INLINE = re.compile(
    r"<script(?![^>]*\bsrc=)(?![^>]*application/(ld\+)?json)[^>]*>|<style|\sstyle=|\son[a-z]+=|javascript:"
)


@pytest.mark.parametrize("address", PAGES)
def test_every_answer_has_the_security_headers(client: TestClient, address: str) -> None:
    answer = client.get(address, headers={"accept": "text/html"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-request-id"]
    assert "referrer-policy" in answer.headers
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors" in policy or "sandbox" in policy
    assert "default-src 'self'" in policy or "default-src 'none'" in policy
    assert not re.search(r"unsafe-(inline|eval)|script-src[^;]*\*", policy)


@pytest.mark.parametrize("address", [page for page in PAGES if not page.startswith(("/api", "/openapi", "/static"))])
def test_no_page_needs_what_the_policy_forbids(client: TestClient, address: str) -> None:
    assert not INLINE.search(client.get(address, headers={"accept": "text/html"}).text)


def test_only_embedded_pages_may_be_framed(client: TestClient) -> None:
    assert "frame-ancestors 'none'" in client.get("/").headers["content-security-policy"]
    assert "frame-ancestors *" in client.get(f"/embed/result?{RUN}").headers["content-security-policy"]


def test_an_unexpected_error_has_them_too_and_tells_nothing(caller: Caller) -> None:
    visitor = caller()
    assert isinstance(visitor.app, FastAPI)

    async def fail() -> None:
        raise RuntimeError("a secret of ours")

    visitor.app.add_api_route("/fail", fail)
    answer = visitor.get("/fail")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] in answer.text
    assert "content-security-policy" in answer.headers


@pytest.mark.parametrize("given", ["short", "a b c d e f g h", "x" * 65, 'evil"<script>'])
def test_a_request_id_that_is_not_sane_is_replaced(client: TestClient, given: str) -> None:
    assert client.get("/healthz", headers={"x-request-id": given}).headers["x-request-id"] != given
    assert client.get("/healthz", headers={"x-request-id": "job-1234.5"}).headers["x-request-id"] == "job-1234.5"


def test_a_service_behind_https_says_so(caller: Caller) -> None:
    assert "strict-transport-security" not in caller().get("/healthz").headers
    secure = caller(public_url="https://fit.example.com")
    assert "max-age=31536000" in secure.get("/healthz").headers["strict-transport-security"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("fit.example.com", 200),
        ("FIT.example.com:8000", 200),
        ("a.shops.example", 200),
        ("shops.example", 400),
        ("fit.example.com.evil.example", 400),
        ("evil.example", 400),
        ("[::1]:80", 200),
        ("169.254.169.254", 400),
    ],
)
def test_only_our_host_names_are_answered(caller: Caller, host: str, status: int) -> None:
    visitor = caller(trusted_hosts=("fit.example.com", "*.shops.example", "[::1]"))
    answer = visitor.get("/api/v1/models?limit=1", headers={"host": host})
    assert answer.status_code == status
    assert visitor.get("/healthz", headers={"host": "10.0.0.9"}).status_code == 200
