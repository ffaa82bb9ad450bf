"""Offers in several currencies are compared in the one asked for, at dated rates, exact to the minor unit."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from math import ceil
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.catalogue.database import Database
from app.catalogue.facts import Offer, Period, Rates
from app.catalogue.rates import import_rates
from app.catalogue.service import CatalogueService
from app.catalogue.snapshot import Snapshot
from app.main import create_app
from app.settings import Settings

TODAY = date(2026, 11, 24)
RATES = Rates(base="USD", per_base={"GBP": Decimal("0.8"), "EUR": Decimal("0.9")}, observed_on=date(2026, 11, 1))
API = "/api/v1"
RUN = {"model": "llama-3.2-1b", "method": "qlora", "gpu": "rtx-3090", "num_examples": 50_000}
WIDE = {"model": "llama-3.2-1b", "method": "lora", "gpu": "a100-80gb-sxm", "num_gpus": 16, "num_examples": 50_000}


def offer(name: str, amount: str, currency: str, period: Period = Period.HOUR, **fields: Any) -> Offer:
    values: dict[str, Any] = {"gpu": "rtx-3090", "gpus_per_server": 1, "observed_on": TODAY, **fields}
    return Offer(
        id=name, provider=name, provider_slug=name, amount=Decimal(amount), currency=currency, period=period, **values
    )


DOLLARS = offer("dollars", "0.30", "USD")
POUNDS = offer("pounds", "0.22", "GBP")
"""0.275 US dollars, 0.2475 euros: cheaper than the other."""
FRANCS = offer("francs", "0.01", "CHF")


@contextmanager
def serving(snapshot: Snapshot) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(), snapshot=snapshot, today=lambda: TODAY)) as client:
        yield client


def market(*offers: Offer, rates: Rates | None = RATES) -> Snapshot:
    bundled = Snapshot.bundled()
    return Snapshot(version="test", models=bundled.models, gpus=bundled.gpus, offers=offers, rates=rates)


def asked(client: TestClient, path: str, **body: Any) -> dict[str, Any]:
    response = client.post(f"{API}{path}", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def to_the_cent(amount: Decimal) -> str:
    return str(amount.quantize(Decimal("0.01"), ROUND_HALF_UP))


def hours(seconds: float) -> Decimal:
    return Decimal(ceil(seconds)) / 3600


@pytest.mark.parametrize(
    ("currency", "factor", "shown"), [("USD", "1.25", "1.2500"), ("EUR", "1.125", "1.1250"), ("GBP", "1", "")]
)
def test_the_cheapest_in_the_currency_asked_for_is_exact_to_the_minor_unit(
    currency: str, factor: str, shown: str
) -> None:
    with serving(market(DOLLARS, POUNDS, FRANCS)) as client:
        answer = asked(client, "/estimate", **RUN, currency=currency)
    cost, time = answer["cost"], answer["time"]
    assert (cost["currency"], cost["offer"]["id"]) == (currency, "pounds")
    for amount, seconds in (("amount", "total_seconds"), ("amount_high", "total_seconds_high")):
        assert cost[amount] == to_the_cent(hours(time[seconds]) * Decimal("0.22") * Decimal(factor))
    assert cost["offer"]["price"] == {"amount": "0.22", "currency": "GBP", "period": "hour"}
    note = f"Converted at 1 GBP = {shown} {currency}, the operator's rate of 2026-11-01."
    assert (note in cost["notes"]) is bool(shown)
    converted = cost["offer"]["converted"]
    if shown:
        assert Decimal(converted["amount"]) == Decimal("0.22") * Decimal(factor)
        assert (converted["currency"], converted["rate_observed_on"]) == (currency, "2026-11-01")
    else:
        assert converted is None


def test_the_other_way_round_the_dollars_win() -> None:
    with serving(market(DOLLARS, offer("pounds", "0.25", "GBP"))) as client:
        cost = asked(client, "/estimate", **RUN)["cost"]
    assert (cost["offer"]["id"], cost["offer"]["converted"]) == ("dollars", None)


@pytest.mark.parametrize("rates", [None, Rates(base="USD", per_base={"GBP": Decimal("0.8")})], ids=["none", "undated"])
def test_without_a_dated_rate_an_offer_stays_out(rates: Rates | None) -> None:
    with serving(market(DOLLARS, POUNDS, rates=rates)) as client:
        assert asked(client, "/estimate", **RUN)["cost"]["offer"]["id"] == "dollars"
        assert asked(client, "/estimate", **RUN, currency="GBP")["cost"]["offer"]["id"] == "pounds"
        assert asked(client, "/estimate", **RUN, currency="EUR")["cost"] is None


def test_months_and_set_up_fees_are_converted_too() -> None:
    month = offer("month", "159", "GBP", Period.MONTH, setup_fee=Decimal("49.50"))
    with serving(market(month)) as client:
        cost = asked(client, "/estimate", **RUN)["cost"]
    assert (cost["amount"], cost["period_amount"], cost["currency"]) == ("260.63", "198.75", "USD")


def test_every_answer_counts_the_converted_offer() -> None:
    with serving(market(DOLLARS, POUNDS)) as client:
        (card,) = [card for card in asked(client, "/estimate", **RUN)["gpus"] if card["offer"]]
        assert (card["offer"]["id"], card["cost"]["currency"]) == ("pounds", "USD")
        row = asked(client, "/compare", models=[RUN["model"]], methods=["qlora"], gpu="rtx-3090")["rows"][0]
        assert row["estimate"]["cost"]["offer"]["id"] == "pounds"
        option = asked(client, "/recommend", **{**RUN, "gpu": None}, gpus_allowed=["rtx-3090"])["options"][0]
        assert (option["offer"]["id"], option["cost"]["currency"]) == ("pounds", "USD")
        query = {name: str(value) for name, value in RUN.items()}
        page = client.get("/", params=query).text
        assert "1 GBP = 1.2500 USD, 1\u00a0Nov\u00a02026" in page
        assert "£0.22 an hour" in page
        widget = client.get("/embed/result", params=query).text
        assert "1 GBP = 1.2500 USD, 1\u00a0Nov\u00a02026" in widget


def test_recommendations_are_in_order_of_the_converted_price() -> None:
    offers = (
        offer("dear", "0.70", "USD"),
        offer("between", "0.55", "GBP", gpu="rtx-4090"),
        offer("cheap", "0.60", "EUR", gpu="rtx-a6000"),
    )
    with serving(market(*offers)) as client:
        answer = asked(
            client,
            "/recommend",
            model=RUN["model"],
            method="qlora",
            gpus_allowed=["rtx-3090", "rtx-4090", "rtx-a6000"],
        )
    assert [option["offer"]["id"] for option in answer["options"]] == ["cheap", "between", "dear"]


@pytest.mark.parametrize(("sizes", "size", "servers"), [((1, 4, 8), 8, 2), ((1, 8, 16), 16, 1), ((8, 9), 8, 2)])
def test_cards_that_no_server_holds_are_spread_over_the_fewest_whole_ones(
    sizes: tuple[int, ...], size: int, servers: int
) -> None:
    gpu = "a100-80gb-sxm"
    offers = [offer(f"of-{count}", f"{count}.00", "USD", gpu=gpu, gpus_per_server=count) for count in sizes]
    with serving(market(*offers)) as client:
        answer = asked(client, "/estimate", **WIDE)
    cost = answer["cost"]
    assert (cost["offer"]["gpus_per_server"], cost["servers"]) == (size, servers)
    assert cost["amount"] == to_the_cent(hours(answer["time"]["total_seconds"]) * 16)
    notes = " ".join(cost["notes"])
    assert (f"{servers} servers of {size} cards." in notes) is (servers > 1)
    assert ("the time takes 100 Gbit/s between servers of 8 cards (an assumption)" in notes) is (servers > 1)


def test_servers_smaller_than_the_nodes_that_the_time_assumes_are_not_priced() -> None:
    four = offer("four", "4.00", "USD", gpu="a100-80gb-sxm", gpus_per_server=4)
    with serving(market(four)) as client:
        assert asked(client, "/estimate", **WIDE)["cost"] is None
        cost = asked(client, "/estimate", **WIDE, gpus_per_node=4)["cost"]
    assert (cost["offer"]["gpus_per_server"], cost["servers"]) == (4, 4)
    assert any("between servers of 4 cards" in note for note in cost["notes"])


def test_the_network_that_the_run_names_is_the_one_in_the_note() -> None:
    eight = offer("eight", "8.00", "USD", gpu="a100-80gb-sxm", gpus_per_server=8)
    with serving(market(eight)) as client:
        cost = asked(client, "/estimate", **WIDE, network_gbit_per_second=400)["cost"]
    assert "400 Gbit/s between servers of 8 cards (as the run says)" in cost["notes"][-1]


def test_device_map_does_not_span_servers() -> None:
    eight = offer("eight", "8.00", "USD", gpu="a100-80gb-sxm", gpus_per_server=8)
    with serving(market(eight)) as client:
        answer = asked(client, "/estimate", **WIDE, strategy="device_map")
    assert answer["time"] is not None
    assert answer["cost"] is None


def test_rates_brought_in_by_the_operator_count(sqlite_catalogue: Database) -> None:
    run = {"model": "mistral-7b-v0.1", "method": "qlora", "gpus": "fitting"}

    def currencies() -> set[str]:
        with serving(CatalogueService(sqlite_catalogue).snapshot) as client:
            cards = asked(client, "/estimate", **run)["gpus"]
        assert {card["cost"]["currency"] for card in cards if card["cost"]} == {"USD"}
        return {card["offer"]["price"]["currency"] for card in cards if card["offer"]}

    assert currencies() == {"USD"}
    rows = b"base,currency,rate,observed_on\nUSD,EUR,2.5,2026-11-01\nUSD,GBP,2.0,2026-11-01\n"
    import_rates(sqlite_catalogue, rows, is_json=False, actor="test", today=TODAY)
    assert {"USD", "EUR"} <= currencies()
