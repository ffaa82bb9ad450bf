"""Pasting a config.json into the calculator: kept as a posted run's is, or sent back with what is wrong."""

import json
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.catalogue.snapshot import Snapshot
from app.main import create_app
from app.services.lookup import config_hash
from app.settings import Settings
from tests.web.reading import Page


class Kept(dict[str, Mapping[str, Any]]):
    """Configurations in memory."""

    def put(self, key: str, config: Mapping[str, Any]) -> None:
        self[key] = config


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def visitor(snapshot: Snapshot, kept: Kept) -> Iterator[TestClient]:
    app = create_app(Settings(), snapshot=snapshot, configs=kept, today=lambda: date(2026, 11, 24))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def config_of(snapshot: Snapshot, slug: str) -> dict[str, Any]:
    model = snapshot.model(slug)
    assert model is not None
    return dict(model.config)


def test_a_pasted_model_takes_the_place_of_the_runs_model(visitor: TestClient, snapshot: Snapshot, kept: Kept) -> None:
    config = config_of(snapshot, "qwen2.5-1.5b")
    run = "/?model=llama-3-8b&method=lora&gpu=rtx-3090&sequence_length=2048"
    sent = visitor.post("/config", data={"config": json.dumps(config), "run": run}, follow_redirects=False)
    key = config_hash(config)
    assert sent.status_code == 303
    assert set(kept) == {key}
    target = sent.headers["location"]
    assert f"model=config:{key}" in target
    own = visitor.get("/api/v1/estimate" + target.removeprefix("/")).json()
    named = visitor.get("/api/v1/estimate" + run.removeprefix("/").replace("llama-3-8b", "qwen2.5-1.5b")).json()
    assert own["memory"]["required_bytes"] == named["memory"]["required_bytes"]
    assert own["run"]["sequence_length"] == 2048
    assert visitor.get(target).status_code == 200


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "Paste the text"),
        ("{not json", "not valid JSON"),
        ("[1, 2]", "one object"),
        ('{"model_type": "llama", "hidden_size": -4}', "hidden_size"),
        ('{"model_type": "llama", "hidden_size": NaN}', "not valid JSON"),
    ],
)
def test_what_cannot_be_read_comes_back_with_the_error_at_the_field(
    visitor: TestClient, kept: Kept, text: str, complaint: str
) -> None:
    sent = visitor.post("/config", data={"config": text, "run": "/?model=llama-3-8b&method=lora"})
    assert sent.status_code == 422
    page = Page(sent.text)
    assert complaint in page.by_id("f-config-error").text
    assert page.by_id("f-config").text == text
    assert page.by_id("f-config").attributes["aria-invalid"] == "true"
    assert "Llama 3 8B" in page.by_id("f-model").attributes["value"]
    assert page.by_id("paste-run").attributes["value"] == "model=llama-3-8b&method=lora"
    assert kept == {}


def test_a_form_that_is_no_form_is_answered(visitor: TestClient) -> None:
    for body in (b"", b"\xff\xfe%%%", b"run=%3Fmodel%3Dnothing&config=%7B%7D"):
        assert visitor.post("/config", content=body).status_code == 422
