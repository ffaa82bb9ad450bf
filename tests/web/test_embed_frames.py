"""The widgets as a server sends them: headers, figures, weight, and what a wrong address gets."""

import gzip
import re
from collections.abc import Iterator
from datetime import date

import pytest
from fastapi.testclient import TestClient

from app.catalogue.snapshot import Snapshot
from app.main import create_app
from app.request import parse_query
from app.services.estimate import estimate
from app.services.policy import Policy
from app.settings import Settings
from app.units import GIB
from tests.web.conftest import NoConfigs
from tests.web.embedding import with_order_links
from tests.web.reading import Page

RUN = "model=llama-3-8b&method=qlora&gpu=rtx-3090"
FRAMES = (
    f"/embed/result?{RUN}",
    "/embed/result?model=llama-3-70b&method=full",
    f"/embed/calculator?{RUN}",
    "/embed/table?model=llama-3-8b",
    "/embed/table?models=llama-3-8b,mistral-7b-v0.1",
    "/embed/table?model=llama-3-8b&gpus_allowed=rtx-3090,h100-sxm",
)
KIB = 1024


def visitor(snapshot: Snapshot, settings: Settings | None = None) -> TestClient:
    app = create_app(settings or Settings(), snapshot=snapshot, configs=NoConfigs(), today=lambda: date(2026, 11, 24))
    return TestClient(app, raise_server_exceptions=False, follow_redirects=False)


@pytest.fixture(scope="module")
def shop(snapshot: Snapshot) -> Iterator[TestClient]:
    """A site whose offers can be ordered."""
    with visitor(with_order_links(snapshot)) as client:
        yield client


def own(text: str) -> str:
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize("path", FRAMES)
def test_a_frame_names_its_own_guards_and_loads_nothing_from_elsewhere(shop: TestClient, path: str) -> None:
    response = shop.get(path)
    assert response.status_code == 200
    policy = response.headers["content-security-policy"]
    assert policy.endswith("frame-ancestors *")
    assert "default-src 'none'" in policy
    page = Page(response.text)
    addresses = page.attribute("script", "src") + [
        link.attributes["href"] for link in page.all("link") if link.attributes.get("rel") in {"stylesheet", "icon"}
    ]
    assert addresses
    assert all(address.startswith("/") and not address.startswith("//") for address in addresses)
    assert "style=" not in response.text
    assert page.one("h1").text.strip()
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("path", FRAMES)
def test_every_link_of_a_frame_leaves_it_or_stays_by_name(shop: TestClient, path: str) -> None:
    page = Page(shop.get(path).text)
    assert page.one("base").attributes["target"] == ("_self" if "calculator" in path else "_top")
    outward = [a for a in page.all("a") if not a.attributes["href"].startswith("/embed/")]
    assert outward
    assert all(a.attributes.get("target") in {"_top", "_blank"} for a in outward)


def test_the_operator_says_who_may_frame(snapshot: Snapshot) -> None:
    settings = Settings(frame_ancestors=("https://harbour.example", "https://*.harbour.example"))
    with visitor(snapshot, settings) as client:
        policy = client.get(FRAMES[0]).headers["content-security-policy"]
        assert policy.endswith("frame-ancestors 'self' https://harbour.example https://*.harbour.example")
        assert "frame-ancestors 'none'" in client.get("/").headers["content-security-policy"]
    with visitor(snapshot, Settings(frame_ancestors=("'none'",))) as client:
        assert client.get(FRAMES[0]).headers["content-security-policy"].endswith("frame-ancestors 'none'")


def test_the_result_shows_the_services_figures(shop: TestClient, snapshot: Snapshot) -> None:
    text = own(Page(shop.get(FRAMES[0]).text).one("article").text)
    run = parse_query([tuple(pair.split("=")) for pair in RUN.split("&")])  # type: ignore[misc]
    result = estimate(run, snapshot, date(2026, 11, 24), Policy())
    assert result.verdict is not None
    assert f"needs {result.memory.required_bytes / GIB:.1f} of the {result.verdict.usable_bytes / GIB:.1f} GiB" in text
    card = next(card for card in result.gpus if card.slug == "rtx-3090")
    assert card.offer is not None
    assert f"Order RTX 3090, US${card.offer.price.amount:.2f} an hour" in text
    assert card.offer.provider in text


