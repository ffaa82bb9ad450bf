"""The cards against a run, as pages look at them, are those that the API lists."""

from dataclasses import fields
from typing import Any

import pytest

from app.catalogue.facts import Period
from app.catalogue.snapshot import Snapshot
from app.memory.device import Verdict
from app.request import Run
from app.services.assess import Assessment
from app.services.cards import fewest_together, first_that_fits, holding, smallest_that_fits
from app.services.estimate import estimate, outlook
from app.services.policy import DEFAULT_POLICY
from app.services.results import CardFit
from tests.conftest import TODAY

RUNS: tuple[dict[str, Any], ...] = (
    {"model": "llama-3-8b", "method": "qlora"},
    {"model": "llama-3-8b", "method": "lora", "gpu": "h100-sxm", "attention": "flash_attention_2"},
    {"model": "qwen2.5-14b", "method": "full", "precision": "bf16-mixed", "optimizer": "adamw_bnb_8bit"},
    {"model": "llama-3.2-1b", "method": "full", "precision": "fp32", "packing": False, "tokens_per_example": 100},
    {"model": "llama-3-70b", "method": "lora", "num_gpus": 8},
    {"model": "mistral-7b-v0.1", "method": "full", "num_gpus": 4, "strategy": "zero3", "offload": "optimizer"},
    {"model": "mistral-7b-v0.1", "method": "lora", "num_gpus": 2, "tensor_parallel": 2, "strategy": "ddp"},
    {"model": "llama-3-70b", "method": "full"},
)


@pytest.mark.parametrize("given", RUNS, ids=lambda given: f"{given['model']}-{given['method']}")
def test_cards_that_are_looked_at_say_what_the_list_says(given: dict[str, Any], snapshot: Snapshot) -> None:
    listed = estimate(Run.model_validate({**given, "gpus": "all"}), snapshot, TODAY).gpus
    cards = outlook(Run.model_validate(given), snapshot, TODAY, DEFAULT_POLICY).cards
    assert [card.slug for card in cards] == [card.slug for card in listed] == [gpu.slug for gpu in snapshot.gpus]
    for card, told in zip(cards, listed, strict=True):
        alone = Assessment.of(Run.model_validate(given), snapshot, TODAY, DEFAULT_POLICY)
        assert alone.judged(card.gpu)[1] is card.verdict, card.slug
        for name in (field.name for field in fields(CardFit) if field.name != "min_gpus"):
            assert getattr(card, name) == getattr(told, name), (card.slug, name)
        assert card.dearness == told.dearness, card.slug
    for period in Period:
        assert [card.slug for card in holding(cards, period)] == [card.slug for card in holding(listed, period)]
    best, smallest = cards.cheapest, smallest_that_fits(cards)
    let = holding(listed, Period.HOUR) or holding(listed, Period.MONTH)
    assert (best and best.slug) == next((card.slug for card in [first_that_fits(let)] if card), None)
    assert (smallest and smallest.slug) == next((card.slug for card in [smallest_that_fits(listed)] if card), None)
    short = [card for card in listed if card.verdict is Verdict.DOES_NOT_FIT and card.min_gpus]
    together = fewest_together(cards)
    least = min(short, key=lambda card: (card.min_gpus or 0, -card.usable_bytes), default=None)
    assert (together and together.fewest_gpus) == (least.min_gpus if least else None)
