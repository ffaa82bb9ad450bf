"""The pages that search engines find: what they claim is what the calculator computes."""

import json
import re
from typing import Any
from xml.etree import ElementTree

import pytest
from fastapi.testclient import TestClient

from app.catalogue.snapshot import Snapshot
from app.memory.inputs import MethodKind
from app.web.landing import POPULAR
from tests.web.reading import Page

GIB = 2**30


def read(site: TestClient, path: str) -> Page:
    response = site.get(path)
    assert response.status_code == 200
    return Page(response.text)


def structured(page: Page) -> dict[str, Any]:
    (script,) = [script for script in page.all("script") if script.attributes.get("type") == "application/ld+json"]
    data: dict[str, Any] = json.loads(script.text)
    assert data["@context"] == "https://schema.org"
    return data


@pytest.mark.parametrize("slug", ["llama-3-8b", "mistral-7b-v0.1"])
def test_a_models_heading_holds_the_calculators_figures(site: TestClient, slug: str) -> None:
    heading = read(site, f"/models/{slug}").one("h1").text
    for method in MethodKind:
        memory = site.get(f"/api/v1/estimate?model={slug}&method={method}&gpus=none").json()["memory"]
        size = memory["required_bytes"] / GIB
        assert f"{size:.1f}" in heading or f"{size:.0f}" in heading


@pytest.mark.slow
def test_every_model_and_card_of_the_catalogue_has_its_page_in_the_site_map(
    site: TestClient, snapshot: Snapshot
) -> None:
    places = [place.text or "" for place in ElementTree.fromstring(site.get("/sitemap.xml").text).iter() if place.text]
    paths = {place.removeprefix("http://testserver") for place in places if place.strip()}
    listed = [f"/models/{model.slug}" for model in snapshot.models] + [f"/gpus/{gpu.slug}" for gpu in snapshot.gpus]
    assert {*listed, *(f"/de{path}" for path in listed)} < paths
    # Each model's and card's page is the same code in another language: of these some answer for all.
    others = paths - set(listed) - {f"/de{path}" for path in listed}
    for path in sorted(others | {f"/de{path}" for path in listed[::8]}):
        assert site.get(path).status_code == 200, path
    assert "Sitemap: http://testserver/sitemap.xml" in site.get("/robots.txt").text


def test_every_cards_page_answers(site: TestClient, snapshot: Snapshot) -> None:
    titles = set()
    for gpu in snapshot.gpus[::8]:
        page = read(site, f"/gpus/{gpu.slug}")
        titles.add(page.one("title").text)
        assert structured(page)["@type"] == "Product"
    assert len(titles) == len(snapshot.gpus[::8])


def test_models_of_every_family_answer_or_are_refused_in_words(site: TestClient, snapshot: Snapshot) -> None:
    for model in {model.model_type: model for model in snapshot.models}.values():
        assert site.get(f"/models/{model.slug}").status_code in {200, 404}, model.slug


def test_a_card_holds_what_its_page_says(site: TestClient) -> None:
    page = read(site, "/gpus/rtx-3090")
    links = [link for link in page.all("a") if "gpu=rtx-3090" in link.attributes["href"] and "up to" in link.text]
    assert len(links) > 5
    link = links[-1]
    count = int(re.findall(r"\d+", link.text.replace(",", ""))[0])
    address = "/api/v1/estimate" + link.attributes["href"][1:]
    for size, holds in ((count, True), (count + 1, False)):
        verdict = site.get(f"{address}&micro_batch_size={size}").json()["verdict"]
        assert (verdict["headroom_bytes"] >= 0) is holds


def test_questions_in_structured_data_are_those_on_the_page(site: TestClient) -> None:
    for path in ("/models/llama-3-8b", "/best-gpu"):
        page = read(site, path)
        data = structured(page)
        assert data["@type"] == "FAQPage"
        asked = [entry["name"] for entry in data["mainEntity"]]
        assert asked == [term.text for term in page.all("dt") if term.text.endswith("?")]
        for entry in data["mainEntity"]:
            assert entry["acceptedAnswer"]["@type"] == "Answer"
            assert entry["acceptedAnswer"]["text"] in page.by_id("main").text.replace("\u00a0", " ")


def test_samples_are_not_offered_to_search_engines(site: TestClient) -> None:
    assert "offers" not in structured(read(site, "/gpus/rtx-3090"))


def test_other_names_lead_to_the_one_address(site: TestClient) -> None:
    found = site.get("/models/meta-llama/Meta-Llama-3-8B", follow_redirects=False)
    assert (found.status_code, found.headers["location"]) == (301, "/models/llama-3-8b")
    assert site.get("/gpus/RTX%203090", follow_redirects=False).headers["location"] == "/gpus/rtx-3090"
    assert site.get("/models/nothing-like-it").status_code == 404
    assert site.get("/gpus/nothing-like-it").status_code == 404


def test_the_glossary_explains_what_the_form_links_to(site: TestClient) -> None:
    anchors = {element.attributes["id"] for element in read(site, "/glossary").all("div") if "id" in element.attributes}
    links = [link for link in read(site, "/").attribute("a", "href") if link.startswith("/glossary#")]
    assert len(links) > 10
    assert {link.partition("#")[2] for link in links} <= anchors


def test_the_usual_models_are_in_the_catalogue(snapshot: Snapshot) -> None:
    assert all(snapshot.model(slug) for slug in POPULAR)


def test_the_heat_map_agrees_with_the_calculator(site: TestClient) -> None:
    page = read(site, "/gpus/rtx-3090")
    cells = [cell for cell in page.all("td") if cell.attributes.get("class", "").startswith("h")]
    assert len(cells) == 36
    links = [link for link in page.all("a") if "micro_batch_size=8&" in link.attributes["href"]]
    assert len(links) == 6
    for link in links:
        result = site.get("/api/v1/estimate" + link.attributes["href"][1:] + "&gpus=none").json()
        shown, words = link.text.split(" ", 1)
        size = result["memory"]["required_bytes"] / GIB
        assert float(shown.rstrip("!").replace(",", "")) == pytest.approx(size, abs=0.51 if size >= 100 else 0.06)
        assert words.replace(" ", "_") == result["verdict"]["status"]


def test_a_card_that_cannot_run_it_has_no_heat_map(site: TestClient) -> None:
    assert not [table for table in read(site, "/gpus/p40").all("table") if table.attributes.get("class") == "heat"]