def test_units_and_locale_are_the_sites_choice(shop: TestClient) -> None:
    gigabytes = own(shop.get(f"{FRAMES[0]}&units=gb").text)
    assert " GB it gives" in gigabytes
    assert "GiB" not in re.sub(r"<[^>]+>", "", gigabytes)
    german = Page(shop.get(f"{FRAMES[0]}&locale=de-DE").text)
    assert re.search(r"braucht \d+,\d der", german.one("h1").text)
    assert german.one("html").attributes["lang"] == "de-DE"
    french = Page(shop.get(f"{FRAMES[0]}&locale=fr").text)
    assert re.search(r"needs \d+,\d of", french.one("h1").text)
    assert french.one("html").attributes["lang"] == "en-GB"
    euros = shop.get("/embed/result?model=llama-3-8b&method=qlora&currency=EUR&locale=de-DE").text
    assert re.search(r"\d,\d\d\u00a0€", euros)
    assert (
        Page(shop.get(f"{FRAMES[0]}&locale=xx_nonsense!!").text).one("h1").text
        == Page(shop.get(FRAMES[0]).text).one("h1").text
    )


@pytest.mark.parametrize(
    ("theme", "attribute"), [("", "light"), ("light", "light"), ("dark", "dark"), ("auto", None), ("<b>", "light")]
)
def test_theme_and_brand_are_attributes_and_a_style_sheet(shop: TestClient, theme: str, attribute: str | None) -> None:
    page = Page(shop.get(FRAMES[0], params={"theme": theme, "brand": "#B4400F", "model": "llama-3-8b"}).text)
    assert page.one("html").attributes.get("data-theme") == attribute
    assert "/brand/b4400f.css" in page.attribute("link", "href")


@pytest.mark.parametrize(
    "query",
    ["model=lama-3-9q", "model=llama-3-8b&sequence_length=0", "model=llama-3-8b&lora_rank=abc", "gpu=nothing-4090"],
)
@pytest.mark.parametrize("kind", ["result", "calculator", "table"])
def test_a_run_that_cannot_be_read_says_so_in_the_frame(shop: TestClient, kind: str, query: str) -> None:
    if kind == "table" and query.startswith("gpu="):
        query = "model=llama-3-8b&gpus_allowed=nothing-4090"
    response = shop.get(f"/embed/{kind}?{query}")
    assert response.status_code == 422
    assert response.headers["cache-control"] == "no-store"
    assert Page(response.text).all("li")
    assert "frame-ancestors *" in response.headers["content-security-policy"]


def test_the_calculators_suggestions_stay_in_the_frame(shop: TestClient) -> None:
    page = Page(shop.get("/embed/calculator?model=lama-3-8b-x&theme=dark&ref=partner").text)
    links = [a for a in page.all("a") if a.attributes.get("href", "").startswith("/embed/calculator?")]
    assert links
    assert all("theme=dark" in a.attributes["href"] and "ref=partner" in a.attributes["href"] for a in links)
    assert all("target" not in a.attributes for a in links)


def test_the_calculator_keeps_what_the_site_chose(shop: TestClient) -> None:
    page = Page(
        shop.get("/embed/calculator?model=llama-3-8b&provider=Vast.ai&theme=dark&utm_source=blog&units=gb").text
    )
    hidden = {
        e.attributes["name"]: e.attributes["value"] for e in page.all("input") if e.attributes.get("type") == "hidden"
    }
    assert hidden == {"provider": "Vast.ai", "theme": "dark", "units": "gb", "utm_source": "blog"}


def test_a_table_of_cards_names_the_cards_asked_for(shop: TestClient) -> None:
    page = Page(shop.get("/embed/table?model=llama-3-8b&gpus_allowed=h100-sxm,rtx-3090").text)
    names = [e.text.strip() for e in page.all("th") if e.attributes.get("scope") == "row"]
    assert names[0].startswith("H100")
    assert names[1].startswith("RTX 3090")
    assert [e.text for e in page.all("th") if e.attributes.get("scope") == "col"][:4] == [
        "Card",
        "QLoRA",
        "LoRA",
        "Full",
    ]


