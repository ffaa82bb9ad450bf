"""The operator's side tried as an attacker would."""

import csv
import io
import json
import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.admin import attempts as attempts_module
from app.admin.attempts import Attempts
from app.admin.keys import ALL_SCOPES, Scope
from tests.admin.conftest import Caller, database_of, key
from tests.admin.test_pages import LIST, OWN, confirm_path, post, prices, sign_in, upload

ADMIN = "/api/v1/admin"
WRONG = "vramfit_0123456789ab_" + "A" * 43
FORGED = [
    {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://testserver.evil.example"},
    {"origin": "http://evil.example/http://testserver"},
    {"origin": "http://testserver", "sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"referer": "http://testserver/admin"},
    {},
]


def _bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


# Guessing keys


class _Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    hand = _Clock()
    monkeypatch.setattr(attempts_module, "monotonic", hand)
    return hand


def test_each_wrong_key_doubles_the_wait(page_caller: Caller, clock: _Clock) -> None:
    client = page_caller()
    waits = []
    for _ in range(12):
        answer = client.get(f"{ADMIN}/keys", headers=_bearer(WRONG))
        assert answer.status_code == 401
        waits.append(int(answer.headers["retry-after"]))
        clock.now += waits[-1]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


def test_no_key_is_looked_at_before_the_wait_is_over_not_even_a_good_one(page_caller: Caller, clock: _Clock) -> None:
    client, neighbour = page_caller(), page_caller(address="198.51.100.9")
    good = key(client)
    client.get(f"{ADMIN}/keys", headers=_bearer(WRONG))
    neighbour_app = client.app
    refused = client.get(f"{ADMIN}/keys", headers=good)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert client.post("/admin/sign-in", data={"key": WRONG}, headers=OWN).status_code == 429
    other = TestClient(neighbour_app, client=("198.51.100.9", 1), raise_server_exceptions=False)
    assert other.get(f"{ADMIN}/keys", headers=good).status_code == 200
    assert neighbour.get(f"{ADMIN}/keys", headers=good).status_code == 200
    clock.now += 1
    assert client.get(f"{ADMIN}/keys", headers=good).status_code == 200


def test_one_ipv6_household_waits_together(page_caller: Caller, clock: _Clock) -> None:
    client = page_caller(address="2001:db8:1:2::1")
    client.get(f"{ADMIN}/keys", headers=_bearer(WRONG))
    same = TestClient(client.app, client=("2001:db8:1:2:ffff::9", 1), raise_server_exceptions=False)
    assert same.get(f"{ADMIN}/keys", headers=key(client)).status_code == 429


def test_many_keys_at_once_do_not_pass_as_one(page_caller: Caller) -> None:
    client = page_caller()
    with ThreadPoolExecutor(60) as pool:
        statuses = list(pool.map(lambda _: client.get(f"{ADMIN}/keys", headers=_bearer(WRONG)).status_code, range(120)))
    assert statuses.count(401) <= attempts_module.MAX_AT_ONCE
    assert set(statuses) == {401, 429}


def test_remembered_addresses_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts_module, "MAX_ADDRESSES", 3)
    attempts = Attempts()
    for number in range(5):
        attempts.failed(str(number))
    assert [attempts.wait_seconds(str(number)) > 0 for number in range(5)] == [False, False, True, True, True]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YWRtaW46YWRtaW4=",
        "Bearer x",
        f"Bearer {WRONG}'--",
        "Bearer vramfit_%_" + "A" * 43,
        "Bearer ' OR 1=1 --",
        "Bearer " + "A" * 6_000,
        "Bearer null",
    ],
)
def test_what_is_no_key_opens_nothing(page_caller: Caller, header: str) -> None:
    client = page_caller()
    answer = client.get(f"{ADMIN}/keys", headers={"authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["cache-control"] == "no-store"


def test_a_good_id_with_another_secret_opens_nothing(page_caller: Caller) -> None:
    client = page_caller()
    good = key(client)["authorization"]
    changed = good[:-1] + ("A" if good[-1] != "A" else "B")
    assert client.get(f"{ADMIN}/keys", headers={"authorization": changed}).status_code == 401


def test_neither_keys_nor_sessions_can_be_read_from_the_database(page_caller: Caller) -> None:
    client = page_caller()
    text = key(client)["authorization"].removeprefix("Bearer ")
    sign_in(client)
    path = str(database_of(client).engine.url.database)
    with sqlite3.connect(path) as connection:
        everything = "\n".join(connection.iterdump())
    assert text not in everything
    assert text.rpartition("_")[2] not in everything
    assert client.cookies["vram-fit-admin"] not in everything


# A key without the scope

OPERATIONS = [
    ("GET", "/offers", Scope.READ),
    ("PUT", "/offers?provider=x", Scope.OFFERS),
    ("PATCH", "/offers/x", Scope.OFFERS),
    ("DELETE", "/offers/x", Scope.OFFERS),
    ("GET", "/offers/x/history", Scope.READ),
    ("PUT", "/rates", Scope.RATES),
    ("GET", "/keys", Scope.KEYS),
    ("POST", "/keys", Scope.KEYS),
    ("DELETE", "/keys/x", Scope.KEYS),
    ("GET", "/audit", Scope.READ),
    ("GET", "/asked-for", Scope.READ),
]


def test_every_operation_needs_its_scope_and_no_other_helps(page_caller: Caller) -> None:
    client = page_caller()
    documented = {
        (method.upper(), path)
        for path, operations in client.get("/openapi.json").json()["paths"].items()
        if path.startswith(ADMIN)
        for method in operations
    }
    tried = {(method, ADMIN + re.sub(r"\?.*", "", path)) for method, path, _ in OPERATIONS}
    assert len(documented) == len(tried) == len(OPERATIONS)
    for method, path, scope in OPERATIONS:
        others = key(client, *(other for other in ALL_SCOPES if other is not scope))
        refused = client.request(method, ADMIN + path, headers=others, content=b"{" * 1000)
        assert (refused.status_code, scope.value in refused.json()["detail"]) == (403, True), (method, path)
        assert client.request(method, ADMIN + path).status_code == 401, (method, path)
        allowed = client.request(method, ADMIN + path, headers=key(client, scope))
        assert allowed.status_code not in {401, 403}, (method, path)


def test_a_key_gives_no_more_than_it_has(page_caller: Caller) -> None:
    client = page_caller()
    headers = key(client, Scope.KEYS)
    for scopes in (["offers"], ["keys", "read"], ["everything"], []):
        refused = client.post(f"{ADMIN}/keys", json={"name": "more", "scopes": scopes}, headers=headers)
        assert refused.status_code == 422
    sign_in(client, Scope.KEYS)
    assert "has itself" in post(client, "/admin/keys", data={"name": "more", "scopes": ["offers"]}).text


def test_a_page_needs_the_scope_for_what_it_does(page_caller: Caller) -> None:
    client = page_caller()
    sign_in(client, Scope.READ, Scope.RATES)
    assert upload(client).status_code == 403
    assert post(client, "/admin/offers/x", data={"amount": "1"}).status_code == 403
    assert post(client, "/admin/offers/x/withdraw").status_code == 403
    assert post(client, "/admin/keys", data={"name": "x", "scopes": ["read"]}).status_code == 403


def test_an_upload_that_waits_is_refused_once_its_key_lost_the_scope(page_caller: Caller) -> None:
    client = page_caller()
    sign_in(client)
    path = confirm_path(upload(client).text)
    with sqlite3.connect(str(database_of(client).engine.url.database)) as connection:
        connection.execute("UPDATE api_key SET scopes = '[\"read\"]'")
    assert post(client, path).status_code == 403
    assert prices(client) == {}


# Forged posts


def _post_paths(client: TestClient) -> list[str]:
    paths = set()
    pending: list[Any] = list(client.app.routes)  # type: ignore[attr-defined]
    while pending:
        route = pending.pop()
        router = getattr(route, "original_router", None) or getattr(route, "router", None)
        pending += getattr(router, "routes", [])
        path = str(getattr(route, "path", ""))
        if "POST" in (getattr(route, "methods", None) or ()) and path.startswith("/admin"):
            paths.add(path.replace("{offer_id}", "x").replace("{key_id}", "x").replace("{upload_id}", "x"))
    return sorted(paths)


def test_no_other_site_can_post_any_form(page_caller: Caller) -> None:
    client = page_caller()
    sign_in(client)
    paths = _post_paths(client)
    assert len(paths) == 9
    for path in paths:
        for headers in FORGED:
            answer = client.post(path, headers=headers, data={"key": WRONG}, follow_redirects=False)
            assert answer.status_code == 403, (path, headers)
    assert client.get("/admin").status_code == 200


@pytest.mark.parametrize("headers", [{"origin": "http://testserver"}, {"sec-fetch-site": "same-origin"}, OWN])
def test_our_own_forms_are_taken(page_caller: Caller, headers: dict[str, str]) -> None:
    client = page_caller()
    sign_in(client)
    answer = client.post("/admin/sign-out", headers=headers, follow_redirects=False)
    assert answer.headers["location"] == "/admin/sign-in"


def test_the_public_address_is_our_own_behind_a_proxy(page_caller: Caller) -> None:
    client = page_caller(public_url="https://fit.example.com")
    headers = {"origin": "https://fit.example.com"}
    assert client.post("/admin/sign-in", headers=headers, data={"key": "x"}).status_code == 401


def test_nothing_is_done_by_following_a_link(page_caller: Caller) -> None:
    client = page_caller()
    sign_in(client)
    for path in ("/admin/sign-out", "/admin/offers/x/withdraw", "/admin/keys/x/revoke", "/admin/upload/x"):
        assert client.get(path).status_code in {404, 405}, path
    assert client.get("/admin").status_code == 200


def test_a_session_opens_no_api_and_a_key_no_page(page_caller: Caller) -> None:
    client = page_caller()
    headers = key(client)
    assert client.get("/admin", headers=headers, follow_redirects=False).status_code == 303
    sign_in(client)
    assert client.get(f"{ADMIN}/keys", headers=OWN).status_code == 401


def test_the_cookie_is_strict(page_caller: Caller) -> None:
    plain = page_caller()
    text = key(plain)["authorization"].removeprefix("Bearer ")
    given = plain.post("/admin/sign-in", data={"key": text}, headers=OWN, follow_redirects=False).headers["set-cookie"]
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(given.split("; "))
    behind = page_caller(public_url="https://fit.example.com")
    headers = {"origin": "https://fit.example.com"}
    given = behind.post("/admin/sign-in", data={"key": text}, headers=headers, follow_redirects=False).headers[
        "set-cookie"
    ]
    assert given.startswith("__Host-vram-fit-admin=")
    assert {"HttpOnly", "Path=/", "SameSite=strict", "Secure"} <= set(given.split("; "))
    assert "Domain" not in given
    assert text not in given


def test_a_planted_session_is_replaced_at_signing_in(page_caller: Caller) -> None:
    client = page_caller()
    sign_in(client)
    first = client.cookies["vram-fit-admin"]
    sign_in(client)
    assert client.cookies["vram-fit-admin"] != first
    client.cookies.clear()
    client.cookies.set("vram-fit-admin", first)
    assert client.get("/admin", follow_redirects=False).status_code == 303


def test_the_pages_may_not_be_framed_or_kept(page_caller: Caller) -> None:
    answer = page_caller().get("/admin/sign-in")
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


# Injection


def test_an_export_runs_no_formula_and_comes_back(page_caller: Caller) -> None:
    client = page_caller()
    headers = key(client)
    hostile = ['=HYPERLINK("http://evil.example")', "+1+1", "-2+3", "@SUM(A1)", "=cmd|' /C calc'!A0"]
    rows = [
        {"sku": text, "gpu": "rtx-4090", "amount": "1", "currency": "USD", "period": "hour", "note": text}
        for text in hostile
    ]
    to = f"{ADMIN}/offers?provider=Example+Hosting"
    assert client.put(to, json=rows, headers=headers).json()["added"] == len(hostile)
    exported = client.get(f"{ADMIN}/offers", headers=headers).text
    for row in csv.reader(io.StringIO(exported)):
        assert not any(re.match(r"[=+\-@\t\r]", cell) for cell in row)
    again = client.put(to, content=exported, headers=headers | {"content-type": "text/csv"})
    assert again.json()["unchanged"] == len(hostile)


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7*7 }}", "' OR '1"]
)
def test_hostile_names_are_text(page_caller: Caller, text: str) -> None:
    client = page_caller()
    sign_in(client)
    rows = [{"sku": text, "gpu": "rtx-4090", "amount": "1", "currency": "USD", "period": "hour", "note": text}]
    shown = upload(client, json.dumps(rows).encode(), name="prices.json", format="json")
    page = post(client, confirm_path(shown.text)).text + shown.text
    page += post(client, "/admin/keys", data={"name": text, "scopes": ["read"]}).text
    page += client.get("/admin/offers", params={"q": text}).text
    offer = client.get("/api/v1/offers", params={"provider": "example-hosting"}).json()["items"][0]["id"]
    page += client.get(f"/admin/offers/{offer}").text + client.get("/admin/audit").text
    assert "<script>alert" not in page
    assert "<img src=x" not in page


