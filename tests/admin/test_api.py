"""Prices, rates and keys through the API, on both databases."""

import time
from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from app.admin.keys import Scope
from tests.admin.conftest import Caller, key

ADMIN = "/api/v1/admin"
LIST = "sku,gpu,amount,currency,period,region\na,rtx-4090,0.35,USD,hour,London\nb,RTX 3090,0.20,USD,hour,\n"
CSV = {"content-type": "text/csv"}


def _put(caller: TestClient, headers: dict[str, str], content: str = LIST, **query: Any) -> Any:
    query = {"provider": "Example Hosting", **query}
    return caller.put(f"{ADMIN}/offers", params=query, content=content, headers=headers | CSV)


def _public(caller: TestClient) -> dict[str, Any]:
    items = caller.get("/api/v1/offers", params={"provider": "example-hosting"}).json()["items"]
    return {item["gpu"]: item for item in items}


def test_a_list_is_shown_then_imported_then_unchanged(caller: Caller) -> None:
    client = caller()
    headers = key(client, Scope.OFFERS)
    dry = _put(client, headers, dry_run=True).json()
    assert (dry["added"], dry["version"], dry["dry_run"]) == (2, None, True)
    assert _public(client) == {}
    first, second = _put(client, headers).json(), _put(client, headers).json()
    assert (first["added"], first["version"]) == (2, 2)
    assert first["changes"][0]["before"] is None
    assert first["changes"][0]["after"] == {"amount": "0.35", "currency": "USD", "period": "hour"}
    assert (second["unchanged"], second["version"], second["changes"]) == (2, None, [])
    assert _public(client)["rtx-4090"]["price"]["amount"] == "0.35"


def test_merge_keeps_and_replace_withdraws(caller: Caller) -> None:
    client = caller()
    headers = key(client, Scope.OFFERS)
    _put(client, headers)
    changed = client.put(
        f"{ADMIN}/offers",
        params={"provider": "Example Hosting", "mode": "replace"},
        json={"offers": [{"sku": "a", "gpu": "rtx-4090", "amount": "0.5", "currency": "USD", "period": "hour"}]},
        headers=headers,
    ).json()
    assert (changed["changed"], changed["withdrawn"]) == (1, 1)
    assert set(_public(client)) == {"rtx-4090"}


def test_one_bad_row_changes_nothing_and_is_named(caller: Caller) -> None:
    client = caller()
    answer = _put(client, key(client, Scope.OFFERS), LIST + "c,rtx-4099,0.35,USD,hour,\nd,rtx-4090,-1,USD,hour,\n")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    errors = answer.json()["errors"]
    assert [(error["row"], error["field"]) for error in errors] == [(4, "gpu"), (5, "amount")]
    assert "rtx-4090" in errors[0]["suggestions"]
    assert _public(client) == {}


def test_an_export_goes_back_in_unchanged(caller: Caller) -> None:
    client = caller()
    headers = key(client, Scope.OFFERS, Scope.READ)
    _put(client, headers)
    for file_format, kind in (("csv", "text/csv"), ("json", "application/json")):
        exported = client.get(f"{ADMIN}/offers", params={"format": file_format}, headers=headers)
        assert exported.headers["content-type"].startswith(kind)
        again = client.put(
            f"{ADMIN}/offers",
            params={"provider": "Example Hosting", "mode": "replace"},
            content=exported.content,
            headers=headers | {"content-type": kind},
        ).json()
        assert (again["unchanged"], again["version"]) == (2, None)


def test_an_edited_price_is_seen_and_its_history_names_the_key(caller: Caller) -> None:
    client = caller()
    headers = key(client, Scope.OFFERS, Scope.READ)
    _put(client, headers)
    offer = _public(client)["rtx-4090"]["id"]
    edited = client.patch(f"{ADMIN}/offers/{offer}", json={"amount": 0.42, "region": None}, headers=headers)
    assert edited.status_code == 200, edited.text
    assert edited.json()["values"]["amount"] == "0.42"
    assert "region" not in edited.json()["values"]
    assert _public(client)["rtx-4090"]["price"]["amount"] == "0.42"
    refused = client.patch(f"{ADMIN}/offers/{offer}", json={"amount": "free"}, headers=headers)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "amount")
    assert client.delete(f"{ADMIN}/offers/{offer}", headers=headers).status_code == 204
    assert "rtx-4090" not in _public(client)
    newest, oldest = client.get(f"{ADMIN}/offers/{offer}/history", headers=headers).json()
    assert (newest["price"]["amount"], oldest["price"]["amount"]) == ("0.42", "0.35")
    assert newest["recorded_by"].startswith("tester (key ")
    assert newest["retired_by"] == newest["recorded_by"]
    assert client.patch(f"{ADMIN}/offers/unknown", json={}, headers=headers).status_code == 404
    actions = [entry["action"] for entry in client.get(f"{ADMIN}/audit", headers=headers).json()["items"]]
    assert actions[:3] == ["offers.withdraw", "offers.edit", "offers.import.merge"]


