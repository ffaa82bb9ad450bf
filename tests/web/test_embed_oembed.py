"""oEmbed, and WordPress's way through it."""

from collections.abc import Iterator
from html import unescape
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from fastapi.testclient import TestClient

from app.catalogue.snapshot import Snapshot
from tests.web.embedding import WordPress, with_order_links
from tests.web.reading import Page
from tests.web.test_embed_frames import visitor

BASE = "http://testserver"
PAGE = f"{BASE}/?model=llama-3-8b&method=qlora&gpu=rtx-3090"


@pytest.fixture(scope="module")
def shop(snapshot: Snapshot) -> Iterator[TestClient]:
    with visitor(with_order_links(snapshot)) as client:
        yield client


def asked(shop: TestClient, url: str, **options: str) -> dict[str, object]:
    response = shop.get("/oembed", params={"url": url, **options})
    assert response.status_code == 200, response.text
    found: dict[str, object] = response.json()
    return found


@pytest.mark.parametrize(
    "path",
    [
        "/?model=llama-3-8b&method=qlora",
        "/compare?models=llama-3-8b",
        "/embed/calculator?theme=dark",
        "/embed/table?model=llama-3-8b",
    ],
)
def test_a_page_names_its_oembed_address_in_its_first_kilobytes(shop: TestClient, path: str) -> None:
    text = shop.get(path).text
    place = text.index("application/json+oembed")
    assert place < 2_048
    (link,) = [e for e in Page(text).all("link") if e.attributes.get("type") == "application/json+oembed"]
    query = parse_qs(urlsplit(link.attributes["href"]).query)
    assert query == {"url": [BASE + path], "format": ["json"]}
    assert shop.get(link.attributes["href"]).status_code == 200


def test_the_answer_is_rich_and_its_frame_shows_the_run(shop: TestClient) -> None:
    found = asked(shop, PAGE)
    assert found["version"] == "1.0"
    assert found["type"] == "rich"
    frame = Page(str(found["html"])).one("iframe")
    assert frame.attributes["src"] == f"{BASE}/embed/result?model=llama-3-8b&method=qlora&gpu=rtx-3090"
    assert (frame.attributes["width"], frame.attributes["height"]) == (str(found["width"]), str(found["height"]))
    assert frame.attributes["title"] == found["title"]
    assert "Fits a 24\u00a0GB card" in str(found["title"])
    assert shop.get(frame.attributes["src"]).status_code == 200
    picture = shop.get(str(found["thumbnail_url"]))
    assert picture.headers["content-type"] == "image/png"


def test_a_sites_limits_are_kept(shop: TestClient) -> None:
    found = asked(shop, PAGE, maxwidth="320", maxheight="250")
    assert (found["width"], found["height"]) == (320, 250)
    assert asked(shop, PAGE, maxwidth="9000")["width"] == 600


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        (f"{BASE}/", "result"),
        (f"{BASE}/embed/calculator?theme=dark&ref=a", "calculator"),
        (f"{BASE}/embed/table?models=llama-3-8b,mistral-7b-v0.1", "table"),
        (f"{BASE}/compare?models=llama-3-8b", "table"),
    ],
)
def test_each_page_is_embedded_as_its_kind(shop: TestClient, url: str, kind: str) -> None:
    frame = Page(str(asked(shop, url)["html"])).one("iframe")
    parts = urlsplit(frame.attributes["src"])
    assert parts.path == f"/embed/{kind}"
    assert parse_qs(parts.query) == parse_qs(urlsplit(url).query)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("url=https://evil.example/?model=llama-3-8b", 404),
        (f"url={quote('http://testserver.evil.example/')}", 404),
        (f"url={quote('http://testserver@evil.example/')}", 404),
        ("url=javascript:alert(1)", 404),
        ("url=http://[", 404),
        (f"url={quote(BASE + '/docs')}", 404),
        (f"url={quote(BASE + '/?model=no-such-model-9z')}", 404),
        (f"url={quote(PAGE)}&maxwidth=wide", 400),
        (f"url={quote(PAGE)}&maxwidth=0", 400),
        (f"url={quote(PAGE)}&format=xml", 501),
    ],
)
def test_what_it_does_not_answer(shop: TestClient, query: str, status: int) -> None:
    response = shop.get(f"/oembed?{query}")
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


def test_wordpress_finds_the_frame_and_keeps_it_sandboxed(shop: TestClient) -> None:
    wordpress = WordPress(visit=lambda url: shop.get(url).text)
    answer = wordpress.fetch(wordpress.discover(PAGE))
    kept = wordpress.filtered(answer["html"], "a1B2c3D4e5")
    frame = Page(kept).one("iframe")
    assert frame.attributes["sandbox"] == "allow-scripts"
    assert frame.attributes["src"].endswith("#?secret=a1B2c3D4e5")
    assert "loading" not in frame.attributes
    assert unescape(frame.attributes["src"]).startswith(f"{BASE}/embed/result?model=llama-3-8b&method=qlora")
    assert answer["width"] <= 600