@pytest.mark.parametrize("text", ["a\r\nset-cookie: x=y", "a\nset-cookie: x=y", "a\x00b", "x\u2028x"])
def test_line_breaks_reach_no_header_and_no_row(page_caller: Caller, text: str) -> None:
    client = page_caller()
    headers = key(client)
    answers = [
        client.put(f"{ADMIN}/offers", json=[], params={"provider": text}, headers=headers),
        client.get(f"{ADMIN}/offers", params={"provider": text}, headers=headers),
        client.post(f"{ADMIN}/keys", json={"name": text, "scopes": ["read"]}, headers=headers),
        client.put(
            f"{ADMIN}/offers",
            params={"provider": "Example Hosting"},
            json=[{"gpu": "rtx-4090", "amount": "1", "currency": "USD", "period": "hour", "note": text}],
            headers=headers,
        ),
    ]
    for answer in answers:
        assert answer.status_code < 500
        assert "set-cookie" not in answer.headers
    assert answers[3].status_code == 422


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "ftp://x/y", "https://user@evil.example/"]
)
def test_an_order_link_leads_only_to_the_web(page_caller: Caller, link: str) -> None:
    client = page_caller()
    rows = [{"gpu": "rtx-4090", "amount": "1", "currency": "USD", "period": "hour", "order_url": link}]
    answer = client.put(f"{ADMIN}/offers", json=rows, params={"provider": "Example"}, headers=key(client))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "order_url")


