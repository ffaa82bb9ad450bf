"""Whatever address a request carries, nothing is asked there, and nothing of it becomes a header."""

import socket
from typing import Any

import pytest
from fastapi.testclient import TestClient

TARGETS = [
    "http://169.254.169.254/latest/meta-data/",
    "http://127.0.0.1:22/",
    "http://[::1]/",
    "http://metadata.google.internal/",
    "file:///etc/passwd",
    "//evil.example/x",
    "nobody-knows/this-model",
]


@pytest.mark.parametrize("target", TARGETS)
def test_no_address_in_a_request_is_asked(client: TestClient, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    asked: list[Any] = []

    def refuse(*words: Any, **_: Any) -> None:
        asked.append(words)
        raise OSError("no connection is made in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for path in ("/api/v1/estimate", "/", "/embed/result", "/badge.svg", "/oembed"):
        for field in ("model", "gpu", "url", "ref"):
            assert client.get(path, params={"model": "llama-3-8b", field: target}).status_code < 500
    assert client.post("/api/v1/estimate", json={"model": target}).status_code == 422
    assert client.get(f"/api/v1/models/{target}").status_code == 404
    assert asked == []


@pytest.mark.parametrize("path", ["/", "/embed/result", "/api/v1/estimate", "/badge.svg", "/compare", "/oembed"])
@pytest.mark.parametrize("ending", ["\r\n", "\n", "\r"])
def test_a_line_break_never_becomes_a_header(client: TestClient, path: str, ending: str) -> None:
    hostile = f"llama-3-8b{ending}set-cookie: a=b"
    answer = client.get(path, params={"model": hostile, "ref": hostile, "url": hostile}, follow_redirects=False)
    assert answer.status_code < 500
    assert "set-cookie" not in answer.headers
    assert not any("\r" in value or "\n" in value for value in answer.headers.values())
