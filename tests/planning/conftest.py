"""A reduced catalogue: few cards, and servers of several sizes, periods and terms."""

from datetime import date
from decimal import Decimal

import pytest

from app.catalogue.facts import Commitment, Offer, Period
from app.catalogue.snapshot import Snapshot

CARDS = ("rtx-3060-12gb", "rtx-4090", "l40s", "a100-80gb-sxm", "h100-sxm")
MODELS = (
    "llama-3.2-1b",
    "qwen2.5-7b",
    "mistral-7b-v0.1",
    "llama-3-8b",
    "qwen2.5-32b",
    "llama-3-70b",
    "olmoe-1b-7b-0924",
)


def offer(
    gpu: str,
    cards: int,
    amount: str,
    *,
    period: Period = Period.HOUR,
    minimum_term: str | None = None,
    setup_fee: str | None = None,
) -> Offer:
    """An offer of a made-up provider."""
    name = f"{gpu}-{cards}-{period}-{minimum_term}-{setup_fee}"
    return Offer(
        id=name.lower().replace(" ", "-"),
        provider="Example Hosting",
        provider_slug="example-hosting",
        gpu=gpu,
        gpus_per_server=cards,
        amount=Decimal(amount),
        currency="USD",
        period=period,
        minimum_term=minimum_term,
        setup_fee=None if setup_fee is None else Decimal(setup_fee),
        commitment=Commitment.ON_DEMAND,
        observed_on=date(2026, 11, 1),
    )


@pytest.fixture(scope="session")
def reduced(snapshot: Snapshot) -> Snapshot:
    """The bundled models, five cards and fourteen offers."""
    hourly = {"rtx-3060-12gb": "0.08", "rtx-4090": "0.45", "l40s": "0.95", "a100-80gb-sxm": "1.60", "h100-sxm": "2.90"}
    offers = [offer(gpu, 1, amount) for gpu, amount in hourly.items()]
    offers += [offer(gpu, 4, str(4 * Decimal(hourly[gpu]))) for gpu in ("rtx-4090", "l40s", "a100-80gb-sxm")]
    offers += [offer(gpu, 8, str(8 * Decimal(hourly[gpu]))) for gpu in ("a100-80gb-sxm", "h100-sxm")]
    offers += [
        offer("rtx-4090", 1, "289", period=Period.MONTH),
        offer("h100-sxm", 1, "2.10", minimum_term="1 month"),
        offer("a100-80gb-sxm", 4, "5.00", setup_fee="30"),
        offer("l40s", 2, "1100", period=Period.MONTH),
    ]
    return Snapshot(
        version="reduced",
        models=snapshot.models,
        gpus=[gpu for gpu in snapshot.gpus if gpu.slug in CARDS],
        offers=offers,
    )