def test_rates_are_taken_and_shown_first(caller: Caller) -> None:
    client = caller()
    headers = key(client, Scope.RATES)
    rates = "base,currency,rate,observed_on\nEUR,USD,1.16,2026-11-20\n"
    dry = client.put(f"{ADMIN}/rates", params={"dry_run": True}, content=rates, headers=headers | CSV).json()
    assert (dry["version"], dry["changes"]) == (None, [{"currency": "USD", "before": None, "after": "1.16"}])
    taken = client.put(f"{ADMIN}/rates", content=rates, headers=headers | CSV).json()
    assert taken["version"] == 2
    refused = client.put(f"{ADMIN}/rates", content=rates.replace("1.16", "-1"), headers=headers | CSV)
    assert refused.json()["errors"] == [{"row": 2, "field": "rate", "message": refused.json()["errors"][0]["message"]}]


def test_keys_are_made_listed_and_revoked(caller: Caller) -> None:
    client = caller()
    headers = key(client)
    made = client.post(f"{ADMIN}/keys", json={"name": "nightly import", "scopes": ["offers"]}, headers=headers)
    assert made.status_code == 201
    own = {"authorization": f"Bearer {made.json()['key']}"}
    assert _put(client, own).status_code == 200
    listed = client.get(f"{ADMIN}/keys", headers=headers)
    assert {item["name"] for item in listed.json()["items"]} == {"tester", "nightly import"}
    assert made.json()["key"] not in listed.text
    assert client.delete(f"{ADMIN}/keys/{made.json()['id']}", headers=headers).status_code == 204
    assert _put(client, own).status_code == 401


def test_a_second_replica_sees_the_price_within_two_seconds(caller: Caller) -> None:
    first, second = caller(), caller(catalogue_poll_seconds=0.5)
    _put(first, key(first, Scope.OFFERS))
    end = time.monotonic() + 2
    while time.monotonic() < end and not _public(second):
        time.sleep(0.05)
    assert Decimal(_public(second)["rtx-4090"]["price"]["amount"]) == Decimal("0.35")


def test_the_document_describes_what_answers(caller: Caller) -> None:
    client = caller()
    headers = key(client)
    _put(client, headers)
    document = client.get("/openapi.json").json()
    for path in ("keys", "audit", "asked-for"):
        operation = document["paths"][f"{ADMIN}/{path}"]["get"]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        body = client.get(f"{ADMIN}/{path}", headers=headers).json()
        Draft202012Validator({**schema, "components": document["components"]}).validate(body)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status.startswith(("4", "5")):
                    assert list(response["content"]) == ["application/problem+json"], (path, status)


@pytest.mark.parametrize("query", [{"mode": "delete"}, {"provider": ""}, {"unknown": "1"}, {"dry_run": "perhaps"}])
def test_an_option_that_is_not_one_is_refused(page_caller: Caller, query: dict[str, str]) -> None:
    client = page_caller()
    assert _put(client, key(client, Scope.OFFERS), **query).status_code == 422


def test_without_the_operators_side_there_is_nothing(page_caller: Caller) -> None:
    client = page_caller(admin_enabled=False)
    assert client.get(f"{ADMIN}/keys").status_code == 404
    assert ADMIN not in client.get("/openapi.json").text


def test_metrics_name_the_address_once(page_caller: Caller) -> None:
    client = page_caller(address="127.0.0.1")
    client.get(f"{ADMIN}/keys", headers=key(client))
    assert f'route="{ADMIN}/keys"' in client.get("/metrics").text