# Oversized and malformed uploads


def _numbered(value: str) -> bytes:
    return b'[{"gpu":"rtx-4090","currency":"USD","period":"hour","amount":' + value.encode() + b"}]"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"[" * 200_000, "json"),
        (b'{"offers":' * 50_000 + b"1" + b"}" * 50_000, "json"),
        (b'[{"gpu":' + b"[" * 100_000 + b"]" * 100_000 + b"}]", "json"),
        (_numbered("1e999999999"), "json"),
        (_numbered("1" * 5_000), "json"),
        (_numbered("NaN"), "json"),
        (_numbered('{"$gt":0}'), "json"),
        (_numbered("true"), "json"),
        (b'{"offers": {"a": 1}}', "json"),
        (b"\xff\xfe\x00", "json"),
        (b"", "json"),
        (b"gpu,amount\n" + b'"' + b"x" * 200_000 + b'",1\n', "csv"),
        (b"gpu,amount,currency,period\n" + b"\x00,1,USD,hour\n", "csv"),
        (b"gpu,gpu,amount\nrtx-4090,rtx-4090,1\n", "csv"),
        (b"gpu,amount,currency,period\n" + b"," * 100_000 + b"\n", "csv"),
        (b'gpu,amount\n"rtx-4090,1\n', "csv"),
        (b"PK\x03\x04" + b"\x00" * 1_000, "csv"),
        (b"\n" * 100_000, "csv"),
    ],
)
def test_a_hostile_file_is_refused_and_changes_nothing(page_caller: Caller, content: bytes, kind: str) -> None:
    client = page_caller()
    media_type = "application/json" if kind == "json" else "text/csv"
    answer = client.put(
        f"{ADMIN}/offers",
        params={"provider": "Example Hosting", "mode": "replace"},
        content=content,
        headers=key(client, Scope.OFFERS) | {"content-type": media_type},
    )
    assert answer.status_code in {400, 422}, answer.text[:200]
    assert "Nothing was changed." in answer.json()["detail"]
    sign_in(client)
    shown = upload(client, content, name=f"prices.{kind}")
    assert shown.status_code in {400, 422}
    assert prices(client) == {}


