"""Cost against time: which cards are worth having."""

from decimal import Decimal

import pytest
from fastapi.testclient import TestClient

from app.catalogue.snapshot import Snapshot
from app.services.policy import Policy
from app.web.answer import answer
from app.web.speed import Priced, front, priced_cards
from tests.conftest import TODAY
from tests.web.reading import Page


@pytest.fixture(scope="module")
def cards(snapshot: Snapshot) -> list[Priced]:
    outcome = answer([("model", "llama-3-8b"), ("method", "qlora")], snapshot, TODAY, Policy(), {}).outcome
    assert outcome is not None
    return priced_cards(outcome.cards)


def test_nothing_beats_a_card_of_the_front(cards: list[Priced]) -> None:
    kept = front(cards)
    assert 1 < len(kept) < len(cards)

    def beats(one: Priced, other: Priced) -> bool:
        return one.time.total_seconds < other.time.total_seconds and one.cost.amount < other.cost.amount

    for item in kept:
        assert not any(beats(other, item) for other in cards)
    for item in cards:
        if item not in kept:
            assert any(
                other.time.total_seconds <= item.time.total_seconds and other.cost.amount <= item.cost.amount
                for other in kept
            )


def test_the_heading_names_the_cheapest_and_the_fastest(site: TestClient, cards: list[Priced]) -> None:
    heading = Page(site.get("/speed").text).one("h1").text
    cheapest = min(cards, key=lambda item: item.cost.amount).card.name.removeprefix("GeForce ")
    fastest = min(cards, key=lambda item: item.time.total_seconds).card.name.split(" (")[0]
    assert cheapest in heading
    assert fastest in heading
    assert min(item.cost.amount for item in cards) > Decimal(0)


def test_a_run_that_no_priced_card_holds_is_said_so(site: TestClient) -> None:
    page = Page(site.get("/speed?model=llama-3-70b&method=full").text)
    assert page.one("h1").text == "No card with a price surely holds this run"


def test_a_run_that_cannot_be_read_goes_to_the_calculator(site: TestClient) -> None:
    found = site.get("/speed?lora_rank=0", follow_redirects=False)
    assert (found.status_code, found.headers["location"]) == (303, "/?lora_rank=0")
