"""The page that plans a job, as any visitor gets it, and what three strangers read on it."""

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.catalogue.facts import Rates
from app.catalogue.snapshot import Snapshot
from app.main import create_app
from app.settings import Settings
from tests.web.reading import Page

RATES = Rates(base="USD", per_base={"GBP": Decimal("0.76")}, observed_on=date(2026, 11, 20))
WRITTEN = Path(__file__).parents[2] / "docs" / "planner.md"
STRANGERS = {
    "a card": "/gpus/rtx-3090",
    "the largest model": "/solve?unknown=model&gpu=rtx-3090&method=qlora",
    "the longest text": "/solve?unknown=sequence_length&model=llama-3-8b&gpu=rtx-3090&method=qlora&micro_batch_size=1",
    "a 70B": "/plan?model=llama-3-70b&num_examples=20000&tokens_per_example=400&sequence_length=1024&epochs=2"
    "&budget=200&currency=GBP&deadline_hours=48",
    "the best 8B": "/plan?model=llama-3-8b&optimize_for=best_quality&num_examples=50000",
}


@pytest.fixture(scope="module")
def with_rate(today_of_module: date) -> Iterator[TestClient]:
    """The service with the bundled catalogue and a dated rate to pounds."""
    bundled = Snapshot.bundled()
    snapshot = Snapshot(
        version="with-rate", models=bundled.models, gpus=bundled.gpus, offers=bundled.offers(), rates=RATES
    )
    with TestClient(create_app(Settings(), snapshot=snapshot, today=lambda: today_of_module)) as client:
        yield client


@pytest.fixture(scope="module")
def today_of_module() -> date:
    return date(2026, 11, 24)


def read(site: TestClient, path: str, status: int = 200) -> Page:
    response = site.get(path)
    assert response.status_code == status, response.text[:500]
    return Page(response.text)


def plain(text: str) -> str:
    """Text with single ordinary spaces."""
    return re.sub(r"\s+", " ", text.replace("\u00a0", " ")).strip()


@pytest.mark.parametrize("stranger", STRANGERS)
def test_what_each_stranger_reads_is_what_is_written_up(with_rate: TestClient, stranger: str) -> None:
    headline = plain(read(with_rate, STRANGERS[stranger]).one("h1").text)
    assert headline in plain(WRITTEN.read_text(encoding="utf-8"))


def test_the_page_says_what_the_api_says(site: TestClient) -> None:
    query = "model=mistral-7b-v0.1&num_examples=20000&max_gpus=2"
    page = read(site, f"/plan?{query}")
    answer = site.get(f"/api/v1/recommend?{query}").json()
    first = answer["options"][0]
    assert f"US${first['cost']['amount']}" in plain(page.one("h1").text)
    assert first["offer"]["provider"] in page.one("main").text
    assert f"{answer['evaluations']:,} estimates" in plain(page.by_id("results").text)
    for reason in answer["decision"]["reasons"]:
        if reason["code"] not in {"first_option", "job"}:
            said = re.sub(r"([\d,.]+) USD", r"US$\1", reason["text"])
            assert plain(said) in plain(page.one("main").text)


def test_a_name_in_the_table_opens_exactly_that_run(site: TestClient) -> None:
    query = "model=llama-3-8b&num_examples=20000"
    answer = site.get(f"/api/v1/recommend?{query}").json()
    first = answer["options"][0]
    page = read(site, f"/plan?{query}")
    link = next(item.attributes["href"] for item in page.all("a") if item.text == "See its memory, step by step")
    fresh = site.get(link.replace("/?", "/api/v1/estimate?")).json()
    assert (fresh["memory"], fresh["time"], fresh["cost"]) == (first["memory"], first["time"], first["cost"])


def test_a_wrong_field_comes_back_in_the_form_and_nothing_is_lost(site: TestClient) -> None:
    page = read(site, "/plan?model=llama-3-8b&budget=-4&num_examples=777", 422)
    assert page.by_id("f-budget-error").text.strip()
    assert page.by_id("f-num_examples").attributes["value"] == "777"
    page = read(site, "/plan?model=lama+3+8b", 422)
    assert "Did you mean" in page.by_id("f-model-error").text


def test_where_nothing_keeps_the_limits_the_nearest_is_named(site: TestClient) -> None:
    page = read(site, "/plan?model=llama-3-70b&num_examples=1000000&budget=5&deadline_hours=1")
    assert plain(page.one("h1").text) == "Nothing with a price here does this job"
    assert "the cheapest takes" in page.one("main").text
    assert "the fastest" in page.one("main").text


def test_form_fields_that_nobody_filled_decide_nothing(site: TestClient) -> None:
    bare = read(site, "/plan?model=llama-3-8b&num_examples=5000").one("h1").text
    sent = "model=llama-3-8b&num_examples=5000&budget=&currency=&gpu=&deadline_hours=&provider=&methods=&spot="
    assert read(site, f"/plan?{sent}").one("h1").text == bare