def test_an_oversized_upload_is_refused_before_it_is_read(page_caller: Caller) -> None:
    client = page_caller(max_upload_bytes=2_000_000)
    headers = key(client) | {"content-type": "text/csv"}
    path = f"{ADMIN}/offers?provider=x"

    def unannounced() -> Iterator[bytes]:
        yield from [b"x" * 100_000] * 30

    assert client.put(path, content=b"x" * 2_000_001, headers=headers).status_code == 413
    assert client.put(path, content=unannounced(), headers=headers).status_code == 413
    assert client.post(f"{ADMIN}/keys", content=b"x" * 200_000, headers=headers).status_code == 413
    sign_in(client)
    assert upload(client, b"x" * 2_000_001).status_code == 413
    assert post(client, "/admin/keys", data={"name": "x" * 200_000}).status_code == 413


def test_a_stranger_s_upload_is_refused_unread(page_caller: Caller) -> None:
    client = page_caller()
    large = b"x" * 3_000_000
    answer = client.put(f"{ADMIN}/offers?provider=x", content=large, headers={"content-type": "text/csv"})
    assert answer.status_code == 401
    assert upload(client, large).url.path == "/admin/sign-in"


def test_a_form_of_many_parts_is_refused(page_caller: Caller) -> None:
    client = page_caller()
    sign_in(client)
    many = [("file", (f"{number}.csv", LIST)) for number in range(30)]
    assert post(client, "/admin/upload", files=many, data={"provider": "x"}).status_code == 400
    fields = {f"field{number}": "x" for number in range(500)}
    assert post(client, "/admin/upload", files={"file": ("a.csv", LIST)}, data=fields).status_code == 400
    assert post(client, "/admin/upload", data={"provider": "x"}).status_code == 415


def test_a_lost_database_is_said_and_not_an_error_of_ours(page_caller: Caller) -> None:
    client = page_caller()
    headers = key(client)
    sign_in(client)
    with sqlite3.connect(str(database_of(client).engine.url.database)) as connection:
        connection.execute("DROP TABLE admin_session")
        connection.execute("DROP TABLE api_key")
    answer = client.get(f"{ADMIN}/keys", headers=headers)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    page = client.get("/admin", headers={"accept": "text/html"})
    assert page.status_code == 503
    assert client.post("/api/v1/estimate", json={"model": "llama-3-8b"}).status_code == 200