def test_where_nothing_can_be_ordered_the_contact_link_carries_the_run(snapshot: Snapshot) -> None:
    settings = Settings(
        contact_url="https://harbour.example/talk?form=gpu", browse_url="https://harbour.example/servers"
    )
    with visitor(snapshot, settings) as client:
        page = Page(client.get("/embed/result?model=llama-3-70b&method=full&sequence_length=4096").text)
        (contact,) = [a for a in page.all("a") if a.text == "Ask us about this run"]
        sent = client.get(contact.attributes["href"])
        assert sent.status_code == 302
        location = sent.headers["location"]
        assert location.startswith("https://harbour.example/talk?form=gpu&run=")
        assert "sequence_length%3D4096" in location
        (browse,) = [a for a in page.all("a") if a.text == "See all servers"]
        assert client.get(browse.attributes["href"]).headers["location"] == "https://harbour.example/servers"
    with visitor(snapshot) as client:
        assert "Ask us" not in client.get("/embed/result?model=llama-3-70b&method=full").text
        assert client.get("/go/contact").status_code == 404


def test_a_frame_is_asked_again_by_its_tag(shop: TestClient) -> None:
    first = shop.get(FRAMES[0])
    assert first.headers["cache-control"] == "public, max-age=300"
    again = shop.get(FRAMES[0], headers={"if-none-match": f'W/"other", {first.headers["etag"]}'})
    assert again.status_code == 304
    assert again.content == b""
    assert shop.head(FRAMES[0]).content == b""
    assert shop.post(FRAMES[0]).status_code == 405


def test_the_script_is_under_3_kb_and_a_result_frame_under_25_kb_compressed(shop: TestClient) -> None:
    def weight(path: str) -> int:
        with shop.stream("GET", path, headers={"accept-encoding": "gzip"}) as response:
            assert response.status_code == 200
            assert response.headers["content-encoding"] == "gzip"
            return len(b"".join(response.iter_raw()))

    assert weight("/embed.js") <= 3 * KIB
    path = f"{FRAMES[0]}&brand=b4400f"
    page = Page(shop.get(path).text)
    parts = page.attribute("script", "src") + [
        link.attributes["href"] for link in page.all("link") if link.attributes.get("rel") in {"stylesheet", "icon"}
    ]
    assert weight(path) + sum(weight(part) for part in parts) <= 25 * KIB


def test_what_is_compressed_is_the_same(shop: TestClient) -> None:
    with shop.stream("GET", "/embed.js", headers={"accept-encoding": "gzip"}) as response:
        packed = b"".join(response.iter_raw())
    assert gzip.decompress(packed) == shop.get("/embed.js", headers={"accept-encoding": "identity"}).content


@pytest.mark.parametrize("kind", ["result", "calculator", "table"])
def test_hostile_addresses_are_text(shop: TestClient, kind: str) -> None:
    hostile = '"><script>alert(1)</script>'
    response = shop.get(
        f"/embed/{kind}", params={"model": hostile, "ref": hostile, "utm_source": hostile, "brand": hostile}
    )
    assert "<script>alert" not in response.text
    assert response.status_code == 422


def test_a_kept_answer_is_the_first_one_again_with_every_header(shop: TestClient) -> None:
    path = "/fragments/table?model=mistral-7b-v0.1"
    made, kept = shop.get(path), shop.get(path)
    assert kept.content == made.content
    volatile = {"x-request-id", "vary"}
    assert {k: v for k, v in kept.headers.items() if k not in volatile} == {
        k: v for k, v in made.headers.items() if k not in volatile
    }
    assert kept.headers["x-content-type-options"] == "nosniff"
    for response in (made, kept):
        assert {"accept-encoding", "origin"} <= set(response.headers["vary"].lower().split(", "))
    from_script = shop.get(path, headers={"origin": "https://harbour.example"})
    assert from_script.headers["access-control-allow-origin"] == "*"
    assert from_script.content == made.content
