"""Memory a card against the number of cards, where that is a question."""

import re

import pytest
from fastapi.testclient import TestClient

from app.catalogue.snapshot import Snapshot
from app.memory.device import Verdict
from app.request import parse_query
from app.services.by_count import by_count
from app.services.policy import Policy
from tests.conftest import TODAY
from tests.web.reading import Page


def page_of(site: TestClient, query: str) -> Page:
    response = site.get(f"/?{query}")
    assert response.status_code == 200
    return Page(response.text)


def rows_of(page: Page) -> list[str]:
    return [element.text.strip() for element in page.all("th") if re.match(r"\s*\d+ cards?\b", element.text)]


@pytest.mark.parametrize("query", ["model=llama-3-8b&method=qlora&gpu=rtx-3090", "model=llama-3-8b&method=qlora"])
def test_a_run_that_one_card_holds_has_no_such_chart(site: TestClient, query: str) -> None:
    assert not [element for element in page_of(site, query).elements if element.attributes.get("id") == "by-count"]


def test_a_large_run_shows_what_each_card_must_have_by_their_number(site: TestClient) -> None:
    page = page_of(site, "model=llama-3-70b&method=full&gpu=h100-sxm&num_gpus=8")
    assert page.by_id("by-count").text == "Over several cards"
    names = rows_of(page)
    assert [name.split()[0] for name in names] == ["2", "4", "8", "16", "32", "64"]
    assert "(now)" in names[2]
    assert "does not fit" in names[0]
    assert "fits" in names[-1]
    [table] = [table for table in page.attribute("table", "aria-label") if "number of cards" in table]
    assert "GiB" in table


def test_without_a_card_a_large_run_shows_no_verdicts(site: TestClient) -> None:
    names = rows_of(page_of(site, "model=llama-3-70b&method=lora"))
    assert [name.split()[0] for name in names] == ["1", "2", "4", "8", "16"]
    assert not any(":" in name for name in names)


def test_what_a_card_must_have_falls_with_their_number(snapshot: Snapshot) -> None:
    run = parse_query([("model", "llama-3-70b"), ("method", "full"), ("gpu", "h100-sxm"), ("num_gpus", "24")])
    rows = by_count(run, snapshot, TODAY, Policy())
    needs = [row.memory.required_bytes for row in rows]
    assert needs == sorted(needs, reverse=True)
    assert 24 in [row.num_gpus for row in rows]
    assert rows[-1].verdict is Verdict.FITS


def test_numbers_that_the_degrees_do_not_divide_are_left_out(snapshot: Snapshot) -> None:
    given = [("model", "llama-3-70b"), ("gpu", "h100-sxm"), ("num_gpus", "12"), ("tensor_parallel", "4")]
    run = parse_query([*given, ("method", "full")])
    assert [row.num_gpus for row in by_count(run, snapshot, TODAY, Policy())][:4] == [4, 8, 12, 16]
