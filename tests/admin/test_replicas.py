"""A price changed on the command line, through the API and on a page, seen by another replica while it is asked."""

import os
import re
import subprocess
import threading
import time
from pathlib import Path

import httpx
import pytest

from app.admin.keys import ALL_SCOPES, create_key
from app.catalogue.database import Database
from tests.db.test_replicas import PAUSE_SECONDS, SEEN_WITHIN_SECONDS, replicas
from tests.ops.serving import command

__all__ = ["replicas"]

PRICES = "sku,gpu,amount,currency,period\na,rtx-4090,{},USD,hour\n"


def _offer(address: str) -> tuple[str, str] | None:
    items = httpx.get(f"{address}/api/v1/offers", params={"provider": "Example Hosting"}, timeout=30).json()["items"]
    return (items[0]["id"], items[0]["price"]["amount"]) if items else None


def _await_price(address: str, price: str) -> None:
    end = time.monotonic() + SEEN_WITHIN_SECONDS
    while (seen := _offer(address)) is None or seen[1] != price:
        assert time.monotonic() < end, f"{address} does not show {price}"
        time.sleep(0.05)


@pytest.mark.slow
def test_three_ways_of_changing_a_price_are_seen_elsewhere_and_remembered(
    replicas: list[str], catalogue_database_url: str, tmp_path: Path
) -> None:
    first, second = replicas
    database = Database(catalogue_database_url)
    key = create_key(database, name="the operator", scopes=ALL_SCOPES, actor="tests").text
    database.close()
    stop, statuses = threading.Event(), list[int]()

    def load() -> None:
        with httpx.Client(base_url=second, timeout=30) as client:
            while not stop.wait(PAUSE_SECONDS):
                statuses.append(client.get("/api/v1/recommend?model=mistral-7b-v0.1&method=qlora").status_code)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        prices = tmp_path / "prices.csv"
        prices.write_text(PRICES.format("1.10"), encoding="utf-8")
        subprocess.run(
            command("catalogue", "import", "prices.csv", "--provider", "Example Hosting"),
            env=os.environ | {"DATABASE_URL": catalogue_database_url},
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )
        _await_price(second, "1.10")

        headers = {"authorization": f"Bearer {key}", "content-type": "text/csv"}
        path = f"{first}/api/v1/admin/offers?provider=Example+Hosting&mode=replace"
        assert httpx.put(path, content=PRICES.format("1.20"), headers=headers, timeout=30).json()["changed"] == 1
        _await_price(second, "1.20")

        known = _offer(second)
        assert known is not None
        with httpx.Client(base_url=first, headers={"origin": first}, follow_redirects=True, timeout=30) as browser:
            browser.post("/admin/sign-in", data={"key": key})
            page = browser.get(f"/admin/offers/{known[0]}").text
            seen = re.search(r'name="seen" value="(\w+)"', page)
            assert seen is not None
            saved = browser.post(f"/admin/offers/{known[0]}", data={"seen": seen[1], "amount": "1.30"})
            assert "Saved." in saved.text
        _await_price(second, "1.30")
    finally:
        stop.set()
        thread.join()

    assert len(statuses) > 5
    assert set(statuses) == {200}
    history = httpx.get(f"{second}/api/v1/admin/offers/{known[0]}/history", headers=headers, timeout=30).json()
    assert [(entry["price"]["amount"], entry["recorded_by"].partition(" (")[0]) for entry in history] == [
        ("1.30", "the operator"),
        ("1.20", "the operator"),
        ("1.10", "command line"),
    ]
    moments = [entry["recorded_at"] for entry in history]
    assert moments == sorted(moments, reverse=True)
