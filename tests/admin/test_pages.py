"""The operator's pages, used as a browser uses them, and what they leave behind."""

import re
from typing import Any

from fastapi.testclient import TestClient

from app.admin.keys import Scope, create_key
from tests.admin.conftest import Caller, database_of, key

OWN = {"origin": "http://testserver", "sec-fetch-site": "same-origin"}
LIST = b"sku,gpu,amount,currency,period,region\na,rtx-4090,0.35,USD,hour,London\nb,RTX 3090,0.20,USD,hour,\n"


def sign_in(caller: TestClient, *scopes: Scope) -> None:
    """Sign in with a new key."""
    text = key(caller, *scopes)["authorization"].removeprefix("Bearer ")
    answer = caller.post("/admin/sign-in", data={"key": text}, headers=OWN, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin")


def post(caller: TestClient, path: str, **parts: Any) -> Any:
    """Post a form as our own page does."""
    return caller.post(path, headers=OWN, **parts)


def upload(caller: TestClient, content: bytes = LIST, name: str = "prices.csv", **fields: str) -> Any:
    """Send a price list."""
    return post(
        caller,
        "/admin/upload",
        files={"file": (name, content)},
        data={"provider": "Example Hosting", "mode": "merge", **fields},
    )


def confirm_path(page: str) -> str:
    """Where the preview's form leads."""
    found = re.search(r'action="(/admin/upload/[0-9a-f]{32})"', page)
    assert found is not None, page
    return found[1]


def prices(caller: TestClient) -> dict[str, str]:
    """What everybody sees."""
    items = caller.get("/api/v1/offers", params={"provider": "example-hosting"}).json()["items"]
    return {item["gpu"]: item["price"]["amount"] for item in items}


def offer_id(caller: TestClient, gpu: str) -> str:
    """Of the provider's one server with this card."""
    items = caller.get("/api/v1/offers", params={"provider": "example-hosting", "gpu": gpu}).json()["items"]
    return str(items[0]["id"])


def edit(caller: TestClient, offer: str, **changes: str) -> Any:
    """Fill in the offer's form and send it."""
    page = caller.get(f"/admin/offers/{offer}").text
    fields = dict(re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', page))
    for name, options in re.findall(r'<select[^>]* name="(\w+)"[^>]*>(.*?)</select>', page):
        chosen = re.search(r'value="([^"]*)" selected', options)
        fields[name] = chosen[1] if chosen else ""
    return post(caller, f"/admin/offers/{offer}", data=fields | changes)


def test_an_upload_is_shown_applied_and_in_the_history(page_caller: Caller) -> None:
    client = page_caller()
    sign_in(client)
    shown = upload(client)
    assert shown.status_code == 200
    assert "Nothing is changed until you apply it" in shown.text
    assert prices(client) == {}
    done = post(client, confirm_path(shown.text))
    assert "Imported." in done.text
    assert prices(client) == {"rtx-4090": "0.35", "rtx-3090": "0.20"}
    assert "2 added" in client.get("/admin/history").text
    assert "Nothing would change." in upload(client).text


def test_a_bad_row_is_named_and_a_big_change_pointed_out(page_caller: Caller) -> None:
    client = page_caller()
    sign_in(client)
    bad = upload(client, LIST + b"c,rtx-4099,1,USD,hour,\n")
    assert bad.status_code == 422
    assert "row 4, gpu" in bad.text
    post(client, confirm_path(upload(client).text))
    assert "+100 %" in upload(client, LIST.replace(b"0.35", b"0.70")).text
    replaced = upload(client, LIST.replace(b"a,rtx-4090,0.35,USD,hour,London\n", b""), mode="replace")
    assert "withdrawn" in replaced.text


def test_what_changed_meanwhile_is_shown_again(page_caller: Caller) -> None:
    client = page_caller()
    sign_in(client)
    shown = upload(client)
    headers = key(client, Scope.OFFERS) | {"content-type": "text/csv"}
    client.put(
        "/api/v1/admin/offers",
        params={"provider": "Example Hosting"},
        content=LIST.replace(b"0.35", b"0.30"),
        headers=headers,
    )
    again = post(client, confirm_path(shown.text))
    assert again.status_code == 409
    assert "has changed since" in again.text
    assert prices(client)["rtx-4090"] == "0.30"
    post(client, confirm_path(again.text))
    assert prices(client)["rtx-4090"] == "0.35"


def test_a_dropped_upload_is_gone_and_another_key_has_no_part_in_it(page_caller: Caller) -> None:
    first, second = page_caller(), page_caller()
    sign_in(first)
    sign_in(second)
    path = confirm_path(upload(first).text)
    assert post(second, path).status_code == 404
    assert "dropped" in post(first, f"{path}/drop").text
    assert post(first, path).status_code == 404
    assert prices(first) == {}


def test_a_price_is_edited_and_its_history_says_by_whom(page_caller: Caller) -> None:
    client = page_caller()
    sign_in(client)
    post(client, confirm_path(upload(client).text))
    offer = offer_id(client, "rtx-4090")
    assert "Saved." in edit(client, offer, amount="0.41").text
    assert prices(client)["rtx-4090"] == "0.41"
    page = client.get(f"/admin/offers/{offer}").text
    assert "0.35 USD/hour" in page
    assert page.count("tester (key ") >= 3
    refused = edit(client, offer, amount="free", order_url="javascript:alert(1)")
    assert refused.status_code == 422
    assert refused.text.count('aria-invalid="true"') == 2
    assert "Nothing was changed." in edit(client, offer).text
    assert "Withdrawn." in post(client, f"/admin/offers/{offer}/withdraw").text
    assert "rtx-4090" not in prices(client)


def test_two_who_edit_the_same_offer_do_not_overwrite_each_other(page_caller: Caller) -> None:
    client = page_caller()
    sign_in(client)
    post(client, confirm_path(upload(client).text))
    offer = offer_id(client, "rtx-4090")
    seen = re.search(r'name="seen" value="(\w+)"', client.get(f"/admin/offers/{offer}").text)
    assert seen is not None
    edit(client, offer, amount="0.41")
    late = post(client, f"/admin/offers/{offer}", data={"seen": seen[1], "amount": "0.50"})
    assert late.status_code == 409
    assert prices(client)["rtx-4090"] == "0.41"


def test_rates_are_shown_then_applied(page_caller: Caller) -> None:
    client = page_caller()
    sign_in(client)
    rates = b"base,currency,rate,observed_on\nEUR,USD,1.16,2026-11-20\n"
    shown = post(client, "/admin/upload?kind=rates", files={"file": ("rates.csv", rates)}, data={"format": "csv"})
    assert "1.16" in shown.text
    assert "Imported." in post(client, confirm_path(shown.text)).text
    assert "Of 2026-11-20." in client.get("/admin/rates").text


def test_a_key_is_shown_once_and_signs_nobody_in_after_it_was_revoked(page_caller: Caller) -> None:
    client, other = page_caller(), page_caller()
    sign_in(client)
    made = post(client, "/admin/keys", data={"name": "a colleague", "scopes": ["read", "offers"]})
    found = re.search(r'value="(vramfit_([0-9a-f]{12})_[\w-]{43})"', made.text)
    assert found is not None
    assert found[1] not in client.get("/admin/keys").text
    assert other.post("/admin/sign-in", data={"key": found[1]}, headers=OWN).status_code == 200
    assert other.get("/admin/offers").status_code == 200
    assert "revoked" in post(client, f"/admin/keys/{found[2]}/revoke").text
    assert "/admin/sign-in" in str(other.get("/admin/offers").url)
    nothing = post(client, "/admin/keys", data={"name": "nothing"})
    assert (nothing.status_code, "at least one scope" in nothing.text) == (422, True)
    assert "keys.revoke" in client.get("/admin/audit").text


def test_signing_out_ends_the_session_itself(page_caller: Caller) -> None:
    client = page_caller()
    sign_in(client)
    token = client.cookies["vram-fit-admin"]
    post(client, "/admin/sign-out")
    assert "vram-fit-admin" not in client.cookies
    client.cookies.set("vram-fit-admin", token)
    assert client.get("/admin", follow_redirects=False).status_code == 303


def test_a_session_ends_by_itself(page_caller: Caller) -> None:
    client = page_caller(session_hours=1e-7)
    sign_in(client)
    assert client.get("/admin", follow_redirects=False).status_code == 303


def test_pages_show_only_what_the_key_opens(page_caller: Caller) -> None:
    client = page_caller()
    sign_in(client, Scope.RATES)
    home = client.get("/admin").text
    assert "/admin/rates" in home
    assert "/admin/keys" not in home
    for path in ("offers", "history", "audit", "asked-for", "keys", "upload"):
        assert client.get(f"/admin/{path}").status_code == 403, path
    assert client.get("/admin/rates").status_code == 200


def test_what_people_asked_for_is_counted_without_them(page_caller: Caller) -> None:
    client = page_caller()
    sign_in(client)
    run = {"model": "llama 3 8b", "method": "qlora", "gpu": "rtx-4090"}
    client.post("/api/v1/estimate", json=run)
    client.get("/", params=run)
    client.get("/", params=run)
    client.post("/api/v1/estimate", json={"model": "nobody-knows-this-model"})
    for text in ("jane.doe@example.com", "+44 20 7946 0958", "<script>", "x" * 200, "config:" + "0" * 32):
        client.get("/api/v1/models", params={"q": text[:200]})
        client.get("/", params={"model": text})
    client.get("/api/v1/models", params={"q": "zzqq unknown thing"})
    client.app.state.parts.asked.flush()  # type: ignore[attr-defined]
    client.post("/api/v1/estimate", json=run)
    client.app.state.parts.asked.flush()  # type: ignore[attr-defined]
    counts = client.get("/api/v1/admin/asked-for", headers=key(client, Scope.READ)).json()
    assert {(item["kind"], item["value"]): item["times"] for item in counts} == {
        ("card", "rtx-4090"): 4,
        ("method", "qlora"): 4,
        ("model", "llama-3-8b"): 4,
        ("not_found", "nobody-knows-this-model"): 1,
        ("not_found", "zzqq unknown thing"): 1,
    }
    page = client.get("/admin/asked-for").text
    assert "nobody-knows-this-model" in page
    assert "jane" not in page


def test_followed_order_links_are_counted(page_caller: Caller) -> None:
    client = page_caller()
    sign_in(client)
    linked = LIST.replace(b"region\n", b"order_url\n").replace(b"London", b"https://shop.example/{gpu}")
    post(client, confirm_path(upload(client, linked).text))
    offer = offer_id(client, "rtx-4090")
    assert client.get(f"/go/{offer}", follow_redirects=False).status_code == 302
    client.app.state.parts.asked.flush()  # type: ignore[attr-defined]
    assert f"/admin/offers/{offer}" in client.get("/admin/asked-for").text


def test_a_list_of_offers_is_searched_and_paged(page_caller: Caller) -> None:
    client = page_caller()
    sign_in(client)
    first = client.get("/admin/offers").text
    assert "1–50 of 497" in first
    assert "51–100 of 497" in client.get("/admin/offers", params={"offset": 50}).text
    assert "No offer is like that." in client.get("/admin/offers", params={"q": "no such thing"}).text
    assert client.get("/admin/offers", params={"offset": -1}, headers={"accept": "text/html"}).status_code == 422


def test_another_replica_knows_the_session_and_the_upload(page_caller: Caller) -> None:
    first, second = page_caller(), page_caller()
    sign_in(first)
    second.cookies = first.cookies
    path = confirm_path(upload(first).text)
    assert "Imported." in post(second, path).text


def test_the_first_key_opens_everything(page_caller: Caller) -> None:
    client = page_caller()
    made = create_key(database_of(client), name="all", scopes=tuple(Scope), actor="tests")
    client.post("/admin/sign-in", data={"key": made.text}, headers=OWN)
    for path in ("", "/offers", "/upload", "/rates", "/history", "/asked-for", "/audit", "/keys"):
        answer = client.get(f"/admin{path}")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert 'content="noindex"' in answer.text
