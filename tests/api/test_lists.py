"""``/models``, ``/gpus`` and ``/offers``: pages, filters, tags, CSV."""

import csv
import io
from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.request import FIELDS

API = "/api/v1"


def listed(client: TestClient, path: str) -> dict[str, Any]:
    response = client.get(f"{API}{path}")
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


@pytest.mark.parametrize("path", ["/models", "/gpus", "/offers"])
def test_following_next_visits_everything_once(client: TestClient, path: str) -> None:
    page = listed(client, f"{path}?limit=60")
    seen = list(page["items"])
    while page["next"]:
        page = client.get(page["next"]).json()
        seen.extend(page["items"])
    assert len(seen) == page["total"]
    names = [item.get("slug") or item["id"] for item in seen]
    assert len(set(names)) == len(names)


def test_models_are_searched_and_filtered(client: TestClient) -> None:
    assert listed(client, "/models?q=llama 3 8b")["items"][0]["slug"] == "llama-3-8b"
    large = listed(client, "/models?min_parameters=100000000000&limit=500")["items"]
    assert large
    assert all(model["total_parameters"] >= 10**11 for model in large)


def test_a_model_is_found_by_slug_and_by_hub_id(client: TestClient) -> None:
    by_slug = listed(client, "/models/llama-3-8b")
    assert by_slug == listed(client, "/models/meta-llama/Meta-Llama-3-8B")
    assert by_slug["config"]["hidden_size"] == 4096


def test_cards_are_filtered_by_what_they_have(client: TestClient) -> None:
    cards = listed(client, "/gpus?vendor=nvidia&min_memory_gb=80&limit=500")["items"]
    assert cards
    assert all(card["memory_gb"] >= 80 and card["vendor"] == "NVIDIA" for card in cards)


def test_a_card_shows_its_current_offers(client: TestClient) -> None:
    card = listed(client, "/gpus/rtx-4090")
    assert card["offers"]
    assert {offer["gpu"] for offer in card["offers"]} == {"rtx-4090"}
    assert all(offer["commitment"] != "spot" for offer in card["offers"])


def test_offers_leave_out_spot_and_old_ones_unless_asked(client: TestClient) -> None:
    usual = listed(client, "/offers")["total"]
    with_spot = listed(client, "/offers?spot=true")["total"]
    with_old = listed(client, "/offers?max_age_days=100000")["total"]
    assert usual < with_spot
    assert usual < with_old


def test_money_is_a_decimal_string_and_hours_come_before_months(client: TestClient) -> None:
    offers = listed(client, "/offers?limit=500&currency=usd")["items"]
    periods = [offer["price"]["period"] for offer in offers]
    assert periods == sorted(periods)
    for offer in offers:
        assert isinstance(offer["price"]["amount"], str)
        assert Decimal(offer["price"]["amount"]) > 0
        assert offer["price"]["currency"] == "USD"


def test_an_unchanged_list_is_a_304(client: TestClient) -> None:
    first = client.get(f"{API}/gpus?limit=3")
    tag = first.headers["etag"]
    again = client.get(f"{API}/gpus?limit=3", headers={"if-none-match": f'"other", W/{tag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    assert client.get(f"{API}/gpus?limit=4", headers={"if-none-match": tag}).status_code == 200


@pytest.mark.parametrize("path", ["/models", "/gpus", "/offers"])
def test_csv_has_the_same_rows(client: TestClient, path: str) -> None:
    items = listed(client, f"{path}?limit=5")["items"]
    by_type = client.get(f"{API}{path}?limit=5", headers={"accept": "text/csv"})
    by_name = client.get(f"{API}{path}.csv?limit=5")
    assert by_type.headers["content-type"].startswith("text/csv")
    assert by_type.text == by_name.text
    rows = list(csv.DictReader(io.StringIO(by_name.text)))
    key = "id" if path == "/offers" else "slug"
    assert [row[key] for row in rows] == [item[key] for item in items]


def test_alive_and_ready(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz").json()
    assert ready["status"] == "ready"
    assert ready["gpus"] == 97


def test_the_reference_page_shows_every_address_and_field(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    document = client.get("/openapi.json").json()
    for path in document["paths"]:
        assert path in page.text
    for name in FIELDS:
        assert f"<code>{name}</code>" in page.text
    assert "http://testserver/api/v1/estimate" in page.text
    assert "<script" not in page.text


@pytest.mark.parametrize("path", ["/models", "/gpus", "/offers"])
def test_a_csv_has_the_same_columns_whatever_is_in_it(client: TestClient, path: str) -> None:
    def header(query: str) -> str:
        return client.get(f"{API}{path}.csv?{query}").text.split("\r\n")[0]

    columns = header("limit=500")
    assert len(columns.split(",")) > 10
    assert header("offset=100000") == header("limit=1") == columns


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ("limit=0", "limit", "must be at least 1."),
        ("limit=501", "limit", "must be at most 500."),
        ("limit=many", "limit", "is not a whole number."),
        ("colour=red", "colour", "is not a filter of this list."),
        ("%7B3%7D=red", "{3}", "is not a filter of this list."),
        ("min_memory_gb=1.5%7B3%7D", "min_memory_gb", "is not a number."),
    ],
)
def test_a_lists_query_is_refused_in_plain_words(client: TestClient, query: str, field: str, message: str) -> None:
    (error,) = client.get(f"{API}/gpus?{query}").json()["errors"]
    assert (error["field"], error["message"]) == (field, message)


def test_a_pattern_in_a_message_is_shown_as_it_is(client: TestClient) -> None:
    response = client.get(f"{API}/offers?currency=pounds")
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["field"] == "currency"
    assert "{3}" in error["message"]
