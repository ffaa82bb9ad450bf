"""What search engines and social cards read of every page: one heading, a title of its own, valid data, a picture."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
from fastapi.testclient import TestClient

from app.catalogue.snapshot import Snapshot
from app.web.landing_pages import FIXED_PAGES
from app.web.language import is_page
from tests.web.reading import Page

SAMPLES: Final = ("/models/llama-3-8b", "/models/qwen2.5-14b", "/gpus/rtx-3090", "/gpus/h100-sxm")
PATHS: Final = tuple(
    prefix + path for path in (*FIXED_PAGES, *SAMPLES) for prefix in ("", "/de") if not prefix or is_page(path)
)

TEXT: Final = (str,)
SHAPES: Final[Mapping[str, Mapping[str, tuple[type | str, ...]]]] = {
    "FAQPage": {"mainEntity": ("Question",)},
    "Question": {"name": TEXT, "acceptedAnswer": ("Answer",)},
    "Answer": {"text": TEXT},
    "Product": {"name": TEXT, "description": TEXT, "url": TEXT, "brand": ("Brand",), "offers": ("Offer",)},
    "Brand": {"name": TEXT},
    "Offer": {"price": TEXT, "priceCurrency": TEXT, "seller": ("Organization",), "url": TEXT},
    "Organization": {"name": TEXT},
    "DefinedTermSet": {"name": TEXT, "url": TEXT, "hasDefinedTerm": ("DefinedTerm",), "description": TEXT},
    "DefinedTerm": {"name": TEXT, "description": TEXT, "url": TEXT, "termCode": TEXT},
    "WebApplication": {"name": TEXT, "url": TEXT, "description": TEXT, "applicationCategory": TEXT},
}
"""The types and properties of https://schema.org that pages use, with the type of each value."""
REQUIRED: Final[Mapping[str, frozenset[str]]] = {
    "FAQPage": frozenset({"mainEntity"}),
    "Question": frozenset({"name", "acceptedAnswer"}),
    "Answer": frozenset({"text"}),
    "Product": frozenset({"name"}),
    "Offer": frozenset({"price", "priceCurrency"}),
    "DefinedTermSet": frozenset({"name", "hasDefinedTerm"}),
    "DefinedTerm": frozenset({"name", "description"}),
}
"""What Google's documentation of rich results, and the vocabulary's sense, ask for."""


@pytest.fixture(scope="module")
def pages(site: TestClient) -> Mapping[str, Page]:
    """Every page by its path."""
    found = {}
    for path in PATHS:
        answer = site.get(path)
        assert answer.status_code == 200, path
        found[path] = Page(answer.text)
    return found


def described(page: Page) -> Mapping[str, str]:
    """The head's descriptions by name."""
    return {
        element.attributes.get("name") or element.attributes.get("property", ""): element.attributes.get("content", "")
        for element in page.all("meta")
    }


def test_every_page_has_a_heading_title_and_description_of_its_own(pages: Mapping[str, Page]) -> None:
    titles: dict[str, str] = {}
    descriptions: dict[str, str] = {}
    for path, page in pages.items():
        assert len(page.all("h1")) == 1, path
        title, description = page.one("title").text, described(page)["description"]
        assert titles.setdefault(title, path) == path or path == "/de/embed"
        assert descriptions.setdefault(description, path) == path
        assert 40 <= len(description) <= 320, (path, len(description))


@pytest.mark.parametrize("path", PATHS)
def test_every_page_has_a_picture_for_social_cards(site: TestClient, pages: Mapping[str, Page], path: str) -> None:
    head = described(pages[path])
    assert (head["og:image:width"], head["og:image:height"]) == ("1200", "630")
    assert ("locale=de" in head["og:image"]) is path.startswith("/de")
    picture = site.get(head["og:image"])
    assert picture.headers["content-type"] == "image/png"
    assert (int.from_bytes(picture.content[16:20]), int.from_bytes(picture.content[20:24])) == (1200, 630)


def check(node: Any, expected: tuple[type | str, ...], place: str) -> None:
    """A value against the types that its property may have."""
    for item in node if isinstance(node, list) else [node]:
        if isinstance(item, dict):
            kind = item["@type"]
            assert kind in expected, (place, kind)
            given = {name: value for name, value in item.items() if not name.startswith("@")}
            assert given.keys() <= SHAPES[kind].keys(), (place, given.keys() - SHAPES[kind].keys())
            assert REQUIRED.get(kind, frozenset()) <= given.keys(), place
            for name, value in given.items():
                check(value, SHAPES[kind][name], f"{place}.{name}")
        else:
            assert isinstance(item, tuple(kind for kind in expected if isinstance(kind, type))), (place, item)
            assert str(item).strip(), place


def structured(page: Page) -> Iterator[dict[str, Any]]:
    for script in page.all("script"):
        if script.attributes.get("type") == "application/ld+json":
            yield json.loads(script.text)


def test_structured_data_has_the_shapes_of_schema_org(pages: Mapping[str, Page]) -> None:
    kinds = set()
    for path, page in pages.items():
        for data in structured(page):
            assert data.pop("@context") == "https://schema.org"
            kinds.add(data["@type"])
            check(data, tuple(SHAPES), path)
    assert {"FAQPage", "Product", "DefinedTermSet"} <= kinds


def test_prices_in_structured_data_are_numbers_with_a_currency(pages: Mapping[str, Page]) -> None:
    for page in pages.values():
        for data in structured(page):
            offer = data.get("offers")
            if offer:
                assert re.fullmatch(r"\d+(\.\d+)?", offer["price"])
                assert re.fullmatch(r"[A-Z]{3}", offer["priceCurrency"])


def test_addresses_in_structured_data_are_those_of_the_page_s_language(pages: Mapping[str, Page]) -> None:
    for path, page in pages.items():
        for data in structured(page):
            if data.get("url", "").startswith("http://testserver"):
                assert data["url"].startswith("http://testserver/de/") is path.startswith("/de"), path


def test_every_link_between_pages_answers(site: TestClient, snapshot: Snapshot, pages: Mapping[str, Page]) -> None:
    """Addresses without a query; those with one are runs, which the pages' own tests follow."""
    links = {
        link.partition("#")[0]
        for page in pages.values()
        for link in page.attribute("a", "href")
        if link.startswith("/") and "?" not in link
    }
    assert {f"/gpus/{gpu.slug}" for gpu in snapshot.gpus} <= links
    # Model pages take some 40 ms each, and one in eight stands for the rest: they are made by the same code.
    many = sorted(link for link in links if link.startswith(("/models/", "/de/models/", "/de/gpus/")))
    for link in (links - set(many)) | set(many[::8]):
        assert site.get(link).status_code == 200, link


def test_every_link_to_a_run_answers(site: TestClient, pages: Mapping[str, Page]) -> None:
    for path, page in pages.items():
        runs = sorted({link for link in page.attribute("a", "href") if link.startswith("/") and "?" in link})
        for link in runs[:: max(1, len(runs) // 3)]:
            assert site.get(link.partition("#")[0]).status_code == 200, (path, link)
